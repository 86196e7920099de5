/** Ranges and sets of ports. A port is a host-order number, 0 to 65535. */

/** Both ends included. */
export interface PortRange {
  readonly low: number;
  readonly high: number;
}

/** Linux's default net.ipv4.ip_local_port_range since 4.2: 28,232 ports. */
export const defaultPortRange: PortRange = { low: 32768, high: 60999 };

/** What conntrack's SNAT chooses from, whatever ip_local_port_range says (nf_nat_core.c): 64,512 ports. */
export const snatPortRange: PortRange = { low: 1024, high: 65535 };

/** How many ports it has, both ends included. */
export const rangeSize = (range: PortRange): number => range.high - range.low + 1;

/** `1024-65535`; a single port stands alone. */
export const formatRange = (range: PortRange): string => (range.low === range.high ? `${range.low}` : `${range.low}-${range.high}`);

/** `1024-65535` or `8080`. Null unless 0 < low <= high <= 65535. */
export const parseRange = (text: string): PortRange | null => {
  const match = /^(\d{1,5})(?:-(\d{1,5}))?$/.exec(text.trim());
  if (match === null) return null;
  const low = Number(match[1]);
  const high = Number(match[2] ?? match[1]);
  return low >= 1 && low <= high && high <= 65535 ? { low, high } : null;
};

/** The kernel's list form, `8080,9000-9010`; the empty text is the empty list. Null if a part is malformed. */
export const parseRanges = (text: string): readonly PortRange[] | null => {
  const ranges: PortRange[] = [];
  for (const part of text.split(',')) {
    if (part.trim() === '') continue;
    const range = parseRange(part);
    if (range === null) return null;
    ranges.push(range);
  }
  return ranges;
};

/** How many bits of `word` are set. */
const ones = (word: number): number => {
  const pairs = word - ((word >>> 1) & 0x55555555);
  const nibbles = (pairs & 0x33333333) + ((pairs >>> 2) & 0x33333333);
  return Math.imul((nibbles + (nibbles >>> 4)) & 0x0f0f0f0f, 0x01010101) >>> 24;
};

/** A set of ports: one bit each, 8 KiB. */
export class PortSet {
  private readonly words = new Uint32Array(2048);

  static of(ranges: Iterable<PortRange>): PortSet {
    const set = new PortSet();
    for (const range of ranges) set.addRange(range);
    return set;
  }

  add(port: number): void {
    this.words[port >>> 5]! |= 1 << (port & 31);
  }

  delete(port: number): void {
    this.words[port >>> 5]! &= ~(1 << (port & 31));
  }

  has(port: number): boolean {
    return (this.words[port >>> 5]! & (1 << (port & 31))) !== 0;
  }

  addRange(range: PortRange): void {
    for (let port = range.low; port <= range.high; port++) this.add(port);
  }

  addAll(other: PortSet): void {
    for (let i = 0; i < 2048; i++) this.words[i]! |= other.words[i]!;
  }

  clear(): void {
    this.words.fill(0);
  }

  /** How many ports of `range` are in the set; `step` 2 counts only those of the parity of `range.low`. */
  count(range: PortRange, step: 1 | 2 = 1): number {
    const parity = step === 1 ? 0xffffffff : range.low % 2 === 0 ? 0x55555555 : 0xaaaaaaaa;
    const first = range.low >>> 5;
    const last = range.high >>> 5;
    let count = 0;
    for (let i = first; i <= last; i++) {
      let word = this.words[i]! & parity;
      if (i === first) word &= 0xffffffff << (range.low & 31);
      if (i === last) word &= 0xffffffff >>> (31 - (range.high & 31));
      count += ones(word);
    }
    return count;
  }

  /** The ports of the set within `range`, ascending. */
  *within(range: PortRange): Generator<number> {
    for (let port = range.low; port <= range.high; port++) if (this.has(port)) yield port;
  }

  /** The set as the fewest ranges, ascending. */
  ranges(): readonly PortRange[] {
    const ranges: PortRange[] = [];
    for (let port = 0; port <= 65535; port++) {
      if (!this.has(port)) continue;
      const low = port;
      while (port < 65535 && this.has(port + 1)) port++;
      ranges.push({ low, high: port });
    }
    return ranges;
  }
}
