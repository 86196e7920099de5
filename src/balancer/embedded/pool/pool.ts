/**
 * Admission: who gets a server connection, when, and over which port. The order is DESIGN.md's:
 *
 *   an idle shared connection ─ a free port ─ the longest-cooled port ─ a port freed by evicting an idle connection ─ the queue ─ 503
 *
 * The queue is served oldest first, whenever a connection or a port becomes free. Local failures (no port, no descriptor) are
 * never the server's fault: they lead back to the queue. An RST in the handshake is tried again at once from another port:
 * if that works it was a collision. A server that cannot be reached is left out for the waiter that found out.
 */

import type { Refusal } from '../../../core/http/refusal.ts';
import type { Ending } from '../../../core/port-ledger.ts';
import type { Cause, EventKind } from '../../engine.ts';
import type { Failure } from '../../failure.ts';
import { connectTimeout } from '../../failure.ts';
import type { Clock } from '../clock.ts';
import { badResponse, unavailable } from '../http/refusal.ts';
import { Queue, type Queued } from './queue.ts';
import { consistentHash, leastConnections, roundRobin } from './selection.ts';
import { type ConnectionOwner, type Server, ServerConnection } from './server.ts';
import type { SnatPool } from './snat.ts';

/** Someone who needs a server connection. */
export interface Waiter extends Queued {
  /** Its own connection, not a shared one. */
  readonly exclusive: boolean;
  /** Not one that has idled: the last one it was given turned out to be closed, and its neighbours may be too. */
  readonly fresh: boolean;
  /** For consistent hashing. */
  readonly key: number;
  /** Servers that failed it, and how often it was tried. */
  avoid: Set<Server> | null;
  tries: number;
  /** The connection being opened for it. */
  opening: ServerConnection | null;
  /** A connection is yours until you release or close it. `reused`: it has carried requests before. */
  granted(connection: ServerConnection, reused: boolean): void;
  refused(refusal: Refusal, cause: Cause): void;
}

export interface PoolSettings {
  readonly name: string;
  readonly algorithm: 'round_robin' | 'least_connections' | 'consistent_hash';
  /** Server connections of multiplexed use; 0: no limit. */
  readonly maxPerServer: number;
  /** Milliseconds. */
  readonly connectTimeout: number;
  readonly idleTimeout: number;
  /** How often a connection may be used again; 0: no limit. */
  readonly maxReuse: number;
  readonly queueDepth: number;
  readonly queueTimeout: number;
}

export type Report = (kind: EventKind, subject: string, cause: Cause | null, text: string) => void;

/** Attempts to find a working server for one waiter. */
const mostTries = 3;
/**
 * Handshakes in a row that a server may answer with RST and still be taken for one that collides: stale connections come in
 * runs, because their ports were given out in order. Beyond that its port is closed, until a handshake or a probe succeeds.
 */
const closedAfter = 64;
/** Ports found taken, one after the other, before the waiter queues instead. */
const mostTaken = 16;
/** Milliseconds that a closing connection may keep its port before it is reset. */
const closingPatience = 1000;
/** Milliseconds without a waiter after which a shortage is over. */
const calmAfter = 3000;

export class Pool implements ConnectionOwner {
  settings: PoolSettings;
  servers: readonly Server[] = [];
  /** Dismissed servers that still have connections. */
  private readonly leaving = new Set<Server>();
  snat: SnatPool | null = null;
  readonly queue = new Queue<Waiter>();
  readonly queued = { total: 0, served: 0, timedOut: 0, full: 0, left: 0 };
  stopping = false;
  private readonly clock: Clock;
  private readonly report: Report;
  private readonly waiters = new Map<ServerConnection, Waiter>();
  private last = -1;
  private credit: number[] = [];
  /** A shortage of ports that was reported: since when, and when somebody last waited. */
  private shortage: { readonly since: number; lastWait: number; waited: number } | null = null;
  private pumping = false;
  private taken = 0;

  constructor(settings: PoolSettings, clock: Clock, report: Report) {
    this.settings = settings;
    this.clock = clock;
    this.report = report;
  }

  /** Gives `waiter` a connection, now or later, or refuses it. */
  admit(waiter: Waiter): void {
    waiter.avoid = null;
    waiter.tries = 0;
    waiter.queuedAt = 0;
    if (this.queue.length === 0 && this.place(waiter)) return;
    this.enqueue(waiter, false);
  }

  /** `waiter` left: its place is free, and a connection being opened for it goes to whoever is next. */
  leave(waiter: Waiter): void {
    if (waiter.inQueue) {
      this.queue.remove(waiter);
      this.queued.left++;
    }
    if (waiter.opening !== null) {
      this.waiters.delete(waiter.opening);
      waiter.opening.server.load--;
      waiter.opening = null;
    }
  }

  /** The exchange is over and the connection may carry another. */
  release(connection: ServerConnection): void {
    const { server } = connection;
    server.load--;
    connection.user = null;
    if (connection.bound) {
      connection.bound = false;
      server.bound--;
      server.boundIdle.delete(connection);
    }
    const reuses = this.settings.maxReuse;
    const most = this.settings.maxPerServer;
    // One-to-one connections become everybody's when multiplexing is switched on: those beyond the limit close.
    if (most > 0 && server.connections.size - server.bound > most) {
      connection.close(this.queue.length > 0, this.clock.now);
      return;
    }
    if (connection.state !== 'busy' || (reuses > 0 && connection.served > reuses) || server.administration !== 'enabled' || this.stopping) {
      connection.close(false, this.clock.now);
      return;
    }
    if (this.snat?.owes(server.key) === true) {
      connection.close(true, this.clock.now);
      return;
    }
    connection.state = 'idle';
    connection.since = this.clock.now;
    server.idle.push(connection);
    if (this.queue.length > 0) this.pump();
  }

  /** The exchange is over and the connection is of no further use. */
  discard(connection: ServerConnection): void {
    connection.server.load--;
    connection.user = null;
    connection.close(this.queue.length > 0, this.clock.now);
  }

  /** From now on the connection belongs to one client. */
  bind(connection: ServerConnection): void {
    if (connection.bound) return;
    connection.bound = true;
    connection.server.bound++;
  }

  /** A bound connection whose client asks nothing now: it may be evicted. */
  rest(connection: ServerConnection): void {
    connection.server.load--;
    connection.server.boundIdle.add(connection);
    if (this.queue.length > 0) this.pump();
  }

  /** Its client asks again. */
  wake(connection: ServerConnection): void {
    connection.server.load++;
    connection.server.boundIdle.delete(connection);
  }

  /** Serves the queue as far as it goes. To be called when anything became free. */
  pump(): void {
    if (this.pumping) return;
    this.pumping = true;
    try {
      for (let waiter = this.queue.first; waiter !== null; waiter = this.queue.first) {
        this.queue.remove(waiter);
        if (!this.place(waiter)) {
          this.queue.unshift(waiter);
          return;
        }
        this.queued.served++;
      }
    } finally {
      this.pumping = false;
    }
  }

  /** Ports may have become free: asks again for every server. */
  portsFreed(): void {
    for (const server of this.servers) server.short = false;
    if (this.queue.length > 0) this.pump();
  }

  /** Time passes: patience ends, idle connections age, the queue is tried again. */
  tick(now: number): void {
    const { idleTimeout, connectTimeout: patience, queueTimeout } = this.settings;
    for (const connection of [...this.waiters.keys()]) {
      if (connection.state === 'opening' && now - connection.since > patience) {
        connection.reset('half_open');
        this.openFailed(connection, connectTimeout);
      }
    }
    for (const server of [...this.servers, ...this.leaving]) {
      server.short = false;
      while (server.idle.length > 0 && now - server.idle[0]!.since > idleTimeout) server.idle.shift()!.close(false, now);
      for (const connection of server.connections) {
        if (connection.state === 'closing' && now - connection.since > closingPatience) connection.close(true, now);
        else if (connection.state === 'opening' && now - connection.since > patience) connection.reset('half_open');
      }
    }
    for (const server of this.leaving) if (server.connections.size === 0) this.leaving.delete(server);
    for (let waiter = this.queue.first; waiter !== null && now - waiter.queuedAt > queueTimeout; waiter = this.queue.first) {
      this.queue.remove(waiter);
      this.queued.timedOut++;
      waiter.refused(this.shortage === null ? unavailable.queueTimeout : unavailable.portsTimeout, 'local');
    }
    if (this.queue.length > 0) this.pump();
    if (this.queue.length > 0 && this.shortServer() !== null) this.noteShortage();
    if (this.shortage !== null) {
      if (this.queue.length > 0) this.shortage.lastWait = now;
      else if (now - this.shortage.lastWait > calmAfter) {
        const seconds = ((this.shortage.lastWait - this.shortage.since) / 1000).toFixed(1);
        this.report(
          'ports_recovered',
          `pool ${this.settings.name}`,
          'local',
          `source ports suffice again after ${seconds} s; ${this.shortage.waited} waited`,
        );
        this.shortage = null;
      }
    }
  }

  /** Frees one port towards `server` by closing an idle connection to it. Whether there was one. */
  evict(server: Server): boolean {
    const shared = server.idle.shift();
    if (shared !== undefined) {
      server.counters.evicted++;
      shared.close(true, this.clock.now);
      return true;
    }
    for (const connection of server.boundIdle) {
      server.counters.evicted++;
      const user = connection.user;
      connection.close(true, this.clock.now);
      user?.evicted();
      return true;
    }
    return false;
  }

  /** Closes what idles towards `server` in the shared pool. */
  retire(server: Server): void {
    for (const connection of server.idle.splice(0)) connection.close(false, this.clock.now);
  }

  /** Closes the connections of clients that ask nothing now, and those clients with them. */
  evictResting(server: Server): void {
    for (const connection of [...server.boundIdle]) {
      const { user } = connection;
      connection.server.load++;
      this.discard(connection);
      user?.evicted();
    }
  }

  /** `server` is no longer of this pool: no new work, and what is busy closes when it is done. */
  dismiss(server: Server): void {
    server.administration = 'disabled';
    this.leaving.add(server);
    this.retire(server);
  }

  closeAll(server: Server): void {
    for (const connection of [...server.connections]) connection.reset();
  }

  /** Why the queue waits, for `show`. */
  get short(): boolean {
    return this.shortage !== null;
  }

  opened(connection: ServerConnection): void {
    const { server } = connection;
    server.opening--;
    server.counters.new_established_conns++;
    if (connection.lease !== null) this.snat?.present(connection.lease.address);
    server.counters.collisions += connection.refusedBefore;
    server.refusals = 0;
    this.taken = 0;
    const waiter = this.waiters.get(connection);
    if (waiter === undefined) {
      server.load++;
      this.release(connection);
      return;
    }
    this.waiters.delete(connection);
    waiter.opening = null;
    waiter.granted(connection, false);
  }

  openFailed(connection: ServerConnection, failure: Failure): void {
    const { server, lease } = connection;
    if (!server.connections.delete(connection)) {
      // Reset by our own patience: `closed` has counted it.
    } else {
      server.opening--;
      this.settleLease(connection, failure);
    }
    const waiter = this.waiters.get(connection);
    this.waiters.delete(connection);
    server.counters[failure.cause]++;
    if (failure.cause === 'local') server.counters.conn_dropped_before_syn_sent++;
    else server.counters.conn_dropped_before_est++;
    if (waiter === undefined) return;
    waiter.opening = null;
    server.load--;
    if (failure.kind === 'port_taken' && ++this.taken <= mostTaken) {
      if (this.dial(server, waiter, connection.refusedBefore)) return;
    }
    this.taken = 0;
    if (failure.cause === 'local') {
      if (lease === null && this.evict(server) && this.dial(server, waiter, 0)) return;
      server.short = true;
      this.enqueue(waiter, true);
      return;
    }
    if (failure.kind === 'refused') {
      server.refusals++;
      if ((server.refusals <= closedAfter || connection.refusedBefore === 0) && this.dial(server, waiter, connection.refusedBefore + 1))
        return;
    }
    waiter.avoid ??= new Set();
    waiter.avoid.add(server);
    server.counters.retries++;
    if (++waiter.tries < mostTries && this.servers.some((s) => s.open && !waiter.avoid!.has(s))) {
      if (!this.place(waiter)) this.enqueue(waiter, true);
      return;
    }
    waiter.refused(
      failure.kind === 'timeout' ? badResponse.connectLate : failure.kind === 'refused' ? badResponse.connect : badResponse.network,
      failure.cause,
    );
  }

  closed(connection: ServerConnection): void {
    const { server } = connection;
    if (!server.connections.delete(connection)) return;
    server.counters.complete_conns++;
    if (this.waiters.has(connection) || connection.socket.connecting) server.opening--;
    if (connection.bound) {
      server.bound--;
      server.boundIdle.delete(connection);
    }
    if (server.idle.length > 0) {
      const at = server.idle.indexOf(connection);
      if (at >= 0) server.idle.splice(at, 1);
    }
    if (connection.lease !== null) this.snat?.give(connection.lease, connection.left);
    server.short = false;
    if (this.queue.length > 0) this.pump();
  }

  private settleLease(connection: ServerConnection, failure: Failure): void {
    const { lease, server } = connection;
    const snat = this.snat;
    if (lease === null || snat === null) return;
    const ending: Readonly<Record<Failure['kind'], Ending>> = {
      // The kernel has not finished with an earlier connection of ours, or (EADDRINUSE) somebody else has the port.
      port_taken: 'half_open',
      no_port: 'we_closed',
      address_absent: 'we_closed',
      local_other: 'we_closed',
      refused: 'refused',
      reset: 'rst',
      timeout: 'half_open',
      unreachable: 'we_closed',
    };
    if (failure.kind === 'port_taken' && failure.code === 'EADDRINUSE') {
      if (snat.hold(lease)) {
        const text = `port ${lease.port} of ${lease.address} is in use by another program on this host: such ports are skipped and tried again later`;
        this.report('ports_warning', `snat_pool ${snat.name}`, 'local', text);
      }
    } else if (failure.kind === 'address_absent') {
      if (snat.addressAbsent(lease)) {
        this.report(
          'address_absent',
          `snat_pool ${snat.name}`,
          'local',
          `source address ${lease.address} is not on this host (towards ${server.key})`,
        );
      }
    } else snat.give(lease, ending[failure.kind]);
  }

  private enqueue(waiter: Waiter, again: boolean): void {
    if (this.stopping) {
      waiter.refused(unavailable.stopping, 'local');
      return;
    }
    if (!this.servers.some((s) => s.open)) {
      waiter.refused(unavailable.noServer, 'remote');
      return;
    }
    const now = this.clock.now;
    const short = this.shortServer();
    if (short !== null) {
      this.noteShortage();
      if (!again) {
        this.shortage!.waited++;
        if (this.snat !== null) {
          short.counters.local++;
          short.counters.conn_dropped_before_syn_sent++;
        }
      }
    }
    if (again) {
      // It keeps its place in time: the oldest goes first.
      if (waiter.queuedAt === 0) {
        waiter.queuedAt = now;
        this.queued.total++;
      }
      this.queue.unshift(waiter);
      return;
    }
    if (this.queue.length >= this.settings.queueDepth) {
      this.queued.full++;
      waiter.refused(unavailable.queueFull, 'local');
      return;
    }
    waiter.queuedAt = now;
    this.queued.total++;
    this.queue.push(waiter);
  }

  /** A server that could be used but for want of a port; none while it is not known whether ports are to be had. */
  private shortServer(): Server | null {
    return this.servers.find((s) => s.open && s.short && this.snat?.asking(s.key) !== true) ?? null;
  }

  private noteShortage(): void {
    if (this.shortage !== null) return;
    const now = this.clock.now;
    this.shortage = { since: now, lastWait: now, waited: 0 };
    const ports = this.snat === null ? "the kernel's automatic range" : `snat_pool ${this.snat.name}`;
    this.report(
      'ports_short',
      `pool ${this.settings.name}`,
      'local',
      `no source port left in ${ports}: requests wait, servers are not to blame`,
    );
  }

  /** Whether `waiter` has been taken care of: granted, being connected, or refused. False: it has to wait. */
  private place(waiter: Waiter): boolean {
    const { servers } = this;
    for (;;) {
      let any = false;
      let possible = false;
      for (let i = 0; i < servers.length; i++) {
        const s = servers[i]!;
        const open = s.open && (waiter.avoid === null || !waiter.avoid.has(s));
        any ||= open;
        const idles = s.idle.length > 0;
        // Who needs a fresh connection gets nothing from an idle one but its room: without a port it has to wait.
        if (waiter.fresh) s.available = open && !s.short && (waiter.exclusive || idles || this.mayOpen(s));
        else s.available = open && (idles || (!s.short && (waiter.exclusive || this.mayOpen(s))));
        possible ||= s.available;
      }
      if (!any) {
        waiter.refused(unavailable.noServer, 'remote');
        return true;
      }
      if (!possible) return false;
      const server = servers[this.pick(waiter.key)]!;
      if (waiter.fresh && server.idle.length > 0 && !this.mayOpen(server)) server.idle.shift()!.close(true, this.clock.now);
      const idle = waiter.fresh ? undefined : server.idle.pop();
      if (idle !== undefined) {
        idle.state = 'busy';
        server.load++;
        waiter.granted(idle, true);
        return true;
      }
      if (this.dial(server, waiter, 0)) return true;
      server.short = true;
    }
  }

  private mayOpen(server: Server): boolean {
    const most = this.settings.maxPerServer;
    return most === 0 || server.connections.size - server.bound < most;
  }

  private pick(key: number): number {
    if (this.settings.algorithm === 'consistent_hash') return consistentHash(this.servers, key);
    this.last =
      this.settings.algorithm === 'round_robin' ? roundRobin(this.servers, this.credit) : leastConnections(this.servers, this.last);
    return this.last;
  }

  /** Opens a connection for `waiter`; false if there is no port, not even after evicting. */
  private dial(server: Server, waiter: Waiter, refusedBefore: number): boolean {
    let lease = null;
    if (this.snat !== null) {
      lease = this.snat.take(server.key, refusedBefore > 0);
      // A worker that has asked its parent for ports waits for the answer: there may be thousands.
      if (lease === null && !this.snat.asking(server.key) && this.evict(server)) lease = this.snat.take(server.key, refusedBefore > 0);
      if (lease === null) return false;
    }
    server.opening++;
    server.load++;
    const connection = new ServerConnection(server, lease, refusedBefore, this, this.clock.now);
    server.connections.add(connection);
    this.waiters.set(connection, waiter);
    waiter.opening = connection;
    return true;
  }
}
