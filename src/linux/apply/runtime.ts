/** The running kernel's settings, by their dotted names. They are those of the network namespace that the calling thread is in. */
import { accessSync, constants, readFileSync, writeFileSync } from 'node:fs';

/** `net.ipv4.tcp_tw_reuse` under `proc`. */
export const sysctlPath = (proc: string, name: string): string => `${proc}/sys/${name.replaceAll('.', '/')}`;

/** Runs of white space are one space: the kernel writes tabs where people write spaces. */
export const normalised = (value: string): string => value.trim().split(/\s+/).join(' ');

/** The value, normalised; null where the kernel has no such setting or this namespace does not show it. */
export const readSysctl = (proc: string, name: string): string | null => {
  try {
    return normalised(readFileSync(sysctlPath(proc, name), 'utf8'));
  } catch {
    return null;
  }
};

/** Sets it. Throws the system's error. An empty value is written as an empty line: writing nothing changes nothing. */
export const writeSysctl = (proc: string, name: string, value: string): void => {
  writeFileSync(sysctlPath(proc, name), `${value}\n`, { flag: 'r+' });
};

/** Why it cannot be set, or null: `EACCES`, `EROFS`, `ENOENT`. */
export const whyNotWritable = (path: string): string | null => {
  try {
    accessSync(path, constants.W_OK);
    return null;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code ?? 'unknown';
  }
};
