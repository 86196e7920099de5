/** What a run does now: a line for each step, and on a terminal a clock on the last of them. */
import { formatDuration } from '../../core/quantity.ts';
import type { Shell } from '../shell.ts';
import { painter, safe, wrap } from '../terminal.ts';

export interface Progress {
  step(text: string): void;
  /** Finishes the last line. */
  end(): void;
}

/** Milliseconds between two looks at the clock. */
const TICK = 250;

/** `expected`: how long the whole takes, in seconds. */
export const progressOf = (shell: Shell, expected: number): Progress => {
  const { stderr } = shell;
  const paint = painter(stderr, shell.env);
  const begun = performance.now();
  const elapsed = (): number => (performance.now() - begun) / 1000;
  const stamp = (): string => `${elapsed().toFixed(1).padStart(5)} s`;
  let current: string | null = null;
  let timer: NodeJS.Timeout | null = null;
  const clock = (): void => {
    const left = expected - elapsed();
    const words = left > 1 ? `${formatDuration(Math.ceil(left))} left` : 'nearly done';
    stderr.write(`\r\u001b[K  ${stamp()}  ${paint('dim', words)}`);
  };
  return {
    step: (text) => {
      if (stderr.isTerminal && current !== null) stderr.write('\r\u001b[K');
      current = text;
      stderr.write(`  ${paint('dim', stamp())}  ${wrap(safe(text), Math.max(40, stderr.width - 11), ' '.repeat(11))}\n`);
      if (!stderr.isTerminal || timer !== null) return;
      timer = setInterval(clock, TICK);
    },
    end: () => {
      if (timer !== null) clearInterval(timer);
      if (stderr.isTerminal && current !== null) stderr.write('\r\u001b[K');
      if (current !== null) stderr.write('\n');
    },
  };
};
