/**
 * Who made what: every namespace and folder of a run carries the maker's pid and the time that process began, so that whoever
 * finds one can tell whether its run is still going, also after the pid went to somebody else.
 *
 *   plimsoll-lab-<pid>-<start>-<role>     removed when the run ends
 *   plimsoll-kept-<pid>-<start>-<role>    made under --keep: only `lab clean` removes it
 */
import { readFileSync } from 'node:fs';

export interface RunIdentity {
  readonly pid: number;
  /** Field 22 of /proc/PID/stat: clock ticks from boot to the start of the process. */
  readonly start: string;
  readonly kept: boolean;
}

/** When process `pid` began, or null if there is none. A zombie counts as none: nothing of its run is going on. */
export const startOf = (pid: number): string | null => {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // The name is in parentheses and may hold anything: count from the last one.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return fields[0] === 'Z' || fields[0] === 'X' ? null : fields[19]!;
  } catch {
    return null;
  }
};

/** The identity of this process. */
export const thisRun = (kept: boolean): RunIdentity => ({ pid: process.pid, start: startOf(process.pid)!, kept });

/** `plimsoll-lab-71-8812-proxy`; without a role the name of the run's folder. */
export const nameFor = (run: RunIdentity, role?: string): string =>
  `plimsoll-${run.kept ? 'kept' : 'lab'}-${run.pid}-${run.start}${role === undefined ? '' : `-${role}`}`;

/** The run that made something of this name, or null if no run of the lab did. */
export const runOf = (name: string): RunIdentity | null => {
  const match = /^plimsoll-(lab|kept)-(\d+)-(\d+)(?:-[\w-]+)?$/.exec(name);
  return match === null ? null : { pid: Number(match[2]), start: match[3]!, kept: match[1] === 'kept' };
};

/** Whether the process that made it still runs. */
export const isAlive = (run: RunIdentity): boolean => startOf(run.pid) === run.start;
