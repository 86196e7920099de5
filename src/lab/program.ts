/** A running program of a scenario: its lines are kept, it can be asked, and it does not outlive the run. */
import type { ChildProcess } from 'node:child_process';

/** Lines kept per stream: a proxy that logs every failure must not fill our memory. */
const KEPT = 50_000;

export class Program {
  readonly name: string;
  readonly child: ChildProcess;
  /** Both streams, in the order they came. */
  readonly lines: string[] = [];
  readonly ended: Promise<number | null>;
  private readonly answers: { readonly resolve: (line: string) => void; readonly reject: (why: Error) => void }[] = [];
  private readonly listeners = new Set<(line: string) => void>();

  constructor(name: string, child: ChildProcess) {
    this.name = name;
    this.child = child;
    child.stdin?.on('error', () => {});
    this.read(child.stdout, (line) => this.answers.shift()?.resolve(line));
    this.read(child.stderr, () => {});
    this.ended = new Promise((done) => {
      child.once('error', (error) => {
        this.lines.push(error.message);
        done(null);
      });
      child.once('close', (code) => done(code));
    });
    void this.ended.then((code) => {
      for (const { reject } of this.answers.splice(0)) reject(new Error(`${name} ended (${code}): ${this.tail()}`));
    });
  }

  /** Its last words. */
  tail(): string {
    return this.lines.slice(-3).join(' | ');
  }

  get running(): boolean {
    return this.child.exitCode === null && this.child.signalCode === null;
  }

  /** How many lines so far match. */
  count(pattern: RegExp): number {
    return this.lines.filter((line) => pattern.test(line)).length;
  }

  /** Calls `listener` for every further line until the returned function is called. */
  onLine(listener: (line: string) => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  /** The next line it writes to standard output. */
  nextLine(): Promise<string> {
    if (!this.running) return Promise.reject(new Error(`${this.name} has ended: ${this.tail()}`));
    return new Promise((resolve, reject) => this.answers.push({ resolve, reject }));
  }

  /** Sends one line of JSON; resolves to the JSON it answers. */
  async ask<T>(order: unknown): Promise<T> {
    const line = this.nextLine();
    this.child.stdin!.write(`${JSON.stringify(order)}\n`);
    return JSON.parse(await line) as T;
  }

  async end(signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
    if (this.running) this.child.kill(signal);
    await this.ended;
  }

  private read(stream: NodeJS.ReadableStream | null, tell: (line: string) => void): void {
    let rest = '';
    stream?.setEncoding('utf8');
    stream?.on('data', (text: string) => {
      const parts = (rest + text).split('\n');
      rest = parts.pop()!;
      for (const line of parts) {
        this.lines.push(line);
        if (this.lines.length > KEPT) this.lines.splice(0, KEPT / 2);
        tell(line);
        for (const listener of this.listeners) listener(line);
      }
    });
  }
}
