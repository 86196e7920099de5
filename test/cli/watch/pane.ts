/** A real terminal: a pane of a tmux server of its own, with an interactive shell in it. All of it is gone when this process is. */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll } from 'vitest';
import { type Namespace, namespace } from '../../support/netns.ts';
import { until } from '../../support/poll.ts';

export const command = new URL('../../../dist/plimsoll.cjs', import.meta.url).pathname;

const run = promisify(execFile);

/** Sockets of the servers, and what else the tests of this process write. Swept by a later run if this one is killed. */
export const folder = mkdtempSync(join(tmpdir(), `plimsoll-stories-${process.pid}-`));
let counter = 0;
const servers = new Set<ChildProcess>();
const cleanUp = (): void => {
  for (const server of servers) server.kill('SIGKILL');
  rmSync(folder, { recursive: true, force: true });
};
process.on('exit', cleanUp);
afterAll(cleanUp);

export interface PaneOptions {
  readonly columns?: number;
  readonly rows?: number;
  /** The network namespace its shell is in; a fresh empty one if none is given. */
  readonly ns?: Namespace;
  readonly env?: Readonly<Record<string, string>>;
}

export class Pane {
  private readonly socket = join(folder, `tmux-${counter++}`);
  private readonly server: ChildProcess;

  private constructor() {
    this.server = spawn('setpriv', ['--pdeathsig', 'KILL', 'tmux', '-S', this.socket, '-u', '-f', '/dev/null', '-D'], { stdio: 'ignore' });
    servers.add(this.server);
  }

  /** A pane of the size asked for, its shell waiting for a command. */
  static async open(options: PaneOptions = {}): Promise<Pane> {
    const { columns = 80, rows = 24, ns = namespace(), env = {} } = options;
    const pane = new Pane();
    const settings = Object.entries({ PS1: '> ', LANG: 'C.UTF-8', ...env }).map(([name, value]) => `${name}=${value}`);
    const unset = ['NO_COLOR', 'FORCE_COLOR', 'LC_ALL', 'LC_CTYPE'].flatMap((name) => (name in env ? [] : ['-u', name]));
    const shell = ['ip', 'netns', 'exec', ns.name, 'env', ...unset, ...settings, 'bash', '--norc', '--noprofile', '-i'];
    await until('the tmux server', () =>
      pane.tmux('new-session', '-d', '-x', String(columns), '-y', String(rows), ...shell).then(
        () => true,
        () => false,
      ),
    );
    await pane.tmux('set', '-g', 'status', 'off');
    await pane.resize(columns, rows);
    await until('the prompt', async () => (await pane.text()).includes('>'));
    return pane;
  }

  async tmux(...args: readonly string[]): Promise<string> {
    // -N: a server that is not there yet must not be started by its client, which would make it nobody's child.
    return (await run('tmux', ['-N', '-S', this.socket, '-u', ...args])).stdout;
  }

  /** Types text as it is; `Enter`, `C-c` and the like are `press`ed. */
  async type(text: string): Promise<void> {
    await this.tmux('send-keys', '-l', text);
  }

  async press(...keys: readonly string[]): Promise<void> {
    await this.tmux('send-keys', ...keys);
  }

  /** Types `line` and enter, as a person would. */
  async run(line: string): Promise<void> {
    await this.type(line);
    await this.press('Enter');
  }

  /** Waits for the shell's own screen, and asks it how the last command ended. A list would not do: bash ends it on SIGINT. */
  async status(): Promise<number> {
    await until('the shell', async () => (await this.fact('alternate_on')) === '0' && (await this.fact('pane_current_command')) === 'bash');
    await this.run(`echo "left with $?"`);
    const text = await this.shows(/^left with \d+/m);
    return Number(/^left with (\d+)/m.exec(text)![1]);
  }

  /** What is on the screen, a string per row. */
  async lines(): Promise<readonly string[]> {
    return (await this.text()).replace(/\n$/, '').split('\n');
  }

  text(): Promise<string> {
    return this.tmux('capture-pane', '-p');
  }

  /** With colours. */
  painted(): Promise<string> {
    return this.tmux('capture-pane', '-p', '-e');
  }

  /** What tmux knows of the pane: `alternate_on`, `cursor_flag`, `pane_width` … */
  async fact(name: string): Promise<string> {
    return (await this.tmux('display-message', '-p', `#{${name}}`)).trim();
  }

  async resize(columns: number, rows: number): Promise<void> {
    await this.tmux('resize-window', '-x', String(columns), '-y', String(rows));
  }

  /** Waits until the screen shows `what`; fails with what it shows. */
  async shows(what: string | RegExp, within = 30_000): Promise<string> {
    const found = async (): Promise<string | false> => {
      const text = await this.text();
      return (typeof what === 'string' ? text.includes(what) : what.test(text)) && text;
    };
    try {
      return await until(`the screen to show ${what}`, found, within);
    } catch (error) {
      throw new Error(`${(error as Error).message}; it shows:\n${await this.text()}`);
    }
  }

  /** The watching process: the shell's child. */
  async pid(): Promise<number> {
    const shell = await this.fact('pane_pid');
    return until('the process', () => {
      const [first] = readFileSync(`/proc/${shell}/task/${shell}/children`, 'utf8').split(' ');
      return first === '' ? null : Number(first);
    });
  }

  close(): void {
    this.server.kill('SIGKILL');
    servers.delete(this.server);
  }
}
