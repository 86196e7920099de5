/**
 * When each request is due, known before the first one is sent: a rate that stands, rises evenly, or goes up in steps. Arrivals are
 * evenly spaced at the rate of their moment, as the planner's arithmetic assumes.
 */
import { parseRate } from '../core/quantity.ts';

/** A stretch with a rate that goes evenly from `from` to `to`, per second, in `seconds`. */
export interface Stretch {
  readonly from: number;
  readonly to: number;
  readonly seconds: number;
}

/** `500/s`, `100/s..1000/s` (a ramp over the whole time), `100/s,200/s,400/s` (steps of equal length). Null if it is none of these. */
export const parseProfile = (text: string, duration: number): readonly Stretch[] | null => {
  const ramp = text.split('..');
  if (ramp.length === 2) {
    const [from, to] = ramp.map(parseRate) as [number | null, number | null];
    return from === null || to === null || from + to === 0 ? null : [{ from, to, seconds: duration }];
  }
  const rates = text.split(',').map(parseRate);
  const stretches: Stretch[] = [];
  for (const rate of rates) {
    if (rate === null || rate === 0) return null;
    stretches.push({ from: rate, to: rate, seconds: duration / rates.length });
  }
  return stretches;
};

/** The highest rate of a profile. */
export const peakRate = (profile: readonly Stretch[]): number => Math.max(...profile.map((s) => Math.max(s.from, s.to)));

/** Arrivals of a whole stretch; not a whole number. */
const within = (s: Stretch): number => ((s.from + s.to) / 2) * s.seconds;

/** The moments of one profile, in order. `share`: of `of` processes the `index`th takes every `of`th arrival. */
export class Arrivals {
  /** How many there are for this share. */
  readonly count: number;
  private readonly profile: readonly Stretch[];
  private readonly index: number;
  private readonly of: number;
  private taken = 0;
  private stretch = 0;
  /** Arrivals and seconds before the current stretch. */
  private before = 0;
  private start = 0;

  constructor(profile: readonly Stretch[], share: { readonly index: number; readonly of: number } = { index: 0, of: 1 }) {
    this.profile = profile;
    this.index = share.index;
    this.of = share.of;
    const all = Math.round(profile.reduce((sum, s) => sum + within(s), 0));
    this.count = Math.max(0, Math.ceil((all - this.index) / this.of));
  }

  /** When the next arrival is due, in seconds from the beginning; Infinity after the last. */
  next(): number {
    if (this.taken >= this.count) return Number.POSITIVE_INFINITY;
    const number = this.index + this.of * this.taken++;
    let s = this.profile[this.stretch]!;
    while (number - this.before >= within(s) && this.stretch < this.profile.length - 1) {
      this.before += within(s);
      this.start += s.seconds;
      s = this.profile[++this.stretch]!;
    }
    // The t with from·t + slope/2·t² = n, in the form that neither divides by a slope of 0 nor subtracts like from like.
    const n = number - this.before;
    const slope = s.seconds > 0 ? (s.to - s.from) / s.seconds : 0;
    const root = Math.sqrt(Math.max(0, s.from * s.from + 2 * slope * n));
    return this.start + (n === 0 ? 0 : (2 * n) / (s.from + root));
  }
}
