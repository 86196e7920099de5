/** `plimsoll show`: the state of a balancer, chosen and laid out in the words and tables that Avi's operators know. */
import { PlimsollError } from '../../core/errors.ts';
import { didYouMean } from '../../core/nearest.ts';
import type {
  BalancerEvent,
  BalancerState,
  HealthMonitorState,
  PoolState,
  ServerState,
  SnatPoolState,
  VirtualServiceState,
} from '../engine.ts';
import type { ShowKind, ShowRequest } from './request.ts';
import { fieldTable, gridTable, rowsOf } from './table.ts';

/** What `--json` prints. */
export interface ShowDocument {
  readonly schema: 'plimsoll.show/1';
  readonly taken_at: string;
  readonly kind: ShowKind;
  readonly items: readonly object[];
}

/** An object's fields with `first` in front, in that order. */
const inFront = <T extends object>(object: T, first: readonly (keyof T)[]): object => ({
  ...Object.fromEntries(first.map((key) => [key, object[key]])),
  ...Object.fromEntries(Object.entries(object).filter(([key]) => !first.includes(key as keyof T))),
});

const only = <T extends object>(object: T, keys: readonly (keyof T)[]): object => Object.fromEntries(keys.map((key) => [key, object[key]]));

const cells = (...values: readonly (string | number | boolean | null)[]): readonly string[] =>
  values.map((v) => (v === null ? '' : String(v)));

const virtualServices = (items: readonly VirtualServiceState[], request: ShowRequest): string => {
  if (request.name === null)
    return gridTable(
      ['name', 'state', 'listen', 'pool', 'open_conns', 'open_requests', 'connections_dropped'],
      items.map((v) => cells(v.name, v.oper_status.state, v.listen, v.pool, v.open_conns, v.open_requests, v.connections_dropped)),
    );
  const first = ['name', 'oper_status', 'open_conns', 'open_requests', 'connections_dropped'] as const;
  return items
    .map((v) => fieldTable(rowsOf(request.detail ? inFront(v, first) : only(v, [...first, 'listen', 'pool', 'connection_multiplexing']))))
    .join('');
};

/** `state` and its reason are fields of the server itself here, as in Avi's ServerRuntimeDetail. */
const serverTable = (server: ServerState, detail: boolean): string => {
  const { oper_status, last_results, ...rest } = server;
  const { ip_addr, port, se_uuid, open_conns, ...counters } = rest;
  const head = { ip_addr, port, se_uuid, state: oper_status.state, open_conns };
  const status = { name: server.name, reason: oper_status.reason, last_changed_time: oper_status.last_changed_time };
  if (!detail) return fieldTable(rowsOf({ ...head, ...status }));
  const results = last_results.map(({ monitor, class: result, detail: said, at, duration }) => ({
    monitor,
    result,
    detail: said,
    at,
    duration,
  }));
  return fieldTable(rowsOf({ ...head, ...counters, ...status, last_results: results }));
};

const pools = (items: readonly PoolState[], request: ShowRequest): string => {
  if (request.server) return items.flatMap((p) => p.servers.map((s) => serverTable(s, request.detail))).join('');
  if (request.name === null)
    return gridTable(
      ['name', 'state', 'servers_up', 'open_conns', 'open_requests', 'waiting', 'snat_pool'],
      items.map((p) =>
        cells(
          p.name,
          p.oper_status.state,
          `${p.num_servers_up}/${p.num_servers}`,
          p.open_conns,
          p.open_requests,
          p.queue.waiting,
          p.snat_pool,
        ),
      ),
    );
  const first = ['name', 'oper_status', 'num_servers', 'num_servers_up', 'num_servers_enabled', 'open_conns', 'open_requests'] as const;
  return items
    .map((pool) => {
      const { servers, ...rest } = pool;
      const table = fieldTable(rowsOf(request.detail ? inFront(rest, first) : only(rest, first)));
      const list = gridTable(
        ['server', 'ip_addr', 'port', 'state', 'open_conns', 'open_requests', 'reason'],
        servers.map((s) => cells(s.name, s.ip_addr, s.port, s.oper_status.state, s.open_conns, s.open_requests, s.oper_status.reason)),
      );
      return table + list;
    })
    .join('');
};

const healthMonitors = (items: readonly HealthMonitorState[], request: ShowRequest): string => {
  if (request.name === null)
    return gridTable(
      ['name', 'type', 'probes', 'up', 'refused', 'timeout', 'bad_response', 'local', 'collisions'],
      items.map((m) => cells(m.name, m.type, m.probes, m.up, m.refused, m.timeout, m.bad_response, m.local, m.collisions)),
    );
  return items
    .map((monitor) => {
      const { servers, ...rest } = monitor;
      const list = gridTable(
        ['pool', 'server', 'last_result', 'at', 'duration', 'detail'],
        servers.map((s) =>
          cells(s.pool, s.server, s.last?.class ?? 'unknown', s.last?.at ?? '', s.last?.duration ?? '', s.last?.detail ?? ''),
        ),
      );
      return fieldTable(rowsOf(rest)) + (request.detail ? list : '');
    })
    .join('');
};

const snatPools = (items: readonly SnatPoolState[], request: ShowRequest): string => {
  const sum = (pool: SnatPoolState, key: 'capacity' | 'used' | 'free' | 'cooling' | 'held_by_others' | 'early_reuses' | 'misses'): number =>
    pool.use.reduce((total, row) => total + row[key], 0);
  if (request.name === null)
    return gridTable(
      ['name', 'addresses', 'ports', 'used', 'free', 'cooling', 'held_by_others', 'early_reuses', 'misses'],
      items.map((p) =>
        cells(
          p.name,
          p.addresses.length,
          p.ports.join(','),
          sum(p, 'used'),
          sum(p, 'free'),
          sum(p, 'cooling'),
          sum(p, 'held_by_others'),
          sum(p, 'early_reuses'),
          sum(p, 'misses'),
        ),
      ),
    );
  return items
    .map((pool) => {
      const { use, addresses, ...rest } = pool;
      const table = fieldTable(
        rowsOf(inFront({ ...rest, addresses: addresses.map((a) => `${a.address} ${a.state}`) }, ['name', 'addresses'])),
      );
      const list = gridTable(
        ['address', 'server', 'used', 'free', 'cooling', 'held_by_others', 'early_reuses', 'misses', 'monitor_ports', 'monitor_ports_used'],
        use.map((u) =>
          cells(
            u.address,
            u.server,
            u.used,
            u.free,
            u.cooling,
            u.held_by_others,
            u.early_reuses,
            u.misses,
            u.monitor_ports,
            u.monitor_ports_used,
          ),
        ),
      );
      return table + (request.detail ? list : '');
    })
    .join('');
};

const events = (items: readonly BalancerEvent[]): string =>
  gridTable(
    ['at', 'kind', 'subject', 'cause', 'text'],
    items.map((e) => cells(e.at, e.kind, e.subject, e.cause, e.text)),
  );

const named = <T extends { readonly name: string }>(items: readonly T[], request: ShowRequest): readonly T[] => {
  if (request.name === null) return items;
  const item = items.find((i) => i.name === request.name);
  if (item !== undefined) return [item];
  const names = items.map((i) => i.name);
  throw new PlimsollError('show_not_found', { kind: request.kind, name: request.name, nearest: didYouMean(request.name, names) });
};

/** Events whose subject has `name` as one of its words; all of them without a name. */
const eventsOf = (state: BalancerState, request: ShowRequest): readonly BalancerEvent[] =>
  state.events.filter((e) => request.name === null || e.subject.split(' ').includes(request.name));

/** Every text of `value` through `harmless`; the keys are our own. */
const escaped = <T>(value: T, harmless: (text: string) => string): T => {
  if (typeof value === 'string') return harmless(value) as T;
  if (Array.isArray(value)) return value.map((each: unknown) => escaped(each, harmless)) as T;
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, escaped(each as unknown, harmless)])) as T;
};

/**
 * The tables for `request`. `harmless` makes text from outside (reasons, details) safe to print before it is laid out. Throws
 * show_not_found naming the nearest.
 */
export const showTables = (state: BalancerState, request: ShowRequest, harmless: (text: string) => string): string => {
  const safe = escaped(state, harmless);
  if (request.kind === 'virtualservice') return virtualServices(named(safe.virtual_services, request), request);
  if (request.kind === 'pool') return pools(named(safe.pools, request), request);
  if (request.kind === 'healthmonitor') return healthMonitors(named(safe.health_monitors, request), request);
  if (request.kind === 'snatpool') return snatPools(named(safe.snat_pools, request), request);
  return events(eventsOf(safe, request));
};

/** The same as data: always with every field. */
export const showDocument = (state: BalancerState, request: ShowRequest): ShowDocument => {
  const items = (): readonly object[] => {
    if (request.kind === 'virtualservice') return named(state.virtual_services, request);
    if (request.kind === 'pool')
      return request.server ? named(state.pools, request).flatMap((p) => p.servers) : named(state.pools, request);
    if (request.kind === 'healthmonitor') return named(state.health_monitors, request);
    if (request.kind === 'snatpool') return named(state.snat_pools, request);
    return eventsOf(state, request);
  };
  return { schema: 'plimsoll.show/1', taken_at: state.taken_at, kind: request.kind, items: items() };
};
