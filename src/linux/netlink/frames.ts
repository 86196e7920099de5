/**
 * Netlink framing (struct nlmsghdr, include/uapi/linux/netlink.h): pure, for any family's messages.
 *
 * Buffers are read as 32-bit words: netlink aligns everything to four bytes and is in host order, and both architectures we
 * ship a binary for are little-endian.
 */
import { PlimsollError } from '../../core/errors.ts';

export const NLM_F_REQUEST = 0x1;
export const NLM_F_DUMP = 0x300;
const NLM_F_DUMP_INTR = 0x10;
const NLMSG_ERROR = 2;
const NLMSG_DONE = 3;
const HEADER_BYTES = 16;

/** A buffer to receive into, with the views that decoders read. */
export class NetlinkBuffer {
  readonly bytes: Uint8Array;
  readonly words: Uint32Array;
  /** Kernel chunks end at 32 KiB; the rest is slack. */
  constructor(size = 65536) {
    this.bytes = new Uint8Array(size);
    this.words = new Uint32Array(this.bytes.buffer);
  }
}

/** Where the next message of a chunk is: its type, the word its payload begins at, its payload's bytes. */
export class Frames {
  type = 0;
  word = 0;
  bytes = 0;
  done = false;
  interrupted = false;
  private offset = 0;
  private readonly words: Uint32Array;
  private readonly length: number;

  constructor(buffer: NetlinkBuffer, length: number) {
    this.words = buffer.words;
    this.length = length;
  }

  /**
   * Steps to the next message; false at the end of the chunk or of the dump (`done`).
   * Throws `netlink_malformed` where a length lies, `netlink_refused` (facts: errno) where the kernel answers with an error.
   */
  next(): boolean {
    const left = this.length - this.offset;
    if (left <= 0 || this.done) return false;
    if (left < HEADER_BYTES) throw new PlimsollError('netlink_malformed', { offset: this.offset, reason: 'it ends inside a header' });
    const at = this.offset >>> 2;
    const size = this.words[at]!;
    if (size < HEADER_BYTES || size > left) {
      throw new PlimsollError('netlink_malformed', {
        offset: this.offset,
        reason: `a message of ${size} bytes in the ${left} that are left`,
      });
    }
    const head = this.words[at + 1]!;
    if ((head >>> 16) & NLM_F_DUMP_INTR) this.interrupted = true;
    this.type = head & 0xffff;
    if (this.type === NLMSG_DONE || this.type === NLMSG_ERROR) {
      // Both carry an errno, negative or zero; DONE may leave it out.
      const code = size >= HEADER_BYTES + 4 ? this.words[at + 4]! | 0 : 0;
      if (code < 0) throw new PlimsollError('netlink_refused', { reason: `errno ${-code}`, errno: -code });
      this.done = true;
      return false;
    }
    this.word = at + 4;
    this.bytes = size - HEADER_BYTES;
    this.offset += (size + 3) & ~3;
    return true;
  }
}

/** Calls `visit(type, byteOffset, bytes)` for each attribute (struct nlattr) in `bytes` bytes from word `word`. */
export const readAttributes = (
  buffer: NetlinkBuffer,
  word: number,
  bytes: number,
  visit: (type: number, offset: number, bytes: number) => void,
): void => {
  let offset = word * 4;
  const end = offset + bytes;
  while (end - offset >= 4) {
    const header = buffer.words[offset >>> 2]!;
    const size = header & 0xffff;
    if (size < 4 || size > end - offset) throw new PlimsollError('netlink_malformed', { offset, reason: `an attribute of ${size} bytes` });
    // The two top bits say nested and byte order; they are not part of the type.
    visit((header >>> 16) & 0x3fff, offset + 4, size - 4);
    offset += (size + 3) & ~3;
  }
};

/** A request: header and payload. */
export const encodeRequest = (type: number, flags: number, payload: Uint8Array): Uint8Array => {
  const message = new Uint8Array(HEADER_BYTES + payload.length);
  const view = new DataView(message.buffer);
  view.setUint32(0, message.length, true);
  view.setUint16(4, type, true);
  view.setUint16(6, flags, true);
  message.set(payload, HEADER_BYTES);
  return message;
};
