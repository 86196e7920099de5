/**
 * What the sensors read of a host at one moment: facts only. Everything after this is arithmetic over them.
 *
 * Times are seconds; `at` is monotonic, so that two samples can be subtracted.
 */
import type { PortRange, PortSet } from './port-range.ts';
import type { SocketTable } from './socket-table.ts';

/** No data is an answer: a value, or why there is none and what that means for the reader. */
export type Reading<T> =
  | { readonly status: 'ok'; readonly value: T }
  | { readonly status: 'absent' | 'denied' | 'unsupported'; readonly hint: string };

export type SensorStatus = Reading<never>['status'] | 'ok';

/** How one sensor did, for the report. */
export interface SensorReport {
  readonly name: string;
  readonly status: SensorStatus;
  readonly duration: number;
  readonly hint: string;
}

/** The settings of a network namespace that decide how its ports are chosen and kept. */
export interface NamespaceSettings {
  readonly portRange: PortRange;
  readonly reserved: readonly PortRange[];
  /** net.ipv4.tcp_tw_reuse: 0 off, 1 on, 2 loopback only. */
  readonly twReuse: 0 | 1 | 2;
  /** How long a TIME_WAIT must have lasted before connect() takes its port; 1 s before Linux 6.14. */
  readonly twReuseDelay: number;
  readonly timestamps: boolean;
  readonly finTimeout: number;
  readonly maxTwBuckets: number;
}

/** Counters by the kernel's own names (`TW`, `TCPSYNChallenge`, `ActiveOpens`); those the kernel lacks are absent. */
export type Counters = Readonly<Record<string, number>>;

/** What a connect() that was confined to one port said about it. */
export interface PortProbe {
  /** Ports that no automatic choice takes, because somebody bound them explicitly. */
  readonly blocked: PortSet;
  /** Ports that were in doubt and could not be asked about (old kernel, no rights, no time left). */
  readonly unknown: PortSet;
}

/** One translated flow of conntrack: `source` and `sourcePort` are the translated ones. */
export interface SnatFlow {
  readonly source: string;
  readonly sourcePort: number;
  readonly destination: string;
  readonly destinationPort: number;
  /** Seconds until conntrack forgets it, where it is in TIME_WAIT; else null. */
  readonly timeWaitLeft: number | null;
}

export interface ConntrackSample {
  readonly count: number;
  readonly max: number;
  readonly timeWaitTimeout: number;
  readonly establishedTimeout: number;
  /** Sums over all CPUs of /proc/net/stat/nf_conntrack. */
  readonly counters: Counters;
  /** Flows whose source is translated; null where they could not be read. */
  readonly snatFlows: readonly SnatFlow[] | null;
}

/** A connect() that found no port, as the kernel's tracepoint told it. */
export interface FailedSearch {
  readonly source: string;
  readonly destination: string;
  readonly destinationPort: number;
  readonly pid: number;
  readonly command: string;
  /** Id of the namespace it happened in; null when the process was gone before it could be asked. */
  readonly namespace: string | null;
}

/** Who opened connections while we watched: a sample of connect() calls, each worth `weight`. */
export interface Opening {
  readonly destination: string;
  readonly destinationPort: number;
  readonly pid: number;
  readonly command: string;
  /** The port was bound before connect(): bind(ip, 0) or an explicit port. */
  readonly bound: boolean;
  readonly weight: number;
  /** As in FailedSearch. */
  readonly namespace: string | null;
}

export interface Owner {
  readonly pid: number;
  readonly command: string;
  /** Container id as its cgroup names it, or null. */
  readonly container: string | null;
}

/** What every sensor read of one network namespace at one time. */
export interface NamespaceSample {
  /** Inode number of the namespace. */
  readonly id: string;
  /** `host`, the name under /run/netns, or `pid:N`. */
  readonly name: string;
  readonly at: number;
  readonly settings: NamespaceSettings;
  readonly sockets: SocketTable;
  readonly probe: PortProbe;
  readonly counters: Counters;
  readonly conntrack: ConntrackSample | null;
}

/** What is the same in every namespace of the host. */
export interface HostFacts {
  readonly name: string;
  readonly kernel: string;
  /** Timer interrupts per second; null if unknown. */
  readonly tickHz: number | null;
}

/** What was watched between two samples; empty where the tracepoint could not be read. */
export interface Watched {
  readonly seconds: number;
  readonly failedSearches: readonly FailedSearch[] | null;
  readonly openings: readonly Opening[];
}
