/** `plimsoll load` as a process in a namespace, and servers there that run in this process. */
import { createServer as createHttp, type Server as HttpServer, type RequestListener } from 'node:http';
import { createServer, type Server, type Socket } from 'node:net';
import { afterAll } from 'vitest';
import type { LoadDocument } from '../../src/wire/load.ts';
import { loadSchema } from '../../src/wire/load-schema.ts';
import type { Namespace } from '../support/netns.ts';
import { listen } from '../support/sockets.ts';

export const program = new URL('../../dist/plimsoll.cjs', import.meta.url).pathname;

export interface LoadProcess {
  readonly pid: number;
  readonly out: () => string;
  readonly err: () => string;
  kill(signal: NodeJS.Signals): void;
  readonly ended: Promise<{ readonly code: number | null; readonly signal: string | null }>;
}

/** Starts `plimsoll load LINE` in `ns`. */
export const start = (ns: Namespace, line: string): LoadProcess => {
  const child = ns.spawn(process.execPath, [program, 'load', ...line.split(' ').filter((word) => word !== '')]);
  const out: string[] = [];
  const err: string[] = [];
  child.stdout!.on('data', (b: Buffer) => out.push(b.toString()));
  child.stderr!.on('data', (b: Buffer) => err.push(b.toString()));
  return {
    pid: child.pid!,
    out: () => out.join(''),
    err: () => err.join(''),
    kill: (signal) => void child.kill(signal),
    ended: new Promise((resolve) => child.once('close', (code, signal) => resolve({ code, signal }))),
  };
};

export interface Loaded {
  readonly code: number | null;
  readonly document: LoadDocument;
  readonly err: string;
}

/** Runs it to its end: its exit code and its document, valid by its schema. */
export const load = async (ns: Namespace, line: string): Promise<Loaded> => {
  const run = start(ns, `${line} --json`);
  const { code } = await run.ended;
  if (run.out() === '') throw new Error(`no document, exit code ${code}: ${run.err()}`);
  return { code, document: loadSchema.parse(JSON.parse(run.out())), err: run.err() };
};

const servers: (Server | HttpServer)[] = [];
afterAll(() => {
  for (const server of servers) {
    if ('closeAllConnections' in server) server.closeAllConnections();
    server.close();
  }
});

/** An HTTP server on `address:port` of `ns`, in this process. It keeps connections for a minute. */
export const serveHttp = (ns: Namespace, address: string, port: number, answer: RequestListener): HttpServer => {
  const fd = ns.run(() => listen(address, port));
  const server = createHttp({ keepAliveTimeout: 60_000 }, answer).listen({ fd });
  servers.push(server);
  return server;
};

/** A TCP server; it closes when its client has. */
export const serveTcp = (ns: Namespace, address: string, port: number, onConnection: (socket: Socket) => void = () => {}): Server => {
  const fd = ns.run(() => listen(address, port));
  const server = createServer((socket) => {
    socket.on('error', () => {});
    socket.resume();
    onConnection(socket);
  }).listen({ fd });
  servers.push(server);
  return server;
};

/** What the kernel holds towards `port`, by state: `time-wait`, `established` … */
export const held = (ns: Namespace, state: string, port: number): number =>
  ns
    .exec('ss', '-Htan', 'state', state, 'dport', '=', `:${port}`)
    .split('\n')
    .filter((line) => line !== '').length;

/** Everything that was scheduled is accounted for, once. */
export const unaccounted = (d: LoadDocument): readonly [beforeSending: number, afterwards: number] => {
  const failed = Object.values(d.errors).reduce((sum, n) => sum + n, 0);
  return [d.scheduled - d.sent - d.missed, d.sent - d.ok - failed];
};
