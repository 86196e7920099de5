/** One TCP connection to a server: whose it is, which port it holds, and how it ended. */
import { connect, type Socket } from 'node:net';
import type { Ending, Lease } from '../../../core/port-ledger.ts';
import { connectFailure, type Failure, streamFailure } from '../../failure.ts';
import { markEnd, readBuffer, readView } from '../read-buffer.ts';
import type { Server } from './server.ts';

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
