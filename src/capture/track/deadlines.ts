/** Rows that are due after one fixed delay: a ring in order of arrival, so that what is due next is always at its head. */
export class Deadlines {
  private capacity = 256;
  private rows = new Int32Array(512);
  private times = new Float64Array(256);
  private head = 0;
  private count = 0;
  readonly delay: number;

  /** `delay` in seconds. */
  constructor(delay: number) {
    this.delay = delay;
  }

  push(row: number, generation: number, time: number): void {
    if (this.count === this.capacity) this.grow();
    const at = (this.head + this.count++) & (this.capacity - 1);
    this.rows[at * 2] = row;
    this.rows[at * 2 + 1] = generation;
    this.times[at] = time;
  }

  /** Whether the head is due at `now`; then `row` and `generation` are its. */
  due(now: number): boolean {
    return this.count > 0 && this.times[this.head]! + this.delay <= now;
  }

  /** When the head is due; infinite if there is none. */
  get next(): number {
    return this.count === 0 ? Number.POSITIVE_INFINITY : this.times[this.head]! + this.delay;
  }

  get row(): number {
    return this.rows[this.head * 2]!;
  }

  get generation(): number {
    return this.rows[this.head * 2 + 1]!;
  }

  shift(): void {
    this.head = (this.head + 1) & (this.capacity - 1);
    this.count--;
  }

  private grow(): void {
    const rows = new Int32Array(this.capacity * 4);
    const times = new Float64Array(this.capacity * 2);
    for (let i = 0; i < this.count; i++) {
      const at = (this.head + i) & (this.capacity - 1);
      rows[i * 2] = this.rows[at * 2]!;
      rows[i * 2 + 1] = this.rows[at * 2 + 1]!;
      times[i] = this.times[at]!;
    }
    this.rows = rows;
    this.times = times;
    this.head = 0;
    this.capacity *= 2;
  }
}
