/**
 * What is wrong with one port space, and why. Each definition looks at one cause; those that explain a shortage hide the bare
 * statement of it. Definitions read top to bottom in the order they are shown.
 */
import { formatEndpoint } from '../address.ts';
import type { Evidence, Finding, Severity } from '../finding.ts';
import { IDLE_SECONDS } from '../load.ts';
import { defaultPortRange, formatRange, PortSet, rangeSize } from '../port-range.ts';
import { passSeconds } from '../port-search.ts';
import type { PortSpace } from '../port-space.ts';
import { type NamespaceView, SNAT_LOSS_RATIO } from '../port-spaces.ts';
import { formatDuration, formatNumber, formatPercent, formatRate } from '../quantity.ts';
import type { RemedyCode } from '../remedy/codes.ts';
import { TIME_WAIT_SECONDS } from '../timer-tick.ts';
import type { HostFindingCode } from './codes.ts';
import { CRITICAL_RATIO, urgency } from './urgency.ts';

/** `10.0.0.5 → 10.0.0.9:443`. */
export const nameOf = (space: PortSpace): string =>
  `${space.source} → ${space.destination === null ? 'all destinations' : formatEndpoint(space.destination, space.destinationPort ?? 0)}${space.label === null ? '' : ` (${space.label})`}`;

const fact = (name: string, value: number | string, unit: string, source: string): Evidence => ({ name, value, unit, source });

/** `has run out of source ports`, `is 87 % full`, `runs out in about 35 s`. */
export const stateOf = (space: PortSpace): string => {
  const { forecast } = space;
  if (forecast.kind === 'exhausted') return 'has run out of source ports';
  const full = `is ${formatPercent(space.usedRatio)} full`;
  if (forecast.kind !== 'exhausts') return full;
  const sure = forecast.secondsHigh !== null && forecast.secondsHigh - forecast.secondsLow < 0.2 * forecast.seconds;
  const range = sure
    ? ''
    : ` (${formatDuration(forecast.secondsLow)} to ${forecast.secondsHigh === null ? 'never' : formatDuration(forecast.secondsHigh)})`;
  return `${full} and runs out in ${formatDuration(forecast.seconds)}${range}`;
};

const portsSentence = (space: PortSpace): string => `${formatNumber(space.used)} of its ${formatNumber(space.capacity)} ports are used`;

/** A search that costs less than this is nobody's trouble, in seconds. */
const SEARCH_WORTH_TELLING = 50e-6;
/** Share of a core from which the search is more than a remark. */
const SEARCH_WARNING_CORE = 0.1;

/** Seconds that each connect() scans once the first parity is full. */
export const searchCost = (space: PortSpace): number => {
  const waiting = space.held > 0 ? space.byState.time_wait / Math.max(1, space.held) : 0;
  return passSeconds(space.searchWall.at, waiting);
};

interface Draft {
  readonly severity: Severity;
  readonly title: string;
  readonly text: string;
  readonly evidence: readonly Evidence[];
  readonly remedies: readonly RemedyCode[];
}

interface Definition {
  readonly code: HostFindingCode;
  /** It tells why ports are short: the bare statement of the shortage is left out then. */
  readonly explains: boolean;
  /** `urgent` is null for a space that is not short of ports. */
  readonly detect: (space: PortSpace, urgent: Severity | null, view: NamespaceView) => Draft | null;
}

const share = (part: number, whole: number): number => (whole > 0 ? part / whole : 0);

const definitions: readonly Definition[] = [
  {
    code: 'failed_port_searches',
    explains: false,
    detect: (space) => {
      const failed = space.failedSearches ?? 0;
      if (failed === 0) return null;
      return {
        severity: 'critical',
        title: `${formatNumber(failed)} connect${failed === 1 ? '' : 's'} found no port: ${nameOf(space)}`,
        text: `While we watched, connect() failed ${formatNumber(failed)} time${failed === 1 ? '' : 's'} with EADDRNOTAVAIL. That is a shortage of this host, not a fault of the destination.`,
        evidence: [fact('failed_searches', failed, 'connects', 'tracepoint sock:inet_sock_set_state')],
        remedies: [],
      };
    },
  },
  {
    code: 'shared_bind_pool',
    explains: true,
    detect: (space, urgent) => {
      if (space.kind !== 'bind' || urgent === null) return null;
      const n = space.shared.length;
      return {
        severity: urgent,
        title: `bind(${space.source}, 0) shares one pool over ${n === 1 ? 'whatever destination' : `all ${formatNumber(n)} destinations`}, and it ${stateOf(space)}`,
        text: `${portsSentence(space)}. A port chosen by bind(ip, 0) is taken from every destination, and from every other program's connect() too; the failure is EADDRINUSE at bind(). Node's localAddress without localPort does this.`,
        evidence: [
          fact('explicitly_bound', space.held, 'ports', 'connect() confined to one port'),
          ...space.shared.slice(0, 3).map((s) => fact(`held_${s.destination}:${s.destinationPort}`, s.held, 'ports', 'sock_diag')),
        ],
        remedies: ['bind_address_no_port', 'multiplexing', 'add_source_addresses', 'widen_range'],
      };
    },
  },
  {
    code: 'snat_ports_short',
    explains: true,
    detect: (space, urgent, view) => {
      if (space.kind !== 'snat' || urgent === null) return null;
      const c = view.sample.conntrack;
      return {
        severity: space.usedRatio >= SNAT_LOSS_RATIO ? 'critical' : urgent,
        title: `Translated source ${nameOf(space)} ${stateOf(space)}`,
        text: `${portsSentence(space)} by conntrack. From ${formatPercent(SNAT_LOSS_RATIO)} on it begins to lose SYNs, because it tries at most 240 ports; clients see connects of 1, 3, 7 s and no error here. ip_local_port_range does not matter for it.`,
        evidence: [
          fact('time_wait', space.byState.time_wait, 'flows', 'ctnetlink'),
          fact('insert_failed', c?.counters['insert_failed'] ?? 0, 'packets since boot', '/proc/net/stat/nf_conntrack'),
          fact('drop', c?.counters['drop'] ?? 0, 'packets since boot', '/proc/net/stat/nf_conntrack'),
        ],
        remedies: ['add_source_addresses', 'conntrack_settings', 'multiplexing', 'add_destinations'],
      };
    },
  },
  {
    code: 'time_wait_churn',
    explains: true,
    detect: (space, urgent) => {
      const { time_wait } = space.byState;
      if (urgent === null || space.kind !== 'connect' || share(space.load.timeWaits.length, space.used) < 0.5) return null;
      const { timeWaitLife, tick, timeWaitRate, timeWaits, live } = space.load;
      const last = Array.from(timeWaits).reduce((a, b) => Math.max(a, b), 0) + tick;
      const settles = Math.round(live + timeWaitRate * (timeWaitLife + tick / 2));
      const course =
        timeWaitRate * timeWaitLife < 1
          ? `None began while we looked: the last of them is gone in ${formatDuration(last)}.`
          : `At ${formatRate(timeWaitRate)} they would settle at ${formatNumber(settles)}.`;
      return {
        severity: urgent,
        title: `Short connections fill ${nameOf(space)} with TIME_WAIT: it ${stateOf(space)}`,
        text: `${formatNumber(time_wait)} of the ${formatNumber(space.used)} ports used wait out the ${TIME_WAIT_SECONDS} s that the side closing first must wait (120 s is conntrack's timer, not the socket's). ${course} ${formatNumber(space.capacity)} ports sustain ${formatRate(space.capacity / (timeWaitLife + tick))} without a failure.`,
        evidence: [
          fact('time_wait', time_wait, 'sockets', 'sock_diag'),
          fact('time_wait_rate', Math.round(timeWaitRate * 10) / 10, 'per second', 'ages of the TIME_WAITs'),
          fact(
            'sustainable_rate',
            Math.floor((space.capacity / (timeWaitLife + tick)) * 10) / 10,
            'per second',
            'capacity / (60 s + one timer tick)',
          ),
        ],
        remedies: ['multiplexing', 'peer_closes_first', 'tcp_tw_reuse', 'add_source_addresses', 'add_destinations', 'widen_range'],
      };
    },
  },
  {
    code: 'idle_one_to_one',
    explains: true,
    detect: (space, urgent) => {
      const idle = space.idleConnections ?? 0;
      if (idle < 3 || share(idle, space.used) < 0.5 || (urgent === null && space.usedRatio < 0.5)) return null;
      return {
        severity: urgent ?? 'warning',
        title: `Idle connections hold ${nameOf(space)}: it ${stateOf(space)}`,
        text: `${formatNumber(idle)} of the ${formatNumber(space.used)} ports used belong to established connections that were silent for over ${IDLE_SECONDS} s. That is one server connection per client, kept as long as the client stays; few are needed at once.`,
        evidence: [
          fact('idle', idle, 'connections', 'tcp_info'),
          fact('established', space.byState.established, 'connections', 'sock_diag'),
        ],
        remedies: ['multiplexing', 'shorten_idle_timeout', 'add_source_addresses', 'widen_range'],
      };
    },
  },
  {
    code: 'close_wait_leak',
    explains: true,
    detect: (space, urgent) => {
      const { close_wait } = space.byState;
      const old = space.closeWaitAges.filter((age) => age > LEAK_AGE).length;
      const leaks = old >= LEAK_SOCKETS || (urgent !== null && share(close_wait, space.used) >= 0.3);
      if (!leaks || close_wait === 0) return null;
      const who = space.owners[0];
      const oldest = space.closeWaitAges.at(-1);
      const name = who === undefined ? 'A process here' : `${who.command} (pid ${who.pid})`;
      return {
        severity: urgent ?? 'warning',
        title: `${name} does not close its connections: ${formatNumber(close_wait)} in CLOSE_WAIT on ${nameOf(space)}`,
        text: `The other side closed ${formatNumber(close_wait)} connections and ours never did${oldest === undefined ? '' : `, the oldest ${formatDuration(oldest)} ago`}. No timer ends them, so the port space only fills; a restart empties it and hides the fault. It ${stateOf(space)} now.`,
        evidence: [
          fact('close_wait', close_wait, 'sockets', 'sock_diag'),
          ...(oldest === undefined ? [] : [fact('oldest', Math.round(oldest), 'seconds', 'tcp_info')]),
          ...(space.load.liveSlope > 0
            ? [fact('growth', Math.round(space.load.liveSlope * 1000) / 1000, 'per second', 'ages, or two samples')]
            : []),
        ],
        remedies: ['fix_leak', 'add_source_addresses'],
      };
    },
  },
  {
    code: 'fin_wait_2_held',
    explains: true,
    detect: (space, urgent, view) => {
      const held = space.byState.fin_wait_2;
      if (urgent === null || share(held, space.used) < 0.3) return null;
      return {
        severity: urgent,
        title: `The peer of ${nameOf(space)} does not close: ${formatNumber(held)} ports in FIN_WAIT_2`,
        text: `We closed and the other side has not. Each holds its port for tcp_fin_timeout, ${view.sample.settings.finTimeout} s here, and tcp_tw_reuse never takes it. The fault is with the program at the other end: it has as many sockets in CLOSE_WAIT.`,
        evidence: [
          fact('fin_wait_2', held, 'sockets', 'sock_diag'),
          fact('tcp_fin_timeout', view.sample.settings.finTimeout, 'seconds', 'sysctl'),
        ],
        remedies: ['shorten_fin_timeout', 'add_source_addresses', 'multiplexing'],
      };
    },
  },
  {
    code: 'syn_sent_dead_peer',
    explains: true,
    detect: (space, urgent) => {
      const waiting = space.byState.syn_sent;
      const alone = waiting >= 5 && space.byState.established === 0 && share(waiting, space.used) >= 0.9;
      if (!alone && (urgent === null || share(waiting, space.used) < 0.3)) return null;
      return {
        severity: urgent ?? 'warning',
        title: `${nameOf(space)} does not answer: ${formatNumber(waiting)} connects wait`,
        text: `${formatNumber(waiting)} sockets are in SYN_SENT${space.byState.established === 0 ? ' and none is established' : ''}. Each holds a port until its connect times out; the port space ${stateOf(space)}.`,
        evidence: [
          fact('syn_sent', waiting, 'sockets', 'sock_diag'),
          fact('established', space.byState.established, 'sockets', 'sock_diag'),
        ],
        remedies: ['check_destination', 'add_source_addresses'],
      };
    },
  },
  {
    code: 'connections_at_once',
    explains: true,
    detect: (space, urgent) => {
      const busy = space.byState.established - (space.idleConnections ?? 0);
      if (urgent === null || space.kind !== 'connect' || share(busy, space.used) < 0.5) return null;
      return {
        severity: urgent,
        title: `${formatNumber(space.byState.established)} connections at once on ${nameOf(space)}: it ${stateOf(space)}`,
        text: `${portsSentence(space)}, most of them by established connections that carry data. No timer gives them back: it takes fewer connections, or more 4-tuples.`,
        evidence: [
          fact('established', space.byState.established, 'connections', 'sock_diag'),
          ...(space.idleConnections === null ? [] : [fact('idle', space.idleConnections, 'connections', 'tcp_info')]),
        ],
        remedies: ['multiplexing', 'add_source_addresses', 'add_destinations', 'widen_range'],
      };
    },
  },
  {
    code: 'ports_blocked',
    explains: true,
    detect: (space, urgent, view) => {
      const size = rangeSize(space.range);
      const part = share(space.blocked, size);
      if (space.kind === 'snat' || space.kind === 'ledger' || (urgent === null ? part < 0.5 : part < 0.1)) return null;
      const reserved = PortSet.of(view.sample.settings.reserved).count(space.range);
      const { table, listeners, bound } = view.groups;
      const inside = (rows: readonly number[]): number =>
        new Set(rows.map((row) => table.localPort[row]!).filter((port) => port >= space.range.low && port <= space.range.high)).size;
      const listening = inside(listeners);
      const unconnected = inside(bound);
      const explicit = Math.max(0, space.blocked - reserved - listening - unconnected);
      return {
        severity: urgent ?? 'warning',
        title: `${formatNumber(space.blocked)} of ${formatNumber(size)} ports are closed to ${nameOf(space)}`,
        text: `${formatNumber(reserved)} are reserved, ${formatNumber(listening)} have a listener, ${formatNumber(unconnected + explicit)} were bound explicitly, on whatever address. No automatic choice takes them, for any destination: ${formatNumber(space.capacity)} are left, and the space ${stateOf(space)}.`,
        evidence: [
          fact('reserved', reserved, 'ports', 'ip_local_reserved_ports'),
          fact('listeners', listening, 'ports', 'sock_diag'),
          fact('bound', unconnected + explicit, 'ports', 'sock_diag and connect() confined to one port'),
        ],
        remedies: ['free_blocked_ports', 'widen_range', 'add_source_addresses'],
      };
    },
  },
  {
    code: 'narrow_range',
    explains: false,
    detect: (space, urgent) => {
      const size = rangeSize(space.range);
      const usual = rangeSize(defaultPortRange);
      if (urgent === null || space.kind === 'snat' || space.kind === 'ledger' || size >= usual) return null;
      return {
        severity: urgent,
        title: `The port range ${formatRange(space.range)} is narrower than Linux's own`,
        text: `It has ${formatNumber(size)} ports; the default ${formatRange(defaultPortRange)} has ${formatNumber(usual)}. Somebody narrowed it.`,
        evidence: [fact('range', formatRange(space.range), 'ports', 'ip_local_port_range')],
        remedies: ['widen_range'],
      };
    },
  },
  {
    code: 'search_wall_passed',
    explains: false,
    detect: (space) => {
      if (space.kind !== 'connect' || !space.searchWall.passed || space.free === 0) return null;
      const cost = searchCost(space);
      if (cost < SEARCH_WORTH_TELLING) return null;
      const core = (space.openRate ?? space.load.timeWaitRate) * cost;
      return {
        severity: core >= SEARCH_WARNING_CORE ? 'warning' : 'info',
        title: `${nameOf(space)} is past its search wall: every connect() scans about ${formatNumber(space.searchWall.at)} ports`,
        text: `connect() tries every second port first, and none of those is left. Each call now costs about ${formatDuration(cost)} of CPU, ${formatPercent(core)} of a core at ${formatRate(space.openRate ?? space.load.timeWaitRate)}. It looks like load, and it is the port search.`,
        evidence: [
          fact('wall', space.searchWall.at, 'ports', 'parity of the range less blocked'),
          fact('cost', Math.round(cost * 1e6), 'microseconds per connect', 'ports × measured cost each'),
        ],
        remedies: ['local_port_range_option', 'multiplexing', 'add_source_addresses'],
      };
    },
  },
];

/** A CLOSE_WAIT this old is not just slow, in seconds. */
const LEAK_AGE = 30;
/** So many of them are a leak, not an accident. */
const LEAK_SOCKETS = 5;

/** The findings of `space`, in the order to show them. */
export const findingsOfSpace = (space: PortSpace, view: NamespaceView): Finding[] => {
  const urgent = urgency(space);
  const found = definitions.flatMap(({ code, explains, detect }) => {
    const draft = detect(space, urgent, view);
    return draft === null ? [] : [{ explains, finding: { code, subject: space.id, ...draft } satisfies Finding }];
  });
  const findings = found.map((f) => f.finding);
  if (urgent === null || found.some((f) => f.explains)) return findings;
  const exhausted = space.forecast.kind === 'exhausted';
  const bare: Finding = {
    code: exhausted ? 'port_space_exhausted' : 'port_space_filling',
    subject: space.id,
    severity: urgent,
    title: `${nameOf(space)} ${stateOf(space)}`,
    text: `${portsSentence(space)}, ${formatNumber(space.free)} are free. ${space.usedRatio >= CRITICAL_RATIO ? 'New connections fail or soon will.' : 'No single state explains it.'}`,
    evidence: [fact('used', space.used, 'ports', 'sock_diag'), fact('capacity', space.capacity, 'ports', 'range less blocked')],
    remedies: ['multiplexing', 'add_source_addresses', 'widen_range'],
  };
  return [bare, ...findings];
};
