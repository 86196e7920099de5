/**
 * Ports held over time, in a fixed number of steps: when the capture outgrows them, two steps become one. So a capture of any
 * length takes the same memory.
 */
export const timelineSteps = 240;
const mostSeries = 24;

export class Series {
  /** Highest and last value of each step; -1 where nothing changed. */
  readonly highest = new Int32Array(timelineSteps).fill(-1);
  readonly last = new Int32Array(timelineSteps).fill(-1);
}

export class Timeline {
  /** Seconds per step. */
  step = 0.05;
  private start = Number.NaN;
  private readonly series: Series[] = [];

  /** Another series, or null if there is no place for one. */
  add(): Series | null {
    if (this.series.length >= mostSeries) return null;
    const series = new Series();
    this.series.push(series);
    return series;
  }

  /** The value of `series` is `value` from `time` on. */
  record(series: Series, time: number, value: number): void {
    if (Number.isNaN(this.start)) this.start = time;
    const at = this.place(time);
    if (value > series.highest[at]!) series.highest[at] = value;
    series.last[at] = value;
  }

  private place(time: number): number {
    const elapsed = Math.max(0, time - this.start);
    while (elapsed >= this.step * timelineSteps) this.fold();
    return Math.floor(elapsed / this.step);
  }

  private fold(): void {
    this.step *= 2;
    for (const { highest, last } of this.series) {
      for (let i = 0; i < timelineSteps / 2; i++) {
        highest[i] = Math.max(highest[2 * i]!, highest[2 * i + 1]!);
        last[i] = last[2 * i + 1]! >= 0 ? last[2 * i + 1]! : last[2 * i]!;
      }
      highest.fill(-1, timelineSteps / 2);
      last.fill(-1, timelineSteps / 2);
    }
  }

  /** The highest value of each step up to `until`, with the time the first step begins. */
  points(series: Series, until: number): { readonly start: number; readonly step: number; readonly values: readonly number[] } {
    const end = this.place(until);
    const values: number[] = [];
    let carried = 0;
    for (let i = 0; i <= end; i++) {
      values.push(Math.max(series.highest[i]!, carried));
      if (series.last[i]! >= 0) carried = series.last[i]!;
    }
    return { start: this.start, step: this.step, values };
  }
}
