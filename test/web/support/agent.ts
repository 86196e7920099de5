/** A real `plimsoll serve` as a process of its own: the built one, as a user starts it. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { join } from 'node:path';
import { root } from './root.ts';

export const program = join(root, 'dist', 'plimsoll.cjs');

export interface ServedAgent {
  /** With the token in it. */
  readonly url: string;
  readonly origin: string;
  readonly port: number;
  stop(): Promise<void>;
}

export interface AgentOptions {
  /** A network namespace's name. */
  readonly netns: string;
  /** A folder for its socket. */
  readonly folder: string;
  /** Whichever is free, if not given. */
  readonly port?: number;
  /** 127.0.0.1 if not given. */
  readonly listen?: string;
  readonly balancer?: string;
  readonly interval?: string;
  readonly tokenFile?: string;
}

/** A port that nobody listens on now. */
const freePort = async (): Promise<number> => {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
};

/** Starts one; resolves once it has printed its address. */
export const startAgent = async (options: AgentOptions): Promise<ServedAgent> => {
  const args = [
    'serve',
    '--listen',
    `${options.listen ?? '127.0.0.1'}:${options.port ?? (await freePort())}`,
    '--netns',
    `name:${options.netns}`,
    '--socket',
    join(options.folder, 'agent.sock'),
    '--balancer',
    options.balancer ?? join(options.folder, 'none.sock'),
    '--interval',
    options.interval ?? '1s',
    ...(options.tokenFile === undefined ? [] : ['--token-file', options.tokenFile]),
  ];
  const child: ChildProcess = spawn('setpriv', ['--pdeathsig', 'KILL', process.execPath, program, ...args], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let words = '';
  const origin = await new Promise<string>((resolve, reject) => {
    child.stderr!.setEncoding('utf8').on('data', (text: string) => {
      words += text;
      const match = /plimsoll serve: (http:\/\/[^/\s]+)\//.exec(words);
      if (match !== null) resolve(match[1]!);
    });
    child.once('exit', (code) => reject(new Error(`plimsoll serve ended with ${code}: ${words}`)));
  });
  const url = /plimsoll serve: (\S+)/.exec(words)![1]!;
  return {
    url,
    origin,
    port: Number(new URL(origin).port),
    stop: async () => {
      if (child.exitCode !== null || child.signalCode !== null) return;
      const ended = once(child, 'exit');
      child.kill('SIGTERM');
      await ended;
    },
  };
};
