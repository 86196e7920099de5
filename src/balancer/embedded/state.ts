/** What an engine shows of itself: its running parts read into the document of `../engine.ts`. */
import { hostname } from 'node:os';
import { formatRange } from '../../core/port-range.ts';
import type {
  Configuration,
  HealthMonitor,
  Pool as PoolConfiguration,
  SnatPool as SnatConfiguration,
  VirtualService,
} from '../configuration/index.ts';
import type {
  BalancerState,
  HealthMonitorState,
  OperStatus,
  PoolState,
  ServerState,
  SnatPoolState,
  VirtualServiceState,
} from '../engine.ts';
import { type MonitorCounters, noProbes, type ServerWatch } from '../health/watch.ts';
import type { Clock } from './clock.ts';
import type { Events } from './events.ts';
import type { Pool } from './pool/pool.ts';
import type { Server } from './pool/server.ts';
import type { SnatPool } from './pool/snat.ts';
import type { Service } from './service.ts';

export interface RunningPool {
  readonly pool: Pool;
  configuration: PoolConfiguration;
  monitors: readonly HealthMonitor[];
  readonly watches: Map<Server, ServerWatch>;
}

/** What of an engine is read. */
export interface Shown {
  readonly configuration: Configuration | null;
  readonly configurationFile: string;
  readonly startedAt: string;
  readonly clock: Clock;
  readonly events: Events;
  readonly openConnections: number;
  readonly services: ReadonlyMap<string, Service>;
  readonly pools: ReadonlyMap<string, RunningPool>;
  readonly snatPools: ReadonlyMap<string, SnatPool>;
  readonly monitorCounters: ReadonlyMap<string, MonitorCounters>;
  /** By SNAT pool: what about its ports does not go with this host. */
  readonly warnings: ReadonlyMap<string, readonly string[]>;
}

/** The whole state of an engine, as one document. */
export const engineState = (engine: Shown): BalancerState => {
  const seUuid = `${hostname()}:${process.pid}`;
  const configuration = engine.configuration;
  return {
    schema: 'plimsoll.balancer/1',
    taken_at: new Date().toISOString(),
    started_at: engine.startedAt,
    host: hostname(),
    pid: process.pid,
    configuration_file: engine.configurationFile,
    workers: [{ pid: process.pid, open_conns: engine.openConnections, started_at: engine.startedAt }],
    virtual_services: (configuration?.virtual_services ?? []).map((v) => serviceState(engine.services.get(v.name)!, v)),
    pools: [...engine.pools.values()].map((running) => poolState(running, seUuid, engine.clock.now)),
    health_monitors: (configuration?.health_monitors ?? []).map((m) => monitorState(engine, m)),
    snat_pools: (configuration?.snat_pools ?? []).map((s) => snatState(engine, s)),
    events: engine.events.all,
  };
};

const serviceState = (service: Service, virtual: VirtualService): VirtualServiceState => {
  const { settings, counters } = service;
  const responses = counters.responses;
  return {
    name: virtual.name,
    listen: settings.listen,
    type: settings.type,
    tls: settings.tls,
    pool: virtual.pool,
    application_profile: settings.profile,
    connection_multiplexing: settings.multiplexing,
    oper_status: poolStatus(service.pool.servers),
    open_conns: service.sessions.size,
    open_requests: counters.open_requests,
    connections_dropped: counters.connections_dropped,
    total_conns: counters.total_conns,
    total_requests: counters.total_requests,
    responses: { '1xx': responses[1]!, '2xx': responses[2]!, '3xx': responses[3]!, '4xx': responses[4]!, '5xx': responses[5]! },
    own_responses: counters.own,
    failures: counters.failures,
    bytes_from_clients: counters.bytes_from_clients,
    bytes_to_clients: counters.bytes_to_clients,
    tunnels: counters.tunnels,
  };
};

const poolState = ({ pool, configuration, watches }: RunningPool, seUuid: string, now: number): PoolState => {
  const servers = pool.servers.map((server): ServerState => {
    const { counters } = server;
    let busy = 0;
    for (const connection of server.connections) if (connection.state === 'busy' && !server.boundIdle.has(connection)) busy++;
    return {
      name: server.name,
      ip_addr: server.address,
      port: server.port,
      se_uuid: seUuid,
      weight: server.weight,
      oper_status: server.status,
      open_conns: server.connections.size,
      open_requests: server.load,
      busy_conns: busy,
      idle_conns: server.idle.length + server.boundIdle.size,
      bound_conns: server.bound,
      opening_conns: server.opening,
      complete_conns: counters.complete_conns,
      new_established_conns: counters.new_established_conns,
      connections_dropped: counters.conn_dropped_before_syn_sent + counters.conn_dropped_before_est + counters.conn_dropped_after_est,
      conn_dropped_before_syn_sent: counters.conn_dropped_before_syn_sent,
      conn_dropped_before_est: counters.conn_dropped_before_est,
      conn_dropped_after_est: counters.conn_dropped_after_est,
      collisions: counters.collisions,
      evicted: counters.evicted,
      rx_tcp_resets: counters.rx_tcp_resets,
      health_check_failures: counters.health_check_failures,
      num_requested: counters.num_requested,
      num_reused: counters.num_reused,
      retries: counters.retries,
      failures: { local: counters.local, remote: counters.remote, network: counters.network, client: counters.client },
      last_results: watches.get(server)?.last ?? [],
    };
  });
  const first = pool.queue.first;
  const sum = (pick: (s: ServerState) => number): number => servers.reduce((total, s) => total + pick(s), 0);
  return {
    name: pool.settings.name,
    algorithm: pool.settings.algorithm,
    snat_pool: configuration.snat_pool,
    health_monitors: configuration.health_monitors,
    oper_status: poolStatus(pool.servers),
    num_servers: servers.length,
    num_servers_up: pool.servers.filter((s) => s.up).length,
    num_servers_enabled: pool.servers.filter((s) => s.administration === 'enabled').length,
    open_conns: sum((s) => s.open_conns),
    open_requests: sum((s) => s.open_requests) + pool.queue.length,
    queue: {
      depth: pool.settings.queueDepth,
      waiting: pool.queue.length,
      oldest_wait: first === null ? 0 : Math.max(0, Math.round(now - first.queuedAt) / 1000),
      queued: pool.queued.total,
      served: pool.queued.served,
      timed_out: pool.queued.timedOut,
      refused_full: pool.queued.full,
      left: pool.queued.left,
    },
    servers,
  };
};

const monitorState = (engine: Shown, monitor: HealthMonitor): HealthMonitorState => {
  const servers = [...engine.pools.values()]
    .filter((p) => p.configuration.health_monitors.includes(monitor.name))
    .flatMap((p) =>
      p.pool.servers.map((s) => ({
        pool: p.configuration.name,
        server: s.name,
        last: p.watches.get(s)?.last.find((r) => r.monitor === monitor.name) ?? null,
      })),
    );
  return {
    name: monitor.name,
    type: monitor.type,
    send_interval: monitor.send_interval,
    receive_timeout: monitor.receive_timeout,
    successful_checks: monitor.successful_checks,
    failed_checks: monitor.failed_checks,
    path: monitor.type === 'http' ? monitor.path : null,
    ...(engine.monitorCounters.get(monitor.name) ?? noProbes()),
    servers,
  };
};

const snatState = (engine: Shown, snat: SnatConfiguration): SnatPoolState => {
  const running = engine.snatPools.get(snat.name)!;
  const active = new Set(running.ledger.addresses);
  const rows = running.ledger.stats(engine.clock.seconds());
  const addresses = new Set([...snat.addresses, ...rows.map((r) => r.address)]);
  return {
    name: snat.name,
    addresses: [...addresses].map((address) => ({
      address,
      state: running.absent.has(address) ? 'absent' : active.has(address) ? 'active' : 'draining',
    })),
    ports: snat.ports.map(formatRange),
    monitor_ports: snat.monitor_ports,
    cooldown: snat.cooldown,
    warnings: engine.warnings.get(snat.name) ?? [],
    use: rows.map((r) => ({
      address: r.address,
      server: r.server,
      capacity: r.capacity,
      used: r.used + r.lent,
      free: r.free,
      cooling: r.cooling,
      held_by_others: r.held_by_others,
      early_reuses: r.early_reuses,
      misses: r.misses,
      monitor_ports: r.monitor_ports,
      monitor_ports_used: r.monitor_used,
    })),
  };
};

const poolStatus = (servers: readonly Server[]): OperStatus => {
  const usable = servers.filter((s) => s.open);
  const latest =
    servers
      .map((s) => s.health.last_changed_time)
      .sort()
      .at(-1) ?? '';
  return {
    state: usable.length > 0 ? 'OPER_UP' : 'OPER_DOWN',
    reason: `${usable.length} of ${servers.length} servers up`,
    last_changed_time: latest,
  };
};
