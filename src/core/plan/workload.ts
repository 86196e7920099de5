/**
 * What a planner is told: how many connections, how long, who closes them, and from which ports. Everything has the value a
 * Linux host has unless somebody changed it; a fact that was assumed and not told is listed by `assumptions`.
 */
import { defaultPortRange, type PortRange, snatPortRange } from '../port-range.ts';
import { TIME_WAIT_SECONDS, timerGranule } from '../timer-tick.ts';

/** Who sends the first FIN and so keeps the TIME_WAIT (RFC 9293, 3.6); `reset`: the client closes with RST and nobody does. */
export type Closer = 'client' | 'server' | 'reset';

/**
 * Who chooses the source port: the kernel at connect() (also after IP_BIND_ADDRESS_NO_PORT), the kernel at bind(ip, 0) for all
 * destinations at once, or the application itself (HAProxy's `source ip:lo-hi`, Plimsoll's ledger).
 */
export type PortChoice = 'connect' | 'bind' | 'explicit';

/** A NAT between the sources and the destinations. */
export interface Snat {
  readonly range: PortRange;
  /** Addresses it translates to, each towards each destination a port space of its own. */
  readonly addresses: number;
  /** nf_conntrack_tcp_timeout_time_wait, in seconds. */
  readonly timeWait: number;
  /** nf_conntrack_tcp_timeout_close: what a reset connection leaves, in seconds. */
  readonly afterReset: number;
}

/** The load to plan for, all of it: what the flags of `plan` or a measured port space say. */
export interface Workload {
  /** Requests per second over all port spaces; each is a connection of its own unless the next two say otherwise. */
  readonly rate: number;
  readonly requestsPerConnection: number;
  /** Seconds a server takes per request, where connections are kept open and shared; else null. */
  readonly upstreamLatency: number | null;
  /** Seconds a server takes per request, for what multiplexing would do; null if not told. */
  readonly serverTime: number | null;
  /** Seconds from connect() to the first FIN. */
  readonly duration: number;
  readonly closer: Closer;
  readonly sources: number;
  /** Destination addresses times ports. */
  readonly destinations: number;
  readonly range: PortRange;
  /** Ports of the range that nobody may take: reserved, listened on, bound. */
  readonly blocked: number;
  /** Seconds a TIME_WAIT lasts on the closing host. */
  readonly timeWait: number;
  /** How late its timer may be, in seconds. */
  readonly tick: number;
  readonly twReuse: 0 | 1 | 2;
  readonly twReuseDelay: number;
  /** TCP timestamps on both ends. */
  readonly timestamps: boolean;
  /** Source or destination is 127/8 or ::1. */
  readonly loopback: boolean;
  readonly portChoice: PortChoice;
  readonly snat: Snat | null;
}

/** The default of `--tick`: what Linux adds to its own 60 s at HZ 250; nothing is known of other stacks' timers. */
export const defaultTick = (timeWait: number, hz = 250): number => (timeWait === TIME_WAIT_SECONDS ? timerGranule(timeWait, hz) : 0);

export const defaultSnat: Snat = { range: snatPortRange, addresses: 1, timeWait: 120, afterReset: 10 };

/** One connection per request from one address to one endpoint on a Linux host as installed. */
export const defaultWorkload: Workload = {
  rate: 1,
  requestsPerConnection: 1,
  upstreamLatency: null,
  serverTime: null,
  duration: 0,
  closer: 'client',
  sources: 1,
  destinations: 1,
  range: defaultPortRange,
  blocked: 0,
  timeWait: TIME_WAIT_SECONDS,
  tick: defaultTick(TIME_WAIT_SECONDS),
  twReuse: 2,
  twReuseDelay: 1,
  timestamps: true,
  loopback: false,
  portChoice: 'connect',
  snat: null,
};

/** New connections per second over all port spaces; 0 where connections are kept. */
export const connectionRate = (w: Workload): number => (w.upstreamLatency === null ? w.rate / w.requestsPerConnection : 0);

/** Connections open at once over all port spaces, by Little's law; at least one where they are kept and shared. */
export const connectionsOpen = (w: Workload): number =>
  w.upstreamLatency === null ? connectionRate(w) * w.duration : Math.max(1, Math.ceil(w.rate * w.upstreamLatency));

/**
 * Seconds for which a closed connection keeps its port here, and how late that may end. connect() takes a TIME_WAIT that is older
 * than tcp_tw_reuse_delay where tcp_tw_reuse applies (net/ipv4/tcp_ipv4.c, tcp_twsk_unique); a port named by the application
 * reopens its own TIME_WAIT at once. Both need timestamps on both ends.
 */
export const afterClose = (w: Workload): { readonly seconds: number; readonly tick: number; readonly why: 'none' | 'life' | 'reuse' } => {
  if (w.closer !== 'client' || connectionRate(w) === 0) return { seconds: 0, tick: 0, why: 'none' };
  if (w.portChoice === 'explicit' && w.timestamps) return { seconds: 0, tick: 0, why: 'reuse' };
  const reuses = w.timestamps && w.portChoice === 'connect' && (w.twReuse === 1 || (w.twReuse === 2 && w.loopback));
  if (reuses && w.twReuseDelay < w.timeWait) return { seconds: w.twReuseDelay, tick: 0, why: 'reuse' };
  return { seconds: w.timeWait, tick: w.tick, why: 'life' };
};
