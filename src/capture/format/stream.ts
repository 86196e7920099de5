/**
 * The bytes of one capture file on their way through, and the packet they are at.
 *
 * The stream owns one buffer. Its owner writes bytes of the file into `room()` and says how many with `wrote(n)`, or `finish()`;
 * `nextPacket()` then moves to the next packet, whose bytes stay in the buffer until the next call. Nothing is allocated per
 * packet, and no length of the file decides how much memory is taken: a record that claims more than `longestRecord` is where
 * the file is broken, and blocks that carry no packet are passed over without being held.
 */
export type Format = 'pcap' | 'pcap-ns' | 'pcapng';

/** What `nextPacket()` answers. */
export const needBytes = 0;
export const packet = 1;
export const ended = 2;

/** The most that libpcap (MAXIMUM_SNAPLEN) and Wireshark write as one packet. */
export const longestRecord = 262_144;

/** Bytes of the buffer: a few times the longest record, small enough to stay in a core's cache. */
export const bufferSize = 1 << 20;

export interface Interface {
  readonly link: number;
  /** Ticks per second of its timestamps. */
  readonly resolution: number;
  /** Seconds added to its timestamps (if_tsoffset). */
  readonly offset: number;
  readonly snaplen: number;
  readonly name: string;
}

/** Where a file stopped making sense. Everything before `offset` was read. */
export interface Broken {
  /** Byte of the (uncompressed) file. */
  readonly offset: number;
  readonly reason: string;
}

/** A capture's bytes in a buffer of fixed size, and the packet that was reached in it. */
export class CaptureStream {
  /** As the user gave it. */
  readonly name: string;
  readonly bytes = new Uint8Array(new ArrayBuffer(bufferSize));
  readonly view = new DataView(this.bytes.buffer);
  /** The unread part of the buffer. */
  start = 0;
  end = 0;
  /** Bytes still to be passed over without looking at them. */
  skip = 0;

  /** The packet `nextPacket()` moved to: where its bytes are, and what the file says of it. */
  offset = 0;
  captured = 0;
  original = 0;
  link = 0;
  seconds = 0;
  nanoseconds = 0;
  /** Frame number within the file, from 1, as tshark counts. */
  number = 0;

  format: Format | null = null;
  little = true;
  /** Nanoseconds per unit of a classic header's second timestamp word. */
  fraction = 1000;
  interfaces: Interface[] = [];
  /** Every interface of every section, for the report. */
  readonly seenInterfaces: Interface[] = [];
  application = '';
  /** Packets the capturing kernel lost, as far as the file says (isb_ifdrop). */
  dropped = 0;
  broken: Broken | null = null;

  finished = false;
  /** Why the bytes ended early; empty if they did not. */
  cut = '';
  private before = 0;

  constructor(name: string) {
    this.name = name;
  }

  /** Byte of the file at `start`. */
  get position(): number {
    return this.before + this.start;
  }

  /** The free end of the buffer. Moves what is unread to the front: call it only when the packet at hand is done with. */
  room(): Uint8Array {
    if (this.start > 0) {
      this.bytes.copyWithin(0, this.start, this.end);
      this.before += this.start;
      this.end -= this.start;
      this.start = 0;
    }
    return this.bytes.subarray(this.end);
  }

  wrote(count: number): void {
    this.end += count;
  }

  /** There are no more bytes. `reason` if that is not the end of the file but of what could be read of it. */
  finish(reason?: string): void {
    this.finished = true;
    if (reason !== undefined) this.cut = reason;
  }

  /** Ends the file here. Returns `ended`. */
  fail(reason: string, at = this.position): typeof ended {
    this.broken = { offset: at, reason };
    this.finished = true;
    this.start = this.end;
    return ended;
  }

  /** What to answer when the bytes at hand do not hold `what` whole. */
  short(what: string): typeof needBytes | typeof ended {
    if (!this.finished) return needBytes;
    if (this.broken !== null) return ended;
    if (this.cut !== '') return this.fail(this.cut);
    if (this.start === this.end && this.skip === 0) return ended;
    return this.fail(`the file ends inside ${what}`);
  }
}
