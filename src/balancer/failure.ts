/**
 * What a failed connection means: whose fault it is decides whether it counts against the server, what is retried, and what the
 * user is told. Told apart by code, system call and whether we chose the source port; never by the message.
 */
import type { Cause } from './engine.ts';

export type FailureKind =
  /** The port we chose is in use on this host: another program's, or a connection the kernel has not finished with. */
  | 'port_taken'
  /** The kernel found no source port for this destination. */
  | 'no_port'
  /** The source address is not on this host. */
  | 'address_absent'
  /** Out of descriptors, memory, or not permitted. */
  | 'local_other'
  /** RST in answer to the SYN: a closed port, or a box that resets collisions. One errno for both. */
  | 'refused'
  | 'reset'
  | 'timeout'
  | 'unreachable';

export interface Failure {
  readonly kind: FailureKind;
  readonly cause: Cause;
  /** The errno's name, or what stood in for it. */
  readonly code: string;
}

const failure = (kind: FailureKind, cause: Cause, code: string): Failure => ({ kind, cause, code });

/** A failed attempt to connect. `explicit`: the source port was ours to choose. */
export const connectFailure = (error: NodeJS.ErrnoException, explicit: boolean): Failure => {
  const code = error.code ?? 'UNKNOWN';
  switch (code) {
    case 'EADDRINUSE':
      return failure(explicit ? 'port_taken' : 'no_port', 'local', code);
    case 'EADDRNOTAVAIL':
      if (error.syscall === 'bind') return failure('address_absent', 'local', code);
      return failure(explicit ? 'port_taken' : 'no_port', 'local', code);
    case 'ECONNREFUSED':
    case 'ECONNRESET':
      return failure('refused', 'remote', code);
    case 'ETIMEDOUT':
      return failure('timeout', 'network', code);
    case 'EHOSTUNREACH':
    case 'ENETUNREACH':
    case 'EHOSTDOWN':
    case 'ENETDOWN':
      return failure('unreachable', 'network', code);
    default:
      return failure('local_other', 'local', code);
  }
};

/** Our own patience ran out while connecting. */
export const connectTimeout: Failure = failure('timeout', 'network', 'connect_timeout');

/** An established connection that failed. */
export const streamFailure = (error: NodeJS.ErrnoException): Failure => {
  const code = error.code ?? 'UNKNOWN';
  if (code === 'ECONNRESET' || code === 'EPIPE') return failure('reset', 'remote', code);
  if (code === 'ETIMEDOUT' || code === 'EHOSTUNREACH' || code === 'ENETUNREACH') return failure('timeout', 'network', code);
  return failure('local_other', 'local', code);
};
