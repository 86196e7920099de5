/**
 * Ports in use while a run goes on, counted by ourselves: what is open, and what was closed here and so is in TIME_WAIT for as long as
 * the planner says. Asking the kernel every second would cost the generator its punctuality; a test holds the two together.
 */
import { afterClose, type Workload } from '../core/plan/workload.ts';

export class PortUse {
  private readonly life: number;
  private readonly capacity: number;
  /** Those that were in TIME_WAIT before: seconds until each ends, ascending. */
  private readonly before: readonly number[];
  /** Closed by us: [seconds from the beginning, how many]. */
  private readonly closed: (readonly [at: number, count: number])[] = [];

  constructor(workload: Workload, capacity: number, timeWaitsBefore: ArrayLike<number>) {
    const held = afterClose(workload);
    // On average a timer ends half a tick late.
    this.life = held.seconds + held.tick / 2;
    this.capacity = capacity;
    this.before = Array.from(timeWaitsBefore).sort((a, b) => a - b);
  }

  /** Ports in use `at` seconds from the beginning, when `closedByUs` more were closed and `open` are open. */
  update(at: number, closedByUs: number, open: number): number {
    if (this.life > 0 && closedByUs > 0) this.closed.push([at, closedByUs]);
    while (this.closed.length > 0 && this.closed[0]![0] + this.life < at) this.closed.shift();
    const waiting = this.closed.reduce((sum, [, count]) => sum + count, 0);
    const still = this.before.findIndex((end) => end > at);
    return Math.min(this.capacity, open + waiting + (still < 0 ? 0 : this.before.length - still));
  }
}
