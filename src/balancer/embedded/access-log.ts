/**
 * The access log: one JSON object a line, so that nothing a client sends can end a line or forge a field. Lines are gathered
 * and written in batches; what does not fit while the writer is behind is dropped and counted.
 */
import type { Cause } from '../engine.ts';

export interface AccessEntry {
  readonly service: string;
  readonly client: string;
  readonly method: string;
  readonly target: string;
  readonly host?: string;
  readonly status: number;
  readonly server: string;
  /** Our source port towards the server, 0 if none was chosen by us. */
  readonly source: string;
  /** Seconds. */
  readonly queued: number;
  readonly duration: number;
  readonly bytes: number;
  /** Why it failed; absent for what went well. */
  readonly cause?: Cause;
  readonly reason?: string;
}

const mostWaiting = 1 << 20;

export class AccessLog {
  /** Lines that were not written. */
  dropped = 0;
  /** Told when writing begins to fail, with the reason, and with null when it works again. */
  onTrouble: (reason: string | null) => void = () => {};
  private lines = '';
  private scheduled = false;
  private failing = false;
  private readonly write: (text: string) => void;

  /** `write` takes whole lines. What it throws costs those lines and nothing else. */
  constructor(write: (text: string) => void) {
    this.write = write;
  }

  add(entry: AccessEntry): void {
    if (this.lines.length > mostWaiting) {
      this.dropped++;
      return;
    }
    this.lines += `${escapeLine(JSON.stringify({ at: new Date().toISOString(), ...entry }))}\n`;
    if (this.scheduled) return;
    this.scheduled = true;
    setImmediate(() => this.flush());
  }

  flush(): void {
    this.scheduled = false;
    const lines = this.lines;
    this.lines = '';
    if (lines === '') return;
    try {
      this.write(lines);
      if (this.failing) this.onTrouble(null);
      this.failing = false;
    } catch (error) {
      this.dropped += lines.split('\n').length - 1;
      if (!this.failing) this.onTrouble((error as NodeJS.ErrnoException).code ?? String(error));
      this.failing = true;
    }
  }
}

/** JSON leaves C1 controls, DEL and line separators as they are; some readers and terminals obey them. */
const escapeLine = (json: string): string =>
  json.replace(/[\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069]/g, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`);
