/** What changed or went wrong, with time and reason: the last thousand, and a log line for each. */
import type { BalancerEvent, Cause, EventKind } from '../engine.ts';

const most = 1000;

export class Events {
  private readonly kept: BalancerEvent[] = [];
  private readonly announce: (event: BalancerEvent) => void;

  constructor(announce: (event: BalancerEvent) => void) {
    this.announce = announce;
  }

  readonly add = (kind: EventKind, subject: string, cause: Cause | null, text: string): void => {
    this.take({ at: new Date().toISOString(), kind, subject, cause, text });
  };

  /** One that happened elsewhere, in a worker. */
  take(event: BalancerEvent): void {
    this.kept.push(event);
    if (this.kept.length > most) this.kept.shift();
    this.announce(event);
  }

  /** Oldest first. */
  get all(): readonly BalancerEvent[] {
    return this.kept;
  }
}
