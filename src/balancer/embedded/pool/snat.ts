/** A SNAT pool as the engine uses it: the ledger, which of its addresses are missing on this host, and where more ports may come from. */
import type { Ending, Lease, PortLedger } from '../../../core/port-ledger.ts';

/** Where a worker gets ports from and returns them to. A process that owns its ledger has none. */
export interface PortLender {
  /** Asks for ports towards `server`; they arrive later, by `PortLedger.borrow`, and the pools are pumped. */
  want(snatPool: string, server: string): void;
}

export class SnatPool {
  readonly name: string;
  /** What makes a ledger another one: its ports. */
  readonly shape: string;
  readonly ledger: PortLedger;
  /** Addresses that bind() said are not on this host, and when to try again (seconds). */
  readonly absent = new Map<string, number>();
  private readonly lender: PortLender | null;
  private readonly seconds: () => number;

  constructor(name: string, shape: string, ledger: PortLedger, lender: PortLender | null, seconds: () => number) {
    this.name = name;
    this.shape = shape;
    this.ledger = ledger;
    this.lender = lender;
    this.seconds = seconds;
  }

  /** A port towards `server` in DESIGN.md's order: free, else the longest-cooled. Null if all are in use. */
  take(server: string): Lease | null {
    const lease = this.ledger.acquireEarly(server, this.seconds());
    if (lease === null) this.lender?.want(this.name, server);
    return lease;
  }

  give(lease: Lease, ending: Ending): void {
    this.ledger.release(lease, ending, this.seconds());
  }

  /** Somebody else on this host has the port. */
  hold(lease: Lease): void {
    this.ledger.hold(lease, this.seconds());
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
