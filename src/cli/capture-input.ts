/**
 * Where captures come from: files, pipes, gzip. Fills the buffers that `src/capture` decodes in place.
 *
 * Plain files are read synchronously in large pieces, the fastest way there is; everything else arrives when it arrives.
 */
import { closeSync, createReadStream, fstatSync, openSync, readSync } from 'node:fs';
import { Readable } from 'node:stream';
import { createGunzip } from 'node:zlib';
import type { CaptureStream } from '../capture/format/stream.ts';
import { PlimsollError } from '../core/errors.ts';

export interface CaptureInput {
  readonly stream: CaptureStream;
  /** Bytes there are to read; null if nobody knows. */
  readonly size: number | null;
  /** Bytes read so far, as they are stored. */
  read: number;
  /** Puts more bytes into the stream's buffer, or finishes it. Returns a promise only where it has to wait. */
  fill(): Promise<void> | undefined;
  close(): void;
}

const reasons: Readonly<Record<string, string>> = {
  ENOENT: 'there is no such file',
  EACCES: 'permission denied',
  EISDIR: 'it is a directory',
  ENOTDIR: 'part of its path is not a directory',
};
const reasonOf = (error: unknown): string => {
  const { code, message } = error as NodeJS.ErrnoException;
  return reasons[code ?? ''] ?? message;
};

/** The chunks of `source`, inflated if they are gzip. Inflating holds one chunk at a time, however small the file was packed. */
async function* inflated(source: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  const iterator = source[Symbol.asyncIterator]();
  const held: Uint8Array[] = [];
  let length = 0;
  while (length < 2) {
    const { done, value } = await iterator.next();
    if (done) break;
    held.push(value);
    length += value.length;
  }
  const start = Buffer.concat(held);
  async function* all(): AsyncGenerator<Uint8Array> {
    yield start;
    for (;;) {
      const { done, value } = await iterator.next();
      if (done) return;
      yield value;
    }
  }
  if (start[0] !== 0x1f || start[1] !== 0x8b) {
    yield* all();
    return;
  }
  const gunzip = createGunzip({ chunkSize: 1 << 18 });
  const from = Readable.from(all(), { objectMode: false });
  from.on('error', (error) => gunzip.destroy(error));
  yield* from.pipe(gunzip) as AsyncIterable<Uint8Array>;
}

/** Chunks that arrive by themselves. `stop` ends them as if the file ended there. */
const arriving = (stream: CaptureStream, source: AsyncIterable<Uint8Array>, size: number | null, stop: AbortSignal): CaptureInput => {
  let rest = new Uint8Array(0) as Uint8Array;
  let counted = 0;
  const counting = async function* (): AsyncGenerator<Uint8Array> {
    for await (const chunk of source) {
      counted += chunk.length;
      yield chunk;
    }
  };
  const iterator = inflated(counting());
  const stopped = new Promise<{ done: true; value: undefined }>((resolve) => {
    const end = (): void => resolve({ done: true, value: undefined });
    if (stop.aborted) end();
    else stop.addEventListener('abort', end, { once: true });
  });
  return {
    stream,
    size,
    get read() {
      return counted;
    },
    fill: async () => {
      if (rest.length === 0) {
        try {
          const { done, value } = await Promise.race([iterator.next(), stopped]);
          if (done) {
            stream.finish();
            return;
          }
          rest = value;
        } catch (error) {
          stream.finish(`${reasonOf(error)}`);
          return;
        }
      }
      const room = stream.room();
      const taken = rest.subarray(0, room.length);
      room.set(taken);
      stream.wrote(taken.length);
      rest = rest.subarray(taken.length);
    },
    close: () => void iterator.return(undefined),
  };
};

/** A file by its path: gzip or not, regular or a FIFO. Throws PlimsollError if it cannot be opened. */
export const fileInput = (stream: CaptureStream, path: string, stop: AbortSignal): CaptureInput => {
  let fd: number;
  try {
    fd = openSync(path, 'r');
    if (fstatSync(fd).isDirectory()) {
      closeSync(fd);
      throw Object.assign(new Error('it is a directory'), { code: 'EISDIR' });
    }
  } catch (error) {
    throw new PlimsollError('file_not_found', { path, reason: reasonOf(error) }, { cause: error });
  }
  const stat = fstatSync(fd);
  const size = stat.isFile() ? stat.size : null;
  const magic = new Uint8Array(2);
  const gzip = stat.isFile() && readSync(fd, magic, 0, 2, 0) === 2 && magic[0] === 0x1f && magic[1] === 0x8b;
  if (gzip || !stat.isFile()) {
    const source = createReadStream('', { fd, highWaterMark: 1 << 18 });
    return { ...arriving(stream, source, size, stop), close: () => source.destroy() };
  }
  // The first pieces are small: what is no capture is refused at once, and the decoder has met the end of a piece before it is compiled.
  let piece = 4096;
  const input: CaptureInput = {
    stream,
    size,
    read: 0,
    fill: () => {
      let count = 0;
      try {
        const room = stream.room();
        count = readSync(fd, room, 0, Math.min(room.length, piece), null);
        piece *= 4;
      } catch (error) {
        stream.finish(reasonOf(error));
        return undefined;
      }
      if (count === 0) stream.finish();
      else stream.wrote(count);
      input.read += count;
      return undefined;
    },
    close: () => closeSync(fd),
  };
  return input;
};

/** Standard input, gzip or not. */
export const pipeInput = (stream: CaptureStream, stdin: AsyncIterable<Uint8Array>, stop: AbortSignal): CaptureInput =>
  arriving(stream, stdin, null, stop);
