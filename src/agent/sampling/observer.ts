/**
 * One continuous look at this host: `doctor` takes two of its ticks, `watch` and `serve` go on.
 *
 *   Pace says when ── Sampler looks (one namespace after the other) ── Past makes trends of it ── diagnose() judges
 *
 * A dump walks the whole host's table for each namespace, so the namespaces' looks are spread over the interval.
 */

import { carryInfo } from '../../core/carry.ts';
import { type Diagnosis, diagnose, type Looks, measureSpaces, withLedgers } from '../../core/diagnosis.ts';
import type { FailedSearch, Reading } from '../../core/host-sample.ts';
import type { LedgerUse } from '../../core/ledger-spaces.ts';
import type { AskedDestination, MeasuredSpace, NamespaceView } from '../../core/port-spaces.ts';
import type { PastUse } from '../../core/trend.ts';
import { LookMemory } from '../../linux/look-memory.ts';
import type { NetworkNamespace } from '../../linux/netns.ts';
import { Reports } from '../../linux/reports.ts';
import type { Sampler } from '../../linux/sampler.ts';
import { Holders } from './holders.ts';
import { Pace } from './pace.ts';
import { Past } from './past.ts';
import { Watching } from './watching.ts';

export interface ObserverOptions {
  readonly sampler: Sampler;
  /** The port ledgers of our balancer, if one runs here. */
  readonly ledgers: () => Promise<Reading<readonly LedgerUse[]>>;
  /** Seconds between two looks; 0: one look, without rates. */
  readonly interval: number;
  /** Port spaces to diagnose, the fullest first. */
  readonly top: number;
  /** Seconds between two readings of what is dear: tcp_info, owners. 0: with every look. */
  readonly idleEvery: number;
  /** Milliseconds a look may spend asking about explicitly bound ports. */
  readonly probeBudget?: number;
  /** Seconds between two readings of what connect() did: a process that is gone by then cannot be named. */
  readonly pollEvery?: number;
  /** Destinations to report even if no socket goes there. */
  readonly asked?: readonly AskedDestination[];
  /** Asked now and then which namespaces there are, for those that come and go. */
  readonly namespaces?: () => readonly NetworkNamespace[];
  /** What an earlier run saw of a port space; asked once for each. Times as in PastUse. */
  readonly remembered?: (id: string) => readonly PastUse[];
}

/**
 * One tick. Tables are used again: `looks.before` may be read until the next observe(), `looks.after` and `measured` until the one
 * after that. The diagnosis stays.
 */
export interface Observation {
  /** Milliseconds since the epoch. */
  readonly takenAt: number;
  /** Seconds between this look and the one before, as measured; 0 for the first. */
  readonly interval: number;
  readonly diagnosis: Diagnosis;
  /** All spaces that were measured, the fullest first; `diagnosis.spaces` are the top of them, with their owners. */
  readonly measured: readonly MeasuredSpace[];
  readonly looks: Looks;
  /** The port searches that failed since the look before; `diagnosis` counts those of the last seconds. Null: not watched. */
  readonly failedSearches: readonly FailedSearch[] | null;
  /** What the tick took: seconds spent looking, and of CPU the whole process had from its begin to its end. */
  readonly cost: { readonly seconds: number; readonly cpuSeconds: number };
  /** Seconds between looks now, where they take too long for the interval asked for; else null. */
  readonly slowedTo: number | null;
}

const PROBE_BUDGET = 5;
/** The rings hold what thousands of connections a second leave in them within this time. */
const POLL_EVERY = 0.1;
/** Seconds what connect() did is remembered. */
const WATCH_WINDOW = 10;
/** Seconds to wait for the balancer: it answers at once, or it is in trouble and the host is looked at without it. */
const LEDGER_PATIENCE = 1;
/** Spaces whose past of an earlier run was asked for. */
const MOST_ASKED = 4096;
/** Seconds between two questions which namespaces there are. */
const NAMESPACES_EVERY = 10;

interface Kept {
  readonly memory: LookMemory;
  view: NamespaceView | null;
}

const clock = (): number => performance.now() / 1000;

export class Observer {
  private readonly options: ObserverOptions;
  private readonly pace: Pace;
  private readonly past = new Past();
  private readonly asked = new Set<string>();
  private readonly holders: Holders;
  private readonly closing = new AbortController();
  private kept = new Map<string, Kept>();
  private watching: Watching | null = null;
  private ledgersBefore: { readonly at: number; readonly reading: Reading<readonly LedgerUse[]> } | null = null;
  private due: number | null = null;
  private lastInfo = Number.NEGATIVE_INFINITY;
  private lastNamespaces = Number.NEGATIVE_INFINITY;
  private ticking = false;

  constructor(options: ObserverOptions) {
    this.options = options;
    this.pace = new Pace(options.interval);
    this.holders = new Holders(options.idleEvery);
  }

  /**
   * The next look, when it is due: the first at once, then one every interval; null after close(). Call it again and again, one
   * call at a time; a caller that is late gets its look at once, and the pauses are not made up for.
   * Throws what Sampler.look throws (namespace_denied); it may be called again after that.
   */
  async observe(): Promise<Observation | null> {
    if (this.ticking) throw new Error('observe() is called while the look before is still being taken');
    this.ticking = true;
    try {
      return await this.tick();
    } finally {
      this.ticking = false;
    }
  }

  /** Ends it, also while a look is waited for. */
  close(): void {
    this.closing.abort();
    this.watching?.stop();
    this.watching = null;
  }

  private async tick(): Promise<Observation | null> {
    const { sampler, interval, idleEvery, pollEvery = POLL_EVERY } = this.options;
    const first = this.due === null;
    if (!(await this.reached(this.due ?? clock()))) return null;
    if (this.watching === null) {
      const window = Math.max(WATCH_WINDOW, 1.5 * interval);
      this.watching = new Watching(interval > 0 ? sampler.watch() : null, window, clock(), pollEvery);
    }
    // From the look itself: setting up the watch takes its time too, and two looks are to be an interval apart.
    const started = clock();
    this.due = started + this.pace.interval;
    let seconds = 0;
    const cpu = process.cpuUsage();
    const work = <T>(todo: () => T): T => {
      const from = clock();
      try {
        return todo();
      } finally {
        seconds += clock() - from;
      }
    };

    const info = started - this.lastInfo >= idleEvery;
    if (info) this.lastInfo = started;
    work(() => this.refreshNamespaces(started));
    const reports = new Reports();
    const reading = this.readLedgers();
    const before: NamespaceView[] = [];
    const after: NamespaceView[] = [];
    const { namespaces } = sampler;
    for (const [i, namespace] of namespaces.entries()) {
      const spread = first ? 0 : (i / namespaces.length) * this.pace.interval;
      if (i > 0 && spread > 0 && !(await this.reached(started + spread))) return null;
      const look = work(() => this.look(namespace, info, reports));
      if (look.before !== null) before.push(look.before);
      if (look.after !== null) after.push(look.after);
    }
    const ledgers = await reading;
    if (this.closing.signal.aborted || this.watching === null) return null;
    const takenAt = Date.now();
    const { looks, measured, diagnosis, failedSearches } = work(() => this.judge(before, after, reports, ledgers, takenAt));
    this.pace.note(seconds);
    const { user, system } = process.cpuUsage(cpu);
    return {
      takenAt,
      interval: diagnosis.interval,
      diagnosis,
      measured,
      looks,
      failedSearches,
      cost: { seconds, cpuSeconds: (user + system) / 1e6 },
      slowedTo: this.pace.slowedTo,
    };
  }

  private look(
    namespace: NetworkNamespace,
    info: boolean,
    reports: Reports,
  ): { before: NamespaceView | null; after: NamespaceView | null } {
    const { sampler, probeBudget = PROBE_BUDGET } = this.options;
    const kept: Kept = this.kept.get(namespace.id) ?? { memory: new LookMemory(), view: null };
    this.kept.set(namespace.id, kept);
    const before = kept.view;
    const { views } = sampler.look({ info, probeBudget, only: namespace, memory: () => kept.memory, reports });
    const after = views[0] ?? null;
    if (after !== null) {
      if (before !== null && !info) carryInfo(before, after);
      kept.view = after;
      // This tick still compares with it; the next may fill it.
      kept.memory.spare = before?.groups.table ?? null;
    }
    return { before, after };
  }

  private judge(
    before: readonly NamespaceView[],
    after: readonly NamespaceView[],
    reports: Reports,
    ledgers: Reading<readonly LedgerUse[]>,
    takenAt: number,
  ): {
    readonly looks: Looks;
    readonly measured: readonly MeasuredSpace[];
    readonly diagnosis: Diagnosis;
    readonly failedSearches: readonly FailedSearch[] | null;
  } {
    const { sampler, top, asked = [] } = this.options;
    const { watched, fresh } = this.watching!.take(clock());
    const looks: Looks = { host: sampler.facts, takenAt: new Date(takenAt).toISOString(), before, after, watched };
    const at = after[0]?.sample.at ?? clock();
    const earlier = this.ledgersBefore;
    this.ledgersBefore = { at, reading: ledgers };
    const past = (id: string): readonly PastUse[] => this.pastOf(id);
    const measured = withLedgers(
      measureSpaces(looks, asked, past),
      after[0],
      ledgers,
      earlier?.reading ?? null,
      earlier === null ? 0 : at - earlier.at,
      past,
    );
    if (this.options.interval > 0)
      for (const { space, view } of measured) this.past.add(space.id, { at: view.sample.at, live: space.load.live });
    const { bySpace, report } = this.holders.of(sampler, measured.slice(0, top), clock());
    const sensors = [
      ...reports.all(),
      report,
      this.watching!.report(),
      { name: 'balancer', status: ledgers.status, duration: 0, hint: ledgers.status === 'ok' ? '' : ledgers.hint },
    ];
    return { looks, measured, failedSearches: fresh, diagnosis: diagnose(looks, measured, bySpace, sensors, top, asked) };
  }

  /** What was seen of a space before; the first time, what an earlier run saw. */
  private pastOf(id: string): readonly PastUse[] {
    if (this.options.remembered !== undefined && !this.asked.has(id)) {
      if (this.asked.size >= MOST_ASKED) this.asked.clear();
      this.asked.add(id);
      for (const use of this.options.remembered(id)) this.past.add(id, use);
    }
    return this.past.of(id);
  }

  private refreshNamespaces(now: number): void {
    const { namespaces, sampler } = this.options;
    if (namespaces === undefined || now - this.lastNamespaces < NAMESPACES_EVERY) return;
    this.lastNamespaces = now;
    sampler.follow(namespaces());
    const ids = new Set(sampler.namespaces.map((n) => n.id));
    for (const id of this.kept.keys()) if (!ids.has(id)) this.kept.delete(id);
  }

  private async readLedgers(): Promise<Reading<readonly LedgerUse[]>> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<Reading<never>>((resolve) => {
      const hint = `the balancer did not answer within ${LEDGER_PATIENCE} s: its port spaces are not counted`;
      timer = setTimeout(() => resolve({ status: 'absent', hint }), LEDGER_PATIENCE * 1000);
    });
    try {
      return await Promise.race([this.options.ledgers(), late]);
    } finally {
      clearTimeout(timer);
    }
  }

  /** Waits until `clock()` is `at`; false once closed. */
  private reached(at: number): Promise<boolean> {
    const { signal } = this.closing;
    if (signal.aborted) return Promise.resolve(false);
    const wait = (at - clock()) * 1000;
    if (wait <= 0) return Promise.resolve(true);
    return new Promise((resolve) => {
      const finish = (whole: boolean): void => {
        clearTimeout(timer);
        signal.removeEventListener('abort', onAbort);
        resolve(whole);
      };
      const onAbort = (): void => finish(false);
      const timer = setTimeout(() => finish(true), Math.ceil(wait));
      signal.addEventListener('abort', onAbort);
    });
  }
}
