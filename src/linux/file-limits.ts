/** RLIMIT_NOFILE of processes, as /proc/PID/limits tells. */
import { type HostRoot, readText } from './proc.ts';

/** The soft limit in `Max open files  1024  524288  files`; null for `unlimited`, or where the line is missing. */
export const parseFileLimit = (limits: string): number | null => {
  const match = /^Max open files\s+(\d+|unlimited)/m.exec(limits);
  return match === null || match[1] === 'unlimited' ? null : Number(match[1]);
};

/** The soft limit of a process; null where it has none or may not be asked. */
export const fileLimitOf = (root: HostRoot, pid: number): number | null => parseFileLimit(readText(`${root.proc}/${pid}/limits`) ?? '');
