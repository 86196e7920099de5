/** A real terminal: a pane of a tmux server of its own, with an interactive shell in it. All of it is gone when this process is. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { afterAll } from 'vitest';
import { type Namespace, namespace } from '../../support/netns.ts';
import { until } from '../../support/poll.ts';

export const command = new URL('../../../dist/plimsoll.cjs', import.meta.url).pathname;

let counter = 0;
const servers = new Set<ChildProcess>();
const endServers = (): void => {
  for (const server of servers) server.kill('SIGKILL');
};
process.on('exit', endServers);
afterAll(endServers);

export interface PaneOptions {
  readonly columns?: number;
  readonly rows?: number;
  /** The network namespace its shell is in; a fresh empty one if none is given. */
  readonly ns?: Namespace;
  readonly env?: Readonly<Record<string, string>>;
}

export class Pane {
  private readonly socket = `plimsoll-t${process.pid}-${counter++}`;
  private readonly server: ChildProcess;

  private constructor() {
    this.server = spawn('setpriv', ['--pdeathsig', 'KILL', 'tmux', '-L', this.socket, '-u', '-f', '/dev/null', '-D'], { stdio: 'ignore' });
    servers.add(this.server);
  }

  /** A pane of the size asked for, its shell waiting for a command. */
  static async open(options: PaneOptions = {}): Promise<Pane> {
    const { columns = 80, rows = 24, ns = namespace(), env = {} } = options;
    const pane = new Pane();
    const settings = Object.entries({ PS1: '> ', LANG: 'C.UTF-8', ...env }).map(([name, value]) => `${name}=${value}`);
    const unset = ['NO_COLOR', 'FORCE_COLOR', 'LC_ALL', 'LC_CTYPE'].flatMap((name) => (name in env ? [] : ['-u', name]));
    const shell = ['ip', 'netns', 'exec', ns.name, 'env', ...unset, ...settings, 'bash', '--norc', '--noprofile', '-i'];
    await until('the tmux server', () => {
      try {
        pane.tmux('new-session', '-d', '-x', String(columns), '-y', String(rows), ...shell);
        return true;
      } catch {
        return false;
      }
    });
    pane.tmux('set', '-g', 'status', 'off');
    pane.resize(columns, rows);
    await until('the prompt', () => pane.text().includes('>'));
    return pane;
  }

  tmux(...args: readonly string[]): string {
    return execFileSync('tmux', ['-L', this.socket, '-u', ...args], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
  }

  /** Types text as it is; `Enter`, `C-c` and the like are `press`ed. */
  type(text: string): void {
    this.tmux('send-keys', '-l', text);
  }

  press(...keys: readonly string[]): void {
    this.tmux('send-keys', ...keys);
  }

  /** Types `line` and enter, as a person would; what follows says how it ended. */
  run(line: string): void {
    this.type(`${line}; echo "left with $?"`);
    this.press('Enter');
  }

  /** What is on the screen, a string per row. */
  lines(): readonly string[] {
    return this.tmux('capture-pane', '-p').replace(/\n$/, '').split('\n');
  }

  text(): string {
    return this.tmux('capture-pane', '-p');
  }

  /** With colours. */
  painted(): string {
    return this.tmux('capture-pane', '-p', '-e');
  }

  /** What tmux knows of the pane: `alternate_on`, `cursor_flag`, `pane_width` … */
  fact(name: string): string {
    return this.tmux('display-message', '-p', `#{${name}}`).trim();
  }

  resize(columns: number, rows: number): void {
    this.tmux('resize-window', '-x', String(columns), '-y', String(rows));
  }

  /** Waits until the screen shows `what`; fails with what it shows. */
  async shows(what: string | RegExp, within = 15_000): Promise<string> {
    const found = (): string | false => {
      const text = this.text();
      return (typeof what === 'string' ? text.includes(what) : what.test(text)) && text;
    };
    try {
      return await until(`the screen to show ${what}`, found, within);
    } catch (error) {
      throw new Error(`${(error as Error).message}; it shows:\n${this.text()}`);
    }
  }

  /** The watching process: the shell's child. */
  async pid(): Promise<number> {
    const shell = this.fact('pane_pid');
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
