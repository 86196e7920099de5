/**
 * A hash table from three 32-bit words to a small number, by open addressing in one typed array: a lookup touches one cache line.
 *
 * Deletion moves the rest of the cluster back, so that a table that lives long with few entries stays as quick as a new one.
 */
export class TupleTable {
  private slots: Int32Array;
  private mask: number;
  private readonly seed: number;
  size = 0;

  /** `seed` keeps a crafted capture from choosing tuples that all meet in one slot. */
  constructor(seed: number, capacity = 1024) {
    this.seed = seed | 0;
    this.slots = new Int32Array(capacity * 4);
    this.mask = capacity - 1;
  }

  private home(a: number, b: number, c: number): number {
    let h = Math.imul(a ^ this.seed, 0x9e3779b1) ^ Math.imul(b, 0x85ebca6b);
    h = Math.imul(h ^ (h >>> 16) ^ c, 0xc2b2ae35);
    h = Math.imul(h ^ (h >>> 15) ^ this.seed, 0x2c1b3c6d);
    return (h ^ (h >>> 14)) & this.mask;
  }

  /** The value of (a, b, c), or -1. */
  get(a: number, b: number, c: number): number {
    const { slots, mask } = this;
    // Stepping first, so that the compiler has seen the step before it meets the first collision.
    for (let slot = this.home(a, b, c) - 1; ; ) {
      slot = (slot + 1) & mask;
      const s = slot << 2;
      const value = slots[s + 3]!;
      if (value === 0) return -1;
      if (slots[s] === a && slots[s + 1] === b && slots[s + 2] === c) return value - 1;
    }
  }

  /** Gives (a, b, c) the value `value`, 0 or more. */
  set(a: number, b: number, c: number, value: number): void {
    if ((this.size + 1) * 3 > (this.mask + 1) * 2) this.grow();
    const { slots, mask } = this;
    for (let slot = this.home(a, b, c) - 1; ; ) {
      slot = (slot + 1) & mask;
      const s = slot << 2;
      if (slots[s + 3] === 0) {
        slots[s] = a;
        slots[s + 1] = b;
        slots[s + 2] = c;
        slots[s + 3] = value + 1;
        this.size++;
        return;
      }
      if (slots[s] === a && slots[s + 1] === b && slots[s + 2] === c) {
        slots[s + 3] = value + 1;
        return;
      }
    }
  }

  delete(a: number, b: number, c: number): void {
    const { slots, mask } = this;
    let hole = this.home(a, b, c);
    for (; ; hole = (hole + 1) & mask) {
      const s = hole << 2;
      if (slots[s + 3] === 0) return;
      if (slots[s] === a && slots[s + 1] === b && slots[s + 2] === c) break;
    }
    this.size--;
    for (let next = (hole + 1) & mask; ; next = (next + 1) & mask) {
      const n = next << 2;
      if (slots[n + 3] === 0) break;
      const home = this.home(slots[n]!, slots[n + 1]!, slots[n + 2]!);
      // An entry may move into the hole unless its home lies behind the hole on the way to it.
      if (((next - home) & mask) < ((next - hole) & mask)) continue;
      slots.copyWithin(hole << 2, n, n + 4);
      hole = next;
    }
    slots[(hole << 2) + 3] = 0;
  }

  private grow(): void {
    const old = this.slots;
    this.slots = new Int32Array(old.length * 2);
    this.mask = this.slots.length / 4 - 1;
    this.size = 0;
    for (let s = 0; s < old.length; s += 4) if (old[s + 3] !== 0) this.set(old[s]!, old[s + 1]!, old[s + 2]!, old[s + 3]! - 1);
  }
}
