/** IPv6 addresses as small numbers, so that a 4-tuple of either family is three 32-bit words. */
import { formatIPv4, formatIPv6 } from '../../core/address.ts';

export class AddressBook {
  private count = 0;
  /** Four words per address, in the order of their numbers. */
  private words = new Int32Array(4 * 256);
  private slots = new Int32Array(1024).fill(-1);

  /** The number of the IPv6 address at `at`. */
  intern(view: DataView, at: number): number {
    const a = view.getInt32(at);
    const b = view.getInt32(at + 4);
    const c = view.getInt32(at + 8);
    const d = view.getInt32(at + 12);
    const { slots, words } = this;
    let slot = this.slotOf(a, b, c, d);
    for (; slots[slot]! >= 0; slot = (slot + 1) & (slots.length - 1)) {
      const w = slots[slot]! * 4;
      if (words[w] === a && words[w + 1] === b && words[w + 2] === c && words[w + 3] === d) return slots[slot]!;
    }
    const number = this.count++;
    if (number * 4 === words.length) {
      this.words = new Int32Array(words.length * 2);
      this.words.set(words);
    }
    this.words.set([a, b, c, d], number * 4);
    slots[slot] = number;
    if (this.count * 2 > slots.length) this.grow();
    return number;
  }

  /** Canonical text of an address of `family`. An IPv4-mapped IPv6 address is the IPv4 address. */
  format(family: number, address: number): string {
    if (family === 4) return formatIPv4(address >>> 0);
    const bytes = Array.from({ length: 16 }, (_, i) => (this.words[address * 4 + (i >> 2)]! >>> (24 - 8 * (i & 3))) & 255);
    return formatIPv6(bytes);
  }

  private slotOf(a: number, b: number, c: number, d: number): number {
    let h = Math.imul(a, 0x9e3779b1) ^ Math.imul(b, 0x85ebca6b) ^ Math.imul(c, 0xc2b2ae35) ^ Math.imul(d, 0x27d4eb2f);
    h = Math.imul(h ^ (h >>> 15), 0x2c1b3c6d);
    return (h ^ (h >>> 13)) & (this.slots.length - 1);
  }

  private grow(): void {
    this.slots = new Int32Array(this.slots.length * 2).fill(-1);
    for (let number = 0; number < this.count; number++) {
      const w = number * 4;
      let slot = this.slotOf(this.words[w]!, this.words[w + 1]!, this.words[w + 2]!, this.words[w + 3]!);
      while (this.slots[slot]! >= 0) slot = (slot + 1) & (this.slots.length - 1);
      this.slots[slot] = number;
    }
  }
}
