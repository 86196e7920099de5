/** So many connections, each asking again as soon as it is answered: how fast the server can go, not how it copes. */
import type { Connection } from './connection.ts';
import type { Engine, Traffic } from './engine.ts';
import type { Failure } from './outcome.ts';

/** Milliseconds after a failure before that connection is tried again: a refused port must not be asked in circles. */
const pause = 100;

export class ClosedLoop implements Traffic {
  finished = false;
  private readonly engine: Engine;
  private readonly connections: number;
  private readonly end: number;
  private readonly timers = new Set<NodeJS.Timeout>();

  constructor(engine: Engine, connections: number, seconds: number) {
    this.engine = engine;
    this.connections = connections;
    this.end = engine.start + seconds * 1000;
  }

  async start(): Promise<void> {
    this.later(this.engine.start - performance.now(), () => {
      for (let i = 0; i < this.connections; i++) this.begin(performance.now());
      this.later(this.end - performance.now(), () => this.finish());
    });
  }

  async stop(): Promise<void> {
    this.finish();
  }

  available(connection: Connection, now: number): void {
    if (this.finished || now >= this.end) return;
    this.engine.tally.scheduled++;
    this.engine.again(connection, now, now);
  }

  lost(_connection: Connection): void {
    this.over(null);
  }

  over(failure: Failure | null): void {
    if (this.finished) return;
    if (failure === null) this.begin(performance.now());
    else this.later(pause, () => this.begin(performance.now()));
  }

  private begin(now: number): void {
    if (this.finished || now >= this.end) return;
    this.engine.tally.scheduled++;
    this.engine.begin(now, now);
  }

  private finish(): void {
    this.finished = true;
    for (const timer of this.timers) clearTimeout(timer);
    this.timers.clear();
    this.engine.check();
  }

  private later(ms: number, what: () => void): void {
    const timer = setTimeout(
      () => {
        this.timers.delete(timer);
        what();
      },
      Math.max(0, ms),
    );
    this.timers.add(timer);
  }
}
