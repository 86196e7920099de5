/**
 * A server of a pool as the engine sees it (may it be used, what is open to it, what happened so far) and a TCP connection to
 * it (whose it is, which port it holds, how it ended). Each knows the other, so they are one module.
 */
import { connect, type Socket } from 'node:net';
import type { Ending, Lease } from '../../../core/port-ledger.ts';
import type { OperStatus } from '../../engine.ts';
import { connectFailure, type Failure, streamFailure } from '../../failure.ts';
import { markEnd, readBuffer, readView } from '../read-buffer.ts';
import { type Candidate, hashText } from './selection.ts';

export type Administration = 'enabled' | 'disabled' | 'draining';

export interface ServerCounters {
  complete_conns: number;
  new_established_conns: number;
  conn_dropped_before_syn_sent: number;
  conn_dropped_before_est: number;
  conn_dropped_after_est: number;
  collisions: number;
  evicted: number;
  rx_tcp_resets: number;
  health_check_failures: number;
  num_requested: number;
  num_reused: number;
  retries: number;
  unsolicited: number;
  local: number;
  remote: number;
  network: number;
  client: number;
}

const noCounts = (): ServerCounters => ({
  complete_conns: 0,
  new_established_conns: 0,
  conn_dropped_before_syn_sent: 0,
  conn_dropped_before_est: 0,
  conn_dropped_after_est: 0,
  collisions: 0,
  evicted: 0,
  rx_tcp_resets: 0,
  health_check_failures: 0,
  num_requested: 0,
  num_reused: 0,
  retries: 0,
  unsolicited: 0,
  local: 0,
  remote: 0,
  network: 0,
  client: 0,
});

export class Server implements Candidate {
  readonly name: string;
  readonly address: string;
  readonly port: number;
  /** `ip:port`, as the ledger names it. */
  readonly key: string;
  readonly hash: number;
  weight: number;
  /** For selection: computed before each. */
  available = true;
  administration: Administration = 'enabled';
  health: OperStatus;
  /** Shared connections that wait for a request: the last one used is used next, so that the others can time out. */
  readonly idle: ServerConnection[] = [];
  /** Connections owned by a client that asks nothing now, oldest first: those that may be evicted. */
  readonly boundIdle = new Set<ServerConnection>();
  /** Everything open, opening or closing: what holds ports. */
  readonly connections = new Set<ServerConnection>();
  opening = 0;
  bound = 0;
  /** Requests it is busy with, including those whose connection is being opened. */
  load = 0;
  /** Handshakes answered with RST since the last one that worked. */
  refusals = 0;
  /** No port was to be had: not asked again before something changes. */
  short = false;
  readonly counters = noCounts();

  constructor(name: string, address: string, port: number, key: string, weight: number, health: OperStatus) {
    this.name = name;
    this.address = address;
    this.port = port;
    this.key = key;
    this.hash = hashText(key);
    this.weight = weight;
    this.health = health;
  }

  get up(): boolean {
    return this.health.state !== 'OPER_DOWN';
  }

  /** Whether new work may go to it. */
  get open(): boolean {
    return this.administration === 'enabled' && this.up;
  }

  /** What `show` says of it: the administrator's word goes before the monitor's. */
  get status(): OperStatus {
    if (this.administration === 'disabled') return { ...this.health, state: 'OPER_DISABLED', reason: 'disabled by command' };
    if (this.administration === 'draining') return { ...this.health, state: 'OPER_DRAINING', reason: 'draining by command' };
    return this.health;
  }
}

/** Who uses a connection: an HTTP exchange, a tunnel. Bytes are valid until the call returns. */
export interface ConnectionUser {
  serverBytes(b: Buffer, start: number, end: number): void;
  /** The server sent FIN. */
  serverEnded(): void;
  /** The connection broke. It is closed already. */
  serverFailed(failure: Failure): void;
  /** What was written has left for the kernel. */
  serverDrained(): void;
  /** The port is needed elsewhere and this connection idles: close both sides. */
  evicted(): void;
}

/** Where a connection reports what concerns the pool. */
export interface ConnectionOwner {
  opened(connection: ServerConnection): void;
  openFailed(connection: ServerConnection, failure: Failure): void;
  /** It closed, for whatever reason; its port is free. */
  closed(connection: ServerConnection): void;
}

export type ConnectionState = 'opening' | 'idle' | 'busy' | 'closing' | 'closed';

export class ServerConnection {
  readonly server: Server;
  readonly lease: Lease | null;
  /** RSTs in the handshake that other ports met before this one for the same waiter: if this one works they were collisions. */
  readonly refusedBefore: number;
  readonly socket: Socket;
  user: ConnectionUser | null = null;
  state: ConnectionState = 'opening';
  /** Owned by one client connection: one-to-one, pinned, or a tunnel. */
  bound = false;
  /** Requests it has carried. */
  served = 0;
  /** Milliseconds on the engine's clock: since when it idles, or when opening or closing gives up. */
  since: number;
  private readonly owner: ConnectionOwner;
  private ending: Ending = 'we_closed';
  private noDelay = false;

  constructor(server: Server, lease: Lease | null, refusedBefore: number, owner: ConnectionOwner, now: number) {
    this.server = server;
    this.lease = lease;
    this.refusedBefore = refusedBefore;
    this.owner = owner;
    this.since = now;
    this.socket = connect({
      host: server.address,
      port: server.port,
      allowHalfOpen: true,
      ...(lease === null ? {} : { localAddress: lease.address, localPort: lease.port }),
      onread: { buffer: readView, callback: (n) => this.read(n) },
    });
    this.socket.on('connect', () => {
      this.state = 'busy';
      owner.opened(this);
    });
    this.socket.on('drain', () => this.user?.serverDrained());
    this.socket.on('end', () => this.finished());
    this.socket.on('error', (error) => this.failed(error));
    this.socket.on('close', () => this.settle());
  }

  /**
   * The server said that it closes after this answer. Whether its FIN or ours is first nobody knows, so its end of the port is taken
   * to be in TIME_WAIT. Where the kernel chooses ports nothing cools down, and an RST spares our own TIME_WAIT.
   */
  serverCloses(): void {
    if (this.lease !== null && this.ending === 'we_closed') this.ending = 'fin';
  }

  /** TCP_NODELAY, once: only a message written in several pieces needs it. */
  hurry(): void {
    if (this.noDelay) return;
    this.noDelay = true;
    this.socket.setNoDelay(true);
  }

  /**
   * Closes our side after the exchange. Politely (FIN, and the port is free when the server has closed too), or at once with
   * RST where somebody waits for the port, or where the kernel chose it: TIME_WAIT would take it out of the kernel's range.
   */
  close(urgent: boolean, now: number): void {
    if (this.state === 'closed' || this.state === 'closing') {
      if (urgent && this.state === 'closing') this.reset();
      return;
    }
    this.user = null;
    if (urgent || this.state === 'opening' || (this.lease === null && this.ending === 'we_closed')) {
      this.reset();
      return;
    }
    if (this.ending !== 'we_closed') {
      this.socket.destroy();
      this.settle();
      return;
    }
    this.state = 'closing';
    this.since = now;
    this.socket.end();
    this.socket.resume();
  }

  /** Closes with RST: the port is free when this returns. `ending` says what the server may still think. */
  reset(ending: Ending = this.ending): void {
    if (this.state === 'closed') return;
    this.ending = ending;
    this.user = null;
    const connecting = this.socket.connecting;
    if (connecting) this.socket.destroy();
    else this.socket.resetAndDestroy();
    this.settle();
  }

  private read(n: number): boolean {
    markEnd(n);
    if (this.user !== null) this.user.serverBytes(readBuffer, 0, n);
    else if (this.state === 'idle') {
      // Nobody asked: whatever this is, the next answer must not begin with it.
      this.server.counters.unsolicited++;
      this.close(false, this.since);
    }
    return true;
  }

  private finished(): void {
    if (this.state === 'closed') return;
    if (this.state === 'closing') {
      this.socket.destroy();
      return;
    }
    this.ending = 'fin';
    if (this.user !== null) this.user.serverEnded();
    else this.close(false, this.since);
  }

  private failed(error: NodeJS.ErrnoException): void {
    if (this.state === 'closed' || this.state === 'closing') return;
    if (this.state === 'opening') {
      this.state = 'closed';
      this.owner.openFailed(this, connectFailure(error, this.lease !== null));
      return;
    }
    const failure = streamFailure(error);
    this.ending = failure.kind === 'reset' ? 'rst' : 'half_open';
    if (failure.kind === 'reset') this.server.counters.rx_tcp_resets++;
    const user = this.user;
    this.user = null;
    this.settle();
    user?.serverFailed(failure);
  }

  /** How the port was left, for the ledger. */
  get left(): Ending {
    return this.ending;
  }

  private settle(): void {
    if (this.state === 'closed') return;
    this.state = 'closed';
    const user = this.user;
    this.user = null;
    this.owner.closed(this);
    // A close without FIN or error before it: only our own destroy() does that, and it left no user.
    user?.serverFailed({ kind: 'reset', cause: 'remote', code: 'closed' });
  }
}
