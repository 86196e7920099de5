/** Sockets that Node cannot make or ask about: a listener that accepts nothing by itself, and who is at the other end of a unix socket. */
import { addressBytes } from '../core/address.ts';
import { errnoName, type Ffi } from './ffi.ts';

const AF_INET = 2;
const AF_INET6 = 10;
const SOCK_STREAM = 1;
const SOCK_NONBLOCK_CLOEXEC = 0o2004000;
const SOL_SOCKET = 1;
const SO_REUSEADDR = 2;
const SO_PEERCRED = 17;
const SO_SNDBUF = 7;

const failed = (c: Ffi, syscall: string, address: string, port: number): NodeJS.ErrnoException => {
  const code = errnoName(c.errno());
  return Object.assign(new Error(`${syscall} ${code} ${address}:${port}`), { code, syscall, address, port });
};

/** The descriptor of a TCP socket listening on `address` (canonical) and `port`. Throws an ErrnoException with the call that failed. */
export const openListener = (c: Ffi, address: string, port: number): number => {
  const bytes = addressBytes(address) ?? [0, 0, 0, 0];
  const v6 = bytes.length === 16;
  const fd = c.socket(v6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_NONBLOCK_CLOEXEC, 0);
  if (fd < 0) throw failed(c, 'socket', address, port);
  const one = Buffer.from([1, 0, 0, 0]);
  c.setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, one, 4);
  const sockaddr = Buffer.alloc(v6 ? 28 : 16);
  sockaddr.writeUInt16LE(v6 ? AF_INET6 : AF_INET, 0);
  sockaddr.writeUInt16BE(port, 2);
  sockaddr.set(bytes, v6 ? 8 : 4);
  const syscall = c.bind(fd, sockaddr, sockaddr.length) < 0 ? 'bind' : c.listen(fd, 65535) < 0 ? 'listen' : null;
  if (syscall === null) return fd;
  const error = failed(c, syscall, address, port);
  c.close(fd);
  throw error;
};

/** The user id at the other end of a connected unix socket; null if the kernel does not say. */
export const peerUser = (c: Ffi, descriptor: number): number | null => {
  const credentials = Buffer.alloc(12);
  const length = Buffer.from([12, 0, 0, 0]);
  return c.getsockopt(descriptor, SOL_SOCKET, SO_PEERCRED, credentials, length) < 0 ? null : credentials.readUInt32LE(4);
};

/**
 * Bounds what the kernel keeps for whoever connects to a listener and reads slowly: accepted sockets inherit it, and it ends the
 * growth up to tcp_wmem's 4 MB. The kernel doubles `bytes` for its own bookkeeping (socket(7)).
 */
export const boundSendBuffers = (c: Ffi, listener: number, bytes: number): void => {
  const value = Buffer.alloc(4);
  value.writeInt32LE(bytes);
  c.setsockopt(listener, SOL_SOCKET, SO_SNDBUF, value, 4);
};
