/** One look at a host: every sensor once, in each namespace asked for. `doctor` looks twice, `watch` and `serve` go on looking. */
import { hostname, release } from 'node:os';
import { PlimsollError } from '../core/errors.ts';
import type { ConntrackSample, Counters, HostFacts, NamespaceSample, Reading, SensorReport } from '../core/host-sample.ts';
import { portsInDoubt } from '../core/occupancy.ts';
import { PortSet } from '../core/port-range.ts';
import type { OwnerShare } from '../core/port-space.ts';
import { type MeasuredSpace, type NamespaceView, viewNamespace } from '../core/port-spaces.ts';
import { SocketTable } from '../core/socket-table.ts';
import { readConntrack } from './conntrack.ts';
import { readCounters } from './counters.ts';
import { type Ffi, ffi } from './ffi.ts';
import type { LookMemory } from './look-memory.ts';
import { inNamespace, type NetworkNamespace } from './netns.ts';
import { findOwners } from './owners.ts';
import { probePorts } from './port-probe.ts';
import { PortWatch } from './port-watch.ts';
import { type HostRoot, liveRoot, readText, unreadable } from './proc.ts';
import { Reports } from './reports.ts';
import { sourceTowards } from './route.ts';
import { readSettings } from './settings.ts';
import { readProcSockets } from './sock-diag/procfs.ts';
import { walkSockets } from './sock-diag/walk.ts';

export interface SampleOptions {
  /** Read tcp_info: silence and timestamps of live sockets. */
  readonly info: boolean;
  /** Milliseconds the port probe may take; 0 asks nothing. */
  readonly probeBudget: number;
  /** Look only here, of the sampler's namespaces. */
  readonly only?: NetworkNamespace;
  /** What an earlier look kept of a namespace. Its spare table is filled again. */
  readonly memory?: (namespace: NetworkNamespace) => LookMemory;
  /** Where sensors report to, for looks that belong together. */
  readonly reports?: Reports;
}

/** What one look found, and how each sensor fared. */
export interface HostLook {
  readonly views: readonly NamespaceView[];
  readonly sensors: readonly SensorReport[];
}

const ok = { status: 'ok', value: null } as const;
const notProbed = { blocked: new PortSet(), unknown: new PortSet() };

/** What asking about one port costs, in milliseconds. */
const PROBE_MS = 0.004;

const CLOCK_MONOTONIC_COARSE = 6;

/** The resolution of the coarse clock is one timer interrupt: HZ from user space. */
const readTickHz = (c: Reading<Ffi>): number | null => {
  if (c.status !== 'ok') return null;
  const timespec = new Uint8Array(16);
  if (c.value.clockGetres(CLOCK_MONOTONIC_COARSE, timespec) < 0) return null;
  const nanoseconds = Number(new DataView(timespec.buffer).getBigInt64(8, true));
  return nanoseconds > 0 ? Math.round(1e9 / nanoseconds) : null;
};

/** Looks at the network namespaces it was given, in the caller's thread; remembers nothing between looks by itself. */
export class Sampler {
  readonly facts: HostFacts;
  private readonly root: HostRoot;
  private readonly c: Reading<Ffi> = ffi();
  private looked: readonly NetworkNamespace[];

  constructor(namespaces: readonly NetworkNamespace[], root: HostRoot = liveRoot) {
    this.root = root;
    this.looked = namespaces;
    this.facts = {
      name: readText(`${root.proc}/sys/kernel/hostname`) ?? hostname(),
      kernel: readText(`${root.proc}/sys/kernel/osrelease`) ?? release(),
      tickHz: readTickHz(this.c),
    };
  }

  get namespaces(): readonly NetworkNamespace[] {
    return this.looked;
  }

  /** Looks into these from now on: containers come and go. */
  follow(namespaces: readonly NetworkNamespace[]): void {
    this.looked = namespaces;
  }

  /** Reads everything once. A namespace that cannot be entered is left out and reported; one that vanished is just left out. */
  look(options: SampleOptions): HostLook {
    const reports = options.reports ?? new Reports();
    const views: NamespaceView[] = [];
    const library = this.c.status === 'ok' ? this.c.value : null;
    for (const namespace of options.only === undefined ? this.namespaces : [options.only]) {
      try {
        views.push(inNamespace(library, namespace, () => this.lookInside(namespace, options, reports)));
      } catch (error) {
        if (!(error instanceof PlimsollError) || error.code !== 'namespace_denied') throw error;
        if (this.namespaces.length === 1) throw error;
        if (error.facts['reason'] !== 'ENOENT')
          reports.note('namespaces', { status: 'denied', hint: `${error.message}; ${error.hint}` }, 0);
      }
    }
    return { views, sensors: reports.all() };
  }

  private lookInside(namespace: NetworkNamespace, options: SampleOptions, reports: Reports): NamespaceView {
    const { root, c } = this;
    const at = performance.now() / 1000;
    const settings = reports.measure('settings', () => ({
      value: readSettings(root),
      reading:
        readText(`${root.proc}/sys/net/ipv4/ip_local_port_range`) === null
          ? { status: 'absent', hint: 'no sysctls in /proc: Linux defaults are assumed' }
          : ok,
    }));
    const counters = reports.measure('counters', (): { value: Counters; reading: Reading<unknown> } => {
      try {
        return { value: readCounters(root), reading: ok };
      } catch (error) {
        return { value: {}, reading: unreadable(error, '/proc/net/netstat', 'read access') };
      }
    });
    // Room for all of them at once, and some that come meanwhile: growing columns costs more than asking how many there are.
    const expect = 1.05 * ((counters['sockstat_inuse'] ?? 0) + (counters['sockstat_tw'] ?? 0)) + 256;
    const memory = options.memory?.(namespace) ?? null;
    const sockets = reports.measure('sockets', () => this.readSockets(options.info, expect, memory));
    const conntrack = reports.measure('conntrack', (): { value: ConntrackSample | null; reading: Reading<unknown> } => {
      const { sample, flows } = readConntrack(root, c);
      return { value: sample, reading: flows };
    });
    const sample: NamespaceSample = {
      id: namespace.id,
      name: namespace.name,
      at,
      settings,
      sockets,
      probe: notProbed,
      counters,
      conntrack,
    };
    const view = viewNamespace(sample);
    if (options.probeBudget <= 0) return view;
    const probe = reports.measure('explicit binds', () => {
      const now = (): number => performance.now();
      const deadline = now() + options.probeBudget;
      // With one destination its own ports are counted anyway, and asking a few tells whether they were bound.
      const doubt = portsInDoubt(view.groups, settings);
      const ask = (asked: readonly number[]) => probePorts(c, asked, now, deadline);
      const { probe, reading } = memory === null ? ask(doubt) : memory.probed.ask(doubt, Math.ceil(options.probeBudget / PROBE_MS), ask);
      return { value: probe, reading };
    });
    return { groups: view.groups, sample: { ...sample, probe } };
  }

  private readSockets(info: boolean, expect: number, memory: LookMemory | null): { value: SocketTable; reading: Reading<unknown> } {
    if (this.c.status === 'ok' && this.root.proc === liveRoot.proc) {
      try {
        const table = memory?.spare ?? new SocketTable(expect);
        if (memory !== null) memory.spare = null;
        return { value: walkSockets(this.c.value, { info, expect, table }), reading: ok };
      } catch (error) {
        const fallback = {
          status: 'unsupported',
          hint: `${(error as Error).message}; read from /proc instead, without bound-only sockets, silence and timestamps`,
        } as const;
        return { value: readProcSockets(this.root), reading: fallback };
      }
    }
    return { value: readProcSockets(this.root), reading: this.c.status === 'ok' ? ok : this.c };
  }

  /** The source address that the first namespace's routes give towards a destination; null without a route. */
  sourceTowards(destination: string, port: number): string | null {
    const library = this.c.status === 'ok' ? this.c.value : null;
    if (library === null || this.namespaces[0] === undefined) return null;
    return inNamespace(library, this.namespaces[0], () => sourceTowards(library, destination, port));
  }

  /** Starts watching connect() on the whole host, or says why it cannot. */
  watch(): Reading<PortWatch> {
    return PortWatch.start(this.c, this.root);
  }

  /**
   * The processes that hold the sockets of `spaces`, by space id, most sockets first. Looks for at most `budget` milliseconds of
   * processor time: on a busy host those of the clock would end before the first process.
   */
  owners(
    spaces: readonly MeasuredSpace[],
    budget = Number.POSITIVE_INFINITY,
  ): {
    readonly bySpace: ReadonlyMap<string, readonly OwnerShare[]>;
    readonly report: SensorReport;
  } {
    const begun = process.cpuUsage();
    const late = (): boolean => {
      const { user, system } = process.cpuUsage(begun);
      return user + system > budget * 1000;
    };
    const reports = new Reports();
    const bySpace = new Map<string, readonly OwnerShare[]>();
    const views = new Set(spaces.map((s) => s.view));
    for (const view of views) {
      const mine = spaces.filter((s) => s.view === view);
      const { table, rows } = view.groups;
      const inodes = new Set<number>();
      for (const { members } of mine) for (const g of members) for (let i = g.start; i < g.end; i++) inodes.add(table.inode[rows[i]!]!);
      inodes.delete(0);
      const owners = reports.measure('owners', () => {
        const found = findOwners(this.root, inodes, view.sample.id, late);
        return { value: found.owners, reading: found.reading };
      });
      for (const { space, members } of mine) {
        const shares = new Map<number, OwnerShare>();
        for (const g of members) {
          for (let i = g.start; i < g.end; i++) {
            const owner = owners.get(table.inode[rows[i]!]!);
            if (owner === undefined) continue;
            const known = shares.get(owner.pid);
            shares.set(owner.pid, { ...owner, sockets: (known?.sockets ?? 0) + 1, opens: null });
          }
        }
        bySpace.set(
          space.id,
          [...shares.values()].sort((a, b) => b.sockets - a.sockets),
        );
      }
    }
    return { bySpace, report: reports.all()[0] ?? { name: 'owners', status: 'ok', duration: 0, hint: '' } };
  }
}
