/** What a run must fulfil, as people write it: `p99<20ms`, `errors<0.1%`, `rate>=495/s`. */
import { parseDuration, parseRate, parseRatio } from '../core/quantity.ts';

const quantiles: Readonly<Record<string, number>> = { p50: 0.5, p90: 0.9, p95: 0.95, p99: 0.99, p999: 0.999 };
const shares = ['errors', 'missed'] as const;
const comparisons = ['<=', '>=', '<', '>'] as const;
type Comparison = (typeof comparisons)[number];

/** What can be asked for. */
export const thresholdNames: readonly string[] = [...Object.keys(quantiles), 'max', 'lateness', 'errors', 'missed', 'rate'];

export interface Threshold {
  readonly expression: string;
  readonly name: string;
  readonly comparison: Comparison;
  /** Seconds, a share, or per second. A share without % and above 1 is a count: see `counted`. */
  readonly bound: number;
  /** `errors<5`: a number of requests, not a share. */
  readonly counted: boolean;
}

/** Null if `text` is none. */
export const parseThreshold = (text: string): Threshold | null => {
  const match = /^\s*([a-z0-9]+)\s*(<=|>=|<|>)\s*(\S+)\s*$/.exec(text);
  if (match === null) return null;
  const [, name, comparison, value] = match as unknown as [string, string, Comparison, string];
  if (!thresholdNames.includes(name)) return null;
  const isShare = shares.some((s) => s === name);
  const counted = isShare && /^\d+$/.test(value);
  const bound = counted ? Number(value) : isShare ? parseRatio(value) : name === 'rate' ? parseRate(value) : parseDuration(value);
  return bound === null ? null : { expression: text.trim(), name, comparison, bound, counted };
};

/** The measured side of a threshold. */
export interface Measured {
  readonly scheduled: number;
  readonly failed: number;
  readonly missed: number;
  /** Answered well per second. */
  readonly rate: number;
  readonly latency: { readonly max: number | null; quantile(q: number): number | null };
  readonly lateness: { quantile(q: number): number | null };
}

export interface Verdict {
  readonly expression: string;
  /** Null where nothing was measured: then it is not fulfilled. */
  readonly value: number | null;
  readonly ok: boolean;
}

const measuredOf = (t: Threshold, m: Measured): number | null => {
  const share = (n: number): number | null => (t.counted ? n : m.scheduled === 0 ? null : n / m.scheduled);
  switch (t.name) {
    case 'errors':
      return share(m.failed);
    case 'missed':
      return share(m.missed);
    case 'rate':
      return m.rate;
    case 'max':
      return m.latency.max;
    case 'lateness':
      return m.lateness.quantile(0.99);
    default:
      return m.latency.quantile(quantiles[t.name]!);
  }
};

const holds = (value: number, comparison: Comparison, bound: number): boolean => {
  switch (comparison) {
    case '<':
      return value < bound;
    case '<=':
      return value <= bound;
    case '>':
      return value > bound;
    case '>=':
      return value >= bound;
  }
};

export const judge = (t: Threshold, m: Measured): Verdict => {
  const value = measuredOf(t, m);
  return { expression: t.expression, value, ok: value !== null && holds(value, t.comparison, t.bound) };
};
