/** What a running balancer needs of the host that Node cannot give; the composition root provides it, or null where it cannot be had. */
import type { HostPorts } from '../configuration/host.ts';

export interface HostServices {
  /** A listening TCP socket's descriptor, accepting nothing yet. Throws an ErrnoException of the call that failed. */
  readonly listen: ((address: string, port: number) => number) | null;
  /** The user at the other end of a unix socket. */
  readonly peerUser: ((descriptor: number) => number | null) | null;
  /** The host's automatic and reserved ports, and its addresses; null if unreadable. */
  readonly ports: () => HostPorts | null;
}
