/** The keys, what the columns mean, and what this run cannot see. */
import { type Paint, pad, safe, wrap } from '../terminal.ts';
import { rule, split } from './layout.ts';
import { ORDERS } from './rows.ts';
import type { Seen } from './state.ts';

const keys = [
  ['↑ ↓  k j', 'move; page up and down, home and end too'],
  ['enter  →', 'open the port space: states, ports, owners, findings, remedies'],
  ['esc  ←', 'back; in the list it clears the filter'],
  ['s  r', `sort by the next: ${ORDERS.join(', ')}; reverse`],
  ['/', 'filter by words of address, port, label, process'],
  ['p  space', 'pause, and go on'],
  ['ctrl-l', 'draw anew'],
  ['q  ctrl-c', 'leave; ctrl-z suspends'],
] as const;

const words = [
  ['USED', 'of the ports this source has towards this destination'],
  ['┊', 'the search wall: beyond it each connect() scans thousands of ports'],
  ['FREE', 'connections that can still be opened'],
  ['OPENS', 'connections opened since the look before'],
  ['FORECAST', 'stable; → N: settles at N; out in T: no port is left after T'],
] as const;

export const helpPage = (seen: Seen | null, columns: number, paint: Paint): string[] => {
  const table = (rows: readonly (readonly [string, string])[]): string[] =>
    rows.map(([left, right]) => ` ${paint('bold', pad(left, 10))} ${wrap(right, columns - 13, ' '.repeat(12))}`);
  const unseen = seen?.diagnosis.sensors.filter((s) => s.hint !== '' && s.status !== 'absent') ?? [];
  return split([
    rule('Keys', columns, paint),
    ...table(keys),
    rule('Words', columns, paint),
    ...table(words),
    ...(unseen.length === 0 ? [] : [rule('Not seen', columns, paint)]),
    ...unseen.map((s) => ` ${wrap(safe(`${s.name}: ${s.hint}`), columns - 2, '   ')}`),
  ]);
};
