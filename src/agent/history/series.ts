/** Rows of one port space in the order of time, at most so many: a ring of numbers that grows as it fills. */
import { WIDTH } from './columns.ts';

export class Series {
  private at: Float64Array;
  private values: Float32Array;
  private first = 0;
  private readonly most: number;
  count = 0;

  constructor(most: number) {
    this.most = most;
    const room = Math.min(most, 64);
    this.at = new Float64Array(room);
    this.values = new Float32Array(room * WIDTH);
  }

  /** Appends a row; one that is not later than the last takes its place. */
  push(at: number, values: ArrayLike<number>): void {
    while (this.count > 0 && this.at[this.slot(this.count - 1)]! >= at) this.count--;
    if (this.count === this.at.length && this.count < this.most) this.grow();
    if (this.count === this.at.length) {
      this.first = (this.first + 1) % this.at.length;
      this.count--;
    }
    const slot = this.slot(this.count++);
    this.at[slot] = at;
    for (let c = 0; c < WIDTH; c++) this.values[slot * WIDTH + c] = values[c]!;
  }

  /** Forgets what is before `at`. */
  trim(at: number): void {
    while (this.count > 0 && this.at[this.first]! < at) {
      this.first = (this.first + 1) % this.at.length;
      this.count--;
    }
  }

  get last(): number {
    return this.count === 0 ? Number.NEGATIVE_INFINITY : this.at[this.slot(this.count - 1)]!;
  }

  /** Visits the rows of `from` up to, not including, `to`, ascending. */
  visit(from: number, to: number, each: (at: number, values: Float32Array, offset: number) => void): void {
    for (let i = 0; i < this.count; i++) {
      const slot = this.slot(i);
      const at = this.at[slot]!;
      if (at >= to) return;
      if (at >= from) each(at, this.values, slot * WIDTH);
    }
  }

  private slot(i: number): number {
    return (this.first + i) % this.at.length;
  }

  private grow(): void {
    const room = Math.min(this.most, this.at.length * 2);
    const at = new Float64Array(room);
    const values = new Float32Array(room * WIDTH);
    for (let i = 0; i < this.count; i++) {
      const slot = this.slot(i);
      at[i] = this.at[slot]!;
      values.set(this.values.subarray(slot * WIDTH, (slot + 1) * WIDTH), i * WIDTH);
    }
    this.at = at;
    this.values = values;
    this.first = 0;
  }
}
