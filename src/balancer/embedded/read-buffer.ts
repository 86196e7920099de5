/**
 * The one buffer that all sockets of this process read into. What a reader leaves in it is gone when its callback returns:
 * whatever must live longer is copied, and a view of it is never given to write(), which would keep it.
 */

/** Bytes that one read can bring. */
export const readSize = 65536;

// One byte more than sockets get, so that there is always a readable byte after the last one received.
const memory = Buffer.alloc(readSize + 1);

/** What sockets read into. */
export const readView: Buffer = memory.subarray(0, readSize);

/** What readers read from: after `markEnd(n)` the bytes are `[0, n)` and byte n is zero. */
export const readBuffer: Buffer = memory;

export const markEnd = (n: number): void => {
  memory[n] = 0;
};

/** A copy of `b[start, end)` with a zero byte behind it, and optionally other bytes before it. */
export const keep = (before: Buffer | null, b: Buffer, start: number, end: number): Buffer => {
  const had = before === null ? 0 : before.length - 1;
  const copy = Buffer.allocUnsafe(had + end - start + 1);
  if (before !== null) before.copy(copy, 0, 0, had);
  b.copy(copy, had, start, end);
  copy[copy.length - 1] = 0;
  return copy;
};
