/** A SNAT pool as the engine uses it: the ledger, which of its addresses are missing on this host, and where more ports may come from. */
import type { Ending, Lease, PortBlock, PortLedger } from '../../../core/port-ledger.ts';

/** Where a worker gets ports from and returns them to. A process that owns its ledger has none. */
export interface PortLender {
  /**
   * Asks for ports towards `server`; they arrive later, by `PortLedger.borrow`, and the pools are pumped. False if nobody
   * has any: then those that cool here are the next best.
   */
  want(snatPool: string, server: string): boolean;
  asking(snatPool: string, server: string): boolean;
  /** Ports that go back. */
  surrender(snatPool: string, shape: string, block: PortBlock): void;
}

/** Seconds without a port held by others after which the next one is news again. */
const quiet = 300;

export class SnatPool {
  readonly name: string;
  /** What makes a ledger another one: its ports. */
  readonly shape: string;
  readonly ledger: PortLedger;
  /** Addresses that bind() said are not on this host, and when to try again (seconds). */
  readonly absent = new Map<string, number>();
  private readonly lender: PortLender | null;
  private readonly seconds: () => number;
  /** Worker: ports promised to others, by server. */
  private readonly owed = new Map<string, number>();
  private nextReturn = 0;
  private readonly lastHeld = new Map<string, number>();

  constructor(name: string, shape: string, ledger: PortLedger, lender: PortLender | null, seconds: () => number) {
    this.name = name;
    this.shape = shape;
    this.ledger = ledger;
    this.lender = lender;
    this.seconds = seconds;
  }

  /**
   * A port towards `server` in DESIGN.md's order: free, else the longest-cooled. Null if all are in use. `proven`: rather one that
   * has worked before, because another was refused.
   */
  take(server: string, proven = false): Lease | null {
    const now = this.seconds();
    if (this.lender === null) return this.ledger.acquireEarly(server, now, proven);
    const free = this.ledger.acquire(server, now, proven);
    if (free !== null || this.lender.want(this.name, server)) return free;
    return this.ledger.acquireEarly(server, now);
  }

  /** Worker: whether an answer about ports towards `server` is still to come, so that nothing is known yet. */
  asking(server: string): boolean {
    return this.lender?.asking(this.name, server) === true;
  }

  give(lease: Lease, ending: Ending): void {
    this.ledger.release(lease, ending, this.seconds());
    if (this.owed.size > 0 && this.owes(lease.server) && this.surrender(lease.server)) this.pay(lease.server);
  }

  /** Worker: the next port towards `server` that ends its use is not ours. */
  owe(server: string): void {
    this.owed.set(server, 1);
  }

  owes(server: string): boolean {
    return this.owed.size > 0 && this.owed.has(server);
  }

  private pay(server: string): void {
    this.owed.delete(server);
  }

  /** Worker: returns one port towards `server` that is not in use. Whether there was one. */
  surrender(server: string): boolean {
    if (this.lender === null) return false;
    const now = this.seconds();
    let blocks = this.ledger.giveBack(server, 1, now);
    if (blocks.length === 0) {
      const lease = this.ledger.acquireEarly(server, now);
      if (lease === null) return false;
      this.ledger.release(lease, 'we_closed', now);
      blocks = this.ledger.giveBack(server, 1, now);
    }
    for (const block of blocks) this.lender.surrender(this.name, this.shape, block);
    return blocks.length > 0;
  }

  /** Worker: returns free ports beyond `spare` of each server, once they were not needed for a while. */
  returnSpare(spare: number): void {
    if (this.lender === null) return;
    const now = this.seconds();
    if (now < this.nextReturn) return;
    this.nextReturn = now + 1;
    const free = new Map<string, number>();
    for (const space of this.ledger.stats(now)) free.set(space.server, (free.get(space.server) ?? 0) + space.free);
    for (const [server, count] of free) {
      if (count <= spare) continue;
      for (const block of this.ledger.giveBack(server, count - spare, now)) this.lender.surrender(this.name, this.shape, block);
    }
  }

  /** Worker: returns all free ports of the servers that `gone` names. */
  returnOf(gone: (server: string) => boolean): void {
    if (this.lender === null) return;
    const now = this.seconds();
    for (const server of new Set(this.ledger.stats(now).map((s) => s.server))) {
      if (!gone(server)) continue;
      for (const block of this.ledger.giveBack(server, 65535, now)) this.lender.surrender(this.name, this.shape, block);
    }
  }

  /** Somebody else on this host has the port: skipped for a while. Whether that is news. */
  hold(lease: Lease): boolean {
    const now = this.seconds();
    this.ledger.hold(lease, now);
    const news = now - (this.lastHeld.get(lease.address) ?? Number.NEGATIVE_INFINITY) > quiet;
    this.lastHeld.set(lease.address, now);
    return news;
  }

  /** The address of `lease` is not on this host: not used for five seconds. Whether that is news. */
  addressAbsent(lease: Lease): boolean {
    const now = this.seconds();
    this.ledger.release(lease, 'we_closed', now);
    const news = !this.absent.has(lease.address);
    this.absent.set(lease.address, now + 5);
    this.ledger.drainAddress(lease.address);
    return news;
  }

  /** Tries absent addresses again when their time has come. */
  tick(active: ReadonlySet<string>): void {
    if (this.absent.size === 0) return;
    const now = this.seconds();
    for (const [address, at] of this.absent) {
      if (now < at) continue;
      if (!active.has(address)) this.absent.delete(address);
      else {
        this.absent.set(address, Number.POSITIVE_INFINITY);
        this.ledger.addAddress(address);
      }
    }
  }

  /** A connection from `address` opened: it is on this host after all. */
  present(address: string): void {
    if (this.absent.size > 0) this.absent.delete(address);
  }
}
