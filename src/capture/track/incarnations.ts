/**
 * Incarnations of connections: one row of numbers each, all rows in one buffer.
 *
 * A busy capture has millions of packets and a hundred thousand connections; as objects they would cost ten times the memory
 * and most of the time. A row has 48 words of 32 bits; the first 20 are integers, the rest are 14 doubles (columns 10 to 23).
 * Sides are A and B in the order of the tuple's key, not client and server: `CLIENT_B` in the state word says which is which.
 */

/** Integer columns (offset from `row * 48`). */
export const KEY_A = 0;
export const KEY_B = 1;
/** Port of A in the upper half, of B in the lower. */
export const PORTS = 2;
/** State in the lower 4 bits, flags above. */
export const STATE = 3;
/** Next sequence number expected of A, of B (+ side). */
export const NEXT = 4;
/** Last acknowledgement number sent by A, by B. */
export const ACKED = 6;
/** Last TSval sent by A, by B. */
export const STAMP = 8;
export const SYN_SEQ = 10;
export const SYN_STAMP = 11;
/** Number of its `PortUse`. */
export const USE = 12;
/** The incarnation before, by row and generation; -1 if none is kept. */
export const PREVIOUS = 13;
export const PREVIOUS_GENERATION = 14;
/** Sequence number just behind the FIN of A, of B. */
export const FIN_END = 15;
/** Packets that carried its SYN. */
export const SYNS = 17;
/** The incarnation on the other side of a NAT, by row and generation; -1 if none is known. */
export const PAIR = 18;
export const PAIR_GENERATION = 19;

/** Double columns (offset from `row * 24`). Packets are `PacketRef`s, times are seconds since the capture's epoch. */
export const LAST_TIME = 10;
export const LAST_REF = 12;
export const SYN_TIME = 14;
export const SYN_REF = 15;
/** The SYN-ACK. */
export const ANSWER_TIME = 16;
export const ANSWER_REF = 17;
/** The FIN of A, of B. */
export const FIN_REF = 18;
export const RST_REF = 20;
export const RST_TIME = 21;
/** The last packet that carried its SYN. */
export const LAST_SYN_TIME = 22;
export const RESET_BY = 23;

/** States. */
export const SYN_SENT = 1;
export const ANSWERED = 2;
export const OPEN = 3;
/** One FIN. */
export const HALF_CLOSED = 4;
/** Both FINs. */
export const CLOSED = 5;
/** RST after it was answered. */
export const RESET = 6;
/** RST instead of an answer. */
export const REFUSED = 7;
/** Nobody answered for as long as any client tries. */
export const ABANDONED = 8;
export const STATE_MASK = 15;

/** Flags. */
export const CLIENT_B = 1 << 4;
export const FAMILY_6 = 1 << 5;
/** Its SYN is not in the capture: it began before, or the packet was lost. */
export const MIDSTREAM = 1 << 6;
/** B sent the first FIN. */
export const CLOSER_B = 1 << 8;
/** The FIN of A, of B (+ side) was acknowledged. */
export const FIN_ACKED = 1 << 9;
/** A, B (+ side) sends timestamps. */
export const STAMPED = 1 << 11;
/** Counted among the open connections of its `PortUse`. */
export const COUNTED_OPEN = 1 << 13;
/** Counted among the ports held by its `PortUse`. */
export const COUNTED_HELD = 1 << 14;
/** An `Attempt` follows its handshake packet by packet. */
export const WATCHED = 1 << 15;
export const HAS_RST = 1 << 16;
/** It stands in a queue of what ends. */
export const QUEUED = 1 << 18;
/** The inner side of a NAT pair. */
export const INNER = 1 << 19;

export const intStride = 48;
export const doubleStride = 24;

export class Incarnations {
  private buffer: ArrayBuffer;
  ints: Int32Array;
  doubles: Float64Array;
  private generations: Int32Array;
  private free: number[] = [];
  /** Rows beyond this were never used. */
  used = 0;
  /** Rows in use. */
  live = 0;
  peak = 0;

  /** `capacity`: rows there is room for at first. Memory is given by the system only to what is written. */
  constructor(capacity: number) {
    this.buffer = new ArrayBuffer(capacity * intStride * 4);
    this.ints = new Int32Array(this.buffer);
    this.doubles = new Float64Array(this.buffer);
    this.generations = new Int32Array(capacity);
  }

  /** A row of zeros. */
  add(): number {
    if (++this.live > this.peak) this.peak = this.live;
    const recycled = this.free.pop();
    if (recycled !== undefined) {
      this.ints.fill(0, recycled * intStride, (recycled + 1) * intStride);
      return recycled;
    }
    if (this.used === this.generations.length) this.grow();
    return this.used++;
  }

  remove(row: number): void {
    this.generations[row]!++;
    this.ints[row * intStride + STATE] = 0;
    this.free.push(row);
    this.live--;
  }

  /** Tells a row from the one that stood there before. */
  generation(row: number): number {
    return this.generations[row]!;
  }

  alive(row: number, generation: number): boolean {
    return row >= 0 && this.generations[row] === generation && this.ints[row * intStride + STATE] !== 0;
  }

  /** Every row in use. */
  *rows(): Generator<number> {
    for (let row = 0; row < this.used; row++) if (this.ints[row * intStride + STATE] !== 0) yield row;
  }

  private grow(): void {
    const old = this.ints;
    // By half: doubling a large table would hold three times what is needed while it copies.
    const rows = Math.floor(this.used * 1.5);
    this.buffer = new ArrayBuffer(rows * intStride * 4);
    this.ints = new Int32Array(this.buffer);
    this.doubles = new Float64Array(this.buffer);
    this.ints.set(old);
    const generations = new Int32Array(rows);
    generations.set(this.generations);
    this.generations = generations;
  }
}

/**
 * A packet named by file and frame number in one double: `number * 16 + file`.
 */
export type PacketRef = number;
export const mostFiles = 16;
export const packetRef = (file: number, number: number): PacketRef => number * mostFiles + file;
export const refFile = (ref: PacketRef): number => ref % mostFiles;
export const refNumber = (ref: PacketRef): number => Math.floor(ref / mostFiles);
