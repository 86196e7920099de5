/** The remedies of a port space: which there are is decided by the findings, what each buys by its numbers. */
import { formatEndpoint, isLoopback } from '../address.ts';
import { searchCost } from '../finding/of-space.ts';
import { plateau } from '../forecast.ts';
import { IDLE_SECONDS } from '../load.ts';
import { blockedBeyondRange } from '../occupancy.ts';
import { formatRange, type PortRange, PortSet, rangeSize } from '../port-range.ts';
import type { PortSpace } from '../port-space.ts';
import type { NamespaceView } from '../port-spaces.ts';
import { formatDuration, formatNumber, formatPercent } from '../quantity.ts';
import { snippetsFor } from '../snippets.ts';
import type { RemedyCode } from './codes.ts';
import { type Change, effect } from './effect.ts';
import type { Remedy, Risk, SettingChange } from './remedy.ts';

/** What a host that is mostly a client can give to automatic choice: everything that is not privileged. */
export const WIDE_RANGE: PortRange = { low: 1024, high: 65535 };

/** A space is safe below this share in the long run: the doctor's own warning line. */
const SAFE_RATIO = 0.8;

/** tcp_fin_timeout that the FIN_WAIT_2 remedy proposes, in seconds. */
const SHORT_FIN_TIMEOUT = 10;

/** conntrack's TIME_WAIT that the SNAT remedy proposes, in seconds: half of what Linux keeps its own sockets. */
export const SHORT_CONNTRACK_TIME_WAIT = 30;

interface Draft {
  readonly title: string;
  readonly text: string;
  readonly change: Change | null;
  readonly risk: Risk;
  readonly reversible?: boolean;
  readonly commands?: readonly string[];
  readonly settings?: readonly SettingChange[];
}

const sysctl = (name: string, from: string | number, to: string | number): { commands: string[]; settings: SettingChange[] } => ({
  commands: [`sysctl -w ${name}="${to}"`],
  settings: [{ name, from: String(from), to: String(to) }],
});

const listenersIn = (view: NamespaceView, range: PortRange): readonly number[] => {
  const { table, listeners } = view.groups;
  const ports = new Set(listeners.map((row) => table.localPort[row]!).filter((port) => port >= range.low && port <= range.high));
  return [...ports].sort((a, b) => a - b);
};

/** How many times the capacity is needed to hold what will be used, with the safe ratio kept; at least twice. */
const timesNeeded = (space: PortSpace): number =>
  Math.max(2, Math.ceil(Math.max(plateau(space.load), space.used) / (space.capacity * SAFE_RATIO || 1)));

const drafts: Readonly<Record<RemedyCode, (space: PortSpace, view: NamespaceView) => Draft | null>> = {
  multiplexing: (space) => {
    const idle = space.idleConnections ?? 0;
    const busy = Math.max(1, space.load.live - idle - space.byState.close_wait - space.byState.fin_wait_2);
    return {
      title: 'Share server connections (multiplexing, keep-alive towards the server)',
      text:
        space.byState.time_wait > space.load.live
          ? `About ${formatNumber(busy)} connection${busy === 1 ? ' was' : 's were'} busy at once. Kept open and shared they carry the same requests, and no TIME_WAIT is made.`
          : `${formatNumber(idle)} of ${formatNumber(space.load.live)} connections were silent for over ${IDLE_SECONDS} s. Shared, about ${formatNumber(busy)} carry the same requests.`,
      change: { kind: 'fixed_connections', connections: busy },
      risk: 'low',
    };
  },
  add_source_addresses: (space) => {
    const times = timesNeeded(space);
    const more = times - 1;
    return {
      title: `Use ${more === 1 ? 'one more source address' : `${more} more source addresses`}`,
      text: `Each address has its own ${formatNumber(space.capacity)} ports towards the same destination. Choose it by most free ports, not by hash: a hash leaves one of them full first.`,
      change: { kind: 'multiply_capacity', factor: times },
      risk: 'low',
    };
  },
  add_destinations: (space) => {
    const times = timesNeeded(space);
    return {
      title: `Let the destination listen on ${times} addresses or ports`,
      text: 'Ports are counted per destination address and port: each further endpoint brings a port space of its own.',
      change: { kind: 'multiply_capacity', factor: times },
      risk: 'low',
    };
  },
  widen_range: (space, view) => {
    const { groups, sample } = view;
    const { portRange } = sample.settings;
    if (space.kind === 'snat' || space.kind === 'ledger' || rangeSize(portRange) >= rangeSize(WIDE_RANGE)) return null;
    const blocked = blockedBeyondRange(groups, sample.settings, sample.probe, PortSet.of(sample.settings.reserved));
    const capacity = rangeSize(WIDE_RANGE) - blocked.count(WIDE_RANGE);
    const inside = listenersIn(view, WIDE_RANGE);
    const isNew = (port: number): boolean => port < portRange.low || port > portRange.high;
    const newly = inside.filter(isNew);
    const change = sysctl('net.ipv4.ip_local_port_range', `${portRange.low} ${portRange.high}`, `${WIDE_RANGE.low} ${WIDE_RANGE.high}`);
    const reserve = PortSet.of(sample.settings.reserved);
    const bound = [...groups.connected.within(WIDE_RANGE)].filter((port) => isNew(port) && !groups.taken.has(port) && !reserve.has(port));
    for (const port of newly) reserve.add(port);
    const reserved = reserve.ranges().map(formatRange).join(',');
    const collides =
      newly.length === 0
        ? 'No listener of today lies in the new part.'
        : `Reserve the ports of today's listeners in it (${newly.slice(0, 6).join(', ')}${newly.length > 6 ? ', …' : ''}), or a restart may find them taken.`;
    const chosen =
      bound.length === 0
        ? ''
        : ` ${formatNumber(bound.length)} port${bound.length === 1 ? ' there is' : 's there are'} held by connections that chose them: they stay closed, and who chooses them may find others in his way.`;
    return {
      title: `Widen the port range to ${formatRange(WIDE_RANGE)}`,
      text: `${formatNumber(capacity)} ports instead of ${formatNumber(space.capacity)}, for IPv4 and IPv6 alike. ${collides}${chosen} The search wall moves with it, and beyond it a search costs more.`,
      change: { kind: 'set_capacity', capacity },
      risk: 'low',
      commands: [...(newly.length > 0 ? [`sysctl -w net.ipv4.ip_local_reserved_ports="${reserved}"`] : []), ...change.commands],
      settings: change.settings,
    };
  },
  tcp_tw_reuse: (space, view) => {
    const { settings } = view.sample;
    const loopback = isLoopback(space.source) || (space.destination !== null && isLoopback(space.destination));
    if (
      settings.twReuse === 1 ||
      (settings.twReuse === 2 && loopback) ||
      !settings.timestamps ||
      space.kind !== 'connect' ||
      space.byState.time_wait === 0
    )
      return null;
    const change = sysctl('net.ipv4.tcp_tw_reuse', settings.twReuse, 1);
    return {
      title: 'Let connect() take TIME_WAIT ports after a second (tcp_tw_reuse=1)',
      text: `${formatNumber(space.byState.time_wait)} of the ports held are in TIME_WAIT; with the setting connect() takes each after ${formatNumber(settings.twReuseDelay, 3)} s. It needs TCP timestamps on both ends, does nothing for FIN_WAIT_2 or bind(ip, 0), and behind a NAT it can bring 1 s delays.`,
      change: { kind: 'time_wait_life', seconds: settings.twReuseDelay, tick: 0 },
      risk: 'low',
      ...change,
    };
  },
  peer_closes_first: (space) => ({
    title: 'Let the other side close first',
    text: 'Whoever sends the first FIN keeps the TIME_WAIT. If the server closes (Connection: close in its answer, its own idle timeout shorter than ours), the port is free here at once.',
    change: { kind: 'no_time_wait' },
    risk: 'low',
    reversible: true,
    commands: [],
    ...(space.kind === 'snat' ? { change: null } : {}),
  }),
  shorten_idle_timeout: (space) => {
    if (!space.idleConnections) return null;
    return {
      title: `Close server connections that are silent for ${IDLE_SECONDS} s`,
      text: `${formatNumber(space.idleConnections)} connections were. TCP keep-alive does not end them: it keeps them.`,
      change: { kind: 'fewer_connections', connections: space.idleConnections, stopsGrowth: true },
      risk: 'low',
    };
  },
  bind_address_no_port: (space) => {
    if (space.kind !== 'bind') return null;
    const worst = space.shared[0]?.held ?? 0;
    const total = space.shared.reduce((sum, s) => sum + s.held, 0) || 1;
    const share = worst / total;
    return {
      title: 'Bind the address without a port (IP_BIND_ADDRESS_NO_PORT)',
      text: `Then connect() chooses the port, per destination: the fullest of the ${space.shared.length} would hold ${formatNumber(worst)} instead of the ${formatNumber(space.held)} all share. HAProxy, nginx and Envoy do it when told the address only; Node.js cannot, there give localPort too.`,
      change: { kind: 'split', share },
      risk: 'none',
    };
  },
  local_port_range_option: (space) => ({
    title: 'Set IP_LOCAL_PORT_RANGE on the sockets (Linux 6.8)',
    text: `Set to ${formatRange(space.range)}, the search no longer prefers every second port: connect() stays as quick as in an empty space until almost the last port, which saves about ${formatDuration(searchCost(space))} of CPU on each. Capacity is the same.`,
    change: null,
    risk: 'none',
  }),
  free_blocked_ports: (space, view) => {
    if (space.blocked === 0) return null;
    const reserved = PortSet.of(view.sample.settings.reserved).count(space.range);
    const listening = listenersIn(view, space.range).length;
    return {
      title: `Move what blocks ${formatNumber(space.blocked)} ports out of the range`,
      text: `${formatNumber(reserved)} of them are reserved, ${formatNumber(listening)} have a listener, the rest is bound explicitly. Give explicit binders ports outside ${formatRange(space.range)}, for a bound port is closed to every automatic connect() of the namespace.`,
      change: { kind: 'set_capacity', capacity: space.capacity + space.blocked },
      risk: 'medium',
    };
  },
  shorten_fin_timeout: (space, view) => {
    const { finTimeout } = view.sample.settings;
    if (space.byState.fin_wait_2 === 0 || finTimeout <= SHORT_FIN_TIMEOUT) return null;
    const gone = Math.round(space.byState.fin_wait_2 * (1 - SHORT_FIN_TIMEOUT / finTimeout));
    return {
      title: `Forget half-closed connections sooner (tcp_fin_timeout=${SHORT_FIN_TIMEOUT})`,
      text: `tcp_fin_timeout is the life of an orphaned FIN_WAIT_2, ${finTimeout} s now; it does not touch TIME_WAIT, which is always 60 s. About ${formatNumber(gone)} ports come back.`,
      change: { kind: 'fewer_connections', connections: gone, stopsGrowth: false },
      risk: 'low',
      ...sysctl('net.ipv4.tcp_fin_timeout', finTimeout, SHORT_FIN_TIMEOUT),
    };
  },
  fix_leak: (space) => {
    const who = space.owners[0];
    return {
      title: `Make ${who === undefined ? 'the process' : `${who.command} (pid ${who.pid})`} close its sockets`,
      text: `${formatNumber(space.byState.close_wait)} connections were closed by the other side and never by ours. No timer ends a CLOSE_WAIT; a restart frees the ports and hides the leak.`,
      change: { kind: 'fewer_connections', connections: space.byState.close_wait, stopsGrowth: true },
      risk: 'none',
    };
  },
  check_destination: (space) => ({
    title: `Find out why ${space.destination === null ? 'the destination' : formatEndpoint(space.destination, space.destinationPort ?? 0)} does not answer`,
    text: `${formatNumber(space.byState.syn_sent)} connects wait for an answer; each holds a port for up to 127 s (tcp_syn_retries). A shorter connect timeout in the application gives the ports back sooner.`,
    change: { kind: 'fewer_connections', connections: space.byState.syn_sent, stopsGrowth: true },
    risk: 'none',
  }),
  conntrack_settings: (space, view) => {
    const conntrack = view.sample.conntrack;
    if (space.kind !== 'snat' || conntrack === null || conntrack.timeWaitTimeout <= SHORT_CONNTRACK_TIME_WAIT) return null;
    return {
      title: `Let conntrack forget closed connections after ${SHORT_CONNTRACK_TIME_WAIT} s`,
      text: `conntrack keeps a closed connection ${conntrack.timeWaitTimeout} s (this is the folklore's "TIME_WAIT of 120 s"; a socket's is 60 s) and a silent established one ${formatNumber(conntrack.establishedTimeout / 86400, 1)} days.`,
      change: { kind: 'time_wait_life', seconds: SHORT_CONNTRACK_TIME_WAIT, tick: 0 },
      risk: 'medium',
      ...sysctl('net.netfilter.nf_conntrack_tcp_timeout_time_wait', conntrack.timeWaitTimeout, SHORT_CONNTRACK_TIME_WAIT),
    };
  },
  cool_down_ports: () => null,
};

/** Remedy `code` for `space`, or null where it would change nothing there. */
export const remedyForSpace = (code: RemedyCode, space: PortSpace, view: NamespaceView): Remedy | null => {
  const draft = drafts[code](space, view);
  if (draft === null) return null;
  const products = new Set(space.owners.map((o) => o.command));
  return {
    code,
    subject: space.id,
    title: draft.title,
    text: draft.text,
    effect: draft.change === null ? null : effect(space, draft.change),
    risk: draft.risk,
    reversible: draft.reversible ?? true,
    commands: draft.commands ?? [],
    settings: draft.settings ?? [],
    snippets: [...products].flatMap((command) => snippetsFor(command, code)),
  };
};

/** What a remedy buys, in words: `87 % → 12 %`. */
export const describeEffect = (space: PortSpace, remedy: Remedy): string => {
  if (remedy.effect === null) return '';
  const { capacity, usedRatio, forecast } = remedy.effect;
  const end = forecast.kind === 'exhausts' || forecast.kind === 'exhausted' ? 'still runs out' : `settles at ${formatPercent(usedRatio)}`;
  return capacity === space.capacity ? end : `${formatNumber(capacity)} ports, ${end}`;
};
