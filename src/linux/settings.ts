/** The settings of the current network namespace that decide how its ports are chosen and kept (Documentation/networking/ip-sysctl.rst). */
import type { NamespaceSettings } from '../core/host-sample.ts';
import { defaultPortRange, parseRanges } from '../core/port-range.ts';
import { type HostRoot, readText } from './proc.ts';

/** Reads them; what a kernel does not have takes the value it then behaves as. */
export const readSettings = (root: HostRoot): NamespaceSettings => {
  const text = (name: string): string | null => readText(`${root.proc}/sys/net/ipv4/${name}`);
  const number = (name: string, fallback: number): number => {
    const value = Number(text(name) ?? Number.NaN);
    return Number.isFinite(value) ? value : fallback;
  };
  const [low, high] = (text('ip_local_port_range') ?? '').split(/\s+/).map(Number);
  const reuse = number('tcp_tw_reuse', 0);
  return {
    portRange: low && high ? { low, high } : defaultPortRange,
    reserved: parseRanges(text('ip_local_reserved_ports') ?? '') ?? [],
    twReuse: reuse === 1 || reuse === 2 ? reuse : 0,
    // Milliseconds since Linux 6.14; a fixed second before.
    twReuseDelay: number('tcp_tw_reuse_delay', 1000) / 1000,
    timestamps: number('tcp_timestamps', 1) !== 0,
    finTimeout: number('tcp_fin_timeout', 60),
    maxTwBuckets: number('tcp_max_tw_buckets', 0),
  };
};
