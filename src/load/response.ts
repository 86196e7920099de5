/** Reads HTTP/1.1 responses strictly (RFC 9112): finds where each ends, and takes nothing for an answer that is none. */
import { Body } from '../core/http/body.ts';
import { Head, INCOMPLETE, REFUSED } from '../core/http/head.ts';

/** What `read` answers beside the index after a whole response. */
export const MORE = -1;
export const MALFORMED = -2;

/** The scanner of this process: a head is read in one go, so one is enough. */
const head = new Head();

/** One for each connection, used for response after response. */
export class ResponseReader {
  status = 0;
  /** Whether the server keeps the connection after this response. */
  keepAlive = true;
  private readonly body = new Body();
  private inBody = false;
  private noBody = false;
  /** The beginning of a head that has not arrived completely, with a zero byte behind it. */
  private partial: Buffer | null = null;

  /** Ready for the next response. `noBody`: it answers a HEAD. */
  begin(noBody: boolean): void {
    this.noBody = noBody;
    this.inBody = false;
    this.partial = null;
  }

  /** Something of the response has arrived. */
  get begun(): boolean {
    return this.inBody || this.partial !== null;
  }

  /** Reads `b[0, end)`; b[end] is zero. The index after the response if that is complete, MORE, or MALFORMED. */
  read(b: Buffer, end: number): number {
    return this.partial === null ? this.readFrom(b, 0, end) : this.readOn(b, end);
  }

  /** The server has closed: whether that is how this response ends. */
  ends(): boolean {
    return this.inBody && this.body.endsByClose;
  }

  private readFrom(b: Buffer, start: number, end: number): number {
    let at = start;
    while (!this.inBody) {
      const after = head.scanResponse(b, at, end, false);
      if (after === REFUSED) return MALFORMED;
      if (after === INCOMPLETE) {
        if (at < end) {
          this.partial = Buffer.alloc(end - at + 1);
          b.copy(this.partial, 0, at, end);
        }
        return MORE;
      }
      at = after;
      const { status } = head;
      // Interim responses come before the one that counts; nobody asked to switch protocols.
      if (status === 101) return MALFORMED;
      if (status >= 200) this.frame(status);
    }
    const after = this.body.read(b, at, end, null);
    if (after < 0) return MALFORMED;
    return this.body.done ? after : MORE;
  }

  private frame(status: number): void {
    this.inBody = true;
    this.status = status;
    this.keepAlive = head.keepAlive;
    if (this.noBody || status === 204 || status === 304) this.body.sized(0);
    else if (head.chunked) this.body.chunked();
    else if (head.contentLength >= 0) this.body.sized(head.contentLength);
    else {
      this.body.untilClose();
      this.keepAlive = false;
    }
  }

  /** The same where a head has begun in an earlier read. */
  private readOn(b: Buffer, end: number): number {
    const before = this.partial!.length - 1;
    const whole = Buffer.alloc(before + end + 1);
    this.partial!.copy(whole, 0, 0, before);
    b.copy(whole, before, 0, end);
    this.partial = null;
    const after = this.readFrom(whole, 0, before + end);
    return after < 0 ? after : after - before;
  }
}
