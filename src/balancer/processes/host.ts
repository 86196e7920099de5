/** What a running balancer needs of the host that Node cannot give; the composition root provides it, or null where it cannot be had. */
import type { Server } from 'node:net';
import type { PlimsollError } from '../../core/errors.ts';
import type { HostPorts } from '../configuration/host.ts';

export interface HostServices {
  /** A listening TCP socket's descriptor, accepting nothing yet. Throws an ErrnoException of the call that failed. */
  readonly listen: ((address: string, port: number) => number) | null;
  /** Has `server` listen on a unix socket for its owner and group, in place of a stale file. Throws `running` if somebody answers there. */
  readonly listenAt: (
    server: Server,
    path: string,
    owner: { readonly uid: number; readonly gid: number } | null,
    running: PlimsollError,
  ) => Promise<void>;
  /** The user at the other end of a unix socket. */
  readonly peerUser: ((descriptor: number) => number | null) | null;
  /** The host's automatic and reserved ports, and its addresses; null if unreadable. */
  readonly ports: () => HostPorts | null;
}
