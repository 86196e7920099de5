/** A namespace with known settings and a folder that stands for / and /var/lib: what a transaction may touch, and a picture of it. */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { build } from 'esbuild';
import { type ApplyHost, DROP_IN } from '../../../src/linux/apply/transaction.ts';
import { ffi } from '../../../src/linux/ffi.ts';
import { type Namespace, namespace } from '../../support/netns.ts';
import { changes, initial } from './changes.ts';

const made: string[] = [];
process.on('exit', () => {
  for (const path of made) rmSync(path, { recursive: true, force: true });
});

export class Place {
  readonly ns: Namespace;
  readonly folder: string;
  readonly host: ApplyHost;
  /** What the drop-in says before; null: there is none. */
  readonly before: string | null;

  constructor(before: string | null = null) {
    this.ns = namespace({ sysctls: initial });
    this.folder = mkdtempSync(join(tmpdir(), 'plimsoll-apply-'));
    made.push(this.folder);
    this.before = before;
    mkdirSync(join(this.folder, 'etc/sysctl.d'), { recursive: true });
    if (before !== null) writeFileSync(this.dropIn, before);
    this.host = { c: ffi(), proc: '/proc', root: this.folder, state: this.state, namespace: 'test', inside: (work) => this.ns.run(work) };
  }

  get state(): string {
    return join(this.folder, 'var/lib/plimsoll');
  }

  get dropIn(): string {
    return `${this.folder}${DROP_IN}`;
  }

  get journal(): string {
    return join(this.state, 'tune-netns-test.json');
  }

  /** Everything a transaction may touch: exact values, files and their texts; the lock left out. */
  picture(): Readonly<Record<string, string>> {
    const values = this.ns.run(() =>
      changes.map((c) => [c.name, readFileSync(`/proc/sys/${c.name.replaceAll('.', '/')}`, 'utf8')] as const),
    );
    const files = ['etc/sysctl.d', 'var/lib/plimsoll'].flatMap((folder) => {
      const path = join(this.folder, folder);
      if (!existsSync(path)) return [];
      return readdirSync(path)
        .filter((name) => name !== 'tune.lock')
        .map((name) => [`${folder}/${name}`, readFileSync(join(path, name), 'utf8')] as const);
    });
    return Object.fromEntries([...values, ...files]);
  }

  mode(path: string): number {
    return statSync(path).mode & 0o777;
  }

  destroy(): void {
    this.ns.destroy();
    rmSync(this.folder, { recursive: true, force: true });
  }
}

let bundle: Promise<string> | null = null;

/** The path of program.ts as one file that Node runs. */
export const program = (): Promise<string> => {
  const outfile = join(process.cwd(), 'build', 'apply', `${process.pid}.cjs`);
  made.push(outfile);
  bundle ??= build({
    entryPoints: ['test/linux/apply/program.ts'],
    outfile,
    bundle: true,
    platform: 'node',
    format: 'cjs',
    external: ['koffi'],
    banner: { js: 'const __bundleUrl = require("node:url").pathToFileURL(__filename).href;' },
    define: { 'import.meta.url': '__bundleUrl' },
    logLevel: 'warning',
  }).then(() => outfile);
  return bundle;
};

export interface Ended {
  /** Null: killed. */
  readonly code: number | null;
  readonly said: string;
}

/** Runs the program in the place's namespace, behind `before` (a tracer and its arguments). */
export const runProgram = (place: Place, path: string, what: 'apply' | 'rollback', before: readonly string[] = []): Ended => {
  try {
    const said = execFileSync('ip', ['netns', 'exec', place.ns.name, ...before, process.execPath, path, what, place.folder, place.state], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    return { code: 0, said };
  } catch (error) {
    const { status, stderr } = error as { status: number | null; stderr: string };
    return { code: status === 137 ? null : status, said: stderr.trim() };
  }
};
