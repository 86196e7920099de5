/** The listeners: TCP with or without TLS, and the unix socket. Bounds on what a connection may take before it has asked anything. */
import { createServer, type Server, type ServerOptions } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { Socket } from 'node:net';
import { type ErrorCode, PlimsollError } from '../../core/errors.ts';
import { type FetchCallback, getRequestListener } from './hono.ts';
import { problemOf } from './problem.ts';

export interface Limits {
  readonly connections: number;
  /** Bytes of a request's line and header. */
  readonly header: number;
  /** Seconds for the header, and for the whole request. */
  readonly headerTimeout: number;
  readonly requestTimeout: number;
  /** Seconds that a connection may wait for its next request. */
  readonly keepAlive: number;
}

export const defaultLimits: Limits = { connections: 1024, header: 16 * 1024, headerTimeout: 10, requestTimeout: 20, keepAlive: 30 };

export interface Tls {
  readonly cert: Buffer;
  readonly key: Buffer;
}

/** What went over the listeners, for /metrics. */
export interface Traffic {
  refusedConnections: number;
  malformed: number;
}

const codeOf = (error: NodeJS.ErrnoException): ErrorCode =>
  error.code === 'HPE_HEADER_OVERFLOW'
    ? 'http_headers_too_large'
    : error.code === 'ERR_HTTP_REQUEST_TIMEOUT'
      ? 'http_timeout'
      : 'http_bad_request';

/** What Node's parser did not take never becomes a request: it is answered here, and the connection ends. */
const refuse = (error: NodeJS.ErrnoException, socket: Socket, limits: Limits, traffic: Traffic): void => {
  traffic.malformed++;
  if (!socket.writable || error.code === 'ECONNRESET') return void socket.destroy();
  const known = new PlimsollError(codeOf(error), {
    reason: error.code ?? error.message,
    most: limits.header,
    seconds: limits.headerTimeout,
  });
  const problem = problemOf(known);
  const body = JSON.stringify(problem);
  socket.end(
    `HTTP/1.1 ${problem.status} Refused\r\nContent-Type: application/problem+json\r\nContent-Length: ${Buffer.byteLength(body)}\r\nX-Content-Type-Options: nosniff\r\nConnection: close\r\n\r\n${body}`,
  );
  // Whoever does not read it is not waited for.
  setTimeout(() => socket.destroy(), 1000).unref();
};

/** A server that answers with `fetch`; it listens nowhere yet. */
export const agentServer = (fetch: FetchCallback, limits: Limits, tls: Tls | null, traffic: Traffic): Server => {
  const options: ServerOptions = {
    maxHeaderSize: limits.header,
    headersTimeout: limits.headerTimeout * 1000,
    requestTimeout: limits.requestTimeout * 1000,
    keepAliveTimeout: limits.keepAlive * 1000,
    connectionsCheckingInterval: 1000,
    noDelay: true,
  };
  const listener = getRequestListener(fetch);
  const server =
    tls === null
      ? createServer(options, listener)
      : createTlsServer({ ...options, ...tls, minVersion: 'TLSv1.2', handshakeTimeout: 10_000 }, listener);
  server.maxConnections = limits.connections;
  server.on('drop', () => traffic.refusedConnections++);
  server.on('clientError', (error: NodeJS.ErrnoException, socket) => refuse(error, socket as Socket, limits, traffic));
  server.on('tlsClientError', () => traffic.malformed++);
  return server;
};

/** Starts listening. Rejects with the ErrnoException. */
export const listenOn = (server: Server, host: string, port: number): Promise<number> =>
  new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen({ host, port, backlog: 511 }, () => {
      server.off('error', reject);
      const address = server.address();
      resolve(typeof address === 'object' && address !== null ? address.port : port);
    });
  });

/** Stops taking connections, ends idle ones, and waits for answers under way; after `grace` seconds it ends those too. */
export const closeServer = (server: Server, grace: number): Promise<void> =>
  new Promise((resolve) => {
    const timer = setTimeout(() => server.closeAllConnections(), grace * 1000);
    server.close(() => {
      clearTimeout(timer);
      resolve();
    });
    server.closeIdleConnections();
  });
