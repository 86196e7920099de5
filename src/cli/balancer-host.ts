/** What the balancer needs of this host, put together from the sensors: the composition root's part of it. */
import { networkInterfaces } from 'node:os';
import type { HostServices } from '../balancer/processes/host.ts';
import { canonicalAddress } from '../core/address.ts';
import { defaultPortRange, parseRanges } from '../core/port-range.ts';
import { ffi } from '../linux/ffi.ts';
import { openListener, peerUser } from '../linux/listening.ts';
import { readText } from '../linux/proc.ts';
import { listenOnSocket } from '../linux/runtime-socket.ts';

export const balancerHost = (): HostServices => {
  const c = ffi();
  return {
    listen: c.status === 'ok' ? (address, port) => openListener(c.value, address, port) : null,
    listenAt: listenOnSocket,
    peerUser: c.status === 'ok' ? (descriptor) => peerUser(c.value, descriptor) : null,
    ports: () => {
      const range = readText('/proc/sys/net/ipv4/ip_local_port_range')?.split(/\s+/).map(Number);
      const reserved = readText('/proc/sys/net/ipv4/ip_local_reserved_ports');
      return {
        automatic: range === undefined ? defaultPortRange : { low: range[0]!, high: range[1]! },
        reserved: (reserved === null ? null : parseRanges(reserved)) ?? [],
        addresses: Object.values(networkInterfaces()).flatMap((list) => (list ?? []).flatMap((i) => canonicalAddress(i.address) ?? [])),
      };
    },
  };
};
