/** Small reads of procfs. The root is a parameter, so that a recorded host can be read like a live one. */
import { readFileSync } from 'node:fs';
import type { Reading } from '../core/host-sample.ts';

/** Where the host's files are: `/proc` and `/run` on a live host. */
export interface HostRoot {
  readonly proc: string;
  readonly run: string;
}

export const liveRoot: HostRoot = { proc: '/proc', run: '/run' };

/** The text of a file, trimmed, or null if it is not there (a vanished process, a kernel without the feature). */
export const readText = (path: string): string | null => {
  try {
    return readFileSync(path, 'utf8').trim();
  } catch {
    return null;
  }
};

/** A failed system call or file access as a reading: denied for missing rights, absent for what is not there. */
export const unreadable = (error: unknown, what: string, needs: string): Exclude<Reading<never>, { status: 'ok' }> => {
  const code = (error as NodeJS.ErrnoException).code ?? '';
  if (code === 'EACCES' || code === 'EPERM') return { status: 'denied', hint: `${what} needs ${needs}` };
  if (code === 'ENOENT' || code === 'ESRCH') return { status: 'absent', hint: `${what} is not there` };
  return { status: 'unsupported', hint: `${what}: ${(error as Error).message}` };
};
