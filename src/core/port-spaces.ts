/** The port spaces of a host: which there are, how full each is, and how it moves. Owners come later, for those that matter. */
import { formatEndpoint } from './address.ts';
import { type Forecast, forecast, type Load } from './forecast.ts';
import type { ConntrackSample, FailedSearch, NamespaceSample, SnatFlow } from './host-sample.ts';
import { measureLoad } from './load.ts';
import { type Motion, measureMotion } from './motion.ts';
import { blockedForBind, blockedForConnect, countBindSpace, countConnectSpace, peerTimestamps, reuseAfter } from './occupancy.ts';
import { PortSet, rangeSize, snatPortRange } from './port-range.ts';
import { type Occupancy, type PortSpace, portSpaceId } from './port-space.ts';
import { groupSockets, type SocketGroup, type SocketGroups } from './socket-groups.ts';
import { stateCounts } from './tcp-state.ts';
import { type PastUse, withTrend } from './trend.ts';

/** A namespace's sample with its sockets grouped: made once, used by everything after. */
export interface NamespaceView {
  readonly sample: NamespaceSample;
  readonly groups: SocketGroups;
}

export const viewNamespace = (sample: NamespaceSample): NamespaceView => ({ sample, groups: groupSockets(sample.sockets) });

/** A port space together with the rows it was counted from, so that its owners can be looked up. */
export interface MeasuredSpace {
  readonly space: PortSpace;
  readonly view: NamespaceView;
  readonly members: readonly SocketGroup[];
}

/** A destination asked for by name (`--to`), from the address the route gives. */
export interface AskedDestination {
  readonly source: string;
  readonly destination: string;
  readonly destinationPort: number;
}

/** Groups that are counted in full. The others hold fewer sockets than any of these, so they cannot be nearer their line. */
export const CANDIDATES = 64;

/** What was seen before of the port space `id`, ascending, the present look left out; empty: nothing. */
export type PastOf = (id: string) => readonly PastUse[];

const noPast: PastOf = () => [];

interface Context {
  readonly past: PastOf;
  readonly view: NamespaceView;
  readonly before: NamespaceView | null;
  readonly seconds: number;
  readonly tickHz: number | null;
  readonly failed: readonly FailedSearch[] | null;
}

/** The same connections in the earlier look. Two looks number their addresses apart. */
export const sameGroup = (before: NamespaceView, view: NamespaceView, group: SocketGroup): readonly SocketGroup[] => {
  const here = view.groups.table.addresses;
  const there = before.groups.table.addresses;
  const local = there.translate(here, group.local);
  const remote = there.translate(here, group.remote);
  return before.groups.outbound.filter((g) => g.remote === remote && g.port === group.port && g.local === local);
};

interface Identity {
  readonly kind: PortSpace['kind'];
  readonly source: string;
  readonly destination: string | null;
  readonly destinationPort: number | null;
}

const rates = (motion: Motion | null): { readonly openRate: number | null; readonly closeRate: number | null } =>
  motion === null || motion.seconds <= 0
    ? { openRate: null, closeRate: null }
    : { openRate: motion.opened / motion.seconds, closeRate: motion.closed / motion.seconds };

/** One sample without any TIME_WAIT tells no rate: then only "exhausted" is sure. */
const judge = (occupancy: Occupancy, load: PortSpace['load'], motion: Motion | null): Forecast => {
  if (occupancy.free <= 0) return { kind: 'exhausted' };
  if (motion === null && load.events === 0 && occupancy.held > 0) return { kind: 'unknown' };
  return forecast(load, occupancy.capacity);
};

/** `load` as its past and the present look together show it. */
export const continued = (load: Load, past: readonly PastUse[], at: number): Load =>
  past.length === 0 ? load : withTrend(load, [...past, { at, live: load.live }]);

/** How many of the searches in `failed` wanted a port of this space, which is in the namespace of that id. */
export const failuresOf = (
  { source, destination, destinationPort }: Identity,
  namespaceId: string,
  failed: readonly FailedSearch[],
): number =>
  failed.filter(
    (f) =>
      f.destinationPort === destinationPort &&
      f.destination === destination &&
      (f.namespace === null || f.namespace === namespaceId) &&
      (f.source === source || f.source === '0.0.0.0' || f.source === '::'),
  ).length;

const build = (
  context: Context,
  identity: Identity,
  occupancy: Occupancy,
  members: readonly SocketGroup[],
  blocked: PortSet,
  reuse: number | null,
): MeasuredSpace => {
  const { view, before, seconds, tickHz } = context;
  const earlier = before === null ? null : members.flatMap((g) => sameGroup(before, view, g));
  const motion =
    before === null || earlier === null
      ? null
      : measureMotion({ groups: before.groups, members: earlier }, { groups: view.groups, members }, seconds);
  const id = portSpaceId(view.sample.name, identity.kind, identity.source, identity.destination, identity.destinationPort);
  const measured = measureLoad(view.groups, members, occupancy.range, blocked, reuse, tickHz, motion);
  const { idleConnections, closeWaitAges } = measured;
  const load = continued(measured.load, context.past(id), view.sample.at);
  const { addresses } = view.groups.table;
  const shared =
    identity.kind === 'bind'
      ? members
          .map((g) => ({ destination: addresses.text(g.remote), destinationPort: g.port, held: g.end - g.start }))
          .sort((a, b) => b.held - a.held)
      : [];
  const space: PortSpace = {
    id,
    ...identity,
    namespace: view.sample.name,
    label: null,
    ...occupancy,
    idleConnections,
    closeWaitAges,
    shared,
    ...rates(motion),
    failedSearches: context.failed === null ? null : failuresOf(identity, view.sample.id, context.failed),
    load,
    forecast: judge(occupancy, load, motion),
    owners: [],
  };
  return { space, view, members };
};

const connectSpaces = (context: Context, asked: readonly AskedDestination[]): MeasuredSpace[] => {
  const { groups, sample } = context.view;
  const { addresses } = groups.table;
  const blocked = blockedForConnect(groups, sample.settings, sample.probe);
  const doubtful = { ports: sample.probe.unknown, count: sample.probe.unknown.count(sample.settings.portRange) };
  const measure = (group: SocketGroup | null, identity: Identity): MeasuredSpace => {
    const occupancy = countConnectSpace(groups, group, sample.settings, blocked, doubtful);
    const reuse = group === null ? null : reuseAfter(groups, group, sample.settings, peerTimestamps(groups, group, sample.settings));
    return build(context, identity, occupancy, group === null ? [] : [group], blocked.ports, reuse);
  };
  const identify = (g: SocketGroup): Identity => ({
    kind: 'connect',
    source: addresses.text(g.local),
    destination: addresses.text(g.remote),
    destinationPort: g.port,
  });
  const isAsked = (g: SocketGroup): boolean =>
    asked.some((a) => a.destinationPort === g.port && a.destination === addresses.text(g.remote) && a.source === addresses.text(g.local));
  const chosen = groups.outbound.filter((g, i) => i < CANDIDATES || isAsked(g));
  // A group whose every port was bound explicitly belongs to a bind pool or to somebody's own ledger, not to connect().
  const spaces = chosen.map((g) => measure(g, identify(g))).filter((m) => m.space.held > 0 || isAsked(m.members[0]!));
  for (const a of asked) {
    if (
      !groups.outbound.some(
        (g) => g.port === a.destinationPort && addresses.text(g.remote) === a.destination && addresses.text(g.local) === a.source,
      )
    ) {
      spaces.push(measure(null, { kind: 'connect', ...a }));
    }
  }
  return spaces;
};

/** One pool per source address that somebody binds explicitly inside the automatic range. */
const bindSpaces = (context: Context): MeasuredSpace[] => {
  const { groups, sample } = context.view;
  const { table } = groups;
  const { portRange } = sample.settings;
  if (sample.probe.blocked.count(portRange) === 0) return [];
  const sources = new Map<number, SocketGroup[]>();
  for (const group of groups.outbound.slice(0, CANDIDATES)) {
    for (let i = group.start; i < group.end; i++) {
      const port = table.localPort[groups.rows[i]!]!;
      if (port < portRange.low || port > portRange.high || !sample.probe.blocked.has(port)) continue;
      const known = sources.get(group.local);
      if (known) known.push(group);
      else sources.set(group.local, [group]);
      break;
    }
  }
  return [...sources].map(([source, members]) => {
    const occupancy = countBindSpace(groups, source, sample.settings);
    const identity: Identity = { kind: 'bind', source: table.addresses.text(source), destination: null, destinationPort: null };
    return build(context, identity, occupancy, members, blockedForBind(groups, source, sample.settings).ports, null);
  });
};

/** From 95 % on conntrack loses SYNs, because it tries at most 240 ports (nf_nat_core.c; measured). */
export const SNAT_LOSS_RATIO = 0.95;

const snatOccupancy = (flows: readonly SnatFlow[]): Occupancy => {
  const ports = new Set(flows.map((f) => f.sourcePort).filter((p) => p >= snatPortRange.low && p <= snatPortRange.high));
  const capacity = rangeSize(snatPortRange);
  const used = ports.size;
  const waiting = flows.filter((f) => f.timeWaitLeft !== null).length;
  const byState = new Uint32Array(14);
  byState[1] = flows.length - waiting;
  byState[6] = waiting;
  const at = Math.floor(capacity * SNAT_LOSS_RATIO);
  return {
    range: snatPortRange,
    blocked: 0,
    capacity,
    held: used,
    reusable: 0,
    used,
    free: capacity - used,
    freeLow: capacity - used,
    freeHigh: capacity - used,
    usedRatio: used / capacity,
    searchWall: { at, passed: used >= at },
    byState: stateCounts(byState),
  };
};

const snatKey = (f: SnatFlow): string => `${f.source} ${f.destination} ${f.destinationPort}`;

const flowsByKey = (conntrack: ConntrackSample | null): Map<string, SnatFlow[]> => {
  const byKey = new Map<string, SnatFlow[]>();
  for (const flow of conntrack?.snatFlows ?? []) {
    const key = snatKey(flow);
    const known = byKey.get(key);
    if (known) known.push(flow);
    else byKey.set(key, [flow]);
  }
  return byKey;
};

const snatSpaces = (context: Context): MeasuredSpace[] => {
  const { view, before, seconds } = context;
  const conntrack = view.sample.conntrack;
  if (conntrack === null) return [];
  const earlier = flowsByKey(before?.sample.conntrack ?? null);
  return [...flowsByKey(conntrack)]
    .sort((a, b) => b[1].length - a[1].length)
    .slice(0, CANDIDATES)
    .map(([key, flows]) => {
      const { source, destination, destinationPort } = flows[0]!;
      const occupancy = snatOccupancy(flows);
      const old = new Set((earlier.get(key) ?? []).map((f) => f.sourcePort));
      const now = new Set(flows.map((f) => f.sourcePort));
      const opened = before === null ? null : [...now].filter((p) => !old.has(p)).length;
      const closed = before === null ? null : [...old].filter((p) => !now.has(p)).length;
      const timeWaits = flows.flatMap((f) => (f.timeWaitLeft === null ? [] : [f.timeWaitLeft]));
      const life = conntrack.timeWaitTimeout;
      const rate = timeWaits.filter((left) => life - left <= 10).length / 10;
      const live = occupancy.used - timeWaits.length;
      const growth = opened === null || closed === null ? 0 : opened - closed - rate * seconds;
      const load = {
        live,
        liveSlope: 0,
        timeWaitRate: rate,
        timeWaits,
        timeWaitLife: life,
        tick: 0,
        events: Math.max(Math.round(rate * 10), opened ?? 0),
      };
      const proven = opened !== null && closed !== null && Math.abs(growth) > 2 * Math.sqrt(opened + closed) && Math.abs(growth) >= 3;
      const id = portSpaceId(view.sample.name, 'snat', source, destination, destinationPort);
      const moved = continued(proven ? { ...load, liveSlope: growth / seconds } : load, context.past(id), view.sample.at);
      const identity: Identity = { kind: 'snat', source, destination, destinationPort };
      const space: PortSpace = {
        id,
        ...identity,
        namespace: view.sample.name,
        label: null,
        ...occupancy,
        idleConnections: null,
        closeWaitAges: [],
        shared: [],
        openRate: opened === null ? null : opened / seconds,
        closeRate: closed === null ? null : closed / seconds,
        failedSearches: null,
        load: moved,
        forecast: occupancy.free <= 0 ? { kind: 'exhausted' } : forecast(moved, occupancy.capacity),
        owners: [],
      };
      return { space, view, members: [] };
    });
};

/** Nearest the line first; of equal ones the one that holds more ports. */
export const byUrgency = (a: PortSpace, b: PortSpace): number => b.usedRatio - a.usedRatio || b.used - a.used || a.id.localeCompare(b.id);

/** All port spaces of a namespace worth showing, the fullest first. `before` is an earlier look at the same namespace. */
export const measurePortSpaces = (
  before: NamespaceView | null,
  view: NamespaceView,
  options: {
    readonly tickHz: number | null;
    readonly failed: readonly FailedSearch[] | null;
    readonly asked: readonly AskedDestination[];
    readonly past?: PastOf;
  },
): MeasuredSpace[] => {
  const context: Context = {
    past: options.past ?? noPast,
    view,
    before,
    seconds: before === null ? 0 : view.sample.at - before.sample.at,
    tickHz: options.tickHz,
    failed: options.failed,
  };
  return [...connectSpaces(context, options.asked), ...bindSpaces(context), ...snatSpaces(context)].sort((a, b) =>
    byUrgency(a.space, b.space),
  );
};

/** A client whose ports towards one of our listeners run out: 64,512 is what one address can have (1024 and up). */
export const INBOUND_LIMIT = 64512;

/** How many ports one client address uses towards one of our listeners: who is about to run out towards us. */
export interface InboundSource {
  readonly namespace: string;
  readonly listener: string;
  readonly source: string;
  readonly used: number;
  readonly limit: number;
  readonly usedRatio: number;
  /** The range its ports lie in. */
  readonly lowestPort: number;
  readonly highestPort: number;
}

/** The clients that hold most ports towards one listener, the fullest first. */
export const measureInbound = (view: NamespaceView, top: number): InboundSource[] => {
  const { table, inbound, rows } = view.groups;
  const ports = new PortSet();
  return inbound.slice(0, top).map((g) => {
    ports.clear();
    let used = 0;
    let lowestPort = 65535;
    let highestPort = 0;
    for (let i = g.start; i < g.end; i++) {
      const port = table.remotePort[rows[i]!]!;
      if (ports.has(port)) continue;
      ports.add(port);
      used++;
      lowestPort = Math.min(lowestPort, port);
      highestPort = Math.max(highestPort, port);
    }
    return {
      namespace: view.sample.name,
      listener: formatEndpoint(table.addresses.text(g.local), g.port),
      source: table.addresses.text(g.remote),
      used,
      limit: INBOUND_LIMIT,
      usedRatio: used / INBOUND_LIMIT,
      lowestPort,
      highestPort,
    };
  });
};
