/**
 * Several rows as one: the row in which the space was fullest, with the means of the rates and the sum of the failures. A mean
 * would hide the ten seconds in which there was no port, and the states of one row add up.
 */
import { COLUMNS, FAILED, OPEN_RATE, WIDTH } from './columns.ts';

export class Bucket {
  private readonly fullest = new Float32Array(WIDTH).fill(Number.NaN);
  private readonly sums = new Float64Array(WIDTH);
  private readonly counts = new Uint32Array(WIDTH);
  rows = 0;

  /** Adds the row whose values begin at `offset`. */
  add(values: ArrayLike<number>, offset = 0): void {
    const used = values[offset]!;
    if (this.rows === 0 || !(used <= this.fullest[0]!)) for (let c = 0; c < OPEN_RATE; c++) this.fullest[c] = values[offset + c]!;
    for (let c = OPEN_RATE; c < WIDTH; c++) {
      const value = values[offset + c]!;
      if (Number.isNaN(value)) continue;
      this.sums[c]! += value;
      this.counts[c]!++;
    }
    this.rows++;
  }

  /** The value of column `c`. */
  value(c: number): number {
    if (c < OPEN_RATE) return this.fullest[c]!;
    if (this.counts[c] === 0) return Number.NaN;
    return c === FAILED ? this.sums[c]! : this.sums[c]! / this.counts[c]!;
  }

  /** All of them, in the order of COLUMNS. */
  values(): Float32Array {
    return Float32Array.from(COLUMNS, (_, c) => this.value(c));
  }
}
