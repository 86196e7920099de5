/** What about a SNAT pool does not go with the host it runs on. Pure: whoever calls has read the host. */
import { isLoopback } from '../../core/address.ts';
import { formatRange, type PortRange, PortSet } from '../../core/port-range.ts';
import type { SnatPool } from './schema.ts';

export interface HostPorts {
  /** net.ipv4.ip_local_port_range. */
  readonly automatic: PortRange;
  /** net.ipv4.ip_local_reserved_ports. */
  readonly reserved: readonly PortRange[];
  /** Canonical addresses of this host's interfaces; null if they could not be read. */
  readonly addresses: readonly string[] | null;
}

/** Warnings in words; empty if pool and host go together. */
export const hostWarnings = (pool: SnatPool, host: HostPorts): readonly string[] => {
  const warnings: string[] = [];
  const exposed = PortSet.of(pool.ports.flatMap((r) => shared(r, host.automatic)));
  for (const range of host.reserved) for (let port = range.low; port <= range.high; port++) exposed.delete(port);
  const ranges = exposed.ranges();
  if (ranges.length > 0) {
    const listed = ranges.map(formatRange).join(',');
    warnings.push(
      `ports ${listed} lie inside this host's automatic range ${formatRange(host.automatic)}: whoever lets the kernel choose may hold them, and cannot use those we hold; ` +
        `reserve them (sysctl net.ipv4.ip_local_reserved_ports=${[...host.reserved.map(formatRange), listed].join(',')}) or choose ports outside`,
    );
  }
  if (host.addresses !== null) {
    const absent = pool.addresses.filter((address) => !host.addresses!.includes(address) && !isLoopback(address));
    if (absent.length > 0)
      warnings.push(`not on this host: ${absent.slice(0, 8).join(', ')}${absent.length > 8 ? ` and ${absent.length - 8} more` : ''}`);
  }
  return warnings;
};

const shared = (a: PortRange, b: PortRange): readonly PortRange[] => {
  const range = { low: Math.max(a.low, b.low), high: Math.min(a.high, b.high) };
  return range.low <= range.high ? [range] : [];
};
