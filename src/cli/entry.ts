/** The executable: makes the Shell from the real process, runs `main`, leaves with its exit code. */
import { isatty } from 'node:tty';
import { PlimsollError } from '../core/errors.ts';
import { openFullScreen } from './full-screen.ts';
import { main } from './main.ts';
import type { Output, Shell } from './shell.ts';

// Piped into `head`, the reader goes first, and a terminal may be closed (EIO): that is no error of ours.
process.stdout.on('error', (cause: NodeJS.ErrnoException) => {
  if (cause.code === 'EPIPE' || cause.code === 'EIO') process.exit(0);
  const error = new PlimsollError('unwritable', { path: 'standard output', reason: cause.code ?? cause.message }, { cause });
  process.stderr.write(`plimsoll: ${error.message}\n  ${error.hint}\n`);
  process.exit(error.exit);
});
// Whoever read the events has gone, or the disk is full: a balancer goes on serving, and nobody is left to tell.
process.stderr.on('error', () => {});

const output = (stream: NodeJS.WriteStream): Output => ({
  write: (text) => void stream.write(text),
  isTerminal: stream.isTTY === true,
  get width() {
    return stream.columns ?? 80;
  },
});

const controller = new AbortController();
let received: NodeJS.Signals | null = null;
const onSignal = (signal: NodeJS.Signals): void => {
  // The second signal is meant: leave at once.
  if (received !== null) process.exit(130);
  received = signal;
  controller.abort();
};
process.on('SIGINT', onSignal);
process.on('SIGTERM', onSignal);

const shell: Shell = {
  env: process.env,
  stdout: output(process.stdout),
  stderr: output(process.stderr),
  get stdin() {
    return process.stdin;
  },
  interrupted: controller.signal,
  onHangup: (listener) => void process.on('SIGHUP', listener),
  ...(isatty(0) && isatty(1) ? { fullScreen: openFullScreen } : {}),
};
void main(process.argv.slice(2), shell).then((code) => {
  if (received === null || code === 0) {
    process.exitCode = code;
    return;
  }
  // Re-raised, so that a calling shell sees that we were interrupted.
  process.removeAllListeners(received);
  process.kill(process.pid, received);
});
