/** How a run stands, on standard error: one line that is written over on a terminal, a line each time where it is none. */
import type { Output } from '../shell.ts';
import { pad, width } from '../terminal.ts';

export class LiveLine {
  private readonly output: Output;
  private shown = false;
  private readonly said = new Set<string>();

  constructor(output: Output) {
    this.output = output;
  }

  /** The line now. */
  show(line: string): void {
    if (!this.output.isTerminal) {
      this.output.write(`${line}\n`);
      return;
    }
    const room = Math.max(20, this.output.width - 1);
    this.output.write(`\r${width(line) > room ? pad(line, room) : line}\u001b[K`);
    this.shown = true;
  }

  /** Something that stays on the screen. */
  say(text: string): void {
    this.end();
    this.output.write(text);
  }

  /** The same, the first time only. */
  once(text: string): void {
    if (this.said.has(text)) return;
    this.said.add(text);
    this.say(text);
  }

  /** The line is done with. */
  end(): void {
    if (this.shown) this.output.write('\r\u001b[K');
    this.shown = false;
  }
}
