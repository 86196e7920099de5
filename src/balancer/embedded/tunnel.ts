/**
 * Bytes both ways between one client and one server connection: a tcp service, or what an Upgrade became. FIN travels through:
 * a side that has finished may still be answered, for `half_closed_timeout`. Each direction holds at most one read and what
 * the socket's own buffer takes, because a reader waits until its writer has drained.
 */

import type { Refusal } from '../../core/http/refusal.ts';
import type { Cause } from '../engine.ts';
import type { Failure } from '../failure.ts';
import type { ClientOwner, ClientSocket } from './client-socket.ts';
import type { Pool, Waiter } from './pool/pool.ts';
import type { Queued } from './pool/queue.ts';
import { hashText } from './pool/selection.ts';
import type { ConnectionUser, Server, ServerConnection } from './pool/server.ts';
import { keep } from './read-buffer.ts';
import type { Service, Session } from './service.ts';

/** Bytes of a client that wait for its server connection before reading pauses. */
const mostAhead = 65536;

export class Tunnel implements ClientOwner, ConnectionUser, Waiter, Session {
  queueNext: Queued | null = null;
  queuePrevious: Queued | null = null;
  inQueue = false;
  queuedAt = 0;
  readonly exclusive = true;
  readonly fresh = false;
  key = 0;
  avoid: Set<Server> | null = null;
  tries = 0;
  opening: ServerConnection | null = null;
  deadline = Number.POSITIVE_INFINITY;
  readonly acceptedAt: number;
  keepalive = false;

  private readonly socket: ClientSocket;
  private readonly service: Service;
  private readonly pool: Pool;
  private readonly address: string;
  private server: ServerConnection | null = null;
  private ahead: Buffer | null = null;
  private clientPaused = false;
  private serverPaused = false;
  private clientDone = false;
  private serverDone = false;
  private over = false;
  private waiting = false;
  private sent = 0;
  private readonly startedAt: number;
  private waited = 0;

  constructor(socket: ClientSocket, service: Service, pool: Pool, acceptedAt: number) {
    this.socket = socket;
    this.service = service;
    this.pool = pool;
    this.acceptedAt = acceptedAt;
    this.address = (socket.remoteAddress ?? '').replace(/^::ffff:(?=\d+\.)/, '');
    this.startedAt = performance.now();
    service.sessions.add(this);
  }

  /** A tcp service's client: waits for its server connection. */
  start(): void {
    this.service.counters.total_conns++;
    this.service.counters.total_requests++;
    this.service.counters.open_requests++;
    this.waiting = true;
    if (this.pool.settings.algorithm === 'consistent_hash') this.key = hashText(this.address);
    this.pool.admit(this);
  }

  /** An Upgrade: the connection is here already. `first` hands over what both sides have said. */
  takeOver(server: ServerConnection, first: () => void): void {
    this.service.counters.tunnels++;
    this.server = server;
    server.user = this;
    this.begin();
    first();
  }

  granted(connection: ServerConnection): void {
    this.waiting = false;
    this.waited = performance.now() - this.startedAt;
    this.server = connection;
    connection.user = this;
    connection.served++;
    connection.server.counters.num_requested++;
    this.pool.bind(connection);
    this.begin();
    const { ahead } = this;
    if (ahead !== null) {
      this.ahead = null;
      this.clientBytes(ahead, 0, ahead.length - 1);
    }
    if (this.clientPaused && !connection.socket.writableNeedDrain) {
      this.clientPaused = false;
      this.socket.resume();
    }
    if (this.clientDone) connection.socket.end();
  }

  private begin(): void {
    this.socket.setNoDelay(true);
    this.server!.hurry();
    this.deadline = this.service.clock.now + this.service.settings.tunnelIdleTimeout;
  }

  refused(refusal: Refusal, cause: Cause): void {
    this.waiting = false;
    this.service.counters.failures[cause]++;
    this.service.counters.connections_dropped++;
    this.end(cause, refusal.reason);
    // RST: bytes are all there is in this service, and none of them says "no".
    this.socket.resetAndDestroy();
  }

  clientBytes(b: Buffer, start: number, end: number): void {
    const { server } = this;
    if (server === null) {
      if (this.over) return;
      this.ahead = keep(this.ahead, b, start, end);
      if (this.ahead.length > mostAhead && !this.clientPaused) {
        this.clientPaused = true;
        this.socket.pause();
      }
      return;
    }
    this.service.counters.bytes_from_clients += end - start;
    this.touch();
    if (!server.socket.write(Buffer.from(b.subarray(start, end))) && !this.clientPaused) {
      this.clientPaused = true;
      this.socket.pause();
    }
  }

  serverBytes(b: Buffer, start: number, end: number): void {
    this.service.counters.bytes_to_clients += end - start;
    this.sent += end - start;
    this.touch();
    if (!this.socket.write(Buffer.from(b.subarray(start, end))) && !this.serverPaused) {
      this.serverPaused = true;
      this.server!.socket.pause();
    }
  }

  clientDrained(): void {
    this.touch();
    if (!this.serverPaused) return;
    this.serverPaused = false;
    this.server?.socket.resume();
  }

  serverDrained(): void {
    this.touch();
    if (!this.clientPaused) return;
    this.clientPaused = false;
    this.socket.resume();
  }

  clientEnded(): void {
    this.clientDone = true;
    if (this.waiting) {
      // What it has said is still to be passed on; if that is nothing, its place is free. Until then the queue's patience counts.
      if (this.ahead !== null) return;
      this.leaveQueue();
      this.socket.destroy();
      return;
    }
    this.server?.socket.end();
    if (this.serverDone) this.complete();
    else this.touch();
  }

  serverEnded(): void {
    this.serverDone = true;
    if (this.clientDone) {
      this.complete();
      return;
    }
    this.socket.end();
    this.touch();
  }

  /** Both have finished: what is still written goes out, then both close. */
  private complete(): void {
    const { server, socket } = this;
    this.server = null;
    this.end(null, '');
    if (server !== null) {
      server.user = null;
      this.pool.discard(server);
    }
    if (socket.writableFinished) socket.destroy();
    else {
      socket.end();
      socket.once('finish', () => socket.destroy());
      // A client that never reads is not waited for longer than one that never closes.
      socket.setTimeout(this.service.settings.halfClosedTimeout, () => socket.destroy());
    }
  }

  serverFailed(failure: Failure): void {
    const { server } = this;
    this.server = null;
    if (server !== null) {
      server.server.load--;
      server.server.counters[failure.cause]++;
      server.server.counters.conn_dropped_after_est++;
    }
    this.service.counters.failures[failure.cause]++;
    this.service.counters.connections_dropped++;
    this.end(failure.cause, failure.code);
    this.socket.resetAndDestroy();
  }

  clientClosed(error: NodeJS.ErrnoException | null): void {
    if (this.over) return;
    if (this.waiting) {
      this.leaveQueue();
      return;
    }
    if (error !== null) this.service.counters.failures.client++;
    this.end(error === null ? null : 'client', error?.code ?? '');
    this.close(error !== null);
  }

  private leaveQueue(): void {
    this.waiting = false;
    this.pool.leave(this);
    this.service.counters.failures.client++;
    this.end('client', 'left the queue');
  }

  private close(reset: boolean): void {
    const { server } = this;
    this.server = null;
    if (server === null) return;
    server.user = null;
    if (reset) {
      server.server.load--;
      server.reset();
    } else this.pool.discard(server);
  }

  private touch(): void {
    const { settings, clock } = this.service;
    this.deadline = clock.now + (this.clientDone || this.serverDone ? settings.halfClosedTimeout : settings.tunnelIdleTimeout);
  }

  private end(cause: Cause | null, reason: string): void {
    if (this.over) return;
    this.over = true;
    if (this.waiting) {
      this.waiting = false;
      this.pool.leave(this);
    }
    this.service.sessions.delete(this);
    if (this.service.settings.type === 'tcp') this.service.counters.open_requests--;
    else this.service.counters.tunnels--;
    const { log } = this.service;
    if (log === null) return;
    const lease = this.server?.lease ?? null;
    log.add({
      service: this.service.settings.name,
      client: this.address,
      method: this.service.settings.type === 'tcp' ? 'TCP' : 'UPGRADE',
      target: '',
      status: 0,
      server: this.server?.server.key ?? '',
      source: lease === null ? '' : `${lease.address}:${lease.port}`,
      queued: Math.round(this.waited) / 1000,
      duration: Math.round(performance.now() - this.startedAt) / 1000,
      bytes: this.sent,
      ...(cause === null ? {} : { cause, reason }),
    });
  }

  expired(): void {
    this.service.counters.connections_dropped++;
    this.service.counters.failures.client++;
    this.end('client', this.clientDone || this.serverDone ? 'half closed for too long' : 'idle for too long');
    this.close(true);
    this.socket.destroy();
  }

  enableKeepalive(idle: number): void {
    if (idle === 0) return;
    this.socket.setKeepAlive(true, idle);
    this.server?.socket.setKeepAlive(true, idle);
  }

  evicted(): void {
    // Its connection never rests, so it is never evicted.
  }

  settle(): void {
    // A tunnel keeps its own connection.
  }

  retire(): void {
    // A tunnel ends when its ends do, or when the grace is over.
  }

  abort(): void {
    if (this.waiting) this.pool.leave(this);
    this.service.counters.connections_dropped++;
    this.end('local', 'stopped');
    this.close(false);
    this.socket.destroy();
  }
}
