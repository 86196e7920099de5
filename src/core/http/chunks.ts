/**
 * The chunked transfer coding (RFC 9112 7.1) as a state machine over bytes: it finds the end of a body and refuses every
 * deviation, so that what was read can be passed on as it is. Limits in bytes bound what carries no data.
 */
import { ByteClass, byteClass, COLON, CR, HTAB, LF, SP } from './byte-table.ts';

const limits = { sizeDigits: 12, extension: 256, trailers: 8192 } as const;

/** A field in a trailer that would change what was decided at the head (RFC 9110 6.5.1). */
const forbiddenTrailer =
  /^(content-length|transfer-encoding|host|connection|te|trailer|content-encoding|content-type|authorization|expect|upgrade)$/;

const State = {
  sizeStart: 0,
  size: 1,
  extension: 2,
  sizeLf: 3,
  data: 4,
  dataCr: 5,
  dataLf: 6,
  trailerStart: 7,
  trailerName: 8,
  trailerValue: 9,
  trailerLf: 10,
  endLf: 11,
  done: 12,
} as const;
type State = (typeof State)[keyof typeof State];

export class ChunkReader {
  private state: State = State.sizeStart;
  private size = 0;
  private digits = 0;
  private overhead = 0;
  private trailerBytes = 0;
  private name = '';

  /** Ready for another body. */
  reset(): void {
    this.state = State.sizeStart;
    this.trailerBytes = 0;
  }

  get done(): boolean {
    return this.state === State.done;
  }

  /**
   * Reads `b[start, end)` until the body ends. The index after what belongs to the body, or -1 if it is malformed.
   * `onData` is told where the data lies, for those who need it without its framing.
   */
  read(b: Uint8Array, start: number, end: number, onData: ((from: number, to: number) => void) | null): number {
    let i = start;
    while (i < end && this.state !== State.done) {
      const byte = b[i]!;
      switch (this.state) {
        case State.data: {
          const take = Math.min(this.size, end - i);
          onData?.(i, i + take);
          this.size -= take;
          i += take;
          if (this.size === 0) this.state = State.dataCr;
          continue;
        }
        case State.sizeStart:
        case State.size:
          if ((byteClass[byte]! & ByteClass.hex) !== 0) {
            if (this.state === State.sizeStart) {
              this.size = 0;
              this.digits = 0;
              this.overhead = 0;
              this.state = State.size;
            }
            if (++this.digits > limits.sizeDigits) return -1;
            this.size = this.size * 16 + (byte <= 57 ? byte - 48 : (byte | 32) - 87);
          } else if (this.state === State.sizeStart) return -1;
          else if (byte === CR) this.state = State.sizeLf;
          else if (byte === 59 /* ; */) this.state = State.extension;
          else return -1;
          break;
        case State.extension:
          if (byte === CR) this.state = State.sizeLf;
          else if ((byteClass[byte]! & ByteClass.fieldValue) === 0 || ++this.overhead > limits.extension) return -1;
          break;
        case State.sizeLf:
          if (byte !== LF) return -1;
          this.state = this.size === 0 ? State.trailerStart : State.data;
          break;
        case State.dataCr:
          if (byte !== CR) return -1;
          this.state = State.dataLf;
          break;
        case State.dataLf:
          if (byte !== LF) return -1;
          this.state = State.sizeStart;
          break;
        case State.trailerStart:
          if (byte === CR) this.state = State.endLf;
          else if ((byteClass[byte]! & ByteClass.token) !== 0) {
            this.name = String.fromCharCode(byte);
            this.state = State.trailerName;
          } else return -1;
          break;
        case State.trailerName:
          if (byte === COLON) {
            if (forbiddenTrailer.test(this.name.toLowerCase())) return -1;
            this.state = State.trailerValue;
          } else if ((byteClass[byte]! & ByteClass.token) !== 0) this.name += String.fromCharCode(byte);
          else return -1;
          break;
        case State.trailerValue:
          if (byte === CR) this.state = State.trailerLf;
          else if ((byteClass[byte]! & ByteClass.fieldValue) === 0 && byte !== SP && byte !== HTAB) return -1;
          break;
        case State.trailerLf:
          if (byte !== LF) return -1;
          this.state = State.trailerStart;
          break;
        case State.endLf:
          if (byte !== LF) return -1;
          this.state = State.done;
          break;
      }
      if (this.state >= State.trailerStart && ++this.trailerBytes > limits.trailers) return -1;
      i++;
    }
    return i;
  }
}
