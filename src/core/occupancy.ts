/**
 * How full a port space is: counting ports, exactly as the kernel's search would find them.
 *
 * `connect` spaces follow __inet_hash_connect (net/ipv4/inet_hashtables.c): a port is passed over when it is reserved, when
 * anybody holds it by an explicit bind or listen on any address, or when the 4-tuple exists, a TIME_WAIT that may be reused
 * excepted. `bind` spaces follow inet_csk_find_open_port (inet_connection_sock.c): any socket on the same address, or on a
 * wildcard, takes the port from all destinations.
 */
import { isLoopback } from './address.ts';
import type { NamespaceSettings, PortProbe } from './host-sample.ts';
import { type PortRange, PortSet, rangeSize } from './port-range.ts';
import type { Occupancy } from './port-space.ts';
import type { SocketGroup, SocketGroups } from './socket-groups.ts';
import { SocketFlag } from './socket-table.ts';
import { stateCounts, TcpState } from './tcp-state.ts';
import { TIME_WAIT_SECONDS } from './timer-tick.ts';

/** Whether the peer of a group agreed to TCP timestamps: TIME_WAIT records do not tell, its live neighbours do. */
export type PeerTimestamps = 'on' | 'off' | 'unknown';

/** Reads it off the group's live sockets; on loopback the peer is this namespace itself. */
export const peerTimestamps = (groups: SocketGroups, group: SocketGroup, settings: NamespaceSettings): PeerTimestamps => {
  if (!settings.timestamps) return 'off';
  if (isLoopback(groups.table.addresses.text(group.remote))) return 'on';
  const { flags } = groups.table;
  for (let i = group.start; i < group.end; i++) {
    const f = flags[groups.rows[i]!]!;
    if (f & SocketFlag.info) return f & SocketFlag.timestamps ? 'on' : 'off';
  }
  return 'unknown';
};

/** Seconds a TIME_WAIT must have lasted before connect() takes it in this group, or null if it never does. */
export const reuseAfter = (
  groups: SocketGroups,
  group: SocketGroup,
  settings: NamespaceSettings,
  timestamps: PeerTimestamps,
): number | null => {
  if (settings.twReuse === 0 || timestamps === 'off') return null;
  const { addresses } = groups.table;
  // "Loopback" is about addresses, not the path: 10.0.0.1 to itself over lo does not count (tcp_twsk_unique).
  const loopback = isLoopback(addresses.text(group.local)) || isLoopback(addresses.text(group.remote));
  return settings.twReuse === 1 || loopback ? settings.twReuseDelay : null;
};

/** Ports that an automatic choice passes over, and how many of the range they are: worked out once for all spaces. */
export interface Blocked {
  readonly ports: PortSet;
  readonly count: number;
  /** Those of the parity of the range's low end. */
  readonly ofLowParity: number;
}

const blockedOf = (ports: PortSet, range: PortRange): Blocked => ({ ports, count: ports.count(range), ofLowParity: ports.count(range, 2) });

/** Ports of the range that no automatic connect() takes. */
export const blockedForConnect = (groups: SocketGroups, settings: NamespaceSettings, probe: PortProbe): Blocked => {
  const blocked = PortSet.of(settings.reserved);
  blocked.addAll(groups.taken);
  blocked.addAll(probe.blocked);
  return blockedOf(blocked, settings.portRange);
};

/**
 * Ports that no automatic connect() would take if the range were another and `reserved` reserved. No automatic choice gives a port
 * outside today's range: connections there have theirs by an explicit bind, and keep it closed.
 */
export const blockedBeyondRange = (groups: SocketGroups, settings: NamespaceSettings, probe: PortProbe, reserved: PortSet): PortSet => {
  const blocked = new PortSet();
  blocked.addAll(groups.connected);
  for (let port = settings.portRange.low; port <= settings.portRange.high; port++) blocked.delete(port);
  blocked.addAll(reserved);
  blocked.addAll(groups.taken);
  blocked.addAll(probe.blocked);
  return blocked;
};

/** Ports that bind(`source`, 0) cannot take because of others: reserved, and those of sockets on a wildcard address. */
export const blockedForBind = (groups: SocketGroups, source: number, settings: NamespaceSettings): Blocked => {
  const blocked = PortSet.of(settings.reserved);
  const { table } = groups;
  const v6 = table.addresses.text(source).includes(':');
  for (const row of [...groups.listeners, ...groups.bound]) {
    const address = table.local[row]!;
    const text = table.addresses.text(address);
    const wildcard = text === '::' ? v6 || (table.flags[row]! & SocketFlag.v6only) === 0 : text === '0.0.0.0' && !v6;
    if (address === source || wildcard) blocked.add(table.localPort[row]!);
  }
  return blockedOf(blocked, settings.portRange);
};

/** Ports that connections hold without an explicit bind being proven or ruled out by what the dump shows. */
export const portsInDoubt = (groups: SocketGroups, settings: NamespaceSettings): readonly number[] => {
  const reserved = PortSet.of(settings.reserved);
  const { connected, taken } = groups;
  const doubts: number[] = [];
  for (let port = settings.portRange.low; port <= settings.portRange.high; port++) {
    if (connected.has(port) && !taken.has(port) && !reserved.has(port)) doubts.push(port);
  }
  return doubts;
};

const none = new PortSet();
const mine = new PortSet();

interface Count {
  readonly range: PortRange;
  readonly blocked: Blocked;
  /** Rows of the space. */
  readonly rows: Uint32Array;
  /** Seconds after which its TIME_WAITs may be taken, or null. */
  readonly reuse: number | null;
  /** Whether they really may: with the peer's timestamps unknown it is a guess. */
  readonly reuseCertain: boolean;
  /** Ports that may be blocked too; those of the range are counted in `doubtfulCount`. */
  readonly doubtful: PortSet;
  readonly doubtfulCount: number;
  /** Parity of the ports that the search takes first, relative to the range's low end. */
  readonly firstParity: 0 | 1;
}

const count = (groups: SocketGroups, c: Count): Occupancy => {
  const { state, localPort, expires } = groups.table;
  const { low, high } = c.range;
  const byState = new Uint32Array(14);
  mine.clear();
  const blockedPorts = c.blocked.ports;
  let held = 0;
  let reusable = 0;
  let usedFirst = 0;
  let doubtful = c.doubtfulCount;
  for (const row of c.rows) {
    const port = localPort[row]!;
    const s = state[row]!;
    byState[s]!++;
    if (port < low || port > high || blockedPorts.has(port) || mine.has(port)) continue;
    mine.add(port);
    held++;
    if (doubtful > 0 && c.doubtful.has(port)) doubtful--;
    if (s === TcpState.timeWait && c.reuse !== null && TIME_WAIT_SECONDS - expires[row]! / 1000 > c.reuse) reusable++;
    else if (((port - low) & 1) === c.firstParity) usedFirst++;
  }
  const size = rangeSize(c.range);
  const blocked = c.blocked.count;
  const blockedFirst = c.firstParity === 0 ? c.blocked.ofLowParity : blocked - c.blocked.ofLowParity;
  const firstParityPorts = c.firstParity === 0 ? Math.ceil(size / 2) : Math.floor(size / 2);
  const capacity = size - blocked;
  const used = held - reusable;
  const free = capacity - used;
  // The search rounds an odd range down to even and starts at a random place, so it may miss one port of the outer parity.
  const missed = size % 2 === 1 && size > 1 && free > 0 ? 1 : 0;
  return {
    range: c.range,
    blocked,
    capacity,
    held,
    reusable,
    used,
    free,
    freeLow: Math.max(0, free - missed - doubtful - (c.reuseCertain ? 0 : reusable)),
    freeHigh: free,
    usedRatio: capacity > 0 ? used / capacity : 1,
    searchWall: { at: firstParityPorts - blockedFirst, passed: usedFirst >= firstParityPorts - blockedFirst && capacity > 0 },
    byState: stateCounts(byState),
  };
};

/**
 * A `connect` space: `group` null means a destination that has no socket yet. `blocked` is blockedForConnect's;
 * `doubtful` are ports of the range that may belong to it, and how many they are.
 */
export const countConnectSpace = (
  groups: SocketGroups,
  group: SocketGroup | null,
  settings: NamespaceSettings,
  blocked: Blocked,
  doubtful: { readonly ports: PortSet; readonly count: number },
): Occupancy => {
  const timestamps = group === null ? 'on' : peerTimestamps(groups, group, settings);
  return count(groups, {
    range: settings.portRange,
    blocked,
    rows: group === null ? new Uint32Array(0) : groups.rows.subarray(group.start, group.end),
    reuse: group === null ? null : reuseAfter(groups, group, settings, timestamps),
    reuseCertain: timestamps === 'on',
    doubtful: doubtful.ports,
    doubtfulCount: doubtful.count,
    firstParity: 0,
  });
};

/** The `bind` space of `source` (an address id): every connection from it, to whatever destination. */
export const countBindSpace = (groups: SocketGroups, source: number, settings: NamespaceSettings): Occupancy => {
  const own = groups.outbound.filter((g) => g.local === source);
  const rows = new Uint32Array(own.reduce((sum, g) => sum + g.end - g.start, 0));
  let at = 0;
  for (const g of own) {
    rows.set(groups.rows.subarray(g.start, g.end), at);
    at += g.end - g.start;
  }
  return count(groups, {
    range: settings.portRange,
    blocked: blockedForBind(groups, source, settings),
    rows,
    reuse: null,
    reuseCertain: true,
    doubtful: none,
    doubtfulCount: 0,
    firstParity: 1,
  });
};
