/** A balancer in this process, on loopback, from the text of a configuration; and raw sockets to drive it byte by byte. */
import { createServer, connect as netConnect, type Server, type Socket } from 'node:net';
import { parseConfiguration } from '../../../src/balancer/configuration/index.ts';
import { AccessLog } from '../../../src/balancer/embedded/access-log.ts';
import { EmbeddedEngine } from '../../../src/balancer/embedded/engine.ts';
import type { BalancerEvent } from '../../../src/balancer/engine.ts';

/** A port nobody listens on now. */
export const freePort = (): Promise<number> =>
  new Promise((resolve) => {
    const probe = createServer().listen(0, '127.0.0.1', () => {
      const { port } = probe.address() as { port: number };
      probe.close(() => resolve(port));
    });
  });

let nextSource = 0;
/** The first of `count` ports that nobody listens on, outside the range that the kernel chooses from: for a SNAT pool. */
export const sourcePorts = async (count: number): Promise<number> => {
  const free = (port: number): Promise<boolean> =>
    new Promise((resolve) => {
      const probe = createServer()
        .once('error', () => resolve(false))
        .listen(port, '127.0.0.1', () => probe.close(() => resolve(true)));
    });
  for (;;) {
    const low = 10_000 + ((process.pid * 911 + nextSource++ * 127) % 22_000);
    const all = await Promise.all(Array.from({ length: count }, (_, i) => free(low + i)));
    if (all.every((ok) => ok)) return low;
  }
};

export interface Running {
  readonly engine: EmbeddedEngine;
  readonly port: number;
  readonly events: BalancerEvent[];
  readonly log: string[];
  apply(yaml: string): Promise<unknown>;
  stop(): Promise<void>;
}

export const configuration = (yaml: string) => {
  const { configuration: parsed, mistakes } = parseConfiguration(yaml);
  if (parsed === null) throw new Error(mistakes.map((m) => `${m.line}:${m.column} ${m.path} ${m.message}`).join('\n'));
  return parsed;
};

/** The file of one http service on `port` with these servers; the rest by name. */
export const file = (
  port: number,
  servers: readonly number[],
  more: {
    readonly profile?: string;
    readonly pool?: string;
    readonly rest?: string;
    readonly type?: string;
    readonly service?: string;
  } = {},
): string => `
version: 1
virtual_services: [{ name: web, listen: 127.0.0.1:${port}, application_profile: p, pool: web${more.service ?? ''} }]
application_profiles: [{ name: p, type: ${more.type ?? 'http'}${more.profile === undefined ? '' : `, ${more.profile}`} }]
pools: [{ name: web, servers: [${servers.map((s, i) => `{ name: s${i}, address: 127.0.0.1:${s} }`).join(', ')}]${more.pool === undefined ? '' : `, ${more.pool}`} }]
${more.rest ?? ''}`;

/** Starts a balancer in this process. `yaml` is given the port to listen on. */
export const balancer = async (yaml: (port: number) => string): Promise<Running> => {
  const port = await freePort();
  const events: BalancerEvent[] = [];
  const log: string[] = [];
  const engine = new EmbeddedEngine({
    announce: (event) => events.push(event),
    accessLog: new AccessLog((text) => log.push(...text.trimEnd().split('\n'))),
  });
  await engine.apply(configuration(yaml(port)));
  return {
    engine,
    port,
    events,
    log,
    apply: (text) => engine.apply(configuration(text)),
    stop: () => engine.stop(0),
  };
};

/** A server by raw socket: every connection is given to `handle`, all are closed by `stop`. */
export const rawServer = async (
  handle: (socket: Socket, n: number) => void,
): Promise<{ readonly port: number; readonly server: Server; connections: number; stop(): Promise<void> }> => {
  const open = new Set<Socket>();
  const state = { connections: 0 };
  const server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
    open.add(socket);
    socket.on('close', () => open.delete(socket));
    socket.on('error', () => {});
    handle(socket, state.connections++);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    port: (server.address() as { port: number }).port,
    server,
    get connections() {
      return state.connections;
    },
    stop: () =>
      new Promise((resolve) => {
        for (const socket of open) socket.destroy();
        server.close(() => resolve());
      }),
  };
};

/** A client by raw socket that keeps everything it receives. */
export class Raw {
  readonly socket: Socket;
  received = Buffer.alloc(0);
  ended = false;
  closed = false;
  error: string | null = null;
  private listeners: (() => void)[] = [];

  private constructor(socket: Socket) {
    this.socket = socket;
    const wake = (): void => {
      for (const listener of this.listeners.splice(0)) listener();
    };
    socket.on('data', (chunk: Buffer) => {
      this.received = Buffer.concat([this.received, chunk]);
      wake();
    });
    socket.on('end', () => {
      this.ended = true;
      wake();
    });
    socket.on('error', (error: NodeJS.ErrnoException) => {
      this.error = error.code ?? error.message;
      wake();
    });
    socket.on('close', () => {
      this.closed = true;
      wake();
    });
  }

  static connect(port: number): Promise<Raw> {
    return new Promise((resolve, reject) => {
      const socket = netConnect({ port, host: '127.0.0.1', allowHalfOpen: true, noDelay: true });
      socket.once('error', reject);
      socket.once('connect', () => {
        socket.off('error', reject);
        resolve(new Raw(socket));
      });
    });
  }

  get text(): string {
    return this.received.toString('latin1');
  }

  write(text: string | Buffer): this {
    this.socket.write(text, 'latin1' as BufferEncoding);
    return this;
  }

  /** Waits until `done` holds of what was received; fails with what there is. */
  async until(done: (raw: Raw) => boolean, within = 5000): Promise<this> {
    const deadline = Date.now() + within;
    while (!done(this)) {
      if (Date.now() > deadline)
        throw new Error(`waited ${within} ms; received ${JSON.stringify(this.text.slice(0, 500))}, ended ${this.ended}`);
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, 50);
        this.listeners.push(() => {
          clearTimeout(timer);
          resolve();
        });
      });
    }
    return this;
  }

  /** Waits for the end of the connection, by FIN or otherwise. */
  end(within = 5000): Promise<this> {
    return this.until((raw) => raw.ended || raw.closed, within);
  }

  /** Waits for a response with a Content-Length body (or none), takes it out of what was received and returns it. */
  async response(within = 5000): Promise<{ readonly status: number; readonly head: string; readonly body: string }> {
    let length = -1;
    await this.until(() => {
      const end = this.text.indexOf('\r\n\r\n');
      if (end < 0) return false;
      length = end + 4 + Number(/\r\ncontent-length: (\d+)/i.exec(this.text.slice(0, end + 2))?.[1] ?? 0);
      return this.received.length >= length;
    }, within);
    const whole = this.text.slice(0, length);
    this.received = this.received.subarray(length);
    const end = whole.indexOf('\r\n\r\n');
    return { status: Number(whole.slice(9, 12)), head: whole.slice(0, end), body: whole.slice(end + 4) };
  }

  destroy(): void {
    this.socket.destroy();
  }
}
