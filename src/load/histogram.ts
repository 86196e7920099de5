/**
 * Durations in buckets of 0.1 %: exact to the microsecond up to 2 ms, then 1,024 buckets for each doubling, up to 35 minutes.
 *
 * All memory is there from the beginning, so recording makes no garbage. Two histograms add up bucket by bucket, so every process
 * and every second has its own and nothing is lost in summing them.
 */

/** Buckets of one doubling; below twice that many, one for each microsecond. */
const HALF = 1024;
const HALF_BITS = 10;
/** Longer ones count as this long, in microseconds. */
const LONGEST = 2 ** 31 - 1;
export const bucketCount = 21 * HALF + HALF;

const bucketOf = (us: number): number => {
  if (us < 2 * HALF) return us;
  const shift = 31 - Math.clz32(us) - HALF_BITS;
  return shift * HALF + (us >>> shift);
};

/** The highest value of a bucket, in microseconds. */
const topOf = (bucket: number): number => {
  if (bucket < 2 * HALF) return bucket;
  const shift = Math.floor(bucket / HALF) - 1;
  return (bucket - shift * HALF + 1) * 2 ** shift - 1;
};

/** A histogram as it goes through a pipe: only the buckets that hold something. */
export interface HistogramCounts {
  readonly buckets: Uint16Array;
  readonly counts: Uint32Array;
  readonly max: number;
}

export class Histogram {
  private readonly counts = new Uint32Array(bucketCount);
  private recorded = 0;
  private longest = 0;

  /** Records a duration in seconds; a negative one as none. */
  record(seconds: number): void {
    const us = seconds > 0 ? Math.min(LONGEST, Math.round(seconds * 1e6)) : 0;
    this.counts[bucketOf(us)]!++;
    this.recorded++;
    if (us > this.longest) this.longest = us;
  }

  get count(): number {
    return this.recorded;
  }

  /** The longest recorded, in seconds; null if there is none. */
  get max(): number | null {
    return this.recorded === 0 ? null : this.longest / 1e6;
  }

  /** The duration in seconds that a share `q` of all did not exceed, 0.1 % too long at most; null if there is none. */
  quantile(q: number): number | null {
    if (this.recorded === 0) return null;
    const rank = Math.min(this.recorded, Math.max(1, Math.ceil(q * this.recorded)));
    let below = 0;
    for (let bucket = 0; bucket < bucketCount; bucket++) {
      below += this.counts[bucket]!;
      if (below >= rank) return Math.min(this.longest, topOf(bucket)) / 1e6;
    }
    return this.longest / 1e6;
  }

  add(other: HistogramCounts): void {
    for (let i = 0; i < other.buckets.length; i++) {
      this.counts[other.buckets[i]!]! += other.counts[i]!;
      this.recorded += other.counts[i]!;
    }
    if (other.max > this.longest) this.longest = other.max;
  }

  /** What was recorded since the last time, which it forgets. */
  take(): HistogramCounts {
    const buckets: number[] = [];
    const counts: number[] = [];
    for (let bucket = 0; this.recorded > 0 && bucket < bucketCount; bucket++) {
      if (this.counts[bucket] === 0) continue;
      buckets.push(bucket);
      counts.push(this.counts[bucket]!);
      this.counts[bucket] = 0;
    }
    const max = this.longest;
    this.recorded = 0;
    this.longest = 0;
    return { buckets: Uint16Array.from(buckets), counts: Uint32Array.from(counts), max };
  }
}
