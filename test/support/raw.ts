/** TCP segments written by hand and sent through the real stack: for clients that no kernel here would be. */
import koffi from 'koffi';
import { ipPacket, type TcpPacket } from './capture-file.ts';
import { Errno } from './sockets.ts';

const libc = koffi.load(null);
const socket = libc.func('int socket(int, int, int)');
const sendto = libc.func('long sendto(int, void *, size_t, int, void *, uint32_t)');
const close = libc.func('int close(int)');

const sum = (bytes: Uint8Array, from: number, to: number): number => {
  let total = 0;
  for (let i = from; i < to; i += 2) total += (bytes[i]! << 8) | (i + 1 < to ? bytes[i + 1]! : 0);
  return total;
};

/** Sends one IPv4 segment from the namespace this thread is in. The kernel fills in the IP checksum. */
export const sendRaw = (packet: Omit<TcpPacket, 'time'>): void => {
  const bytes = ipPacket({ ...packet, time: 0 });
  let total = sum(bytes, 12, 20) + 6 + (bytes.length - 20) + sum(bytes, 20, bytes.length);
  while (total > 0xffff) total = (total & 0xffff) + (total >>> 16);
  new DataView(bytes.buffer).setUint16(36, ~total & 0xffff);
  const to = Buffer.alloc(16);
  to.writeUInt16LE(2, 0);
  bytes.subarray(16, 20).forEach((octet, i) => {
    to[4 + i] = octet;
  });
  const fd = socket(2, 3, 255);
  if (fd < 0) throw new Errno('socket');
  const sent = Number(sendto(fd, Buffer.from(bytes), bytes.length, 0, to, 16));
  close(fd);
  if (sent !== bytes.length) throw new Errno('sendto');
};
