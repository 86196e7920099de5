/** The rate at which failures begin, by bisection: ever narrower between the highest that went well and the lowest that did not. */

import { causes } from './outcome.ts';
import type { Total } from './tally.ts';
import type { Verdict } from './threshold.ts';

/** What one rate came to; null is that it went well, else the cause of the first kind of failure. */
export interface Probe {
  readonly rate: number;
  readonly cause: string | null;
}

export interface Limit {
  /** The highest rate that went well; null if none did. */
  readonly rate: number | null;
  /** The lowest rate that did not; null if none failed up to the highest allowed. */
  readonly failsAt: number | null;
  readonly cause: string | null;
  readonly probes: readonly Probe[];
}

export interface Search {
  /** Where the limit is expected; null: it starts at `first` and doubles. */
  readonly guess: number | null;
  readonly first: number;
  /** Not asked for more than this. */
  readonly highest: number;
  /** Done when the rates lie no farther apart than this share. */
  readonly precision: number;
}

/** Below this there is nothing to be found. */
const LOWEST = 0.1;
/** First steps to both sides of what was expected. */
const BESIDE = 0.08;

/** Asks `probe` for rate after rate; undefined from it means interrupted. */
export const findLimit = async (search: Search, probe: (rate: number) => Promise<string | null | undefined>): Promise<Limit> => {
  const probes: Probe[] = [];
  let good: number | null = null;
  let bad: Probe | null = null;
  const next = (): number | null => {
    if (good === null && bad === null) return Math.min(search.highest, search.guess === null ? search.first : search.guess * (1 - BESIDE));
    if (bad === null) {
      if (good! >= search.highest) return null;
      const up: number = search.guess !== null && good! < search.guess ? search.guess * (1 + BESIDE) : good! * 2;
      return Math.min(search.highest, up);
    }
    if (good === null) return bad.rate / 2 < LOWEST ? null : bad.rate / 2;
    return bad.rate / good - 1 <= search.precision ? null : (good + bad.rate) / 2;
  };
  for (let rate = next(); rate !== null; rate = next()) {
    const cause = await probe(rate);
    if (cause === undefined) break;
    const outcome: Probe = { rate, cause };
    probes.push(outcome);
    if (cause === null) good = Math.max(good ?? 0, rate);
    else if (bad === null || rate < bad.rate) bad = outcome;
  }
  return { rate: good, failsAt: bad?.rate ?? null, cause: bad?.cause ?? null, probes };
};

/**
 * Why a run did not go well, by what explains the rest: ports and other failures of this host, the server's, requests that were not
 * sent, a threshold, the generator itself. Null if it went well. A threshold on errors or missed requests stands in for "none at all".
 */
export const causeOf = (total: Total, thresholds: readonly Verdict[]): string | null => {
  const judged = (name: string): boolean => thresholds.some((t) => t.expression.startsWith(name));
  const broken = thresholds.find((t) => !t.ok);
  const tolerant = judged('errors') && broken === undefined;
  if (!tolerant && total.failed > 0) {
    if (total.errors.local_port > 0) return 'local_port';
    return causes.reduce((worst, cause) => (total.errors[cause] > total.errors[worst] ? cause : worst));
  }
  if (!(judged('missed') && broken === undefined) && total.missed > 0) return total.missedLate > total.missed / 2 ? 'lateness' : 'missed';
  return broken === undefined ? null : `threshold ${broken.expression}`;
};
