/** Which source address the kernel would use towards a destination: what its route says. Nothing is sent. */
import { addressBytes, canonicalAddress, formatIPv4, formatIPv6 } from '../core/address.ts';
import type { Ffi } from './ffi.ts';

const AF_INET = 2;
const AF_INET6 = 10;
const SOCK_DGRAM_CLOEXEC = 2 | 0o2000000;

const sockaddr = (bytes: readonly number[], port: number): Uint8Array => {
  const address = new Uint8Array(bytes.length === 4 ? 16 : 28);
  address[0] = bytes.length === 4 ? AF_INET : AF_INET6;
  address[2] = port >> 8;
  address[3] = port & 255;
  address.set(bytes, bytes.length === 4 ? 4 : 8);
  return address;
};

/** The canonical source address towards `destination` in the current namespace, or null if there is no route. */
export const sourceTowards = (ffi: Ffi, destination: string, port: number): string | null => {
  const bytes = addressBytes(destination);
  if (bytes === null) return null;
  const fd = ffi.socket(bytes.length === 4 ? AF_INET : AF_INET6, SOCK_DGRAM_CLOEXEC, 0);
  if (fd < 0) return null;
  try {
    const to = sockaddr(bytes, port);
    if (ffi.connect(fd, to, to.length) < 0) return null;
    const own = new Uint8Array(28);
    const length = Uint8Array.from([28, 0, 0, 0]);
    if (ffi.getsockname(fd, own, length) < 0) return null;
    return bytes.length === 4
      ? formatIPv4(new DataView(own.buffer).getUint32(4, false))
      : canonicalAddress(formatIPv6(own.subarray(8, 24)));
  } finally {
    ffi.close(fd);
  }
};
