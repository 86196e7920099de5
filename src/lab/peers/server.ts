/**
 * The servers of a scenario, as a process in their namespace: they answer HTTP, take bare TCP connections, close first or never,
 * and count who came. One line of JSON in, one out: `{"do":"counts"}`, `{"do":"hold","on":true}`.
 */
import { createServer, type Socket } from 'node:net';
import { serveOrders } from './orders.ts';

export interface ServerSettings {
  /** `10.77.0.11:80`. */
  readonly listen: readonly string[];
  /** Milliseconds a request takes. */
  readonly answerAfter?: number;
  /** `at-once`: on accepting; `after-answer`: so that the server is the one to hold TIME_WAIT. Without it the client closes. */
  readonly closes?: 'at-once' | 'after-answer';
}

export type ServerOrder =
  | { readonly do: 'counts' }
  /** Connections accepted while this is on are never closed from this side, whatever the client does. */
  | { readonly do: 'hold'; readonly on: boolean }
  /** Resets every connection, as a host does that crashes and comes back. */
  | { readonly do: 'forget' };

export interface ServerCounts {
  readonly accepted: number;
  readonly open: number;
  readonly most_open: number;
  readonly requests: number;
  /** Client addresses with the number of connections each has made. */
  readonly sources: Readonly<Record<string, number>>;
  /** How many connections came from an address and port that one had come from before, and which was the first: 101 if 100 were new. */
  readonly repeats: number;
  readonly first_repeat: number | null;
  /** By endpoint: `10.77.0.11:80`. */
  readonly by_endpoint: Readonly<Record<string, Pick<ServerCounts, 'accepted' | 'open' | 'repeats' | 'first_repeat'>>>;
}

class Counts {
  accepted = 0;
  open = 0;
  mostOpen = 0;
  repeats = 0;
  firstRepeat: number | null = null;
  readonly sources = new Map<string, number>();
  private readonly seen = new Set<string>();

  came(socket: Socket): void {
    this.accepted++;
    this.open++;
    this.mostOpen = Math.max(this.mostOpen, this.open);
    const address = socket.remoteAddress ?? '?';
    this.sources.set(address, (this.sources.get(address) ?? 0) + 1);
    const end = `${address}:${socket.remotePort}`;
    if (this.seen.has(end)) {
      this.repeats++;
      this.firstRepeat ??= this.accepted;
    }
    this.seen.add(end);
    socket.once('close', () => this.open--);
  }
}

export const runServer = (settings: ServerSettings): void => {
  const all = new Counts();
  const each = new Map<string, Counts>();
  let requests = 0;
  let holding = false;

  const sockets = new Set<Socket>();

  const serve = (socket: Socket): void => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
    const held = holding;
    let pending = '';
    socket.setEncoding('latin1');
    socket.on('error', () => {});
    const answer = (): void => {
      if (socket.destroyed) return;
      const close = settings.closes === 'after-answer';
      socket.write(
        `HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 6\r\n${close ? 'Connection: close\r\n' : ''}\r\nhello\n`,
      );
      if (close) socket.end();
    };
    socket.on('data', (text: string) => {
      pending += text;
      for (let end = pending.indexOf('\r\n\r\n'); end >= 0; end = pending.indexOf('\r\n\r\n')) {
        pending = pending.slice(end + 4);
        requests++;
        if (settings.answerAfter === undefined) answer();
        else setTimeout(answer, settings.answerAfter);
      }
    });
    socket.on('end', () => {
      if (!held) socket.end();
    });
    if (settings.closes === 'at-once') socket.end();
  };

  let listening = 0;
  for (const endpoint of settings.listen) {
    const at = endpoint.lastIndexOf(':');
    const counts = new Counts();
    each.set(endpoint, counts);
    const server = createServer({ allowHalfOpen: true }, (socket) => {
      all.came(socket);
      counts.came(socket);
      serve(socket);
    });
    server.listen({ host: endpoint.slice(0, at), port: Number(endpoint.slice(at + 1)), backlog: 65535 }, () => {
      if (++listening === settings.listen.length) process.stdout.write('ready\n');
    });
  }

  serveOrders((order: ServerOrder): ServerCounts | { readonly hold: boolean } | Promise<{ readonly forgotten: number }> => {
    if (order.do === 'forget') {
      // Answered when the last of them is closed, not when it was asked to: what hides the resets is taken away then.
      const going = [...sockets].map((socket) => {
        const gone = new Promise((done) => socket.once('close', done));
        socket.resetAndDestroy();
        return gone;
      });
      return Promise.all(going).then(() => ({ forgotten: going.length }));
    }
    if (order.do === 'hold') {
      holding = order.on;
      return { hold: holding };
    }
    return {
      accepted: all.accepted,
      open: all.open,
      most_open: all.mostOpen,
      requests,
      sources: Object.fromEntries(all.sources),
      repeats: all.repeats,
      first_repeat: all.firstRepeat,
      by_endpoint: Object.fromEntries(
        [...each].map(([name, c]) => [name, { accepted: c.accepted, open: c.open, repeats: c.repeats, first_repeat: c.firstRepeat }]),
      ),
    };
  });
};
