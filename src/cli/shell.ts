/**
 * The process as one object: everything a command may know of the outside comes in here, so that every command can be
 * run inside a test and must reach the exit code it declared.
 */
import type { FullScreen, ScreenListener } from './full-screen.ts';

export interface Output {
  write(text: string): void;
  readonly isTerminal: boolean;
  /** In columns; 80 where it is no terminal. */
  readonly width: number;
}

export interface Shell {
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Data. */
  readonly stdout: Output;
  /** Progress, hints and errors. */
  readonly stderr: Output;
  readonly stdin: NodeJS.ReadableStream & { readonly isTTY?: boolean };
  /** Aborted by SIGINT or SIGTERM. A command that is interrupted cleans up and returns; the entry re-raises the signal. */
  readonly interrupted: AbortSignal;
  /** Calls `listener` at every SIGHUP. Absent where there is no process of its own; then SIGHUP ends it as usual. */
  readonly onHangup?: (listener: () => void) => void;
  /** Takes the whole terminal. Absent where stdin or stdout is none. */
  readonly fullScreen?: (listener: ScreenListener) => FullScreen;
}
