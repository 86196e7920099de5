/**
 * Server-sent events to many readers. A frame is made once and written to all; what a reader has not taken waits in a buffer of
 * bounded size, and who does not take it for too long is cut off: it resumes by the id of the last event it had.
 */
import type { ServerResponse } from 'node:http';
import { PlimsollError } from '../../core/errors.ts';
import type { EventLog, LoggedEvent } from './event-log.ts';

export interface StreamLimits {
  readonly readers: number;
  /** Bytes that may wait for one reader, beyond what the kernel's own buffer holds. */
  readonly buffer: number;
  /** Seconds that a reader may take nothing while something waits for it. */
  readonly stall: number;
  /** Seconds between two signs of life. */
  readonly heartbeat: number;
}

export const defaultLimits: StreamLimits = { readers: 256, buffer: 256 * 1024, stall: 30, heartbeat: 15 };

interface Reader {
  readonly response: ServerResponse;
  readonly named: boolean;
  /** When it last had taken everything, monotonic seconds. */
  caughtUp: number;
}

const frame = (event: { readonly id: string; readonly type: string; text(named: boolean): string }, named: boolean): Buffer =>
  Buffer.from(`id: ${event.id}\nevent: ${event.type}\ndata: ${event.text(named)}\n\n`);

const HEARTBEAT = Buffer.from(': here\n\n');
/** Milliseconds after which a reader should come back. */
const RETRY = 2000;

export class Readers {
  /** Since the start, for /metrics. */
  readonly counts = { accepted: 0, dropped_slow: 0, resumed: 0, reset: 0 };
  private readonly events: EventLog;
  private readonly limits: StreamLimits;
  private readonly readers = new Set<Reader>();
  private readonly unsubscribe: () => void;
  private readonly timer: NodeJS.Timeout;
  private beat = 0;

  constructor(events: EventLog, limits: StreamLimits = defaultLimits) {
    this.events = events;
    this.limits = limits;
    this.unsubscribe = events.subscribe((event) => this.broadcast(event));
    this.timer = setInterval(() => this.watch(), 1000);
    this.timer.unref();
  }

  get size(): number {
    return this.readers.size;
  }

  /** Answers with the events after `since` (an id, or null for none) and all to come. Throws http_readers_full. */
  attach(response: ServerResponse, since: string | null, named: boolean): void {
    if (this.readers.size >= this.limits.readers) throw new PlimsollError('http_readers_full', { most: this.limits.readers });
    response.writeHead(200, { 'Content-Type': 'text/event-stream; charset=utf-8', 'X-Accel-Buffering': 'no' });
    response.socket?.setNoDelay(true);
    response.socket?.setKeepAlive(true, this.limits.heartbeat * 1000);
    response.socket?.setTimeout(0);
    const reader: Reader = { response, named, caughtUp: performance.now() / 1000 };
    response.once('close', () => this.readers.delete(reader));
    this.readers.add(reader);
    this.counts.accepted++;
    const missed = since === null ? null : this.events.since(since);
    const first: Buffer[] = [Buffer.from(`retry: ${RETRY}\n\n`)];
    if (missed !== null) {
      this.counts.resumed++;
      for (const event of missed) first.push(frame(event, named));
    } else {
      if (since !== null) {
        this.counts.reset++;
        const text = (): string => JSON.stringify({ reason: 'the event asked for is of another run of the agent, or too long ago' });
        first.push(frame({ id: this.events.lastId, type: 'reset', text }, named));
      }
      const newest = this.events.newest('sample');
      if (newest !== null) first.push(frame(newest, named));
    }
    this.send(reader, Buffer.concat(first));
  }

  /** Ends every stream; readers come back by themselves. */
  close(): void {
    clearInterval(this.timer);
    this.unsubscribe();
    for (const { response } of this.readers) response.end();
  }

  private broadcast(event: LoggedEvent): void {
    let named: Buffer | null = null;
    let anonymous: Buffer | null = null;
    for (const reader of this.readers) {
      if (reader.named) named ??= frame(event, true);
      else anonymous ??= frame(event, false);
      this.send(reader, (reader.named ? named : anonymous)!);
    }
  }

  private send(reader: Reader, bytes: Buffer): void {
    const { response } = reader;
    const waiting = response.socket?.writableLength ?? 0;
    if (waiting === 0) reader.caughtUp = performance.now() / 1000;
    else if (waiting + bytes.length > this.limits.buffer) {
      this.drop(reader);
      return;
    }
    response.write(bytes);
  }

  private watch(): void {
    const now = performance.now() / 1000;
    const due = ++this.beat % this.limits.heartbeat === 0;
    for (const reader of this.readers) {
      if ((reader.response.socket?.writableLength ?? 0) === 0) reader.caughtUp = now;
      else if (now - reader.caughtUp > this.limits.stall) {
        this.drop(reader);
        continue;
      }
      if (due) this.send(reader, HEARTBEAT);
    }
  }

  private drop(reader: Reader): void {
    this.readers.delete(reader);
    this.counts.dropped_slow++;
    // Not end(): that would wait for what the reader does not take.
    reader.response.destroy();
  }
}
