/**
 * One process' requests and connections: what becomes of each, counted once. When something is to be sent is the traffic's business
 * (open-loop, closed-loop, idle); this knows how.
 *
 *   traffic ─ begin(since) ─▶ connection ─▶ answered │ failed ─▶ tally, and back to the traffic: a connection to ask on, or room for one
 */
import type { Ending } from '../core/port-ledger.ts';
import { Connection, type ConnectionOwner } from './connection.ts';
import type { Job } from './job.ts';
import { type Failure, failureOf } from './outcome.ts';
import { chooserOf, type Source, type SourceChooser } from './source-ports.ts';
import { type Delta, Tally } from './tally.ts';

/** What the engine tells the traffic. */
export interface Traffic {
  /** Nothing more will be begun. */
  readonly finished: boolean;
  /** A connection has answered, at `now`, and may be asked again. */
  available(connection: Connection, now: number): void;
  /** A connection that was available is gone. */
  lost(connection: Connection): void;
  /** A request is over and its connection with it. */
  over(failure: Failure | null): void;
}

/** Milliseconds between two looks for what has taken too long. */
const sweepEvery = 20;
/** Ports in a row that others hold before a request is given up. */
const mostAttempts = 32;

const NO_PORT_FREE: Failure = { cause: 'local_port', code: 'NONE_FREE', call: 'ledger' };
const TOO_LATE: Failure = { cause: 'timeout', code: 'TIMEOUT', call: 'connect' };
const NO_ANSWER: Failure = { cause: 'timeout', code: 'TIMEOUT', call: 'response' };
const CLOSED_EARLY: Failure = { cause: 'other', code: 'CLOSED', call: 'response' };

export class Engine implements ConnectionOwner {
  readonly tally = new Tally();
  /** Milliseconds of performance.now() when the run begins. */
  readonly start: number;
  /** Milliseconds until which no search for a port is worth its time: as long as the last failed one took. */
  shortUntil = 0;
  /** Requests begun and not over. */
  underWay = 0;
  /** Connections whose last request is over and whose end is not: who closed first is not known yet. */
  private parting = 0;
  traffic: Traffic | null = null;
  private readonly job: Job;
  private readonly chooser: SourceChooser;
  private readonly connections: Connection[] = [];
  private readonly sweeper: NodeJS.Timeout;
  private resolve: () => void = () => {};
  /** Resolves when the traffic is finished and nothing is under way or parting. */
  readonly done: Promise<void>;

  constructor(job: Job, start: number) {
    this.job = job;
    this.start = start;
    this.chooser = chooserOf(job);
    this.done = new Promise((resolve) => {
      this.resolve = resolve;
    });
    this.sweeper = setInterval(() => this.sweep(performance.now()), sweepEvery);
  }

  /** Connections that hold a port. */
  get open(): number {
    return this.connections.length;
  }

  /** Counts since the last time. */
  take(): Delta {
    const now = performance.now();
    return this.tally.take(Math.max(0, now - this.start) / 1000, this.connections.length, this.underWay, this.chooser.ports(now / 1000));
  }

  /** A request on a connection of its own, its latency counted from `since`. */
  begin(since: number, now: number): void {
    this.tally.sent++;
    this.underWay++;
    this.connect(since, now, 0);
  }

  /** A request on a connection that is available. */
  again(connection: Connection, since: number, now: number): void {
    this.tally.sent++;
    this.underWay++;
    connection.since = since;
    this.ask(connection, now);
  }

  /** Looks whether that was all. Called by the traffic when it becomes finished. */
  check(): void {
    if (this.traffic?.finished === true && this.underWay === 0 && this.parting === 0) this.resolve();
  }

  /** Ends at once what is open, by RST: no TIME_WAIT stays, and the ports are free. */
  close(): void {
    clearInterval(this.sweeper);
    for (const connection of this.connections) connection.close(true);
    this.connections.length = 0;
    this.resolve();
  }

  opened(c: Connection): void {
    this.tally.opened++;
    const now = performance.now();
    if (this.job.target.protocol === 'http') {
      this.ask(c, now);
      return;
    }
    this.tally.ok++;
    this.tally.latency.record((now - c.since) / 1000);
    c.state = 'holding';
    c.deadline = now + this.job.hold * 1000;
    this.underWay--;
    if (this.job.hold === 0) this.finish(c, true, now);
    this.traffic?.over(null);
    this.check();
  }

  answered(c: Connection, status: number, keepAlive: boolean): void {
    const now = performance.now();
    this.tally.latency.record((now - c.since) / 1000);
    if (status < 400) this.tally.ok++;
    else this.tally.fail({ cause: 'status', code: String(status), call: 'response' }, (now - this.start) / 1000);
    c.served++;
    this.underWay--;
    const { requestsPerConnection } = this.job;
    if (keepAlive && (requestsPerConnection === null || c.served < requestsPerConnection)) {
      c.state = 'idle';
      c.deadline = Number.POSITIVE_INFINITY;
      this.traffic?.available(c, now);
    } else {
      this.finish(c, keepAlive, now);
      this.traffic?.over(null);
    }
    this.check();
  }

  ended(c: Connection): void {
    const { state } = c;
    if (state === 'opening' || state === 'busy') {
      this.remove(c, 'fin', false);
      this.fail(CLOSED_EARLY);
      return;
    }
    if (state === 'leaving') {
      this.remove(c, 'we_closed', false);
      return;
    }
    this.tally.closedByServer++;
    this.remove(c, 'fin', false);
    if (state === 'idle') this.traffic?.lost(c);
  }

  failed(c: Connection, error: NodeJS.ErrnoException): void {
    const { state } = c;
    const failure = failureOf(error);
    if (state !== 'opening' && state !== 'busy') {
      this.tally.broken++;
      this.remove(c, failure.cause === 'reset' ? 'rst' : 'half_open', true);
      if (state === 'idle') this.traffic?.lost(c);
      return;
    }
    if (state === 'opening' && failure.cause === 'local_port') {
      const now = performance.now();
      this.shortUntil = now + c.cost;
      // A port of ours that somebody else holds says nothing about the others.
      if (this.chooser.taken(c.source, now / 1000)) {
        this.shortUntil = 0;
        this.drop(c);
        c.close(true);
        if (c.attempt < mostAttempts) this.connect(c.since, now, c.attempt + 1);
        else this.fail(failure);
        return;
      }
    }
    if (state === 'busy') this.tally.broken++;
    this.remove(c, failure.cause === 'refused' ? 'refused' : failure.cause === 'reset' ? 'rst' : 'half_open', true);
    this.fail(failure);
  }

  received(bytes: number): void {
    this.tally.bytes += bytes;
  }

  private connect(since: number, now: number, attempt: number): void {
    const source: Source | null = this.chooser.acquire(now / 1000);
    if (source === null) {
      this.fail(NO_PORT_FREE);
      return;
    }
    const c = new Connection(this.job.target, source, since, attempt, this);
    c.deadline = now + this.job.timeout * 1000;
    c.place = this.connections.length;
    this.connections.push(c);
  }

  private ask(c: Connection, now: number): void {
    const { requestsPerConnection, closer, request } = this.job;
    c.state = 'busy';
    c.deadline = now + this.job.timeout * 1000;
    const last = requestsPerConnection !== null && c.served + 1 >= requestsPerConnection;
    c.ask(last && closer === 'server' ? request.closing : request.text, request.head);
  }

  /** The last request on `c` is over: we close, or wait for the server to. */
  private finish(c: Connection, ours: boolean, now: number): void {
    if (this.job.closer === 'server') {
      this.parting++;
      c.state = 'closing';
      c.deadline = now + this.job.timeout * 1000;
      return;
    }
    this.tally.closedByUs++;
    if (ours && c.source.lease !== null) {
      // Before the server's FIN a port named again meets its own FIN_WAIT: it is ours no sooner.
      this.parting++;
      c.leave();
      c.deadline = now + this.job.timeout * 1000;
      return;
    }
    // The server has said that it closes: whose FIN is first nobody knows.
    this.remove(c, ours ? 'we_closed' : 'fin', false);
  }

  private fail(failure: Failure): void {
    this.tally.fail(failure, (performance.now() - this.start) / 1000);
    this.underWay--;
    this.traffic?.over(failure);
    this.check();
  }

  private remove(c: Connection, ending: Ending, reset: boolean): void {
    const { state } = c;
    if (state === 'closed') return;
    this.drop(c);
    c.close(reset);
    this.chooser.release(c.source, ending, performance.now() / 1000);
    if (state !== 'closing' && state !== 'leaving') return;
    this.parting--;
    this.check();
  }

  /** Takes `c` out of the list; the last one takes its place. */
  private drop(c: Connection): void {
    const last = this.connections.pop()!;
    if (last === c) return;
    this.connections[c.place] = last;
    last.place = c.place;
  }

  private sweep(now: number): void {
    for (let i = this.connections.length - 1; i >= 0; i--) {
      const c = this.connections[i];
      if (c === undefined || c.deadline > now) continue;
      switch (c.state) {
        case 'opening':
        case 'busy': {
          const failure = c.state === 'opening' ? TOO_LATE : NO_ANSWER;
          if (c.state === 'busy') this.tally.broken++;
          this.remove(c, 'half_open', true);
          this.fail(failure);
          break;
        }
        case 'holding':
          this.finish(c, true, now);
          break;
        case 'leaving':
          this.remove(c, 'half_open', true);
          break;
        case 'closing':
          this.tally.closedByUs++;
          this.remove(c, 'we_closed', false);
          break;
        default:
      }
    }
  }
}
