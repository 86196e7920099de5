/**
 * Sockets by system call, so that a test decides every bind, option and close, and reads the kernel's own errno.
 * Everything is synchronous: between two calls nothing else happens in this process.
 */
import { closeSync, openSync } from 'node:fs';
import { constants } from 'node:os';
import koffi from 'koffi';

const libc = koffi.load(null);
const c = {
  socket: libc.func('int socket(int, int, int)'),
  bind: libc.func('int bind(int, void *, uint32_t)'),
  connect: libc.func('int connect(int, void *, uint32_t)'),
  listen: libc.func('int listen(int, int)'),
  accept4: libc.func('int accept4(int, void *, void *, int)'),
  setsockopt: libc.func('int setsockopt(int, int, int, void *, uint32_t)'),
  getsockname: libc.func('int getsockname(int, _Out_ void *, _Inout_ uint32_t *)'),
  close: libc.func('int close(int)'),
  send: libc.func('long send(int, void *, size_t, int)'),
  shutdown: libc.func('int shutdown(int, int)'),
  setns: libc.func('int setns(int, int)'),
  sendto: libc.func('long sendto(int, void *, size_t, int, void *, uint32_t)'),
};

const AF_INET = 2;
const AF_INET6 = 10;
const SOCK_STREAM = 1;
const SOL_SOCKET = 1;
const names = new Map(Object.entries(constants.errno).map(([name, number]) => [number, name]));

/** The name of the last errno, such as `EADDRNOTAVAIL`. */
const lastErrno = (): string => names.get(koffi.errno()) ?? `errno ${koffi.errno()}`;

export class Errno extends Error {
  readonly code: string;
  readonly call: string;
  constructor(call: string, code = lastErrno()) {
    super(`${call}: ${code}`);
    this.call = call;
    this.code = code;
  }
}

const checked = (call: string, result: number): number => {
  if (result < 0) throw new Errno(call);
  return result;
};

/** Runs `work` with this thread in the network namespace at `path`, then comes back. */
export const enter = <T>(path: string, work: () => T): T => {
  const home = openSync('/proc/self/ns/net', 'r');
  const away = openSync(path, 'r');
  try {
    checked('setns', c.setns(away, 0));
    return work();
  } finally {
    checked('setns', c.setns(home, 0));
    closeSync(home);
    closeSync(away);
  }
};

/** sockaddr_in or sockaddr_in6 of canonical address text. `::ffff:a.b.c.d` stays a v4-mapped sockaddr_in6. */
const sockaddr = (address: string, port: number): Buffer => {
  if (!address.includes(':')) {
    const b = Buffer.alloc(16);
    b.writeUInt16LE(AF_INET, 0);
    b.writeUInt16BE(port, 2);
    address.split('.').forEach((octet, i) => {
      b[4 + i] = Number(octet);
    });
    return b;
  }
  const b = Buffer.alloc(28);
  b.writeUInt16LE(AF_INET6, 0);
  b.writeUInt16BE(port, 2);
  const mapped = /^::ffff:(\d+)\.(\d+)\.(\d+)\.(\d+)$/.exec(address);
  if (mapped) {
    b[18] = b[19] = 0xff;
    for (let i = 0; i < 4; i++) b[20 + i] = Number(mapped[1 + i]);
    return b;
  }
  const [head, tail] = address.split('::') as [string, string?];
  const groups = (half: string | undefined): number[] => (half ? half.split(':').map((g) => Number.parseInt(g, 16)) : []);
  const h = groups(head);
  const t = tail === undefined ? [] : groups(tail);
  const all = tail === undefined ? h : [...h, ...new Array<number>(8 - h.length - t.length).fill(0), ...t];
  all.forEach((g, i) => {
    b.writeUInt16BE(g, 8 + 2 * i);
  });
  return b;
};

const flag = (fd: number, level: number, option: number, value: number): void => {
  const b = Buffer.alloc(4);
  b.writeInt32LE(value);
  checked('setsockopt', c.setsockopt(fd, level, option, b, 4));
};

export interface OpenOptions {
  /** bind() to this before connect; port 0 lets bind choose. */
  readonly bind?: readonly [address: string, port: number];
  readonly reuseAddress?: boolean;
  /** IP_BIND_ADDRESS_NO_PORT: the address is bound, connect chooses the port. */
  readonly noPort?: boolean;
  /** IP_LOCAL_PORT_RANGE. */
  readonly portRange?: readonly [low: number, high: number];
  /** Force an AF_INET6 socket (for v4-mapped destinations). */
  readonly v6?: boolean;
  /** O_NONBLOCK connect: EINPROGRESS counts as opened (a SYN_SENT to a silent peer). */
  readonly nonBlocking?: boolean;
}

const make = (v6: boolean, options: OpenOptions): number => {
  const fd = checked('socket', c.socket(v6 ? AF_INET6 : AF_INET, SOCK_STREAM | 0o2000000 | (options.nonBlocking ? 0o4000 : 0), 0));
  if (options.reuseAddress) flag(fd, SOL_SOCKET, 2, 1);
  if (options.noPort) flag(fd, 0, 24, 1);
  if (options.portRange) flag(fd, 0, 51, (options.portRange[1] << 16) | options.portRange[0]);
  return fd;
};

/** Opens one connection; its descriptor. Throws Errno with the call that failed. */
export const open = (address: string, port: number, options: OpenOptions = {}): number => {
  const v6 = options.v6 === true || address.includes(':');
  const fd = make(v6, options);
  try {
    if (options.bind) {
      const to = sockaddr(options.bind[0], options.bind[1]);
      checked('bind', c.bind(fd, to, to.length));
    }
    const to = sockaddr(address, port);
    if (c.connect(fd, to, to.length) < 0) {
      const code = lastErrno();
      if (!(options.nonBlocking && code === 'EINPROGRESS')) throw new Errno('connect', code);
    }
    return fd;
  } catch (error) {
    c.close(fd);
    throw error;
  }
};

/** Opens connections until one fails (or `most` are open); the descriptors and the failure. */
export const openUntilFailure = (
  address: string,
  port: number,
  options: OpenOptions = {},
  most = 70_000,
): { readonly fds: number[]; readonly failure: Errno | null } => {
  const fds: number[] = [];
  while (fds.length < most) {
    try {
      fds.push(open(address, port, options));
    } catch (error) {
      return { fds, failure: error as Errno };
    }
  }
  return { fds, failure: null };
};

/** A listener; accept is non-blocking, the backlog takes 65,535. */
export const listen = (
  address: string,
  port: number,
  options: { readonly v6only?: boolean; readonly reuseAddress?: boolean } = {},
): number => {
  const v6 = address.includes(':');
  const fd = make(v6, { nonBlocking: true, reuseAddress: options.reuseAddress ?? true });
  if (v6) flag(fd, 41, 26, options.v6only ? 1 : 0);
  const to = sockaddr(address, port);
  checked('bind', c.bind(fd, to, to.length));
  checked('listen', c.listen(fd, 65535));
  return fd;
};

/** A socket that is bound and neither listens nor is connected. */
export const bindOnly = (address: string, port: number, options: OpenOptions = {}): number => {
  const fd = make(address.includes(':'), options);
  const to = sockaddr(address, port);
  checked('bind', c.bind(fd, to, to.length));
  return fd;
};

/** Accepts what waits in a listener's queue. */
export const acceptAll = (listener: number): number[] => {
  const fds: number[] = [];
  for (;;) {
    const fd = c.accept4(listener, null, null, 0o2000000);
    if (fd < 0) return fds;
    fds.push(fd);
  }
};

/** The local port of a socket. */
export const localPort = (fd: number): number => {
  const b = Buffer.alloc(28);
  checked('getsockname', c.getsockname(fd, b, [28]));
  return b.readUInt16BE(2);
};

export const close = (...fds: readonly number[]): void => {
  for (const fd of fds) c.close(fd);
};

/** Closes with RST: SO_LINGER of zero seconds. No TIME_WAIT stays. */
export const reset = (...fds: readonly number[]): void => {
  for (const fd of fds) {
    const linger = Buffer.alloc(8);
    linger.writeInt32LE(1, 0);
    c.setsockopt(fd, SOL_SOCKET, 13, linger, 8);
    c.close(fd);
  }
};

/** Sends FIN and keeps the descriptor. */
export const finish = (...fds: readonly number[]): void => {
  for (const fd of fds) c.shutdown(fd, 1);
};

export const send = (fd: number, text: string): void => {
  const b = Buffer.from(text);
  checked('send', Number(c.send(fd, b, b.length, 0)));
};

/** Opens `count` connections and closes each from the client's side first: `count` TIME_WAITs here, none at the peer. */
export const makeTimeWaits = (address: string, port: number, listener: number, count: number, options: OpenOptions = {}): number[] => {
  const ports: number[] = [];
  for (let i = 0; i < count; i++) {
    const fd = open(address, port, options);
    ports.push(localPort(fd));
    c.close(fd);
    close(...acceptAll(listener));
  }
  return ports;
};

/** Sends one empty UDP datagram to each port of `address` from `sockets` sockets: as many flows for conntrack. */
export const sprayDatagrams = (address: string, sockets: number): void => {
  for (let i = 0; i < sockets; i++) {
    const fd = checked('socket', c.socket(AF_INET, 2 | 0o2000000, 0));
    const to = sockaddr(address, 1);
    for (let port = 1; port <= 65535; port++) {
      to.writeUInt16BE(port, 2);
      // Port unreachable comes back on a later call: that is expected here.
      c.sendto(fd, Buffer.alloc(0), 0, 0, to, to.length);
    }
    c.close(fd);
  }
};
