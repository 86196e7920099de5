/** Programs that a story starts in its namespaces: bundled once per run, spoken to by lines, every line of theirs kept. */
import type { ChildProcess } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { build } from 'esbuild';
import type { Namespace } from '../../support/namespace.ts';
import { until } from '../../support/poll.ts';

const root = process.cwd();

/** A folder that is gone when this process ends, or, where it is killed, after the run (test/support/global.ts). */
export const scratch = mkdtempSync(join(tmpdir(), `plimsoll-stories-${process.pid}-`));
process.on('exit', () => rmSync(scratch, { recursive: true, force: true }));

const built = new Map<string, Promise<string>>();

/** The path of `entry` (from the root of the repository) as one file that Node runs. */
export const bundled = (entry: string): Promise<string> => {
  const known = built.get(entry);
  if (known !== undefined) return known;
  // Under the repository's build/, so that npm packages are found from there.
  const outfile = join(root, 'build', 'stories', `${process.pid}-${entry.replace(/\W+/g, '-')}.cjs`);
  const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { dependencies: Record<string, string> };
  const made = build({
    absWorkingDir: root,
    entryPoints: [entry],
    outfile,
    bundle: true,
    platform: 'node',
    format: 'cjs',
    target: 'node20.19',
    external: Object.keys(manifest.dependencies),
    banner: { js: 'const __bundleUrl = require("node:url").pathToFileURL(__filename).href;' },
    define: { 'import.meta.url': '__bundleUrl', PLIMSOLL_VERSION: '"0.0.0-story"' },
    logLevel: 'warning',
  }).then(() => outfile);
  process.on('exit', () => rmSync(outfile, { force: true }));
  built.set(entry, made);
  return made;
};

/** A running program and what it has said. */
export class Program {
  readonly child: ChildProcess;
  readonly out: string[] = [];
  readonly err: string[] = [];
  private readonly waiting: { readonly resolve: (line: string) => void; readonly reject: (why: Error) => void }[] = [];

  constructor(child: ChildProcess) {
    this.child = child;
    this.collect(child.stdout, this.out, (line) => this.waiting.shift()?.resolve(line));
    this.collect(child.stderr, this.err, () => {});
    child.stdin?.on('error', () => {});
    child.once('exit', (code) => {
      const why = new Error(`ended with ${code} instead of an answer: ${this.err.slice(-5).join(' | ')}`);
      for (const { reject } of this.waiting.splice(0)) reject(why);
    });
  }

  private collect(stream: NodeJS.ReadableStream | null, into: string[], tell: (line: string) => void): void {
    let rest = '';
    stream?.setEncoding('utf8');
    stream?.on('data', (text: string) => {
      const parts = (rest + text).split('\n');
      rest = parts.pop()!;
      for (const line of parts) {
        into.push(line);
        tell(line);
      }
    });
  }

  /** Sends one line; the next line it answers. */
  ask(line: string): Promise<string> {
    return new Promise((resolve, reject) => {
      this.waiting.push({ resolve, reject });
      this.child.stdin!.write(`${line}\n`);
    });
  }

  /** Waits for a line on either stream. */
  async said(pattern: RegExp, within = 30_000): Promise<void> {
    await until(
      `${pattern} (it said: ${[...this.out, ...this.err].slice(-5).join(' | ')})`,
      () => {
        if (this.child.exitCode !== null) throw new Error(`ended with ${this.child.exitCode}: ${this.err.slice(-8).join(' | ')}`);
        return [...this.out, ...this.err].some((line) => pattern.test(line));
      },
      within,
    );
  }

  async end(signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return;
    const gone = new Promise((done) => this.child.once('exit', done));
    this.child.kill(signal);
    await gone;
  }
}

/** Starts one of the story programs, or any other bundle, in `ns`. */
export const startNode = async (
  ns: Namespace,
  entry: string,
  args: readonly string[],
  env: NodeJS.ProcessEnv = process.env,
): Promise<Program> => new Program(ns.spawn(process.execPath, [await bundled(entry), ...args], env));
