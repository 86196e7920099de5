/** One dump over a netlink socket of the current network namespace. */
import { readSync } from 'node:fs';
import { PlimsollError } from '../../core/errors.ts';
import { errnoName, type Ffi } from '../ffi.ts';
import { Frames, NetlinkBuffer } from './frames.ts';

const AF_NETLINK = 16;
const SOCK_RAW_CLOEXEC = 3 | 0o2000000;

const buffer = new NetlinkBuffer();

/**
 * Sends `request` on a socket of netlink family `protocol` and hands each chunk of the answer to `read`, which steps through
 * its frames to the end.
 * Returns whether the kernel's table changed meanwhile. Throws `netlink_refused` (facts: errno) or `netlink_malformed`.
 * Read with the file system's read(2), which is faster on this descriptor than a call through FFI.
 */
export const dump = (
  ffi: Ffi,
  protocol: number,
  request: Uint8Array,
  read: (frames: Frames, buffer: NetlinkBuffer, length: number) => void,
): { readonly interrupted: boolean } => {
  const fd = ffi.socket(AF_NETLINK, SOCK_RAW_CLOEXEC, protocol);
  if (fd < 0) throw new PlimsollError('netlink_refused', { reason: `socket: ${errnoName(ffi.errno())}`, errno: ffi.errno() });
  try {
    if (ffi.send(fd, request, request.length, 0) < 0) {
      throw new PlimsollError('netlink_refused', { reason: `send: ${errnoName(ffi.errno())}`, errno: ffi.errno() });
    }
    let interrupted = false;
    for (;;) {
      const length = readSync(fd, buffer.bytes, 0, buffer.bytes.length, null);
      if (length === 0) throw new PlimsollError('netlink_malformed', { offset: 0, reason: 'it is empty' });
      const frames = new Frames(buffer, length);
      read(frames, buffer, length);
      interrupted ||= frames.interrupted;
      if (frames.done) return { interrupted };
    }
  } finally {
    ffi.close(fd);
  }
};
