/**
 * The embedded engine: configuration in, a running balancer out. It owns the services, pools and ledgers of one process and
 * changes them in place when the file changes: what stays the same keeps its connections, its counters and its health.
 *
 *   apply ─▶ prepare (certificates, new listeners: anything that can fail) ─▶ commit (nothing can fail)
 */
import { formatEndpoint } from '../../core/address.ts';
import { PlimsollError } from '../../core/errors.ts';
import { type KnownPorts, PortLedger } from '../../core/port-ledger.ts';
import { formatRange } from '../../core/port-range.ts';
import type {
  ApplicationProfile,
  Configuration,
  Pool as PoolConfiguration,
  SnatPool as SnatConfiguration,
  VirtualService,
} from '../configuration/index.ts';
import type { BalancerEvent, BalancerState, OperStatus } from '../engine.ts';
import { type MonitorCounters, noProbes, ServerWatch } from '../health/watch.ts';
import type { AccessLog } from './access-log.ts';
import { readCertificate } from './certificate.ts';
import { Clock } from './clock.ts';
import { Events } from './events.ts';
import { type Certificate, type ListenAt, Listener } from './listener.ts';
import { Pool, type PoolSettings } from './pool/pool.ts';
import { type Administration, Server } from './pool/server.ts';
import { type PortLender, SnatPool } from './pool/snat.ts';
import { Service, type ServiceSettings } from './service.ts';
import { engineState, type RunningPool } from './state.ts';

export interface EngineOptions {
  /** Where each listener comes from; by default from bind(2). A worker is given its parent's; a parent accepts nothing (null). */
  readonly listenAt?: (service: VirtualService, key: string) => ListenAt | null;
  /** Where certificates come from; by default from the files. */
  readonly certificate?: (service: VirtualService) => Certificate;
  /** Worker: the ledgers own no port, all come from here. */
  readonly lender?: PortLender;
  /** False in workers: the parent looks after health. Default true. */
  readonly monitors?: boolean;
  readonly accessLog?: AccessLog | null;
  /** Called for every event as it happens. */
  readonly announce?: (event: BalancerEvent) => void;
  readonly configurationFile?: string;
}

const initializing = (): OperStatus => ({
  state: 'OPER_INITIALIZING',
  reason: 'not checked yet',
  last_changed_time: new Date().toISOString(),
});
const taken = (): OperStatus => ({ state: 'OPER_UP', reason: 'no health monitor', last_changed_time: new Date().toISOString() });

/** Milliseconds between two looks for what is no longer needed. */
const sweepEvery = 5000;

export class EmbeddedEngine {
  /** Of how many workers this is one; limits per server are shared out. */
  share = 1;
  readonly clock = new Clock();
  readonly events: Events;
  readonly pools = new Map<string, RunningPool>();
  readonly services = new Map<string, Service>();
  readonly snatPools = new Map<string, SnatPool>();
  private readonly listeners = new Map<string, { readonly listener: Listener; readonly tls: boolean }>();
  readonly monitorCounters = new Map<string, MonitorCounters>();
  private readonly options: EngineOptions;
  readonly startedAt = new Date().toISOString();
  private readonly stopClock: () => void;
  configuration: Configuration | null = null;
  /** By virtual service. */
  certificates: ReadonlyMap<string, Certificate> = new Map();
  private retired = new Set<Service>();
  private retiredPools = new Set<RunningPool>();
  private lastSweep = 0;
  private readonly acceptTroubles = new Map<string, number>();
  readonly warnings = new Map<string, readonly string[]>();

  constructor(options: EngineOptions = {}) {
    this.options = options;
    this.events = new Events(options.announce ?? (() => {}));
    const log = options.accessLog ?? null;
    if (log !== null) {
      log.onTrouble = (reason) => {
        if (reason === null) this.events.add('access_log_recovered', 'balancer', null, `written again; ${log.dropped} lines are lost`);
        else
          this.events.add('access_log_failed', 'balancer', 'local', `cannot write the access log: ${reason}; requests are served without`);
      };
    }
    this.stopClock = this.clock.onTick((now) => this.tick(now));
  }

  /**
   * Makes `configuration` the running one; says what of it is not as the files say. Throws PlimsollError and changes nothing
   * if a part of it cannot be had.
   */
  async apply(configuration: Configuration): Promise<readonly string[]> {
    const certificates = new Map<string, Certificate>();
    const warnings: string[] = [];
    for (const service of configuration.virtual_services) {
      if (service.tls === null) continue;
      const { certificate, warning } = this.certificateOf(service, service.tls);
      certificates.set(service.name, certificate);
      if (warning !== null) warnings.push(warning);
    }
    const wanted = new Map(configuration.virtual_services.map((v) => [listenKey(v), v] as const));
    const opened: { readonly key: string; readonly listener: Listener; readonly tls: boolean }[] = [];
    // Listeners are opened on services that exist already, or on a placeholder that is replaced in the same turn.
    try {
      for (const [key, service] of wanted) {
        const at = this.options.listenAt === undefined ? service.listen : this.options.listenAt(service, key);
        if (at === null) continue;
        const running = this.listeners.get(key);
        if (running !== undefined && running.tls === (service.tls !== null)) continue;
        if (running !== undefined) running.listener.close();
        const listener = new Listener((error) => this.acceptTrouble(service.name, error));
        opened.push({ key, listener, tls: service.tls !== null });
        await listener.open(at, certificates.get(service.name) ?? null);
      }
    } catch (cause) {
      for (const { listener } of opened) listener.close();
      if (cause instanceof PlimsollError) throw cause;
      const error = cause as NodeJS.ErrnoException & { address?: string; port?: number };
      throw new PlimsollError(
        'listen_failed',
        { listen: `${error.address ?? ''}:${error.port ?? ''}`, reason: error.code ?? error.message },
        { cause },
      );
    }
    this.commit(configuration);
    this.certificates = certificates;
    for (const warning of warnings) this.events.add('certificate_kept', 'balancer', 'local', warning);
    for (const { key, listener, tls } of opened) this.listeners.set(key, { listener, tls });
    for (const [key, { listener }] of this.listeners) {
      const service = wanted.get(key);
      if (service === undefined) {
        listener.close();
        this.listeners.delete(key);
        continue;
      }
      listener.serve(this.services.get(service.name)!);
      const certificate = certificates.get(service.name);
      if (certificate !== undefined) listener.replaceCertificate(certificate);
    }
    return warnings;
  }

  /** From the files. Keys are often root's alone, and root was left behind: then a reload goes on with the one read at the start. */
  private certificateOf(
    service: VirtualService,
    tls: { readonly cert: string; readonly key: string },
  ): { readonly certificate: Certificate; readonly warning: string | null } {
    try {
      return { certificate: this.options.certificate?.(service) ?? readCertificate(tls), warning: null };
    } catch (error) {
      const before = this.configuration?.virtual_services.find((v) => v.name === service.name)?.tls ?? null;
      const certificate = this.certificates.get(service.name);
      const same = before !== null && before.cert === tls.cert && before.key === tls.key;
      if (!(error instanceof PlimsollError) || error.facts['reason'] !== 'EACCES' || certificate === undefined || !same) throw error;
      return { certificate, warning: `${service.name} keeps the certificate that was read at the start: ${error.message}` };
    }
  }

  private commit(configuration: Configuration): void {
    this.configuration = configuration;
    this.commitSnatPools(configuration.snat_pools);
    this.commitPools(configuration);
    const names = new Set(configuration.virtual_services.map((v) => v.name));
    for (const [name, service] of this.services) {
      if (names.has(name)) continue;
      this.services.delete(name);
      service.retire();
      this.retired.add(service);
    }
    for (const virtual of configuration.virtual_services) {
      const profile = configuration.application_profiles.find((p) => p.name === virtual.application_profile)!;
      const settings = serviceSettings(virtual, profile);
      const pool = this.pools.get(virtual.pool)!.pool;
      const running = this.services.get(virtual.name);
      if (running !== undefined && running.settings.type === settings.type) {
        running.settings = settings;
        running.pool = pool;
      } else {
        if (running !== undefined) {
          running.retire();
          this.retired.add(running);
        }
        this.services.set(virtual.name, new Service(settings, pool, this.clock, this.options.accessLog ?? null));
      }
    }
  }

  /** Makes the SNAT pools of `configuration` the running ones; whoever waits for a port is served. */
  applySnatPools(configuration: Configuration): void {
    this.configuration = configuration;
    this.commitSnatPools(configuration.snat_pools);
    for (const { pool } of this.pools.values()) if (pool.snat !== null) pool.portsFreed();
  }

  /** By SNAT pool, what its ledger must tell the next process. */
  portKnowledge(): ReadonlyMap<string, readonly KnownPorts[]> {
    const now = this.clock.seconds();
    return new Map([...this.snatPools].map(([name, { ledger }]) => [name, ledger.remember(now)]));
  }

  /** The other way round, `since` seconds later. How many ports still cool. */
  learnPorts(knowledge: ReadonlyMap<string, readonly KnownPorts[]>, since: number): number {
    const now = this.clock.seconds();
    let cooling = 0;
    for (const [name, known] of knowledge) cooling += this.snatPools.get(name)?.ledger.learn(known, since, now) ?? 0;
    return cooling;
  }

  private commitSnatPools(wanted: readonly SnatConfiguration[]): void {
    const names = new Set(wanted.map((s) => s.name));
    for (const name of this.snatPools.keys()) if (!names.has(name)) this.snatPools.delete(name);
    for (const snat of wanted) {
      const running = this.snatPools.get(snat.name);
      const shape = `${snat.ports.map(formatRange).join()} ${snat.monitor_ports}`;
      if (running === undefined || running.shape !== shape) {
        const ledger = new PortLedger({
          addresses: snat.addresses,
          ports: snat.ports,
          monitorPorts: snat.monitor_ports,
          cooldown: snat.cooldown,
          owner: this.options.lender === undefined,
        });
        // Other ports, but those that both have are the same 4-tuples to the servers.
        if (running !== undefined) ledger.learn(running.ledger.remember(this.clock.seconds()), 0, this.clock.seconds());
        this.snatPools.set(snat.name, new SnatPool(snat.name, shape, ledger, this.options.lender ?? null, () => this.clock.seconds()));
        continue;
      }
      running.ledger.setCooldown(snat.cooldown);
      const before = new Set(running.ledger.addresses);
      const after = new Set(snat.addresses);
      for (const address of before) {
        if (after.has(address)) continue;
        running.ledger.drainAddress(address);
        this.events.add('address_drained', `snat_pool ${snat.name}`, null, `${address} takes no new connections`);
      }
      for (const address of after) {
        if (before.has(address) || running.absent.has(address)) continue;
        running.ledger.addAddress(address);
        this.events.add('address_added', `snat_pool ${snat.name}`, null, `${address} takes connections`);
      }
    }
  }

  private commitPools(configuration: Configuration): void {
    const names = new Set(configuration.pools.map((p) => p.name));
    for (const [name, running] of this.pools) {
      if (names.has(name)) continue;
      this.pools.delete(name);
      for (const watch of running.watches.values()) watch.stop();
      this.retiredPools.add(running);
    }
    for (const wanted of configuration.pools) {
      const settings = poolSettings(wanted, this.share);
      let running = this.pools.get(wanted.name);
      if (running === undefined) {
        running = { pool: new Pool(settings, this.clock, this.events.add), configuration: wanted, monitors: [], watches: new Map() };
        this.pools.set(wanted.name, running);
      }
      const { pool } = running;
      const snat = wanted.snat_pool === null ? null : (this.snatPools.get(wanted.snat_pool) ?? null);
      const samePorts = pool.snat === snat;
      const before = pool.servers;
      pool.settings = settings;
      pool.snat = snat;
      pool.servers = wanted.servers.map((s) => {
        const key = formatEndpoint(s.address.address, s.address.port);
        const known = before.find((b) => b.name === s.name && b.key === key);
        if (known !== undefined) {
          known.weight = s.weight;
          return known;
        }
        return new Server(
          s.name,
          s.address.address,
          s.address.port,
          key,
          s.weight,
          wanted.health_monitors.length === 0 ? taken() : initializing(),
        );
      });
      for (const server of before) if (!pool.servers.includes(server)) pool.dismiss(server);
      this.commitWatches(running, wanted, configuration, samePorts);
      pool.portsFreed();
    }
  }

  private commitWatches(running: RunningPool, wanted: PoolConfiguration, configuration: Configuration, samePorts: boolean): void {
    const { pool, watches } = running;
    const monitors = wanted.health_monitors.map((name) => configuration.health_monitors.find((m) => m.name === name)!);
    const sameMonitors = samePorts && JSON.stringify(running.monitors) === JSON.stringify(monitors);
    running.configuration = wanted;
    running.monitors = monitors;
    for (const [server, watch] of watches) {
      if (sameMonitors && pool.servers.includes(server)) continue;
      watch.stop();
      watches.delete(server);
    }
    for (const server of pool.servers) {
      if (monitors.length === 0) {
        if (server.health.reason !== 'no health monitor') server.health = taken();
        continue;
      }
      if (watches.has(server) || this.options.monitors === false) continue;
      const { snat } = pool;
      const ports =
        snat === null
          ? null
          : {
              acquire: (key: string, proven: boolean) => snat.ledger.acquireMonitor(key, this.clock.seconds(), proven),
              release: (lease: Parameters<PortLedger['release']>[0], ending: Parameters<PortLedger['release']>[1]) =>
                snat.ledger.release(lease, ending, this.clock.seconds()),
              hold: (lease: Parameters<PortLedger['hold']>[0]) => snat.ledger.hold(lease, this.clock.seconds()),
            };
      watches.set(
        server,
        new ServerWatch(server, monitors, ports, {
          probed: (monitor, result, collisions) => {
            const counters = this.countersOf(monitor.name);
            counters.probes++;
            if (result.class !== 'unknown') counters[result.class]++;
            counters.collisions += collisions;
            server.counters.collisions += collisions;
            if (result.class === 'up') this.foundWell(wanted.name, server.name);
            else if (result.class !== 'local') server.counters.health_check_failures++;
          },
          changed: (up, reason) => this.setHealth(wanted.name, server.name, up, reason),
        }),
      );
    }
  }

  /** What a monitor found; in workers, what the parent was told. */
  setHealth(poolName: string, serverName: string, up: boolean, reason: string): void {
    const pool = this.pools.get(poolName)?.pool;
    const server = pool?.servers.find((s) => s.name === serverName);
    if (pool === undefined || server === undefined) return;
    const was = server.health.state;
    server.health = { state: up ? 'OPER_UP' : 'OPER_DOWN', reason, last_changed_time: new Date().toISOString() };
    server.refusals = 0;
    if (was !== server.health.state && !(was === 'OPER_INITIALIZING' && up)) {
      this.events.add(up ? 'server_up' : 'server_down', `pool ${poolName} server ${serverName}`, up ? null : 'remote', reason);
    }
    if (up) pool.portsFreed();
    else pool.retire(server);
    this.onHealth?.(poolName, serverName, up, reason);
  }

  /** A probe succeeded: whatever refused connections lately was no closed port. */
  foundWell(poolName: string, serverName: string): void {
    const server = this.pools.get(poolName)?.pool.servers.find((s) => s.name === serverName);
    if (server !== undefined) server.refusals = 0;
    this.onWell?.(poolName, serverName);
  }

  /** Set by the parent of workers. */
  onWell: ((pool: string, server: string) => void) | null = null;
  onHealth: ((pool: string, server: string, up: boolean, reason: string) => void) | null = null;

  /** `drain`, `enable`, `disable`. Throws not_configured for names that are none. */
  administer(poolName: string, serverName: string, administration: Administration): void {
    const pool = this.pools.get(poolName)?.pool;
    if (pool === undefined) throw unknownName('pool', poolName, [...this.pools.keys()]);
    const server = pool.servers.find((s) => s.name === serverName);
    if (server === undefined)
      throw unknownName(
        `server of pool ${poolName}`,
        serverName,
        pool.servers.map((s) => s.name),
      );
    if (server.administration === administration) return;
    server.administration = administration;
    const kind = administration === 'enabled' ? 'server_enabled' : administration === 'disabled' ? 'server_disabled' : 'server_draining';
    this.events.add(kind, `pool ${poolName} server ${serverName}`, null, 'by command');
    if (administration === 'enabled') pool.portsFreed();
    else {
      pool.retire(server);
      if (administration === 'disabled') pool.evictResting(server);
    }
  }

  /** `set virtualservice NAME connection_multiplexing=on`: until the next reload. */
  setMultiplexing(name: string, on: boolean): void {
    const service = this.services.get(name);
    if (service === undefined) throw unknownName('virtual service', name, [...this.services.keys()]);
    if (service.settings.multiplexing === on) return;
    if (service.settings.type === 'tcp')
      throw new PlimsollError('not_settable', { name, reason: 'a tcp service has no requests to share server connections by' });
    service.settings = { ...service.settings, multiplexing: on };
    this.events.add('setting_changed', `virtual_service ${name}`, null, `connection_multiplexing=${on ? 'on' : 'off'}`);
    if (on) service.settle();
  }

  /** Accepts no more, lets requests finish for `grace` seconds, then closes what is left. */
  async stop(grace: number): Promise<void> {
    if (grace > 0) this.events.add('stopping', 'balancer', null, `up to ${grace} s for ${this.openRequests} open requests`);
    for (const { listener } of this.listeners.values()) listener.close();
    this.listeners.clear();
    for (const { watches } of this.pools.values()) for (const watch of watches.values()) watch.stop();
    for (const service of this.services.values()) service.retire();
    const deadline = Date.now() + grace * 1000;
    while (Date.now() < deadline && this.allServices().some((s) => s.sessions.size > 0)) await new Promise((next) => setTimeout(next, 20));
    for (const { pool } of [...this.pools.values(), ...this.retiredPools]) pool.stopping = true;
    for (const service of this.allServices()) service.abort();
    for (const { pool } of [...this.pools.values(), ...this.retiredPools]) for (const server of pool.servers) pool.closeAll(server);
    this.options.accessLog?.flush();
    this.stopClock();
  }

  get openRequests(): number {
    return this.allServices().reduce((sum, s) => sum + s.counters.open_requests, 0);
  }

  get openConnections(): number {
    return this.allServices().reduce((sum, s) => sum + s.sessions.size, 0);
  }

  private allServices(): Service[] {
    return [...this.services.values(), ...this.retired];
  }

  get configurationFile(): string {
    return this.options.configurationFile ?? '';
  }

  private countersOf(monitor: string): MonitorCounters {
    let counters = this.monitorCounters.get(monitor);
    if (counters === undefined) {
      counters = noProbes();
      this.monitorCounters.set(monitor, counters);
    }
    return counters;
  }

  private acceptTrouble(service: string, error: NodeJS.ErrnoException): void {
    // One word per episode: every connection that cannot be accepted says the same.
    const last = this.acceptTroubles.get(service) ?? Number.NEGATIVE_INFINITY;
    this.acceptTroubles.set(service, this.clock.now);
    if (this.clock.now - last < 10_000) return;
    this.events.add('accept_paused', `virtual_service ${service}`, 'local', `accept failed: ${error.code ?? error.message}`);
  }

  private tick(now: number): void {
    for (const service of this.services.values()) service.tick(now);
    for (const service of this.retired) {
      service.tick(now);
      if (service.sessions.size === 0) this.retired.delete(service);
    }
    for (const { pool } of this.pools.values()) pool.tick(now);
    for (const running of this.retiredPools) {
      running.pool.tick(now);
      if (this.allServices().some((s) => s.pool === running.pool)) continue;
      for (const server of running.pool.servers) running.pool.retire(server);
      if (running.pool.servers.every((s) => s.connections.size === 0)) this.retiredPools.delete(running);
    }
    if (now - this.lastSweep < sweepEvery) return;
    this.lastSweep = now;
    const keys = new Set([...this.pools.values()].flatMap(({ pool }) => pool.servers.map((s) => s.key)));
    for (const [name, snat] of this.snatPools) {
      const configured = this.configuration?.snat_pools.find((s) => s.name === name);
      snat.tick(new Set(configured?.addresses ?? []));
      if (this.options.lender === undefined) snat.ledger.forget(keys, this.clock.seconds());
      else snat.returnOf((server) => !keys.has(server));
    }
  }

  /** Worker: ports arrived for `snat`. */
  portsFreed(snat: SnatPool): void {
    for (const { pool } of this.pools.values()) if (pool.snat === snat) pool.portsFreed();
  }

  /** Worker: another one needs a port towards `server`. A free one goes at once, else that of an idle connection, else the next that ends. */
  recall(snatName: string, serverKey: string): void {
    const snat = this.snatPools.get(snatName);
    if (snat === undefined || snat.surrender(serverKey)) return;
    snat.owe(serverKey);
    for (const { pool } of this.pools.values()) {
      if (pool.snat !== snat) continue;
      const server = pool.servers.find((s) => s.key === serverKey);
      if (server !== undefined && pool.evict(server)) return;
    }
  }

  /** What is wrong with a SNAT pool's choice of ports on this host; told by whoever can see the host. */
  setWarnings(snatPool: string, warnings: readonly string[]): void {
    for (const text of warnings) {
      if (!(this.warnings.get(snatPool) ?? []).includes(text)) this.events.add('ports_warning', `snat_pool ${snatPool}`, 'local', text);
    }
    this.warnings.set(snatPool, warnings);
  }

  state(): BalancerState {
    return engineState(this);
  }
}

const listenKey = (service: VirtualService): string => formatEndpoint(service.listen.address, service.listen.port);

const unknownName = (what: string, name: string, known: readonly string[]): PlimsollError =>
  new PlimsollError('not_configured', {
    what,
    name,
    known: known.length === 0 ? 'there is none' : `there is: ${known.slice(0, 12).join(', ')}`,
  });

const serviceSettings = (virtual: VirtualService, profile: ApplicationProfile): ServiceSettings => ({
  name: virtual.name,
  listen: listenKey(virtual),
  type: profile.type,
  tls: virtual.tls !== null,
  profile: profile.name,
  multiplexing: profile.type === 'http' && profile.connection_multiplexing,
  forwarded: profile.x_forwarded_for,
  clientHeaderTimeout: profile.client_header_timeout * 1000,
  clientBodyTimeout: profile.client_body_timeout * 1000,
  clientIdleTimeout: profile.client_idle_timeout * 1000,
  serverTimeout: profile.server_timeout * 1000,
  tunnelIdleTimeout: profile.tunnel_idle_timeout * 1000,
  halfClosedTimeout: profile.half_closed_timeout * 1000,
  tcpKeepalive: profile.tcp_keepalive * 1000,
});

const poolSettings = (pool: PoolConfiguration, share: number): PoolSettings => ({
  name: pool.name,
  algorithm: pool.algorithm,
  maxPerServer: Math.ceil(pool.connections.max_per_server / share),
  connectTimeout: pool.connections.connect_timeout * 1000,
  idleTimeout: pool.connections.idle_timeout * 1000,
  maxReuse: pool.connections.max_reuse,
  queueDepth: pool.queue.depth,
  queueTimeout: pool.queue.timeout * 1000,
});
