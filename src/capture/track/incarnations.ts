/**
 * Incarnations of connections: one row of numbers each, all rows in one buffer.
 *
 * A busy capture has millions of packets and a hundred thousand connections; as objects they would cost ten times the memory
 * and most of the time. A row is 160 bytes: 20 integers of 32 bits, then 10 doubles (columns 10 to 19 of the doubles' view).
 * Every page that is touched costs more than the arithmetic on it, so rows are kept small, and what waits for its time to
 * come is linked through the rows themselves.
 * Sides are A and B in the order of the tuple's key, not client and server: `CLIENT_B` in the state word says which is which.
 */

/** Integer columns (offset from `row * intStride`). */
export const KEY_A = 0;
export const KEY_B = 1;
/** Port of A in the upper half, of B in the lower. */
export const PORTS = 2;
/** State in the lower 4 bits, flags above. */
export const STATE = 3;
/** Next sequence number expected of A, of B (+ side). */
export const NEXT = 4;
/** Last TSval sent by A, by B (+ side). */
export const STAMP = 6;
export const SYN_SEQ = 8;
export const SYN_STAMP = 9;
/** Number of its `PortUse`. */
export const USE = 10;
/** The incarnation before, by row and generation; -1 if none is kept. */
export const PREVIOUS = 11;
export const PREVIOUS_GENERATION = 12;
/** Packets that carried its SYN. */
export const SYNS = 13;
/** The incarnation on the other side of a NAT, by row and generation; -1 if none is known. */
export const PAIR = 14;
export const PAIR_GENERATION = 15;
/** Neighbours in the queue it stands in; -1 at the ends. */
const AFTER = 16;
const BEFORE = 17;
/** How often the row was used: tells an incarnation from the one that stood there before. */
const GENERATION = 18;

/** Double columns (offset from `row * doubleStride`). Packets are `PacketRef`s, times are seconds since the capture's epoch. */
/** Last packet of A, of B (+ side). */
export const LAST_TIME = 10;
/** Last packet of either. */
export const LAST_REF = 12;
export const SYN_TIME = 13;
export const SYN_REF = 14;
/** The first FIN, or the RST. */
export const CLOSING_TIME = 15;
export const CLOSING_REF = 16;
/** The last packet that carried its SYN. */
export const LAST_SYN_TIME = 17;
const QUEUED_AT = 18;

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
export const CLOSER_B = 1 << 7;
/** B sent the RST. */
export const RESET_BY_B = 1 << 8;
/** A, B (+ side) sent its FIN. */
export const HAS_FIN = 1 << 9;
/** The FIN of A, of B (+ side) was acknowledged. */
export const FIN_ACKED = 1 << 11;
/** A, B (+ side) sends timestamps. */
export const STAMPED = 1 << 13;
/** Counted among the open connections of its `PortUse`. */
export const COUNTED_OPEN = 1 << 15;
/** Counted among the ports held by its `PortUse`. */
export const COUNTED_HELD = 1 << 16;
/** An `Attempt` follows its handshake packet by packet. */
export const WATCHED = 1 << 17;
/** The inner side of a NAT pair. */
export const INNER = 1 << 18;
/** Counted among the ports its `PortUse` used in the last 60 s, 120 s. */
export const COUNTED_MINUTE = 1 << 22;
export const COUNTED_TWO_MINUTES = 1 << 23;
export const COUNTED = COUNTED_OPEN | COUNTED_HELD | COUNTED_MINUTE | COUNTED_TWO_MINUTES;
/** The queue it stands in, 0 for none. */
const QUEUE_SHIFT = 20;
const QUEUE_MASK = 3 << QUEUE_SHIFT;

/** Queues: handshakes under way, ports in TIME_WAIT, closed connections that are remembered. */
export const ABANDONING = 1;
export const RELEASING = 2;
export const FORGETTING = 3;

export const intStride = 40;
export const doubleStride = 20;

export class Incarnations {
  private buffer: ArrayBuffer;
  ints: Int32Array;
  doubles: Float64Array;
  private capacity: number;
  private readonly free: number[] = [];
  /** Rows beyond this were never used. */
  used = 0;
  /** Rows in use now and at most. */
  live = 0;
  peak = 0;
  private readonly heads = [-1, -1, -1, -1];
  private readonly tails = [-1, -1, -1, -1];

  /** `capacity`: rows there is room for at first. Memory is given by the system only to what is written. */
  constructor(capacity: number) {
    this.capacity = capacity;
    this.buffer = new ArrayBuffer(capacity * intStride * 4);
    this.ints = new Int32Array(this.buffer);
    this.doubles = new Float64Array(this.buffer);
  }

  /** A row of zeros. */
  add(): number {
    if (++this.live > this.peak) this.peak = this.live;
    const recycled = this.free.pop();
    if (recycled !== undefined) {
      const generation = this.generation(recycled);
      this.ints.fill(0, recycled * intStride, (recycled + 1) * intStride);
      this.ints[recycled * intStride + GENERATION] = generation;
      return recycled;
    }
    if (this.used === this.capacity) this.grow();
    return this.used++;
  }

  remove(row: number): void {
    this.unqueue(row);
    const i = row * intStride;
    this.ints[i + GENERATION]!++;
    this.ints[i + STATE] = 0;
    this.free.push(row);
    this.live--;
  }

  generation(row: number): number {
    return this.ints[row * intStride + GENERATION]!;
  }

  alive(row: number, generation: number): boolean {
    return row >= 0 && this.generation(row) === generation && this.ints[row * intStride + STATE] !== 0;
  }

  /** Puts `row` at the end of `queue`, out of the one it stood in. */
  enqueue(queue: number, row: number, time: number): void {
    this.unqueue(row);
    const { ints } = this;
    const i = row * intStride;
    const tail = this.tails[queue]!;
    ints[i + STATE]! |= queue << QUEUE_SHIFT;
    ints[i + BEFORE] = tail;
    ints[i + AFTER] = -1;
    this.doubles[row * doubleStride + QUEUED_AT] = time;
    if (tail < 0) this.heads[queue] = row;
    else ints[tail * intStride + AFTER] = row;
    this.tails[queue] = row;
  }

  unqueue(row: number): void {
    const { ints } = this;
    const i = row * intStride;
    const queue = (ints[i + STATE]! & QUEUE_MASK) >> QUEUE_SHIFT;
    if (queue === 0) return;
    const before = ints[i + BEFORE]!;
    const after = ints[i + AFTER]!;
    if (before < 0) this.heads[queue] = after;
    else ints[before * intStride + AFTER] = after;
    if (after < 0) this.tails[queue] = before;
    else ints[after * intStride + BEFORE] = before;
    ints[i + STATE]! &= ~QUEUE_MASK;
  }

  /** The first of `queue`, or -1. */
  first(queue: number): number {
    return this.heads[queue]!;
  }

  /** When the first of `queue` was put there; infinite if it is empty. */
  since(queue: number): number {
    const head = this.heads[queue]!;
    return head < 0 ? Number.POSITIVE_INFINITY : this.doubles[head * doubleStride + QUEUED_AT]!;
  }

  private grow(): void {
    const old = this.ints;
    // By half: doubling a large table would hold three times what is needed while it copies.
    this.capacity = Math.floor(this.capacity * 1.5);
    this.buffer = new ArrayBuffer(this.capacity * intStride * 4);
    this.ints = new Int32Array(this.buffer);
    this.doubles = new Float64Array(this.buffer);
    this.ints.set(old);
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
