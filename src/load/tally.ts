/** What happened, counted: by one process in one interval, and added up over all of them. */
import { Histogram, type HistogramCounts } from './histogram.ts';
import { type Cause, causes, type Failure } from './outcome.ts';

/** The first time no source port was to be had. */
export interface Shortage {
  /** Seconds from the beginning. */
  readonly at: number;
  readonly code: string;
  readonly call: string;
}

/** Ports of one source address of the ledger, as of the end of an interval. */
export interface LedgerPorts {
  readonly address: string;
  readonly capacity: number;
  readonly used: number;
  readonly free: number;
  readonly cooling: number;
  readonly held_by_others: number;
  readonly early_reuses: number;
}

export type Errors = Readonly<Record<Cause, number>>;

/** Counts of an interval. What is open stands for its end. */
export interface Delta {
  /** Seconds from the beginning when it was taken. */
  readonly at: number;
  readonly scheduled: number;
  readonly sent: number;
  readonly ok: number;
  /** Not attempted: as many as may be were under way, or a search for a port had just failed. */
  readonly missedBusy: number;
  readonly missedNoPort: number;
  /** Overdue by so much that it was not sent any more. */
  readonly missedLate: number;
  readonly errors: Errors;
  /** `ECONNREFUSED connect` → how often. */
  readonly details: Readonly<Record<string, number>>;
  readonly opened: number;
  readonly closedByUs: number;
  readonly closedByServer: number;
  /** Ended by RST from either side, or never opened. */
  readonly broken: number;
  readonly bytes: number;
  readonly open: number;
  readonly underWay: number;
  readonly shortage: Shortage | null;
  readonly ledger: readonly LedgerPorts[];
  readonly latency: HistogramCounts;
  readonly lateness: HistogramCounts;
}

const noErrors = (): Record<Cause, number> => Object.fromEntries(causes.map((c) => [c, 0])) as Record<Cause, number>;

/** Distinct errors kept by name; the rest is only counted. */
const mostDetails = 32;

/** One process' counters, emptied at the end of every interval. */
export class Tally {
  readonly latency = new Histogram();
  readonly lateness = new Histogram();
  scheduled = 0;
  sent = 0;
  ok = 0;
  missedBusy = 0;
  missedNoPort = 0;
  missedLate = 0;
  opened = 0;
  closedByUs = 0;
  closedByServer = 0;
  broken = 0;
  bytes = 0;
  private errors = noErrors();
  private details: Record<string, number> = {};
  private detailKinds = 0;
  private shortage: Shortage | null = null;
  private wasShort = false;

  /** Counts a failure; `at` is in seconds from the beginning. */
  fail(failure: Failure, at: number): void {
    this.errors[failure.cause]++;
    const name = `${failure.code} ${failure.call}`;
    if (this.details[name] === undefined && ++this.detailKinds > mostDetails) return;
    this.details[name] = (this.details[name] ?? 0) + 1;
    if (failure.cause !== 'local_port' || this.wasShort) return;
    this.wasShort = true;
    this.shortage = { at, code: failure.code, call: failure.call };
  }

  take(at: number, open: number, underWay: number, ledger: readonly LedgerPorts[]): Delta {
    const delta: Delta = {
      at,
      scheduled: this.scheduled,
      sent: this.sent,
      ok: this.ok,
      missedBusy: this.missedBusy,
      missedNoPort: this.missedNoPort,
      missedLate: this.missedLate,
      errors: this.errors,
      details: this.details,
      opened: this.opened,
      closedByUs: this.closedByUs,
      closedByServer: this.closedByServer,
      broken: this.broken,
      bytes: this.bytes,
      open,
      underWay,
      shortage: this.shortage,
      ledger,
      latency: this.latency.take(),
      lateness: this.lateness.take(),
    };
    this.scheduled = this.sent = this.ok = this.missedBusy = this.missedNoPort = this.missedLate = 0;
    this.opened = this.closedByUs = this.closedByServer = this.broken = this.bytes = 0;
    this.errors = noErrors();
    this.details = {};
    this.shortage = null;
    return delta;
  }
}

/** The whole of a run so far, over all processes. */
export class Total {
  readonly latency = new Histogram();
  readonly lateness = new Histogram();
  readonly errors = noErrors();
  readonly details = new Map<string, number>();
  scheduled = 0;
  sent = 0;
  ok = 0;
  missedBusy = 0;
  missedNoPort = 0;
  missedLate = 0;
  opened = 0;
  closedByUs = 0;
  closedByServer = 0;
  broken = 0;
  bytes = 0;
  shortage: Shortage | null = null;
  /** Of each process, as of its last word. */
  private readonly now = new Map<number, { readonly open: number; readonly underWay: number; readonly ledger: readonly LedgerPorts[] }>();

  add(process: number, d: Delta): void {
    this.scheduled += d.scheduled;
    this.sent += d.sent;
    this.ok += d.ok;
    this.missedBusy += d.missedBusy;
    this.missedNoPort += d.missedNoPort;
    this.missedLate += d.missedLate;
    this.opened += d.opened;
    this.closedByUs += d.closedByUs;
    this.closedByServer += d.closedByServer;
    this.broken += d.broken;
    this.bytes += d.bytes;
    for (const cause of causes) this.errors[cause] += d.errors[cause];
    for (const [name, n] of Object.entries(d.details)) this.details.set(name, (this.details.get(name) ?? 0) + n);
    if (d.shortage !== null && (this.shortage === null || d.shortage.at < this.shortage.at)) this.shortage = d.shortage;
    this.latency.add(d.latency);
    this.lateness.add(d.lateness);
    this.now.set(process, { open: d.open, underWay: d.underWay, ledger: d.ledger });
  }

  get missed(): number {
    return this.missedBusy + this.missedNoPort + this.missedLate;
  }

  get failed(): number {
    return causes.reduce((sum, cause) => sum + this.errors[cause], 0);
  }

  get open(): number {
    return [...this.now.values()].reduce((sum, p) => sum + p.open, 0);
  }

  get underWay(): number {
    return [...this.now.values()].reduce((sum, p) => sum + p.underWay, 0);
  }

  /** The ledger's ports by source address, over all processes. */
  get ledger(): readonly LedgerPorts[] {
    const rows = new Map<string, LedgerPorts>();
    for (const { ledger } of this.now.values()) {
      for (const row of ledger) {
        const known = rows.get(row.address);
        rows.set(
          row.address,
          known === undefined
            ? row
            : {
                address: row.address,
                capacity: known.capacity + row.capacity,
                used: known.used + row.used,
                free: known.free + row.free,
                cooling: known.cooling + row.cooling,
                held_by_others: known.held_by_others + row.held_by_others,
                early_reuses: known.early_reuses + row.early_reuses,
              },
        );
      }
    }
    return [...rows.values()];
  }
}
