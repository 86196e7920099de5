/** A Shell for tests: what a command writes is kept, what it reads is given, and it can be interrupted. */
import { Readable } from 'node:stream';
import { main } from '../../src/cli/main.ts';
import type { Output, Shell } from '../../src/cli/shell.ts';

export interface FakeShellOptions {
  readonly env?: Shell['env'];
  /** What the command finds on stdin; empty if not given. */
  readonly stdin?: string | Uint8Array;
  readonly isTerminal?: boolean;
  /** Columns of both outputs. */
  readonly width?: number;
}

export interface FakeShell extends Shell {
  readonly out: () => string;
  readonly err: () => string;
  /** What Ctrl-C does. */
  readonly interrupt: () => void;
}

const keeping = (texts: string[], options: FakeShellOptions): Output => ({
  write: (text) => void texts.push(text),
  isTerminal: options.isTerminal ?? false,
  width: options.width ?? 80,
});

export const fakeShell = (options: FakeShellOptions = {}): FakeShell => {
  const out: string[] = [];
  const err: string[] = [];
  const controller = new AbortController();
  return {
    env: options.env ?? {},
    stdout: keeping(out, options),
    stderr: keeping(err, options),
    stdin: Readable.from(options.stdin === undefined ? [] : [options.stdin]),
    interrupted: controller.signal,
    out: () => out.join(''),
    err: () => err.join(''),
    interrupt: () => controller.abort(),
  };
};

export interface Ran {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

/** Runs `plimsoll ARGV…` in this process, to its end. */
export const plimsoll = async (argv: readonly string[], options: FakeShellOptions = {}): Promise<Ran> => {
  const shell = fakeShell(options);
  const code = await main(argv, shell);
  return { code, out: shell.out(), err: shell.err() };
};
