/** Counters of the current network namespace, by the kernel's own names. */
import { readFileSync } from 'node:fs';
import type { Counters } from '../core/host-sample.ts';
import type { HostRoot } from './proc.ts';
import { readText } from './proc.ts';

/** `Name: a b c` / `Name: 1 2 3` line pairs of /proc/net/netstat and /proc/net/snmp; only the TCP ones. */
export const parseCounterPairs = (text: string): Counters => {
  const counters: Record<string, number> = {};
  const lines = text.split('\n');
  for (let i = 0; i + 1 < lines.length; i += 2) {
    const names = lines[i]!.split(' ');
    const values = lines[i + 1]!.split(' ');
    if (names[0] !== values[0] || (names[0] !== 'TcpExt:' && names[0] !== 'Tcp:')) continue;
    names.forEach((name, k) => {
      if (k > 0 && values[k] !== undefined) counters[name] = Number(values[k]);
    });
  }
  return counters;
};

/** `TCP: inuse 5 orphan 0 tw 2 alloc 7 mem 1` of /proc/net/sockstat, as `sockstat_tw` and so on. */
export const parseSockstat = (text: string): Counters => {
  const counters: Record<string, number> = {};
  const line = text.split('\n').find((l) => l.startsWith('TCP: '));
  const words = line?.split(' ').slice(1) ?? [];
  for (let i = 0; i + 1 < words.length; i += 2) counters[`sockstat_${words[i]}`] = Number(words[i + 1]);
  return counters;
};

/** Column sums over all CPUs of /proc/net/stat/nf_conntrack (hexadecimal, one line per CPU; `entries` is not per CPU). */
export const parseConntrackStat = (text: string): Counters => {
  const [header, ...rows] = text.trim().split('\n');
  const counters: Record<string, number> = {};
  (header ?? '')
    .trim()
    .split(/\s+/)
    .forEach((name, column) => {
      counters[name] = rows.reduce((sum, row) => sum + Number.parseInt(row.trim().split(/\s+/)[column] ?? '0', 16), 0);
    });
  return counters;
};

/** Everything at once. Throws as the file system does where /proc/net cannot be read. */
export const readCounters = (root: HostRoot): Counters => ({
  ...parseCounterPairs(readFileSync(`${root.proc}/net/snmp`, 'utf8')),
  ...parseCounterPairs(readFileSync(`${root.proc}/net/netstat`, 'utf8')),
  ...parseSockstat(readText(`${root.proc}/net/sockstat`) ?? ''),
});
