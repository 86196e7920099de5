/** What `plimsoll show` is asked for: `virtualservice|pool|healthmonitor|snatpool|events [NAME] [server] [detail]`. */
import { PlimsollError } from '../../core/errors.ts';
import { didYouMean } from '../../core/nearest.ts';

export const showKinds = ['virtualservice', 'pool', 'healthmonitor', 'snatpool', 'events'] as const;
export type ShowKind = (typeof showKinds)[number];

export interface ShowRequest {
  readonly kind: ShowKind;
  /** One object; null for all of them in a list. */
  readonly name: string | null;
  /** A table for each server of the pool. */
  readonly server: boolean;
  /** Everything that is known, not only what is looked at first. */
  readonly detail: boolean;
}

/** Reads the words after `show`. Throws show_what or excess_argument. */
export const showRequest = (words: readonly string[]): ShowRequest => {
  const [kind, ...rest] = words;
  const known = showKinds.find((k) => k === kind);
  if (known === undefined) throw new PlimsollError('show_what', { value: kind ?? '', nearest: didYouMean(kind ?? '', showKinds) });
  const left = [...rest];
  // An object may be called "detail" or "server": the first word is a name if another of the kind follows, or if it can be nothing else.
  const detail = left.length > 0 && left.at(-1) === 'detail' && left.pop() !== undefined;
  const server = known === 'pool' && left.length > 1 && left.at(-1) === 'server' && left.pop() !== undefined;
  const name = left.shift() ?? null;
  if (left.length > 0) throw new PlimsollError('excess_argument', { command: 'show', argument: left[0]! });
  return { kind: known, name, server, detail };
};
