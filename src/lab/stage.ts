/**
 * The stage of one run: the namespaces, programs and files of a scenario, the product's own commands as processes, and the end of
 * all of them, however the run ends.
 */
import { execFile } from 'node:child_process';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Told } from '../core/experiment.ts';
import { removeNamespace } from './leftovers.ts';
import { LabNamespace } from './namespace.ts';
import { Program } from './program.ts';
import { searchPath } from './requirements.ts';
import { nameFor, type RunIdentity } from './run-identity.ts';

/** How the product is called: `[node, plimsoll.cjs]`. */
export type OwnCommand = readonly [program: string, ...args: string[]];

export interface StageOptions {
  readonly identity: RunIdentity;
  readonly own: OwnCommand;
  readonly env: NodeJS.ProcessEnv;
  readonly interrupted: AbortSignal;
  /** Told what happens now. */
  readonly onStep: (text: string) => void;
}

/** Thrown where the run was interrupted; nobody prints it. */
export class Interrupted extends Error {
  override readonly name = 'Interrupted';
}

interface Finished {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** The fields of a report that scenarios read. */
export interface DoctorReading {
  readonly verdict: string;
  readonly because: readonly string[];
  readonly findings: Told['findings'];
  readonly remedies: readonly { readonly title: string }[];
  readonly port_spaces: readonly {
    readonly id: string;
    readonly kind: string;
    readonly destination: string | null;
    readonly used: number;
    readonly capacity: number;
    readonly open_rate: number | null;
    readonly forecast: { readonly kind: string; readonly seconds: number | null };
    readonly by_state: Readonly<Record<string, number>>;
  }[];
}

/** The fields of `plimsoll.capture/1` that scenarios read. */
export interface CaptureReading {
  readonly handshakes: { readonly tried: number; readonly answered: number; readonly reset: number; readonly ignored: number };
  readonly findings: Told['findings'];
}

/** Kinds of findings of a capture that are told. */
const TOLD = 3;

export class Stage {
  /** What it is doing, in words. */
  doing = 'asking plimsoll plan';
  /** Configurations, logs and captures of this run. */
  readonly folder: string;
  private readonly options: StageOptions;
  private readonly names: string[] = [];
  private readonly programs: Program[] = [];

  constructor(options: StageOptions) {
    this.options = options;
    this.folder = join(tmpdir(), nameFor(options.identity));
    mkdirSync(this.folder, { mode: 0o700 });
  }

  /** Says what happens now. */
  step(text: string): void {
    this.check();
    this.doing = text;
    this.options.onStep(text);
  }

  /** Throws Interrupted once the user wants to stop. */
  check(): void {
    if (this.options.interrupted.aborted) throw new Interrupted();
  }

  /** The namespaces made so far, for --keep. */
  get namespaceNames(): readonly string[] {
    return this.names;
  }

  async namespace(role: string, sysctls: Readonly<Record<string, string | number>> = {}): Promise<LabNamespace> {
    this.check();
    const name = nameFor(this.options.identity, role);
    // Before it is made: an interruption in the middle must not lose it.
    this.names.push(name);
    const ns = await LabNamespace.make(name, role);
    await ns.set(sysctls);
    return ns;
  }

  /** Writes a file of this run; its path. */
  file(name: string, text: string): string {
    const path = join(this.folder, name);
    writeFileSync(path, text);
    return path;
  }

  /** Starts a program in `ns`. */
  start(ns: LabNamespace, name: string, program: string, args: readonly string[]): Program {
    this.check();
    const started = new Program(name, ns.spawn(program, args, this.env));
    this.programs.push(started);
    return started;
  }

  /** Starts `plimsoll WORDS` in `ns`. */
  startOwn(ns: LabNamespace, words: readonly string[]): Program {
    const [program, ...args] = this.options.own;
    return this.start(ns, `plimsoll ${words[0]}`, program, [...args, ...words]);
  }

  /** Starts one of the lab's own servers and clients (src/lab/peers) in `ns`, and waits until it is ready. */
  async peer(ns: LabNamespace, role: string, settings: unknown): Promise<Program> {
    const peer = this.startOwn(ns, ['lab-peer', role, JSON.stringify(settings)]);
    const first = await this.unlessInterrupted(peer.nextLine());
    if (first !== 'ready') throw new Error(`lab-peer ${role} said: ${first}`);
    return peer;
  }

  /** Runs `plimsoll WORDS --json` to its end, in `ns` or here; the document. Exit codes up to 3 are answers. */
  async own<T>(ns: LabNamespace | null, words: readonly string[]): Promise<T> {
    const [program, ...args] = this.options.own;
    const command = [program, ...args, ...words, '--json'];
    const inside = ns === null ? [] : ['ip', 'netns', 'exec', ns.name];
    const { code, stdout, stderr } = await this.run('setpriv', ['--pdeathsig', 'KILL', ...inside, ...command]);
    if (code > 3) throw new Error(`plimsoll ${words.join(' ')} exited ${code}: ${stderr.trim()}`);
    return JSON.parse(stdout) as T;
  }

  /** The doctor's report from inside `ns`. */
  doctor(ns: LabNamespace, interval = '0s'): Promise<DoctorReading> {
    return this.own(ns, ['doctor', '--interval', interval]);
  }

  /** What the doctor says in `ns` right now, to be told at the end. */
  async askDoctor(ns: LabNamespace, when: string, interval = '0s'): Promise<Told & { readonly report: DoctorReading }> {
    const report = await this.doctor(ns, interval);
    return {
      where: ns.role,
      when,
      command: `plimsoll doctor${interval === '0s' ? ' --interval 0s' : ''}`,
      // That the range is narrow is the lab's own doing.
      findings: report.findings
        .filter((f) => f.code !== 'narrow_range')
        .map(({ code, severity, title, text }) => ({ code, severity, title, text })),
      remedies: report.remedies.map((r) => r.title),
      report,
    };
  }

  /** What `plimsoll explain` says of a capture. */
  async explain(file: string, when: string): Promise<Told & { readonly capture: CaptureReading }> {
    const capture = await this.own<CaptureReading>(null, ['explain', file]);
    // It has one for each destination and each way a handshake went: the first of a kind is the weightiest.
    const kinds = capture.findings.filter((f, i, all) => all.findIndex((g) => g.code === f.code) === i);
    return {
      where: 'capture',
      when,
      command: 'plimsoll explain',
      findings: kinds.slice(0, TOLD).map(({ code, severity, title, text }) => ({ code, severity, title, text })),
      remedies: [],
      capture,
    };
  }

  /** Starts tcpdump on `device` of `ns`; resolves when it captures.  */
  async capture(ns: LabNamespace, device: string, name: string): Promise<{ readonly file: string; readonly end: () => Promise<void> }> {
    const file = join(this.folder, name);
    const tcpdump = this.start(ns, 'tcpdump', 'tcpdump', ['-i', device, '-s', '128', '-U', '-Z', 'root', '-w', file, 'tcp']);
    await this.until('tcpdump to listen', () => tcpdump.count(/listening on/) > 0);
    return { file, end: () => tcpdump.end('SIGINT') };
  }

  /** Waits until `probe` answers something other than null, undefined or false. Throws after `within` seconds. */
  async until<T>(what: string, probe: () => T | Promise<T>, within = 30): Promise<NonNullable<Exclude<T, false>>> {
    const deadline = performance.now() + within * 1000;
    for (;;) {
      this.check();
      const value = await probe();
      if (value !== undefined && value !== null && value !== false) return value as NonNullable<Exclude<T, false>>;
      if (performance.now() > deadline) throw new Error(`waited ${within} s for ${what}`);
      await this.pause(0.025);
    }
  }

  /** Waits until a TCP listener is on `port` in `ns`. */
  async listening(ns: LabNamespace, port: number, program: Program): Promise<void> {
    await this.until(`${program.name} to listen on port ${port}`, async () => {
      if (!program.running) throw new Error(`${program.name} ended: ${program.tail()}`);
      return (await ns.exec('ss', '-Hltn', 'sport', '=', `:${port}`)).trim() !== '';
    });
  }

  /** Waits `seconds`, or throws Interrupted. */
  async pause(seconds: number): Promise<void> {
    await this.unlessInterrupted(new Promise((done) => setTimeout(done, seconds * 1000)));
  }

  /** `work`, or Interrupted as soon as the user wants to stop. */
  async unlessInterrupted<T>(work: Promise<T>): Promise<T> {
    this.check();
    const { interrupted } = this.options;
    let stop = (): void => {};
    const stopped = new Promise<never>((_, reject) => {
      stop = () => reject(new Interrupted());
      interrupted.addEventListener('abort', stop, { once: true });
    });
    try {
      return await Promise.race([this.meanwhile(work), stopped]);
    } finally {
      interrupted.removeEventListener('abort', stop);
    }
  }

  /** Something that goes on while other things are done; when the run ends before it, nobody hears of its failure. */
  meanwhile<T>(work: Promise<T>): Promise<T> {
    work.catch(() => {});
    return work;
  }

  /** Ends what runs; removes the namespaces and the folder unless they are kept. */
  async end(): Promise<void> {
    await Promise.all(this.programs.map((p) => p.end('SIGKILL')));
    if (this.options.identity.kept) return;
    await Promise.all(this.names.map(removeNamespace));
    rmSync(this.folder, { recursive: true, force: true });
  }

  private get env(): NodeJS.ProcessEnv {
    const { env } = this.options;
    // Children speak to us, not to a terminal, and find administrators' programs.
    return { ...env, PATH: searchPath(env['PATH']), NO_COLOR: '1' };
  }

  private run(program: string, args: readonly string[]): Promise<Finished> {
    return this.unlessInterrupted(
      new Promise((resolve) => {
        execFile(program, args, { maxBuffer: 1 << 28, env: this.env, signal: this.options.interrupted }, (error, stdout, stderr) =>
          resolve({
            code: error === null ? 0 : typeof error.code === 'number' ? error.code : 70,
            stdout,
            stderr: stderr || (error?.message ?? ''),
          }),
        );
      }),
    );
  }
}
