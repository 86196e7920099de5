/** One change at a time: an advisory lock that the kernel lets go of when its holder dies, however it dies. */
import { closeSync, openSync } from 'node:fs';
import { PlimsollError } from '../../core/errors.ts';
import type { Reading } from '../../core/host-sample.ts';
import { errnoName, type Ffi } from '../ffi.ts';

const LOCK_EX_NB = 2 | 4;

/** Takes the lock of `state` and returns what lets go of it. Throws tune_busy, tune_unavailable, journal_denied. */
export const lockState = (c: Reading<Ffi>, state: string): (() => void) => {
  if (c.status !== 'ok') throw new PlimsollError('tune_unavailable', { reason: c.hint });
  const path = `${state}/tune.lock`;
  let fd: number;
  try {
    fd = openSync(path, 'a', 0o600);
  } catch (cause) {
    throw new PlimsollError('journal_denied', { path: state, reason: (cause as NodeJS.ErrnoException).code ?? 'unknown' }, { cause });
  }
  if (c.value.flock(fd, LOCK_EX_NB) < 0) {
    const reason = errnoName(c.value.errno());
    closeSync(fd);
    throw new PlimsollError('tune_busy', { path, reason });
  }
  return () => closeSync(fd);
};
