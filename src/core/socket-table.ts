/**
 * Every TCP socket of a network namespace, one row each, held as columns: a host has hundreds of thousands of them, and an
 * object per socket costs more than reading it did. Rows are appended by a decoder and read by the model; addresses are
 * interned, so that two rows have the same address exactly when they have the same address id.
 */
import { formatIPv4, formatIPv6 } from './address.ts';

/** No value: the kernel did not say. */
export const UNKNOWN = 0xffffffff;

/** Bits of the `flags` column. */
export const SocketFlag = {
  /** tcp_info was read: `timestamps` below means something. */
  info: 1,
  /** The peer agreed to TCP timestamps (RFC 7323). */
  timestamps: 2,
  /** An IPv6 listener that does not take IPv4 (IPV6_V6ONLY). */
  v6only: 4,
  /** An AF_INET6 socket, whatever family its addresses turned out to be. */
  v6: 8,
} as const;

const MAPPED = 0xffff0000; // ::ffff:0:0/96, third word as it lies in memory on a little-endian machine

/** IP addresses by dense id. An IPv4 address and the IPv6 address that maps it are one. */
export class AddressTable {
  private words = new Uint32Array(4 * 64);
  private slots = new Int32Array(128).fill(-1);
  private readonly texts: (string | undefined)[] = [];
  count = 0;

  /** The id of an address given as four words in network order as they lie in memory (little-endian loads). */
  intern(a: number, b: number, c: number, d: number): number {
    let mask = this.slots.length - 1;
    let h = (Math.imul(a, 0x9e3779b1) ^ Math.imul(b, 0x85ebca6b) ^ Math.imul(c, 0xc2b2ae35) ^ Math.imul(d, 0x27d4eb2f)) >>> 0;
    h ^= h >>> 15;
    const words = this.words;
    for (let slot = h & mask; ; slot = (slot + 1) & mask) {
      const id = this.slots[slot]!;
      if (id < 0) {
        if (this.count * 2 >= this.slots.length) {
          this.grow();
          mask = this.slots.length - 1;
          return this.intern(a, b, c, d);
        }
        const next = this.count++;
        this.slots[slot] = next;
        const at = next * 4;
        this.words[at] = a;
        this.words[at + 1] = b;
        this.words[at + 2] = c;
        this.words[at + 3] = d;
        return next;
      }
      const at = id * 4;
      if (words[at + 3] === d && words[at] === a && words[at + 1] === b && words[at + 2] === c) return id;
    }
  }

  /** The id of an IPv4 address given as one word in network order as it lies in memory. */
  intern4(word: number): number {
    return this.intern(0, 0, MAPPED, word);
  }

  /** The id here of what `other` calls `id`. */
  translate(other: AddressTable, id: number): number {
    const at = id * 4;
    const w = other.words;
    return this.intern(w[at]!, w[at + 1]!, w[at + 2]!, w[at + 3]!);
  }

  /** Canonical text of address `id`. */
  text(id: number): string {
    const known = this.texts[id];
    if (known !== undefined) return known;
    const bytes = new Uint8Array(this.words.buffer, id * 16, 16);
    const text =
      this.words[id * 4 + 2] === MAPPED && this.words[id * 4] === 0 && this.words[id * 4 + 1] === 0
        ? formatIPv4(((bytes[12]! << 24) | (bytes[13]! << 16) | (bytes[14]! << 8) | bytes[15]!) >>> 0)
        : formatIPv6(bytes);
    this.texts[id] = text;
    return text;
  }

  private grow(): void {
    const words = new Uint32Array(this.words.length * 2);
    words.set(this.words);
    this.words = words;
    const old = this.count;
    this.slots = new Int32Array(this.slots.length * 2).fill(-1);
    this.count = 0;
    for (let id = 0; id < old; id++) this.intern(words[id * 4]!, words[id * 4 + 1]!, words[id * 4 + 2]!, words[id * 4 + 3]!);
  }
}

const MOST_KEPT_ADDRESSES = 4096;

/**
 * The columns. Row `i` of each belongs to one socket; rows `0..count-1` are filled. Rows not filled yet hold zero, `silent` and
 * `acked` UNKNOWN: a decoder writes only what the kernel said.
 */
export class SocketTable {
  addresses = new AddressTable();
  count = 0;
  state: Uint8Array;
  flags: Uint8Array;
  /** Host order. */
  localPort: Uint16Array;
  remotePort: Uint16Array;
  /** Address ids. */
  local: Uint32Array;
  remote: Uint32Array;
  /** Milliseconds until the timer fires; for TIME_WAIT and orphaned FIN_WAIT_2 the life that is left. */
  expires: Uint32Array;
  /** Socket inode, 0 for TIME_WAIT: it has no owner any more. */
  inode: Uint32Array;
  uid: Uint32Array;
  /** The kernel's identity of this socket, folded to 32 bits: a changed one means another connection on the same ports. */
  cookie: Uint32Array;
  /** Milliseconds since data last went either way; UNKNOWN without tcp_info. */
  silent: Uint32Array;
  /** Milliseconds since the peer's last acknowledgement: for CLOSE_WAIT, how long ago it closed. UNKNOWN without tcp_info. */
  acked: Uint32Array;

  constructor(capacity = 1024) {
    const n = Math.max(16, Math.ceil(capacity));
    this.state = new Uint8Array(n);
    this.flags = new Uint8Array(n);
    this.localPort = new Uint16Array(n);
    this.remotePort = new Uint16Array(n);
    this.local = new Uint32Array(n);
    this.remote = new Uint32Array(n);
    this.expires = new Uint32Array(n);
    this.inode = new Uint32Array(n);
    this.uid = new Uint32Array(n);
    this.cookie = new Uint32Array(n);
    this.silent = new Uint32Array(n).fill(UNKNOWN);
    this.acked = new Uint32Array(n).fill(UNKNOWN);
  }

  /** Empties it for another dump, keeping its memory. Ids and rows of before mean nothing any more. */
  clear(): void {
    // Addresses usually come back; clients from all over the world do not.
    if (this.addresses.count > MOST_KEPT_ADDRESSES) this.addresses = new AddressTable();
    this.flags.fill(0, 0, this.count);
    this.silent.fill(UNKNOWN, 0, this.count);
    this.acked.fill(UNKNOWN, 0, this.count);
    this.count = 0;
  }

  /** Room for `rows` more. */
  reserve(rows: number): void {
    const wanted = this.count + rows;
    if (wanted <= this.state.length) return;
    // A quarter more: the columns of a hundred thousand sockets are megabytes.
    const n = Math.max(wanted, Math.ceil(this.state.length * 1.25));
    const bigger = <T extends Uint8Array | Uint16Array | Uint32Array>(column: T, empty: T): T => {
      empty.set(column);
      return empty;
    };
    this.state = bigger(this.state, new Uint8Array(n));
    this.flags = bigger(this.flags, new Uint8Array(n));
    this.localPort = bigger(this.localPort, new Uint16Array(n));
    this.remotePort = bigger(this.remotePort, new Uint16Array(n));
    this.local = bigger(this.local, new Uint32Array(n));
    this.remote = bigger(this.remote, new Uint32Array(n));
    this.expires = bigger(this.expires, new Uint32Array(n));
    this.inode = bigger(this.inode, new Uint32Array(n));
    this.uid = bigger(this.uid, new Uint32Array(n));
    this.cookie = bigger(this.cookie, new Uint32Array(n));
    this.silent = bigger(this.silent, new Uint32Array(n).fill(UNKNOWN));
    this.acked = bigger(this.acked, new Uint32Array(n).fill(UNKNOWN));
  }
}
