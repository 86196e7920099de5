/**
 * What switching connection multiplexing would do to a pool, and what it did. Pure. The numbers come from the balancer's own
 * counts: shared connections are as many as requests are answered at once (Little's law), unshared ones as many as clients.
 */
import type { Load } from '../../core/forecast.ts';
import { effect } from '../../core/remedy/effect.ts';
import type { BalancerDocument } from '../../wire/api.ts';
import type { Space } from '../model/space.ts';

export type VirtualService = BalancerDocument['virtual_services'][number];
export type Pool = BalancerDocument['pools'][number];

/** A pool at one moment. */
export interface PoolReading {
  /** Milliseconds since 1970. */
  readonly at: number;
  readonly serverConnections: number;
  readonly openRequests: number;
  /** Since the start of the balancer. */
  readonly opened: number;
  readonly requests: number;
  readonly clients: number;
  /** The fullest of its port spaces, or null where none is known. */
  readonly usedRatio: number | null;
}

export const readingOf = (at: number, service: VirtualService, pool: Pool, spaces: readonly Space[]): PoolReading => ({
  at,
  serverConnections: pool.open_conns,
  openRequests: pool.servers.reduce((sum, s) => sum + s.open_requests, 0),
  opened: pool.servers.reduce((sum, s) => sum + s.new_established_conns, 0),
  requests: service.total_requests,
  clients: service.open_conns,
  usedRatio: spaces.length === 0 ? null : Math.max(...spaces.map((s) => s.used_ratio)),
});

/** The port spaces towards a pool's servers: its own ledger's by label, the kernel's by address. */
export const spacesOfPool = (pool: Pool, spaces: readonly Space[]): readonly Space[] =>
  spaces.filter((s) =>
    s.kind === 'ledger'
      ? s.label?.startsWith(`${pool.name}/`)
      : pool.snat_pool === null && pool.servers.some((server) => server.ip_addr === s.destination && server.port === s.destination_port),
  );

/** Figures per second between two readings; null with one. */
export interface Measured {
  readonly serverConnections: number;
  readonly openRate: number | null;
  readonly requestRate: number | null;
  readonly usedRatio: number | null;
}

const between = (earlier: PoolReading, later: PoolReading, pick: (r: PoolReading) => number): number | null =>
  later.at > earlier.at && pick(later) >= pick(earlier) ? ((pick(later) - pick(earlier)) / (later.at - earlier.at)) * 1000 : null;

/** The newest of `readings` with its rates over all of them, ascending in time. */
export const measuredOf = (readings: readonly PoolReading[]): Measured | null => {
  const [first] = readings;
  const last = readings.at(-1);
  if (first === undefined || last === undefined) return null;
  return {
    serverConnections: last.serverConnections,
    openRate: between(first, last, (r) => r.opened),
    requestRate: between(first, last, (r) => r.requests),
    usedRatio: last.usedRatio,
  };
};

export interface Prediction {
  readonly serverConnections: number;
  /** Of the fullest port space; null where none is known. */
  readonly usedRatio: number | null;
}

/** What would be with multiplexing `on`; `last` is how it is, `busiest` the most requests seen under way at once. */
export const predict = (on: boolean, last: PoolReading | undefined, busiest: number, spaces: readonly Space[]): Prediction | null => {
  if (last === undefined) return null;
  const serverConnections = on ? Math.max(1, Math.min(busiest, last.clients || busiest)) : Math.max(last.clients, last.openRequests);
  const each = Math.ceil(serverConnections / Math.max(1, spaces.length));
  const ratios = spaces.map((s) => {
    const load: Load = { live: s.used, liveSlope: 0, timeWaitRate: 0, timeWaits: [], timeWaitLife: 60, tick: 0, events: 0 };
    return effect({ capacity: s.capacity, load }, { kind: 'fixed_connections', connections: each }).usedRatio;
  });
  return { serverConnections, usedRatio: ratios.length === 0 ? null : Math.max(...ratios) };
};
