/** Connections that are opened and then do nothing: what keep-alive clients are most of their time. */
import type { Connection } from './connection.ts';
import type { Engine, Traffic } from './engine.ts';
import type { Failure } from './outcome.ts';

/** Connections that may be opening at once where no rate is given. */
const atOnce = 64;
/** Milliseconds between two looks at how many are due. */
const pace = 10;

export class IdleConnections implements Traffic {
  finished = false;
  private readonly engine: Engine;
  private readonly wanted: number;
  private readonly rate: number | null;
  private readonly seconds: number;
  private begun = 0;
  private timer: NodeJS.Timeout | null = null;
  private holding = false;

  constructor(engine: Engine, connections: number, rate: number | null, seconds: number) {
    this.engine = engine;
    this.wanted = connections;
    this.rate = rate;
    this.seconds = seconds;
  }

  async start(): Promise<void> {
    this.timer = setInterval(() => this.more(), pace);
  }

  async stop(): Promise<void> {
    this.finished = true;
    if (this.timer !== null) clearInterval(this.timer);
    this.engine.check();
  }

  available(_connection: Connection): void {
    this.more();
  }

  lost(_connection: Connection): void {
    // One fewer is what the numbers then say.
  }

  over(failure: Failure | null): void {
    // After a failure the next look is soon enough, and cannot call itself in circles.
    if (failure === null) this.more();
  }

  private more(): void {
    const now = performance.now();
    if (this.finished || this.holding || now < this.engine.start) return;
    const { tally } = this.engine;
    const due = this.rate === null ? this.wanted : Math.min(this.wanted, Math.floor(((now - this.engine.start) / 1000) * this.rate) + 1);
    while (this.begun < due && this.engine.underWay < atOnce) {
      this.begun++;
      tally.scheduled++;
      this.engine.begin(now, now);
    }
    if (this.begun < this.wanted || this.engine.underWay > 0) return;
    this.holding = true;
    clearInterval(this.timer!);
    this.timer = setTimeout(() => void this.stop(), this.seconds * 1000);
  }
}
