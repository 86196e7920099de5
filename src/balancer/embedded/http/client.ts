/**
 * One HTTP client connection and the exchange it is in, one object because its states share the connection, two bodies and
 * three timeouts, and would otherwise be passed around as one. The request is read and checked, a server connection waited
 * for, the request passed on, the response passed back; one exchange at a time, and what a client sends ahead waits, up to a bound.
 *
 *   idle ─▶ head ─▶ waiting ─▶ exchange ─▶ idle …            (Upgrade: exchange ─▶ Tunnel takes the sockets over)
 *              └──────┴───────────┴─▶ lingering ─▶ closed    (refused: the answer is sent, the rest is read and thrown away)
 *
 * What is retried: nothing that reached a server, unless the method is idempotent and its body is still here.
 */

import { Body } from '../../../core/http/body.ts';
import { Head, INCOMPLETE, REFUSED } from '../../../core/http/head.ts';
import { badRequest, type Refusal } from '../../../core/http/refusal.ts';
import type { Cause } from '../../engine.ts';
import type { Failure } from '../../failure.ts';
import { type ClientOwner, type ClientSocket, handOver } from '../client-socket.ts';
import type { Pool, Waiter } from '../pool/pool.ts';
import type { Queued } from '../pool/queue.ts';
import { hashText } from '../pool/selection.ts';
import type { ConnectionUser, Server, ServerConnection } from '../pool/server.ts';
import { keep, readBuffer } from '../read-buffer.ts';
import type { Service, Session } from '../service.ts';
import { Tunnel } from '../tunnel.ts';
import { badResponse, refusalResponse, timedOut, unavailable } from './refusal.ts';

type Phase = 'idle' | 'head' | 'waiting' | 'exchange' | 'lingering' | 'closed';

/** Bytes of a client that wait for their turn (the next request, a body whose server is not there yet) before reading pauses. */
const mostAhead = 65536;
/** Bodies up to this size travel with their head in one string, and are still there for a second try. */
const smallBody = 16384;
/** What is read of a response whose client left, before the server connection is given up instead, and for how long. */
const drainBytes = 262144;
const drainTime = 5000;
/** How long a refused client may take to read its answer and hang up. */
const lingerTime = 2000;
/** Interim responses to one request. */
const mostInterim = 16;
/** Second tries of a request that a server connection swallowed. */
const mostReplays = 2;

const idempotent = new Set(['GET', 'HEAD', 'PUT', 'DELETE', 'OPTIONS', 'TRACE']);

// Filled and read within one call, so one of each is enough for all connections.
const requestHead = new Head();
const responseHead = new Head();

export class HttpClient implements ClientOwner, ConnectionUser, Waiter, Session {
  // As a waiter.
  queueNext: Queued | null = null;
  queuePrevious: Queued | null = null;
  inQueue = false;
  queuedAt = 0;
  exclusive = false;
  fresh = false;
  key = 0;
  avoid: Set<Server> | null = null;
  tries = 0;
  opening: ServerConnection | null = null;
  // As a session.
  deadline: number;
  readonly acceptedAt: number;
  keepalive = false;

  private readonly socket: ClientSocket;
  private readonly service: Service;
  private address: string | null = null;
  private phase: Phase = 'idle';
  /** Whom the deadline is for. */
  private awaits: 'client' | 'server' = 'client';
  /** Bytes that arrived before their turn; a zero byte behind them. */
  private ahead: Buffer | null = null;
  private paused = false;
  /** What of the read going on has not been used yet. */
  private window: Buffer | null = null;
  private windowAt = 0;
  private windowEnd = 0;
  private ended = false;
  private gone = false;
  private retiring = false;

  // The request.
  private text = '';
  private method = '';
  private target = '';
  private minor = 1;
  private wantsMore = true;
  private readonly request = new Body();
  private replayable = true;
  private replays = 0;
  private asksUpgrade = false;
  private startedAt = 0;
  private waited = 0;
  private pinned = false;

  // The response.
  private pool: Pool;
  private server: ServerConnection | null = null;
  private serverAhead: Buffer | null = null;
  private serverPaused = false;
  private responding = false;
  private readonly response = new Body();
  private unwrap = false;
  private serverStays = true;
  private interim = 0;
  private status = 0;
  private sent = 0;
  private drained = 0;
  private noDelay = false;

  constructor(socket: ClientSocket, service: Service) {
    this.socket = socket;
    this.service = service;
    this.pool = service.pool;
    this.acceptedAt = service.clock.now;
    this.deadline = this.acceptedAt + service.settings.clientHeaderTimeout;
    service.sessions.add(this);
    service.counters.total_conns++;
  }

  // --- the client's side ---

  clientBytes(b: Buffer, start: number, end: number): void {
    this.service.counters.bytes_from_clients += end - start;
    switch (this.phase) {
      case 'idle':
        this.phase = 'head';
        this.deadline = this.service.clock.now + this.service.settings.clientHeaderTimeout;
        this.readHead(b, start, end);
        return;
      case 'head':
        this.readHead(b, start, end);
        return;
      case 'exchange':
        if (this.request.done) this.stash(b, start, end);
        else this.relayBody(b, start, end);
        return;
      case 'waiting':
        this.stash(b, start, end);
        return;
      case 'lingering':
        this.drained += end - start;
        if (this.drained > drainBytes * 4) this.socket.destroy();
        return;
      case 'closed':
        return;
    }
  }

  clientEnded(): void {
    this.ended = true;
    switch (this.phase) {
      case 'idle':
      case 'lingering':
        this.socket.destroy();
        return;
      case 'head':
        this.fail('client');
        this.socket.destroy();
        return;
      case 'waiting':
        // It left (or half-closed, which from here looks the same): its place in the queue is free.
        this.pool.leave(this);
        this.service.counters.open_requests--;
        this.fail('client');
        this.record(499, 'client', 'left the queue');
        this.phase = 'lingering';
        this.socket.destroy();
        return;
      case 'exchange':
        // What it sent ahead is still answered; then `finish` says goodbye.
        if (!this.request.done) this.socket.destroy();
        return;
      case 'closed':
        return;
    }
  }

  clientDrained(): void {
    if (this.serverPaused) {
      this.serverPaused = false;
      this.awaitServer();
      this.server?.socket.resume();
    }
    if (this.phase === 'idle' && this.ahead !== null) this.next();
  }

  clientClosed(error: NodeJS.ErrnoException | null): void {
    const phase = this.phase;
    this.gone = true;
    this.service.sessions.delete(this);
    if (error !== null && phase !== 'idle' && phase !== 'lingering') this.fail('client');
    this.ahead = null;
    if (phase === 'waiting') {
      this.pool.leave(this);
      this.service.counters.open_requests--;
      this.record(499, 'client', 'left the queue');
    }
    if (phase === 'exchange' && this.server !== null && this.request.done && !this.exclusive && !this.response.endsByClose) {
      // The rest of a small answer is cheaper than a new connection: read it for nobody.
      this.awaits = 'client';
      this.deadline = this.service.clock.now + drainTime;
      this.service.sessions.add(this);
      if (this.serverPaused) {
        this.serverPaused = false;
        this.server.socket.resume();
      }
      return;
    }
    this.phase = 'closed';
    if (phase === 'exchange') {
      this.service.counters.open_requests--;
      this.record(499, 'client', 'left before the answer was complete');
    }
    this.dropServer(phase === 'idle' || phase === 'head');
  }

  private readHead(b: Buffer, start: number, end: number): void {
    if (this.ahead !== null) {
      // A head in pieces is looked at again only when a line has ended.
      const line = b.indexOf(10, start) >= 0;
      b = keep(this.ahead, b, start, end);
      start = 0;
      end = b.length - 1;
      this.ahead = null;
      if (!line && end < mostAhead) {
        this.ahead = b;
        return;
      }
    }
    const at = requestHead.scanRequest(b, start, end, this.service.settings.forwarded !== 'off');
    if (at > 0) this.begin(b, at, end);
    else if (at === REFUSED) this.refuse(requestHead.refusal, 'client');
    else this.ahead = b === readBuffer ? keep(null, b, start, end) : start === 0 ? b : keep(null, b, start, end);
  }

  /** A head is complete in `requestHead`; `b[at, end)` came behind it. */
  private begin(b: Buffer, at: number, end: number): void {
    const head = requestHead;
    const { service } = this;
    const { settings, counters } = service;
    counters.total_requests++;
    counters.open_requests++;
    this.method = head.method;
    this.target = head.target;
    this.minor = head.minor;
    this.wantsMore = head.keepAlive;
    this.asksUpgrade = head.upgrade;
    if (head.chunked) this.request.chunked();
    else this.request.sized(Math.max(0, head.contentLength));
    this.replayable = this.request.done && idempotent.has(head.method);
    this.replays = 0;
    this.responding = false;
    this.interim = 0;
    this.status = 0;
    this.sent = 0;
    this.waited = 0;
    if (service.log !== null) this.startedAt = performance.now();
    if (head.authenticatesConnection) this.pinned = true;
    let text = head.text;
    if (settings.forwarded !== 'off') {
      const client = this.clientAddress();
      text +=
        settings.forwarded === 'append' && head.forwardedFor !== ''
          ? `X-Forwarded-For: ${head.forwardedFor}, ${client}\r\n`
          : `X-Forwarded-For: ${client}\r\n`;
      text += settings.tls ? 'X-Forwarded-Proto: https\r\n' : 'X-Forwarded-Proto: http\r\n';
    }
    text += '\r\n';
    // A small body that is here already goes with the head, in one piece.
    const length = this.request.left;
    if (length > 0 && length <= end - at && length <= smallBody) {
      text += b.toString('latin1', at, at + length);
      at += length;
      this.request.sized(0);
      this.replayable = idempotent.has(head.method);
    }
    this.text = text;
    this.phase = 'waiting';
    this.deadline = Number.POSITIVE_INFINITY;
    this.window = b;
    this.windowAt = at;
    this.windowEnd = end;
    this.obtain();
    if (this.window !== null && this.windowAt < this.windowEnd) this.stash(b, this.windowAt, this.windowEnd);
    this.window = null;
  }

  private obtain(): void {
    const { service } = this;
    const own = this.server;
    const exclusive = this.pinned || !service.settings.multiplexing;
    if (own !== null) {
      if (exclusive || this.pinned) {
        this.pool.wake(own);
        own.state = 'busy';
        this.granted(own, true);
        return;
      }
      // Multiplexing was switched on meanwhile: the connection becomes everybody's.
      this.pool.wake(own);
      this.server = null;
      this.pool.release(own);
    }
    this.exclusive = exclusive;
    this.pool = service.pool;
    if (this.pool.settings.algorithm === 'consistent_hash') this.key = hashText(this.clientAddress());
    this.pool.admit(this);
  }

  private clientAddress(): string {
    this.address ??= mapped(this.socket.remoteAddress ?? '');
    return this.address;
  }

  private stash(b: Buffer, start: number, end: number): void {
    if (start >= end) return;
    this.ahead = keep(this.ahead, b, start, end);
    if (this.ahead.length > mostAhead && !this.paused) {
      this.paused = true;
      this.socket.pause();
    }
  }

  private resumeClient(): void {
    if (!this.paused || this.gone) return;
    this.paused = false;
    this.socket.resume();
  }

  // --- the server's side ---

  granted(connection: ServerConnection, reused: boolean): void {
    const { service } = this;
    this.server = connection;
    this.fresh = false;
    connection.user = this;
    connection.served++;
    connection.server.counters.num_requested++;
    if (reused) connection.server.counters.num_reused++;
    if (this.exclusive || this.pinned) this.pool.bind(connection);
    this.phase = 'exchange';
    if (service.log !== null) this.waited = performance.now() - this.startedAt;
    connection.socket.write(this.text, 'latin1');
    if (this.request.done) {
      this.awaitServer();
      return;
    }
    connection.hurry();
    this.awaitClient(service.settings.clientBodyTimeout);
    if (this.window !== null) {
      const at = this.windowAt;
      this.windowAt = this.windowEnd;
      if (at < this.windowEnd) this.relayBody(this.window, at, this.windowEnd);
    } else this.relayAhead();
    this.resumeClient();
  }

  private relayAhead(): void {
    const b = this.ahead;
    if (b === null) return;
    this.ahead = null;
    this.relayBody(b, 0, b.length - 1);
  }

  refused(refusal: Refusal, cause: Cause): void {
    this.service.counters.open_requests--;
    if (cause !== 'client') this.service.counters.failures[cause]++;
    this.record(refusal.status, cause, refusal.reason);
    this.answer(refusal);
  }

  private relayBody(b: Buffer, start: number, end: number): void {
    const server = this.server!;
    const at = this.request.read(b, start, end, null);
    if (at < 0) {
      this.abandon(badRequest.chunk, 'client');
      return;
    }
    this.replayable = false;
    const flowing = writeCopy(server, b, start, at);
    if (at < end) this.stash(b, at, end);
    if (!flowing && !this.request.done) {
      this.paused = true;
      this.socket.pause();
      this.awaitServer();
    } else if (this.request.done) this.awaitServer();
    else this.awaitClient(this.service.settings.clientBodyTimeout);
  }

  serverDrained(): void {
    if (this.phase !== 'exchange' || this.request.done) return;
    this.awaitClient(this.service.settings.clientBodyTimeout);
    this.resumeClient();
  }

  serverBytes(b: Buffer, start: number, end: number): void {
    if (this.phase !== 'exchange') {
      // An owned connection speaks unasked: what it says next could be taken for an answer.
      this.server!.server.counters.unsolicited++;
      this.abort();
      return;
    }
    if (this.gone) this.drained += end - start;
    if (this.gone && this.drained > drainBytes) {
      this.abort();
      return;
    }
    if (this.responding) {
      this.relayResponse(b, start, end, '');
      return;
    }
    if (this.serverAhead !== null) {
      b = keep(this.serverAhead, b, start, end);
      start = 0;
      end = b.length - 1;
      this.serverAhead = null;
    }
    const head = responseHead;
    for (;;) {
      const at = head.scanResponse(b, start, end);
      if (at === INCOMPLETE) {
        if (start < end) this.serverAhead = keep(null, b, start, end);
        this.awaitServer();
        return;
      }
      if (at === REFUSED) {
        this.broken(badResponse.malformed, 'remote');
        return;
      }
      if (head.status >= 200) {
        this.respond(b, at, end);
        return;
      }
      if (head.status === 101) {
        if (!this.asksUpgrade || !head.upgrade) {
          this.broken(badResponse.malformed, 'remote');
          return;
        }
        this.tunnel(b, at, end);
        return;
      }
      if (++this.interim > mostInterim) {
        this.broken(badResponse.malformed, 'remote');
        return;
      }
      this.service.counters.responses[1]!++;
      if (this.minor === 1) this.send(`${head.text}\r\n`);
      if (at === end) {
        this.awaitServer();
        return;
      }
      start = at;
    }
  }

  /** The response head is complete in `responseHead`; `b[at, end)` came behind it. */
  private respond(b: Buffer, at: number, end: number): void {
    const head = responseHead;
    const { status } = head;
    this.responding = true;
    this.status = status;
    this.serverStays = head.keepAlive;
    this.service.counters.responses[status < 600 ? (status / 100) | 0 : 5]!++;
    this.unwrap = false;
    let { text } = head;
    if (this.method === 'HEAD' || status === 204 || status === 304) this.response.sized(0);
    else if (head.chunked) {
      this.response.chunked();
      if (this.minor === 0) {
        // HTTP/1.0 knows no chunks: it gets the bare data, until close.
        this.unwrap = true;
        this.wantsMore = false;
        text = text.replace(/\r\ntransfer-encoding:[^\r\n]*/i, '');
      }
    } else if (head.contentLength >= 0) this.response.sized(head.contentLength);
    else {
      this.response.untilClose();
      this.serverStays = false;
      this.wantsMore = false;
    }
    if (head.authenticatesConnection && (status === 401 || status === 407)) {
      this.pinned = true;
      this.exclusive = true;
      this.pool.bind(this.server!);
    }
    // The client sends a body that nobody will read to its end: the connection cannot carry another request.
    if (!this.request.done && status >= 300) this.wantsMore = false;
    if (this.retiring || this.service.stopping || (!this.serverStays && this.exclusive)) this.wantsMore = false;
    if (!this.wantsMore) text += 'Connection: close\r\n';
    else if (this.minor === 0) text += 'Connection: keep-alive\r\n';
    this.relayResponse(b, at, end, `${text}\r\n`);
  }

  /** Passes on `head` and what of `b[start, end)` belongs to the response. */
  private relayResponse(b: Buffer, start: number, end: number, head: string): void {
    if (this.unwrap && head !== '') {
      this.send(head);
      head = '';
    }
    const at = this.response.read(b, start, end, this.unwrap ? (from, to) => this.sendBytes(b, from, to) : null);
    if (at < 0) {
      // Nothing of the broken part is passed on; a client that has its head already learns of it by the close.
      this.broken(badResponse.malformed, 'remote');
      return;
    }
    const complete = this.response.done;
    const size = this.unwrap ? 0 : at - start;
    // More than the response: the connection is out of step and cannot be trusted again.
    if (at < end) this.serverStays = false;
    if (head !== '' && size <= smallBody) {
      if (complete && this.finishesWith(size === 0 ? head : head + b.toString('latin1', start, at))) return;
      if (!complete) this.send(size === 0 ? head : head + b.toString('latin1', start, at));
    } else {
      if (head !== '') this.send(head);
      if (size > 0) this.sendBytes(b, start, at);
    }
    if (complete) {
      this.finish();
      return;
    }
    this.hurry();
    if (this.serverPaused) return;
    // A server that answers while it is being told waits for the client as we do: silence then is the client's.
    if (this.request.done || this.paused) this.awaitServer();
    else this.awaitClient(this.service.settings.clientBodyTimeout);
  }

  /** The last words of a response that come in one string: said together with the decision what becomes of the client. */
  private finishesWith(text: string): boolean {
    if (this.gone || this.wantsMore || !this.request.done || this.service.settings.tls || this.ahead !== null) {
      this.send(text);
      return false;
    }
    // destroy() when the write is done: end() would cost a shutdown and two more turns of the loop. Not from within the write's
    // callback: Node then makes an error, stack and all, for writes that might have followed.
    this.sent += text.length;
    this.service.counters.bytes_to_clients += text.length;
    const { socket } = this;
    this.settleExchange();
    this.phase = 'lingering';
    this.deadline = this.service.clock.now + this.service.settings.clientIdleTimeout;
    socket.write(text, 'latin1', () => queueMicrotask(() => socket.destroy()));
    return true;
  }

  /** TCP_NODELAY, once: the last piece of an answer in pieces must not wait for the client's acknowledgement of the one before. */
  private hurry(): void {
    if (this.noDelay || this.gone) return;
    this.noDelay = true;
    this.socket.setNoDelay(true);
  }

  private send(text: string): void {
    this.sent += text.length;
    if (this.gone) return;
    this.service.counters.bytes_to_clients += text.length;
    if (!this.socket.write(text, 'latin1')) this.holdServer();
  }

  private sendBytes(b: Buffer, start: number, end: number): void {
    if (start >= end) return;
    this.sent += end - start;
    if (this.gone) return;
    this.service.counters.bytes_to_clients += end - start;
    if (!this.socket.write(Buffer.from(b.subarray(start, end)))) this.holdServer();
  }

  /** The client reads slower than the server writes: the server waits, so that no more than one read and one write queue here. */
  private holdServer(): void {
    if (this.serverPaused || this.server === null) return;
    this.serverPaused = true;
    this.server.socket.pause();
    this.awaitClient(this.service.settings.clientIdleTimeout);
  }

  serverEnded(): void {
    const server = this.server!;
    if (this.phase !== 'exchange') {
      // Its own server connection has closed, so the client's closes with it.
      this.dropServer(true);
      this.leaveQuietly();
      return;
    }
    if (this.responding && this.response.endsByClose) {
      this.finish();
      return;
    }
    if (this.responding) {
      this.broken(badResponse.closed, 'remote');
      return;
    }
    if (this.replay(server)) return;
    this.broken(badResponse.closed, 'remote');
  }

  serverFailed(failure: Failure): void {
    const server = this.server;
    this.server = null;
    if (this.phase !== 'exchange') {
      if (server !== null) this.leaveQuietly();
      return;
    }
    if (server !== null) {
      server.server.load--;
      server.server.counters[failure.cause]++;
      server.server.counters.conn_dropped_after_est++;
    }
    if (!this.responding && server !== null && this.replay(null)) return;
    this.broken(failure.kind === 'reset' ? badResponse.reset : badResponse.network, failure.cause);
  }

  /** Sends the request once more over another connection, if that cannot do it twice. */
  private replay(server: ServerConnection | null): boolean {
    if (!this.replayable || this.pinned || this.serverAhead !== null || this.interim > 0 || this.replays >= mostReplays || this.gone)
      return false;
    this.replays++;
    this.fresh = true;
    if (server !== null) {
      server.server.counters.retries++;
      this.server = null;
      this.pool.discard(server);
    }
    this.phase = 'waiting';
    this.deadline = Number.POSITIVE_INFINITY;
    this.pool.admit(this);
    return true;
  }

  // --- ends ---

  /** The response is complete. */
  private finish(): void {
    this.settleExchange();
    if (this.gone) {
      this.phase = 'closed';
      this.service.sessions.delete(this);
      this.dropServer(true);
      return;
    }
    if (!this.wantsMore || !this.request.done || this.retiring || this.service.stopping || (this.exclusive && this.server === null)) {
      this.leave();
      return;
    }
    this.phase = 'idle';
    this.deadline = this.service.clock.now + this.service.settings.clientIdleTimeout;
    this.awaits = 'client';
    if (this.ahead !== null) {
      if (!this.socket.writableNeedDrain) this.next();
    } else if (this.ended) this.leave();
  }

  /** What the client sent ahead. Not from within its predecessor: a thousand requests at once are no recursion. */
  private next(): void {
    queueMicrotask(() => {
      const b = this.ahead;
      if (this.phase !== 'idle' || b === null || this.gone) return;
      this.ahead = null;
      this.phase = 'head';
      this.deadline = this.service.clock.now + this.service.settings.clientHeaderTimeout;
      this.readHead(b, 0, b.length - 1);
      if (this.ahead === null || (this.ahead as Buffer).length <= mostAhead) this.resumeClient();
      if (this.ended && this.phase === 'head') this.socket.destroy();
    });
  }

  /** Counts and logs the exchange, and decides what becomes of its server connection. */
  private settleExchange(): void {
    this.service.counters.open_requests--;
    this.record(this.status, null, '');
    const server = this.server;
    if (server === null) return;
    if (this.serverPaused) {
      this.serverPaused = false;
      server.socket.resume();
    }
    if (!this.serverStays || !this.request.done || server.state !== 'busy') {
      if (!this.serverStays) server.serverCloses();
      this.server = null;
      this.pool.discard(server);
    } else if (this.exclusive && (this.pinned || !this.service.settings.multiplexing) && !this.gone) this.pool.rest(server);
    else if (this.pinned) {
      this.server = null;
      this.pool.discard(server);
    } else {
      this.server = null;
      this.exclusive = false;
      this.pool.release(server);
    }
  }

  /** The exchange failed on the server's side: an answer if none has begun, a close if one has. */
  private broken(refusal: Refusal, cause: Cause): void {
    const server = this.server;
    if (server !== null) server.server.counters[cause]++;
    this.abandon(refusal, cause);
  }

  private abandon(refusal: Refusal, cause: Cause): void {
    this.service.counters.open_requests--;
    this.service.counters.failures[cause]++;
    this.record(this.responding ? this.status : refusal.status, cause, refusal.reason);
    this.dropServer(false);
    if (this.responding || this.gone) {
      this.service.counters.connections_dropped++;
      this.phase = 'closed';
      // A response cut short must not look complete: RST, where the end of the body is the end of the connection.
      if (this.response.endsByClose || this.unwrap) this.socket.resetAndDestroy();
      else this.socket.destroy();
      this.service.sessions.delete(this);
      return;
    }
    this.answer(refusal);
  }

  /** A request refused before it became one. */
  private refuse(refusal: Refusal, cause: Cause): void {
    this.fail(cause);
    this.method = '';
    this.target = '';
    this.record(refusal.status, cause, refusal.reason);
    this.wantsMore = false;
    this.answer(refusal);
  }

  /** Our own answer. The connection lives on if the request was read completely and nothing is wrong with it. */
  private answer(refusal: Refusal): void {
    const { counters } = this.service;
    counters.own[refusal.status] = (counters.own[refusal.status] ?? 0) + 1;
    counters.responses[(refusal.status / 100) | 0]!++;
    const stays =
      this.wantsMore &&
      this.request.done &&
      refusal.status >= 500 &&
      !this.retiring &&
      !this.service.stopping &&
      this.server === null &&
      !this.exclusive;
    this.send(refusalResponse(refusal, !stays, this.method === 'HEAD'));
    if (!stays) {
      this.leave();
      return;
    }
    this.phase = 'idle';
    this.deadline = this.service.clock.now + this.service.settings.clientIdleTimeout;
    if (this.ahead !== null) this.next();
  }

  /** Says goodbye after what was written: FIN, then the rest of the client's words are read and thrown away. */
  private leave(): void {
    if (this.gone) return;
    this.phase = 'lingering';
    this.drained = 0;
    this.ahead = null;
    this.deadline = this.service.clock.now + (this.socket.writableNeedDrain ? this.service.settings.clientIdleTimeout : lingerTime);
    this.dropServer(true);
    const { socket } = this;
    if (this.ended) socket.end(() => socket.destroy());
    else socket.end();
    this.paused = true;
    this.resumeClient();
  }

  private leaveQuietly(): void {
    if (this.gone) return;
    this.phase = 'lingering';
    this.socket.destroy();
  }

  private dropServer(clean: boolean): void {
    const server = this.server;
    if (server === null) return;
    this.server = null;
    this.serverAhead = null;
    // A resting connection is not counted as busy.
    if (server.server.boundIdle.has(server)) this.pool.wake(server);
    server.user = null;
    void clean;
    this.pool.discard(server);
  }

  private tunnel(b: Buffer, at: number, end: number): void {
    const server = this.server!;
    this.server = null;
    this.service.counters.responses[1]!++;
    this.service.counters.open_requests--;
    this.pool.bind(server);
    this.phase = 'closed';
    this.service.sessions.delete(this);
    this.record(101, null, '');
    const tunnel = new Tunnel(this.socket, this.service, this.pool, this.acceptedAt);
    handOver(this.socket, tunnel);
    this.socket.write(`${responseHead.text}\r\n`, 'latin1');
    const ahead = this.ahead;
    this.ahead = null;
    tunnel.takeOver(server, () => {
      if (at < end) tunnel.serverBytes(b, at, end);
      if (ahead !== null) tunnel.clientBytes(ahead, 0, ahead.length - 1);
      if (this.paused) this.socket.resume();
      if (this.ended) tunnel.clientEnded();
    });
  }

  // --- time, and the service's wishes ---

  private awaitServer(): void {
    this.awaits = 'server';
    if (!this.gone) this.deadline = this.service.clock.now + this.service.settings.serverTimeout;
  }

  private awaitClient(patience: number): void {
    this.awaits = 'client';
    if (!this.gone) this.deadline = this.service.clock.now + patience;
  }

  expired(): void {
    switch (this.phase) {
      case 'idle':
        this.leave();
        return;
      case 'head':
        if (this.ahead === null) this.leave();
        else this.refuse(timedOut.header, 'client');
        return;
      case 'exchange':
        if (this.gone) this.abort();
        else if (this.awaits === 'server') {
          this.server!.server.counters.remote++;
          this.abandon(badResponse.late, 'remote');
        } else this.abandon(timedOut.body, 'client');
        return;
      case 'waiting':
      case 'closed':
        return;
      case 'lingering':
        this.socket.destroy();
        return;
    }
  }

  enableKeepalive(idle: number): void {
    if (this.gone) return;
    this.socket.setKeepAlive(true, idle);
    this.server?.socket.setKeepAlive(true, idle);
  }

  evicted(): void {
    this.server = null;
    this.leave();
  }

  settle(): void {
    const server = this.server;
    if (this.phase !== 'idle' || server === null || this.pinned) return;
    this.server = null;
    this.exclusive = false;
    this.pool.wake(server);
    this.pool.release(server);
  }

  retire(): void {
    this.retiring = true;
    if (this.phase === 'idle' && this.ahead === null) this.leave();
    else if (this.phase === 'waiting' && this.inQueue && this.service.stopping) {
      this.pool.leave(this);
      this.refused(unavailable.stopping, 'local');
    }
  }

  abort(): void {
    if (this.phase === 'exchange') {
      this.service.counters.open_requests--;
      this.service.counters.connections_dropped++;
    } else if (this.phase === 'waiting') {
      this.pool.leave(this);
      this.service.counters.open_requests--;
      this.service.counters.connections_dropped++;
    }
    this.phase = 'closed';
    this.service.sessions.delete(this);
    this.dropServer(false);
    this.socket.destroy();
  }

  private fail(cause: Cause): void {
    this.service.counters.failures[cause]++;
  }

  private record(status: number, cause: Cause | null, reason: string): void {
    const { log } = this.service;
    if (log === null) return;
    const now = performance.now();
    const lease = this.server?.lease ?? null;
    log.add({
      service: this.service.settings.name,
      client: this.clientAddress(),
      method: this.method,
      target: this.target,
      status,
      server: this.server?.server.key ?? '',
      source: lease === null ? '' : `${lease.address}:${lease.port}`,
      queued: Math.round(this.waited) / 1000,
      duration: this.startedAt === 0 ? 0 : Math.round(now - this.startedAt) / 1000,
      bytes: this.sent,
      ...(cause === null ? {} : { cause, reason }),
    });
  }
}

/** `10.0.0.7` for `::ffff:10.0.0.7`. */
const mapped = (address: string): string => (address.startsWith('::ffff:') && address.includes('.') ? address.slice(7) : address);

/** Writes bytes that may lie in the shared buffer; false when the socket's own buffer is full. */
const writeCopy = (server: ServerConnection, b: Buffer, start: number, end: number): boolean =>
  start >= end || server.socket.write(b === readBuffer ? Buffer.from(b.subarray(start, end)) : b.subarray(start, end));
