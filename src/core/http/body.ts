/** How a message's body is framed, and how much of it is still to come (RFC 9112 6.3). One for each direction, used again and again. */
import { ChunkReader } from './chunks.ts';

const CHUNKED = -1;
const UNTIL_CLOSE = -2;

export class Body {
  private rest = 0;
  private chunks: ChunkReader | null = null;

  /** A body of so many bytes; 0 for none. */
  sized(bytes: number): void {
    this.rest = bytes;
  }

  chunked(): void {
    this.rest = CHUNKED;
    this.chunks ??= new ChunkReader();
    this.chunks.reset();
  }

  /** It ends where the connection does. */
  untilClose(): void {
    this.rest = UNTIL_CLOSE;
  }

  get endsByClose(): boolean {
    return this.rest === UNTIL_CLOSE;
  }

  /** Nothing of it is missing. */
  get done(): boolean {
    return this.rest === 0;
  }

  /** Bytes to come, if that is known: else negative. */
  get left(): number {
    return this.rest;
  }

  /**
   * Reads `b[start, end)`: the index after what belongs to the body, or -1 if it breaks its framing. `onData` is told where
   * the data of chunks lie, for those who need them without their framing.
   */
  read(b: Uint8Array, start: number, end: number, onData: ((from: number, to: number) => void) | null): number {
    if (this.rest === UNTIL_CLOSE) return end;
    if (this.rest === CHUNKED) {
      const at = this.chunks!.read(b, start, end, onData);
      if (at >= 0 && this.chunks!.done) this.rest = 0;
      return at;
    }
    const at = Math.min(end, start + this.rest);
    this.rest -= at - start;
    return at;
  }
}
