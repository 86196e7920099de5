/** Token buckets by address: how many at once, how many per second, for at most so many addresses. */

export interface BucketSize {
  readonly burst: number;
  /** Seconds until one more. */
  readonly every: number;
}

/** Addresses remembered; beyond it the longest silent is forgotten, which only ever gives it a full bucket. */
const MOST = 4096;

export class Buckets {
  private readonly size: BucketSize;
  private readonly now: () => number;
  private readonly levels = new Map<string, { level: number; at: number }>();

  constructor(size: BucketSize, now: () => number = () => performance.now() / 1000) {
    this.size = size;
    this.now = now;
  }

  /** Takes one; false if none is left. */
  take(address: string): boolean {
    const level = this.level(address);
    const now = this.now();
    // Newest last, so that the first of the map is the longest silent.
    this.levels.delete(address);
    this.levels.set(address, { level: level >= 1 ? level - 1 : level, at: now });
    if (this.levels.size > MOST) this.levels.delete(this.levels.keys().next().value!);
    return level >= 1;
  }

  private level(address: string): number {
    const known = this.levels.get(address);
    if (known === undefined) return this.size.burst;
    return Math.min(this.size.burst, known.level + (this.now() - known.at) / this.size.every);
  }
}
