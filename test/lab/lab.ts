/** The lab as a user runs it: the product's own program, as a process; what it leaves is looked for afterwards. */
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { bundled } from '../balancer/stories/program.ts';

export interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly out: string;
  readonly err: string;
}

export interface Running {
  readonly child: ChildProcess;
  readonly err: () => string;
  readonly ended: Promise<Ended>;
}

/** Starts `plimsoll WORDS`; `before` are the words of a program that starts it. */
export const start = async (words: readonly string[], before: readonly string[] = []): Promise<Running> => {
  const [program, ...args] = [...before, process.execPath, await bundled('src/cli/entry.ts'), ...words];
  const child = spawn(program!, args, { stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, NO_COLOR: '1' } });
  let out = '';
  let err = '';
  child.stdout.on('data', (text: Buffer) => (out += text));
  child.stderr.on('data', (text: Buffer) => (err += text));
  const ended = new Promise<Ended>((done) => child.once('close', (code, signal) => done({ code, signal, out, err })));
  return { child, err: () => err, ended };
};

export const lab = async (words: readonly string[], before: readonly string[] = []): Promise<Ended> =>
  (await start(['lab', ...words], before)).ended;

const named = (folder: string, pid: number): readonly string[] =>
  existsSync(folder) ? readdirSync(folder).filter((name) => new RegExp(`^plimsoll-(lab|kept)-${pid}-`).test(name)) : [];

/** Namespaces that process `pid` made. */
export const namespacesOf = (pid: number): readonly string[] => named('/run/netns', pid);
/** Namespaces and folders that process `pid` made. */
export const leftBy = (pid: number): readonly string[] => [...namespacesOf(pid), ...named(tmpdir(), pid)];
