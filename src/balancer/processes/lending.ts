/**
 * Which worker holds which ports. Ports go out in blocks that shrink as they get scarce; who finds none left waits, the others
 * are asked to return one, and whoever has waited longest gets what comes back. With fewer ports than workers they travel.
 */
import type { Ending, PortBlock, PortLedger } from '../../core/port-ledger.ts';

/** Most ports of one block. */
const largestBlock = 32;
/** Seconds after which a worker that waits is forgotten: its requests have gone or it asks again. */
const waitLimit = 20;

interface Want {
  readonly worker: number;
  readonly server: string;
  readonly since: number;
}

export class Lending {
  readonly ledger: PortLedger;
  readonly shape: string;
  /** `worker` → `address server` → ports. */
  private readonly lent = new Map<
    number,
    Map<string, { readonly address: string; readonly server: string; readonly ports: Set<number> }>
  >();
  private waiting: Want[] = [];

  constructor(ledger: PortLedger, shape: string) {
    this.ledger = ledger;
    this.shape = shape;
  }

  /** A block for `worker`, or null: then it waits, and the others are to be asked. */
  want(worker: number, server: string, workers: number, now: number): PortBlock | null {
    const free = this.ledger.stats(now).reduce((sum, space) => sum + (space.server === server && !space.draining ? space.free : 0), 0);
    // Untouched so far: the ledger opens a server's spaces at the first request for them.
    const known = free > 0 || this.ledger.stats(now).some((space) => space.server === server);
    const share = known ? Math.floor(free / (2 * workers)) : Math.floor(this.ledger.capacity / (2 * workers));
    const block = this.ledger.lend(server, null, Math.max(1, Math.min(largestBlock, share)), now) ?? this.early(server, now);
    if (block !== null) {
      this.note(worker, block);
      return block;
    }
    if (!this.waiting.some((w) => w.worker === worker && w.server === server)) this.waiting.push({ worker, server, since: now });
    return null;
  }

  /** A block came back from `worker`, its connections ended by `ending`. The worker that has waited longest for such a port, and its block. */
  returned(worker: number, block: PortBlock, ending: Ending, now: number): { readonly worker: number; readonly block: PortBlock } | null {
    const entry = this.lent.get(worker)?.get(`${block.address} ${block.server}`);
    const mine = block.ports.filter((port) => entry?.ports.delete(port) === true);
    this.ledger.takeBack({ ...block, ports: mine }, now, ending);
    return this.serve(block.server, now);
  }

  /** `worker` died: its ports come back, their connections' end unknown. Who waited for them is served. */
  died(worker: number, now: number): readonly { readonly worker: number; readonly block: PortBlock }[] {
    const entries = this.lent.get(worker);
    this.lent.delete(worker);
    this.waiting = this.waiting.filter((w) => w.worker !== worker);
    for (const { address, server, ports } of entries?.values() ?? []) this.ledger.takeBack({ address, server, ports: [...ports] }, now);
    return this.serveWaiting(now);
  }

  /** There are ports again: who waits for them is served. */
  serveWaiting(now: number): readonly { readonly worker: number; readonly block: PortBlock }[] {
    const served: { readonly worker: number; readonly block: PortBlock }[] = [];
    for (const server of new Set(this.waiting.map((w) => w.server))) {
      for (let next = this.serve(server, now); next !== null; next = this.serve(server, now)) served.push(next);
    }
    return served;
  }

  private serve(server: string, now: number): { readonly worker: number; readonly block: PortBlock } | null {
    this.waiting = this.waiting.filter((w) => now - w.since < waitLimit);
    const at = this.waiting.findIndex((w) => w.server === server);
    if (at < 0) return null;
    const block = this.ledger.lend(server, null, 1, now) ?? this.early(server, now);
    if (block === null) return null;
    const [want] = this.waiting.splice(at, 1);
    this.note(want!.worker, block);
    return { worker: want!.worker, block };
  }

  /** One port whose cool-down is cut short. */
  private early(server: string, now: number): PortBlock | null {
    const lease = this.ledger.acquireEarly(server, now);
    if (lease === null) return null;
    this.ledger.release(lease, 'we_closed', now);
    return this.ledger.lend(server, lease.address, 1, now);
  }

  private note(worker: number, block: PortBlock): void {
    let entries = this.lent.get(worker);
    if (entries === undefined) {
      entries = new Map();
      this.lent.set(worker, entries);
    }
    const key = `${block.address} ${block.server}`;
    let entry = entries.get(key);
    if (entry === undefined) {
      entry = { address: block.address, server: block.server, ports: new Set() };
      entries.set(key, entry);
    }
    for (const port of block.ports) entry.ports.add(port);
  }
}
