/** The state of a balancer with workers: the parent knows configuration, health and ports; connections and counters are the workers' sum. */
import type { BalancerState, PoolState, ServerState, VirtualServiceState } from '../engine.ts';

/** Adds the numbers of `b` to those of `a`, field by field, for the fields named. Others are as in `a`. */
const add = <T extends object>(a: T, b: T, fields: readonly (keyof T)[]): T => {
  const sum = { ...a };
  for (const field of fields) {
    const left = a[field];
    const right = b[field];
    if (typeof left === 'number' && typeof right === 'number') sum[field] = (left + right) as T[keyof T];
    else if (typeof left === 'object' && left !== null && typeof right === 'object' && right !== null) {
      const merged: Record<string, number> = { ...(left as Record<string, number>) };
      for (const [name, value] of Object.entries(right as Record<string, number>)) merged[name] = (merged[name] ?? 0) + value;
      sum[field] = merged as T[keyof T];
    }
  }
  return sum;
};

const serviceSums = [
  'open_conns',
  'open_requests',
  'connections_dropped',
  'total_conns',
  'total_requests',
  'responses',
  'own_responses',
  'failures',
  'bytes_from_clients',
  'bytes_to_clients',
  'tunnels',
] as const satisfies readonly (keyof VirtualServiceState)[];

const serverSums = [
  'open_conns',
  'open_requests',
  'busy_conns',
  'idle_conns',
  'bound_conns',
  'opening_conns',
  'complete_conns',
  'new_established_conns',
  'connections_dropped',
  'conn_dropped_before_syn_sent',
  'conn_dropped_before_est',
  'conn_dropped_after_est',
  'collisions',
  'evicted',
  'rx_tcp_resets',
  'num_requested',
  'num_reused',
  'retries',
  'failures',
] as const satisfies readonly (keyof ServerState)[];

const addPool = (pool: PoolState, other: PoolState): PoolState => ({
  ...pool,
  open_conns: pool.open_conns + other.open_conns,
  open_requests: pool.open_requests + other.open_requests,
  queue: {
    ...add(pool.queue, other.queue, ['waiting', 'queued', 'served', 'timed_out', 'refused_full', 'left']),
    oldest_wait: Math.max(pool.queue.oldest_wait, other.queue.oldest_wait),
  },
  servers: pool.servers.map((server) => {
    const same = other.servers.find((s) => s.name === server.name);
    return same === undefined ? server : add(server, same, serverSums);
  }),
});

export const mergeStates = (parent: BalancerState, workers: readonly BalancerState[]): BalancerState => ({
  ...parent,
  workers: workers.flatMap((w) => w.workers),
  virtual_services: parent.virtual_services.map((service) =>
    workers.reduce((sum, worker) => {
      const same = worker.virtual_services.find((v) => v.name === service.name);
      return same === undefined ? sum : add(sum, same, serviceSums);
    }, service),
  ),
  pools: parent.pools.map((pool) =>
    workers.reduce((sum, worker) => {
      const same = worker.pools.find((p) => p.name === pool.name);
      return same === undefined ? sum : addPool(sum, same);
    }, pool),
  ),
  // A port that is lent is free, used or cooling at the worker; only the worker knows which.
  snat_pools: parent.snat_pools.map((snat) => ({
    ...snat,
    use: snat.use.map((row) => {
      const parts = workers.flatMap((w) =>
        w.snat_pools
          .filter((s) => s.name === snat.name)
          .flatMap((s) => s.use.filter((u) => u.address === row.address && u.server === row.server)),
      );
      const sum = (field: 'used' | 'free' | 'cooling' | 'held_by_others' | 'early_reuses' | 'misses'): number =>
        parts.reduce((total, part) => total + part[field], row[field]);
      const held = parts.reduce((total, part) => total + part.capacity, 0);
      return {
        ...row,
        // The parent counts what is lent as used.
        used: sum('used') - held,
        free: sum('free'),
        cooling: sum('cooling'),
        held_by_others: sum('held_by_others'),
        early_reuses: sum('early_reuses'),
        misses: sum('misses'),
      };
    }),
  })),
});
