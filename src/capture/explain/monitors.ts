/** Health monitors in a capture: handshakes that carry nothing, at one interval. */
import type { Beat } from '../track/port-use.ts';

export interface MonitorSeries {
  /** Seconds between two checks. */
  readonly interval: number;
  readonly checks: number;
  readonly resets: number;
  readonly firstReset: number;
  readonly lastReset: number;
}

const fewestChecks = 5;

/** The series that `beats` make; null if they come at no interval, or none of them was reset, or all were. */
export const monitorSeries = (beats: readonly Beat[]): MonitorSeries | null => {
  const resets = beats.filter((b) => b.reset);
  if (resets.length === 0 || resets.length === beats.length || beats.length < fewestChecks) return null;
  const times = beats.map((b) => b.time).sort((x, y) => x - y);
  const gaps = times.slice(1).map((t, i) => t - times[i]!);
  const interval = [...gaps].sort((x, y) => x - y)[gaps.length >> 1]!;
  if (interval < 0.1) return null;
  const regular = gaps.filter((gap) => Math.abs(gap - interval) <= 0.25 * interval).length;
  if (regular < 0.75 * gaps.length) return null;
  const resetTimes = resets.map((b) => b.time);
  return {
    interval,
    checks: beats.length,
    resets: resets.length,
    firstReset: Math.min(...resetTimes),
    lastReset: Math.max(...resetTimes),
  };
};
