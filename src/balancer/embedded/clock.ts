/**
 * Time for whoever needs it often: read ten times a second, not at every request. Deadlines are compared with it by one sweep,
 * which costs less than a timer per connection and is as precise as its tick.
 */
import { performance } from 'node:perf_hooks';

/** Milliseconds between two readings: the precision of every timeout. */
export const tickMs = 100;

export class Clock {
  /** Milliseconds, monotonic, as of the last tick. */
  now = performance.now();
  private readonly listeners = new Set<(now: number) => void>();
  private timer: NodeJS.Timeout | null = null;

  /** Calls `listener` at every tick until the returned function is called. */
  onTick(listener: (now: number) => void): () => void {
    this.listeners.add(listener);
    this.timer ??= setInterval(() => this.tick(), tickMs);
    return () => {
      this.listeners.delete(listener);
      if (this.listeners.size > 0 || this.timer === null) return;
      clearInterval(this.timer);
      this.timer = null;
    };
  }

  /** Seconds, monotonic, now: for the ledger. */
  seconds(): number {
    return performance.now() / 1000;
  }

  private tick(): void {
    this.now = performance.now();
    for (const listener of this.listeners) listener(this.now);
  }
}
