/** `plimsoll serve` as it is shipped, as a process of its own, and ways to ask it: properly, and byte by byte. */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { type IncomingHttpHeaders, type IncomingMessage, type RequestOptions, request as requestPlain } from 'node:http';
import { request as requestTls } from 'node:https';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll } from 'vitest';
import { until } from '../../support/poll.ts';

export const program = new URL('../../../dist/plimsoll.cjs', import.meta.url).pathname;

const folder = mkdtempSync(join(tmpdir(), 'plimsoll-agent-'));
const running = new Set<ChildProcess>();
afterAll(() => {
  for (const child of running) child.kill('SIGKILL');
  rmSync(folder, { recursive: true, force: true });
});
process.on('exit', () => rmSync(folder, { recursive: true, force: true }));
let counter = 0;

/** A path for a file or folder that is gone when the test file ends. */
export const scratch = (name: string): string => join(folder, `${counter++}-${name}`);

/** Starts a program that dies with this process; what it writes is kept. */
export const start = (command: string, args: readonly string[], env: NodeJS.ProcessEnv = process.env) => {
  const child = spawn('setpriv', ['--pdeathsig', 'KILL', command, ...args], { stdio: ['ignore', 'pipe', 'pipe'], env });
  const said = { out: '', err: '' };
  child.stdout!.setEncoding('utf8').on('data', (text: string) => {
    said.out += text;
  });
  child.stderr!.setEncoding('utf8').on('data', (text: string) => {
    said.err += text;
  });
  running.add(child);
  const exited = new Promise<number | NodeJS.Signals>((resolve) =>
    child.once('close', (code, signal) => {
      running.delete(child);
      resolve(signal ?? code ?? -1);
    }),
  );
  return { child, said, exited };
};

export interface Serving {
  readonly child: ChildProcess;
  readonly said: { readonly out: string; readonly err: string };
  readonly exited: Promise<number | NodeJS.Signals>;
  readonly url: string;
  readonly port: number;
  readonly token: string;
  readonly socket: string;
}

/** Starts it on a free port of loopback, with a socket of its own; resolves when it answers and has looked. */
export const serve = async (
  args: readonly string[] = [],
  options: { readonly env?: NodeJS.ProcessEnv; readonly ready?: boolean } = {},
): Promise<Serving> => {
  const socket = scratch('agent.sock');
  const started = start(
    process.execPath,
    [program, 'serve', '--listen', '127.0.0.1:0', '--socket', socket, '--balancer', scratch('none.sock'), ...args],
    options.env,
  );
  const printed = await until(
    'the address it prints',
    () => {
      if (started.child.exitCode !== null) throw new Error(`it ended: ${started.said.err}`);
      return /(https?:\/\/\S+?:(\d+))\/(?:#token=(\S+))?/.exec(started.said.err);
    },
    30_000,
  );
  const serving: Serving = { ...started, url: printed[1]!, port: Number(printed[2]), token: printed[3] ?? '', socket };
  if (options.ready !== false) await until('the first look', async () => (await ask(serving, '/readyz')).status === 200, 30_000);
  return serving;
};

export interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly text: string;
  // biome-ignore lint/suspicious/noExplicitAny: an answer's shape is what tests look into
  readonly json: any;
}

export interface Asking {
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** Sent as JSON, or as it is if it is text. */
  readonly body?: unknown;
  readonly token?: boolean;
  /** Over the unix socket. */
  readonly socket?: boolean;
}

const finish = (response: IncomingMessage): Promise<Answer> =>
  new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    response.on('data', (chunk: Buffer) => chunks.push(chunk));
    response.on('error', reject);
    response.on('end', () => {
      const text = Buffer.concat(chunks).toString('utf8');
      const isJson = /json/.test(response.headers['content-type'] ?? '');
      resolve({ status: response.statusCode!, headers: response.headers, text, json: isJson && text !== '' ? JSON.parse(text) : null });
    });
  });

/** One request, its answer. */
export const ask = (to: Serving, path: string, asking: Asking = {}): Promise<Answer> =>
  new Promise((resolve, reject) => {
    const body = asking.body === undefined ? null : typeof asking.body === 'string' ? asking.body : JSON.stringify(asking.body);
    const options: RequestOptions & { rejectUnauthorized: boolean } = {
      ...(asking.socket === true ? { socketPath: to.socket } : { host: '127.0.0.1', port: to.port }),
      path,
      method: asking.method ?? 'GET',
      agent: false,
      rejectUnauthorized: false,
      headers: {
        ...(body === null ? {} : { 'Content-Type': 'application/json', 'Content-Length': String(Buffer.byteLength(body)) }),
        ...(asking.token === true ? { Authorization: `Bearer ${to.token}` } : {}),
        ...asking.headers,
      },
    };
    const tls = to.url.startsWith('https:') && asking.socket !== true;
    const outgoing = (tls ? requestTls : requestPlain)(options, (response) => void finish(response).then(resolve, reject));
    outgoing.on('error', reject);
    outgoing.end(body ?? undefined);
  });

/** A change, with everything that it needs. */
export const change = (to: Serving, method: string, path: string, body?: unknown): Promise<Answer> =>
  ask(to, path, { method, token: true, headers: { 'X-Plimsoll': '1' }, ...(body === undefined ? {} : { body }) });

/** Sends bytes as they are; what came back until the other side closed, or `within` ms passed. */
export const sendRaw = (
  port: number,
  bytes: string | Buffer,
  within = 5000,
): Promise<{ readonly text: string; readonly closed: boolean }> =>
  new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => socket.write(bytes));
    let text = '';
    const done = (closed: boolean): void => {
      clearTimeout(timer);
      socket.destroy();
      resolve({ text, closed });
    };
    const timer = setTimeout(() => done(false), within);
    socket.setEncoding('latin1').on('data', (chunk: string) => {
      text += chunk;
    });
    socket.on('error', () => done(true));
    socket.on('close', () => done(true));
  });

export interface ServerSentEvent {
  readonly id: string;
  readonly event: string;
  // biome-ignore lint/suspicious/noExplicitAny: an event's shape is what tests look into
  readonly data: any;
}

/** A reader of /api/v1/events that keeps what it was told. */
export class EventReader {
  readonly events: ServerSentEvent[] = [];
  comments = 0;
  closed = false;
  private rest = '';
  private response: IncomingMessage | null = null;

  static async open(
    to: Serving,
    asking: { readonly headers?: Readonly<Record<string, string>>; readonly query?: string; readonly token?: boolean } = {},
  ) {
    const reader = new EventReader();
    await new Promise<void>((resolve, reject) => {
      const outgoing = requestPlain(
        {
          host: '127.0.0.1',
          port: to.port,
          path: `/api/v1/events${asking.query ?? ''}`,
          agent: false,
          headers: { ...(asking.token === true ? { Authorization: `Bearer ${to.token}` } : {}), ...asking.headers },
        },
        (response) => {
          if (response.statusCode !== 200) return reject(new Error(`status ${response.statusCode}`));
          reader.response = response;
          response.setEncoding('utf8').on('data', (text: string) => reader.take(text));
          response.on('close', () => {
            reader.closed = true;
          });
          response.on('error', () => {});
          resolve();
        },
      );
      outgoing.on('error', reject);
      outgoing.end();
    });
    return reader;
  }

  of(event: string): readonly ServerSentEvent[] {
    return this.events.filter((e) => e.event === event);
  }

  get socket(): Socket {
    return this.response!.socket;
  }

  close(): void {
    this.response?.destroy();
  }

  private take(text: string): void {
    this.rest += text;
    for (let end = this.rest.indexOf('\n\n'); end >= 0; end = this.rest.indexOf('\n\n')) {
      const block = this.rest.slice(0, end);
      this.rest = this.rest.slice(end + 2);
      const field = (name: string): string => new RegExp(`^${name}: (.*)$`, 'm').exec(block)?.[1] ?? '';
      if (block.startsWith(':')) this.comments++;
      else if (field('event') !== '') this.events.push({ id: field('id'), event: field('event'), data: JSON.parse(field('data')) });
    }
  }
}
