/** One connection to the target: opened, asked on, held, closed. What it means for the counters and the traffic is the engine's business. */
import { connect, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import type { Target } from './job.ts';
import { MALFORMED, MORE, ResponseReader } from './response.ts';
import type { Source } from './source-ports.ts';

/** Bytes that one read can bring. */
const readSize = 65536;
// The one buffer that all connections of this process read into: what is left in it is gone at the next read. One byte more than
// sockets get, so that a zero can follow the last one received.
const memory = Buffer.alloc(readSize + 1);
const view = memory.subarray(0, readSize);

/** `holding`: a tcp connection that lives for a while. `closing`: the server is to close first. `leaving`: we have, and wait for the server's FIN. */
export type ConnectionState = 'opening' | 'busy' | 'idle' | 'holding' | 'closing' | 'leaving' | 'closed';

/** Where a connection reports. After `failed`, `ended` and `answered` without `keepAlive` it is for the owner to close. */
export interface ConnectionOwner {
  opened(connection: Connection): void;
  /** A whole response has arrived. */
  answered(connection: Connection, status: number, keepAlive: boolean): void;
  /** The server closed, and it was not the end of a response. */
  ended(connection: Connection): void;
  failed(connection: Connection, error: NodeJS.ErrnoException): void;
  received(bytes: number): void;
}

export class Connection {
  readonly source: Source;
  state: ConnectionState = 'opening';
  /** Milliseconds from when its present request's latency counts. */
  since: number;
  /** Milliseconds when patience ends, or Infinity. */
  deadline = Number.POSITIVE_INFINITY;
  /** Requests answered. */
  served = 0;
  /** Ports that were taken by others before this one for the same request. */
  readonly attempt: number;
  /** Milliseconds that connect() took: what a search for a port costs. */
  readonly cost: number;
  /** Its place in the owner's list. */
  place = -1;
  private readonly socket: Socket;
  private readonly owner: ConnectionOwner;
  private readonly tls: boolean;
  private reader: ResponseReader | null = null;

  constructor(target: Target, source: Source, since: number, attempt: number, owner: ConnectionOwner) {
    this.source = source;
    this.since = since;
    this.attempt = attempt;
    this.owner = owner;
    const to = {
      host: target.address,
      port: target.port,
      allowHalfOpen: true,
      ...(source.localAddress === undefined ? {} : { localAddress: source.localAddress }),
      ...(source.localPort === undefined ? {} : { localPort: source.localPort }),
      onread: { buffer: view, callback: (n: number) => this.read(n) },
    };
    this.tls = target.tls !== null;
    const began = performance.now();
    if (target.tls === null) {
      this.socket = connect(to);
      this.socket.on('connect', () => this.owner.opened(this));
    } else {
      const named = /[a-z]/i.test(target.host) && !target.host.includes(':');
      this.socket = connectTls({
        ...to,
        rejectUnauthorized: target.tls.verify,
        ALPNProtocols: ['http/1.1'],
        ...(named ? { servername: target.host } : {}),
      });
      this.socket.on('secureConnect', () => this.owner.opened(this));
    }
    this.cost = performance.now() - began;
    this.socket.on('end', () => this.finished());
    this.socket.on('error', (error) => {
      if (this.state !== 'closed') this.owner.failed(this, error);
    });
  }

  /** Sends a request. `noBody`: its answer has no body. */
  ask(text: string, noBody: boolean): void {
    this.reader ??= new ResponseReader();
    this.reader.begin(noBody);
    this.socket.write(text, 'latin1');
  }

  /** Sends FIN and stays until the server has too: then our end is in TIME_WAIT, which reopens, and no earlier. */
  leave(): void {
    this.state = 'leaving';
    this.socket.end();
    this.socket.resume();
  }

  /** Closes with FIN; with `reset` by RST, which leaves no TIME_WAIT. The port is the kernel's again when this returns. */
  close(reset: boolean): void {
    const { connecting } = this.socket;
    this.state = 'closed';
    // Node resets no TLS socket; it is closed with FIN.
    if (reset && !connecting && !this.tls) this.socket.resetAndDestroy();
    else this.socket.destroy();
  }

  private read(n: number): boolean {
    this.owner.received(n);
    if (this.state !== 'busy' || this.reader === null) return true;
    memory[n] = 0;
    const at = this.reader.read(memory, n);
    if (at === MORE) return true;
    if (at === MALFORMED)
      this.owner.failed(this, Object.assign(new Error('malformed response'), { code: 'MALFORMED', syscall: 'response' }));
    // Bytes that nobody asked for: whatever they are, the next answer must not begin with them.
    else this.owner.answered(this, this.reader.status, this.reader.keepAlive && at === n);
    return true;
  }

  private finished(): void {
    if (this.state === 'closed') return;
    if (this.state === 'busy' && this.reader?.ends() === true) this.owner.answered(this, this.reader.status, false);
    else this.owner.ended(this);
  }
}
