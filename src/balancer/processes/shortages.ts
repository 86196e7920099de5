/**
 * One shortage of source ports, seen by several workers: each says when it begins and ends for itself, users are told once.
 * It ends when no worker has been short for a second: a port that goes from one to the other is no recovery.
 */
import type { BalancerEvent } from '../engine.ts';

const calmAfter = 1000;

interface Shortage {
  readonly since: number;
  readonly workers: Set<number>;
  calm: NodeJS.Timeout | null;
}

export class Shortages {
  private readonly open = new Map<string, Shortage>();
  private readonly tell: (event: BalancerEvent) => void;

  constructor(tell: (event: BalancerEvent) => void) {
    this.tell = tell;
  }

  /** Takes a worker's `ports_short` or `ports_recovered`. */
  take(worker: number, event: BalancerEvent): void {
    const known = this.open.get(event.subject);
    if (event.kind === 'ports_short') {
      if (known === undefined) {
        this.open.set(event.subject, { since: Date.now(), workers: new Set([worker]), calm: null });
        this.tell(event);
        return;
      }
      known.workers.add(worker);
      if (known.calm !== null) clearTimeout(known.calm);
      known.calm = null;
    } else if (known !== undefined) this.leave(known, worker, event.subject);
  }

  /** A worker is gone, and its shortage with it. */
  died(worker: number): void {
    for (const [subject, shortage] of this.open) this.leave(shortage, worker, subject);
  }

  private leave(shortage: Shortage, worker: number, subject: string): void {
    if (!shortage.workers.delete(worker) || shortage.workers.size > 0) return;
    const seconds = ((Date.now() - shortage.since) / 1000).toFixed(1);
    shortage.calm = setTimeout(() => {
      this.open.delete(subject);
      const text = `source ports suffice again after ${seconds} s`;
      this.tell({ at: new Date().toISOString(), kind: 'ports_recovered', subject, cause: 'local', text });
    }, calmAfter);
    shortage.calm.unref();
  }
}
