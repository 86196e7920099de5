/**
 * Arrivals by the clock, whatever the server does. A request that could not be sent when it was due is sent late and its latency counts
 * from when it was due; one that cannot be sent at all is missed, and counted.
 */
import { Arrivals } from './arrivals.ts';
import type { Connection } from './connection.ts';
import type { Engine, Traffic } from './engine.ts';
import type { Job, Traffic as TrafficJob } from './job.ts';
import type { Failure } from './outcome.ts';
import { Ticker } from './ticker.ts';

/** Milliseconds of sending after which answers are read before the next is sent. */
const turn = 2;
/** Milliseconds behind its time from which on an arrival is missed: the generator cannot keep up, and a queue would never end. */
const latest = 1000;

export class OpenLoop implements Traffic {
  finished = false;
  private readonly engine: Engine;
  private readonly most: number;
  private readonly arrivals: Arrivals;
  /** Milliseconds when the next one is due. */
  private due: number;
  /** Those that were used last are used next, so that the others can end. */
  private readonly idle: Connection[] = [];
  private ticker: Ticker | null = null;

  constructor(engine: Engine, traffic: Extract<TrafficJob, { kind: 'open' }>, share: Job['share']) {
    this.engine = engine;
    this.most = traffic.most;
    this.arrivals = new Arrivals(traffic.profile, share);
    this.due = this.engine.start + 1000 * this.arrivals.next();
  }

  async start(): Promise<void> {
    this.ticker = await Ticker.start(() => this.tick());
    this.tick();
  }

  async stop(): Promise<void> {
    this.finished = true;
    await this.ticker?.stop();
  }

  available(connection: Connection): void {
    this.idle.push(connection);
  }

  lost(connection: Connection): void {
    const at = this.idle.indexOf(connection);
    if (at >= 0) this.idle.splice(at, 1);
  }

  over(_failure: Failure | null): void {
    // The clock decides when the next one is sent.
  }

  private tick(): void {
    const began = performance.now();
    let now = began;
    while (this.due <= now) {
      if (this.finished) return;
      this.send(now);
      this.due = this.engine.start + 1000 * this.arrivals.next();
      now = performance.now();
      if (now - began > turn && this.due <= now) {
        setImmediate(() => this.tick());
        return;
      }
    }
    if (this.due === Number.POSITIVE_INFINITY) {
      this.finished = true;
      this.engine.check();
    } else this.ticker?.wakeAt(this.due);
  }

  private send(now: number): void {
    const { engine } = this;
    const { tally } = engine;
    tally.scheduled++;
    tally.lateness.record((now - this.due) / 1000);
    if (now - this.due > latest) {
      tally.missedLate++;
      return;
    }
    const connection = this.idle.pop();
    if (connection !== undefined) engine.again(connection, this.due, now);
    else if (engine.open >= this.most) tally.missedBusy++;
    else if (now < engine.shortUntil) tally.missedNoPort++;
    else engine.begin(this.due, now);
  }
}
