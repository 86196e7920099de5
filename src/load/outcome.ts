/** How a request ended badly, told apart by code and system call and never by a message. */

/** `refused`: RST in answer to the SYN, from a closed port or a box that resets collisions: one errno. `status`: answered with 4xx or 5xx. */
export const causes = ['local_port', 'local_other', 'refused', 'reset', 'timeout', 'status', 'other'] as const;
export type Cause = (typeof causes)[number];

export interface Failure {
  readonly cause: Cause;
  /** The errno's name, or what stood in for it. */
  readonly code: string;
  /** The system call, or what was being done. */
  readonly call: string;
}

const ofCode: Readonly<Record<string, Cause>> = {
  EADDRINUSE: 'local_port',
  EADDRNOTAVAIL: 'local_port',
  EMFILE: 'local_other',
  ENFILE: 'local_other',
  ENOBUFS: 'local_other',
  ENOMEM: 'local_other',
  EACCES: 'local_other',
  EPERM: 'local_other',
  ENETUNREACH: 'local_other',
  ENETDOWN: 'local_other',
  EAFNOSUPPORT: 'local_other',
  EINVAL: 'local_other',
  ECONNREFUSED: 'refused',
  ECONNRESET: 'reset',
  EPIPE: 'reset',
  ETIMEDOUT: 'timeout',
};

/** What an error of a socket means. A bind() to an address that is not here looks like exhaustion and is none. */
export const failureOf = (error: NodeJS.ErrnoException): Failure => {
  const code = error.code ?? 'UNKNOWN';
  const call = error.syscall ?? 'tls';
  const cause = code === 'EADDRNOTAVAIL' && call === 'bind' ? 'local_other' : (ofCode[code] ?? 'other');
  return { cause, code, call };
};
