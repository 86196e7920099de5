/** A port space port by port: what each of the 65,536 is to it, and when it comes free. What the dashboard draws as a square. */
import type { SnatFlow } from './host-sample.ts';
import { blockedForBind, blockedForConnect } from './occupancy.ts';
import { type PortRange, PortSet, snatPortRange } from './port-range.ts';
import type { PortSpace } from './port-space.ts';
import type { MeasuredSpace } from './port-spaces.ts';
import type { SocketGroup } from './socket-groups.ts';
import { TcpState } from './tcp-state.ts';

/** What a port is to a space: a TCP state by the kernel's number (1 to 12), or one of these. */
export const PortUse = {
  free: 0,
  /** Held by a socket that is bound and not connected. */
  bound: TcpState.boundInactive,
  /** No automatic choice takes it, because of somebody else's listener or explicit bind. */
  blocked: 14,
  /** In net.ipv4.ip_local_reserved_ports. */
  reserved: 15,
  /** This kind never chooses it. */
  outside: 16,
} as const;

/** `timeLeft` of a port that comes back at no known time. */
export const UNKNOWN_TIME_LEFT = 255;

/** What each port of one space is taken by, for drawing. */
export interface PortMap {
  /** The ports this kind chooses from. */
  readonly range: PortRange;
  /** By port: a TCP state or a PortUse. */
  readonly states: Uint8Array;
  /** By port: seconds until a TIME_WAIT ends, rounded up, at most 254; UNKNOWN_TIME_LEFT for everything else. */
  readonly timeLeft: Uint8Array;
}

const wait = (map: PortMap, port: number, seconds: number): void => {
  map.states[port] = TcpState.timeWait;
  map.timeLeft[port] = Math.min(254, Math.max(0, Math.ceil(seconds)));
};

/** The rows of the sockets that hold a space's ports. A ledger's connections are known by their addresses only. */
const membersOf = ({ space, view, members }: MeasuredSpace): readonly SocketGroup[] => {
  if (space.kind !== 'ledger') return members;
  const { addresses } = view.groups.table;
  return view.groups.outbound.filter(
    (g) => g.port === space.destinationPort && addresses.text(g.remote) === space.destination && addresses.text(g.local) === space.source,
  );
};

const blockedOf = ({ space, view }: MeasuredSpace): PortSet => {
  const { groups, sample } = view;
  if (space.kind === 'connect') return blockedForConnect(groups, sample.settings, sample.probe).ports;
  if (space.kind !== 'bind') return new PortSet();
  const { addresses } = groups.table;
  const source = groups.outbound.find((g) => addresses.text(g.local) === space.source)?.local;
  return source === undefined ? new PortSet() : blockedForBind(groups, source, sample.settings).ports;
};

const flowsOf = (space: PortSpace, flows: readonly SnatFlow[] | null): readonly SnatFlow[] =>
  (flows ?? []).filter(
    (f) => f.source === space.source && f.destination === space.destination && f.destinationPort === space.destinationPort,
  );

/** The map of a measured space. Later rows of one port win over TIME_WAITs: a live socket tells more. */
export const portMap = (measured: MeasuredSpace): PortMap => {
  const { space, view } = measured;
  const range = space.kind === 'snat' ? snatPortRange : space.range;
  const map: PortMap = {
    range,
    states: new Uint8Array(65536).fill(PortUse.outside),
    timeLeft: new Uint8Array(65536).fill(UNKNOWN_TIME_LEFT),
  };
  map.states.fill(PortUse.free, range.low, range.high + 1);
  const blocked = blockedOf(measured);
  const reserved = PortSet.of(space.kind === 'connect' || space.kind === 'bind' ? view.sample.settings.reserved : []);
  for (let port = range.low; port <= range.high; port++) {
    if (reserved.has(port)) map.states[port] = PortUse.reserved;
    else if (blocked.has(port)) map.states[port] = PortUse.blocked;
  }
  if (space.kind === 'snat') {
    for (const flow of flowsOf(space, view.sample.conntrack?.snatFlows ?? null)) {
      if (flow.timeWaitLeft === null) map.states[flow.sourcePort] = TcpState.established;
      else if (map.states[flow.sourcePort] !== TcpState.established) wait(map, flow.sourcePort, flow.timeWaitLeft);
    }
    return map;
  }
  const { table, rows } = view.groups;
  for (const group of membersOf(measured)) {
    for (let i = group.start; i < group.end; i++) {
      const row = rows[i]!;
      const port = table.localPort[row]!;
      const state = table.state[row]!;
      if (map.states[port] === PortUse.outside || map.states[port] === PortUse.reserved) continue;
      // A port of this space that somebody blocks for all others is still blocked for every new connection of it.
      if (map.states[port] === PortUse.blocked && space.kind === 'connect') continue;
      if (state !== TcpState.timeWait) {
        map.states[port] = state;
        map.timeLeft[port] = UNKNOWN_TIME_LEFT;
      } else if (map.states[port] === PortUse.free || map.states[port] === PortUse.blocked) wait(map, port, table.expires[row]! / 1000);
    }
  }
  return map;
};
