/**
 * The clients of a scenario, as a process in their namespace: idle keep-alive clients, applications that never close, that bind
 * before they connect, or whose host vanishes. One line of JSON in, one out.
 */
import { connect, type Socket } from 'node:net';
import { serveOrders } from './orders.ts';

export interface OpenOrder {
  readonly do: 'open';
  /** Taken in turn. */
  readonly to: readonly string[];
  readonly count: number;
  /** Connections a second, by the clock: what is late is caught up with. Without it as fast as they open, 50 at a time. */
  readonly rate?: number;
  /** bind() before connect(): an address alone lets bind choose the port. With ports each destination is given them in turn. */
  readonly from?: { readonly address: string; readonly ports?: readonly [low: number, high: number] };
  /** Ask one request on each, and call it open when it was answered. */
  readonly ask?: boolean;
  /** Never close, not even after the peer did. */
  readonly leak?: boolean;
  /** Close as soon as it is open. */
  readonly close?: boolean;
  /** Stop at the first failure. */
  readonly untilFailure?: boolean;
  /** Milliseconds after which an attempt has failed; what it left is reset. */
  readonly timeout: number;
}

export type ClientOrder =
  | OpenOrder
  /** Ask once more on every connection that is open. */
  | { readonly do: 'ask'; readonly timeout: number }
  /** Let an order to open end with what was tried so far. */
  | { readonly do: 'stop' }
  /** Reset all. With `halfClose` every second one is half-closed before. */
  | { readonly do: 'reset'; readonly halfClose?: boolean };

export interface Opened {
  readonly tried: number;
  readonly opened: number;
  /** How many attempts succeeded before the first that failed; null if none failed. */
  readonly before_failure: number | null;
  /** By errno and call, `EADDRNOTAVAIL connect`; `timeout`, `closed`, and statuses such as `503`. */
  readonly failures: Readonly<Record<string, number>>;
  /** Which attempts failed, by their number from 0: the first hundred of them. */
  readonly failed: readonly number[];
}

export interface Asked {
  readonly asked: number;
  readonly answered: number;
  readonly failures: Readonly<Record<string, number>>;
}

type Outcome = 'ok' | string;

class Connection {
  readonly socket: Socket;
  private received = '';
  private finish: ((outcome: Outcome) => void) | null = null;
  private over: string | null = null;
  private connected = false;

  constructor(to: string, order: Pick<OpenOrder, 'leak'>, local: { readonly localAddress?: string; readonly localPort?: number }) {
    const at = to.lastIndexOf(':');
    this.socket = connect({ host: to.slice(0, at), port: Number(to.slice(at + 1)), allowHalfOpen: order.leak === true, ...local });
    this.socket.setEncoding('latin1');
    this.socket.on('connect', () => {
      this.connected = true;
      if (this.received === '' && this.asking === null) this.finish?.('ok');
    });
    this.socket.on('data', (text: string) => {
      this.received += text;
      const status = this.status();
      if (status !== null) this.finish?.(status === 200 ? 'ok' : String(status));
    });
    this.socket.on('error', (error: NodeJS.ErrnoException) => this.fail(`${error.code ?? 'error'} ${error.syscall ?? ''}`.trim()));
    this.socket.on('close', () => this.fail('closed'));
  }

  private asking: string | null = null;

  /** Resolves when it is connected, or with what went wrong. */
  open(timeout: number): Promise<Outcome> {
    return this.wait(timeout);
  }

  /** Resolves when a request was answered with 200, or with what went wrong. */
  ask(timeout: number): Promise<Outcome> {
    this.received = '';
    this.asking = 'GET / HTTP/1.1\r\nHost: lab\r\n\r\n';
    if (this.over === null) this.socket.write(this.asking);
    return this.wait(timeout);
  }

  get isOpen(): boolean {
    return this.over === null;
  }

  private wait(timeout: number): Promise<Outcome> {
    return new Promise((resolve) => {
      // Whoever was kept waiting for the processor looks once more at what has arrived meanwhile.
      const timer = setTimeout(() => setImmediate(() => setImmediate(() => this.finish?.('timeout'))), timeout);
      this.finish = (outcome) => {
        clearTimeout(timer);
        this.finish = null;
        this.asking = null;
        resolve(outcome);
      };
      if (this.over !== null) this.finish(this.over);
      else if (this.connected && this.asking === null) this.finish('ok');
    });
  }

  /** The status of a complete answer. */
  private status(): number | null {
    const end = this.received.indexOf('\r\n\r\n');
    if (end < 0) return null;
    const length = Number(/content-length: *(\d+)/i.exec(this.received.slice(0, end))?.[1] ?? 0);
    return this.received.length >= end + 4 + length ? Number(this.received.slice(9, 12)) : null;
  }

  private fail(why: string): void {
    this.over ??= why;
    this.finish?.(this.over);
  }
}

const tally = (outcomes: readonly Outcome[]): Readonly<Record<string, number>> => {
  const counts: Record<string, number> = {};
  for (const outcome of outcomes) if (outcome !== 'ok') counts[outcome] = (counts[outcome] ?? 0) + 1;
  return counts;
};

/** Ends a socket at once. resetAndDestroy() alone waits for a connection that is still being tried, which goes on sending SYNs. */
const abandon = (socket: Socket): void => {
  if (socket.connecting) socket.destroy();
  else socket.resetAndDestroy();
};

const LANES = 50;

export const runClient = (): void => {
  let connections: Connection[] = [];
  let stopped = 0;

  const open = async (order: OpenOrder): Promise<Opened> => {
    const outcomes: Outcome[] = [];
    const before = stopped;
    let failedOnce = false;
    const over = (): boolean => failedOnce || stopped > before;
    const one = async (i: number): Promise<void> => {
      const ports = order.from?.ports;
      if (ports !== undefined && ports[0] + Math.floor(i / order.to.length) > ports[1]) {
        outcomes[i] = 'its ports are used up';
        if (order.untilFailure === true) failedOnce = true;
        return;
      }
      const local =
        order.from === undefined
          ? {}
          : {
              localAddress: order.from.address,
              ...(order.from.ports === undefined ? {} : { localPort: order.from.ports[0] + Math.floor(i / order.to.length) }),
            };
      const connection = new Connection(order.to[i % order.to.length]!, order, local);
      const outcome = await (order.ask === true ? connection.ask(order.timeout) : connection.open(order.timeout));
      outcomes[i] = outcome;
      if (outcome !== 'ok') {
        abandon(connection.socket);
        if (order.untilFailure === true) failedOnce = true;
      } else if (order.close === true) connection.socket.end();
      else connections.push(connection);
    };
    let next = 0;
    if (order.rate === undefined) {
      const lane = async (): Promise<void> => {
        while (!over() && next < order.count) await one(next++);
      };
      await Promise.all(Array.from({ length: order.untilFailure === true ? 1 : LANES }, lane));
    } else {
      const begun = performance.now();
      const going: Promise<void>[] = [];
      while (!over() && next < order.count) {
        const early = begun + (next * 1000) / order.rate - performance.now();
        if (early > 0) await new Promise((done) => setTimeout(done, early));
        else going.push(one(next++));
      }
      await Promise.all(going);
    }
    const failed = outcomes.flatMap((outcome, i) => (outcome === 'ok' ? [] : [i]));
    return {
      tried: outcomes.length,
      opened: outcomes.length - failed.length,
      before_failure: failed[0] ?? null,
      failures: tally(outcomes),
      failed: failed.slice(0, 100),
    };
  };

  const ask = async (timeout: number): Promise<Asked> => {
    const outcomes: Outcome[] = await Promise.all(connections.map((c) => c.ask(timeout)));
    return { asked: outcomes.length, answered: outcomes.filter((o) => o === 'ok').length, failures: tally(outcomes) };
  };

  const reset = async (halfClose: boolean): Promise<{ readonly closed: number }> => {
    const closing = connections.filter((c) => c.isOpen).map((c) => c.socket);
    connections = [];
    if (halfClose) await Promise.all(closing.filter((_, i) => i % 2 === 1).map((s) => new Promise<void>((done) => s.end(() => done()))));
    await Promise.all(
      closing.map(
        (socket) =>
          new Promise<void>((done) => {
            socket.once('close', () => done());
            abandon(socket);
          }),
      ),
    );
    return { closed: closing.length };
  };

  serveOrders((order: ClientOrder): Promise<unknown> => {
    if (order.do === 'stop') {
      stopped++;
      return Promise.resolve({ stopped });
    }
    if (order.do === 'open') return open(order);
    return order.do === 'ask' ? ask(order.timeout) : reset(order.halfClose === true);
  });
  process.stdout.write('ready\n');
};
