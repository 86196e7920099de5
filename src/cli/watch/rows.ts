/** Which port spaces the list shows, and in which order. */
import { nameOf } from '../../core/finding/of-space.ts';
import { urgency } from '../../core/finding/urgency.ts';
import type { PortSpace } from '../../core/port-space.ts';
import { byUrgency } from '../../core/port-spaces.ts';

/** Seconds until a space runs out; infinite if it does not. */
const secondsLeft = ({ forecast }: PortSpace): number =>
  forecast.kind === 'exhausted' ? 0 : forecast.kind === 'exhausts' ? forecast.seconds : Number.POSITIVE_INFINITY;

/** Equal infinities are no difference. */
const less = (a: number, b: number): number => (a === b ? 0 : a - b);

const rank = (s: PortSpace): number => ({ critical: 0, warning: 1, none: 2 })[urgency(s) ?? 'none'];

const orders = {
  urgent: (a: PortSpace, b: PortSpace) => rank(a) - rank(b) || byUrgency(a, b),
  full: byUrgency,
  'time left': (a: PortSpace, b: PortSpace) => less(secondsLeft(a), secondsLeft(b)) || byUrgency(a, b),
  opens: (a: PortSpace, b: PortSpace) => less(b.openRate ?? -1, a.openRate ?? -1) || byUrgency(a, b),
  used: (a: PortSpace, b: PortSpace) => less(b.used, a.used) || byUrgency(a, b),
  name: (a: PortSpace, b: PortSpace) => nameOf(a).localeCompare(nameOf(b), 'en', { numeric: true }) || byUrgency(a, b),
} as const satisfies Record<string, (a: PortSpace, b: PortSpace) => number>;

export type Order = keyof typeof orders;
export const ORDERS = Object.keys(orders) as readonly Order[];

/** What a filter looks into: the id, the name as shown, kind and owners. */
const text = (s: PortSpace): string =>
  `${s.id} ${nameOf(s)} ${s.owners.map((o) => `${o.command}[${o.pid}] ${o.container ?? ''}`).join(' ')}`;

export interface Arrangement {
  readonly order: Order;
  readonly reversed: boolean;
  /** Words that must all occur, in whatever case; empty shows all. */
  readonly filter: string;
}

export const arrange = (spaces: readonly PortSpace[], { order, reversed, filter }: Arrangement): readonly PortSpace[] => {
  const words = filter.toLowerCase().split(/\s+/).filter(Boolean);
  const shown = words.length === 0 ? [...spaces] : spaces.filter((s) => words.every((w) => text(s).toLowerCase().includes(w)));
  shown.sort(orders[order]);
  return reversed ? shown.reverse() : shown;
};
