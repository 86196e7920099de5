/** How often a host is looked at: as often as asked, and less where looking takes too much of the time. Pure; time is an argument. */

/** A look may take this share of the interval. */
export const MOST_SHARE = 0.2;
/** Below this share of a halved interval it is quick again: well under the bound, so that it does not go to and fro. */
const QUICK_SHARE = 0.1;
/** Never slower than this, in seconds, or than ten times what was asked for. */
const SLOWEST = 60;
/** A slow look or two among five are somebody else's doing. */
const REMEMBERED = 5;
/** So many quick looks one after the other, and it is quick again. */
const QUICK_LOOKS = 3;

const median = (values: readonly number[]): number => [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)]!;

export class Pace {
  /** Seconds between two looks now. */
  interval: number;
  private readonly asked: number;
  private readonly slowest: number;
  private costs: number[] = [];

  constructor(asked: number) {
    this.asked = asked;
    this.interval = asked;
    this.slowest = Math.max(SLOWEST, 10 * asked);
  }

  /** The interval looks were slowed down to, or null at the pace asked for. */
  get slowedTo(): number | null {
    return this.interval > this.asked ? this.interval : null;
  }

  /** Takes the cost of a look, in seconds. */
  note(cost: number): void {
    this.costs = [...this.costs.slice(1 - REMEMBERED), cost];
    const { interval, costs } = this;
    if (costs.length >= REMEMBERED) {
      const usual = median(costs);
      while (usual > MOST_SHARE * this.interval && this.interval < this.slowest) this.interval = Math.min(2 * this.interval, this.slowest);
    }
    // Waiting for as many looks as it took to slow down would take minutes: they are far apart now.
    if (this.interval === interval && costs.length >= QUICK_LOOKS) {
      const most = Math.max(...costs.slice(-QUICK_LOOKS));
      while (this.interval > this.asked && most < QUICK_SHARE * (this.interval / 2))
        this.interval = Math.max(this.asked, this.interval / 2);
    }
    if (this.interval !== interval) this.costs = [];
  }
}
