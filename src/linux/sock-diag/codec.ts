/**
 * sock_diag's request and answer (struct inet_diag_req, inet_diag_msg, tcp_info in include/uapi/linux): pure.
 * Byte order and units are converted here and nowhere else.
 */
import { PlimsollError } from '../../core/errors.ts';
import { SocketFlag, type SocketTable } from '../../core/socket-table.ts';
import { TcpState } from '../../core/tcp-state.ts';
import { encodeRequest, type Frames, type NetlinkBuffer, NLM_F_DUMP, NLM_F_REQUEST } from '../netlink/frames.ts';

/**
 * The legacy request (TCPDIAG_GETSOCK). Unlike SOCK_DIAG_BY_FAMILY it names no family, so one walk of the kernel's table
 * answers for IPv4 and IPv6 together; the walk is most of the cost.
 */
export const TCPDIAG_GETSOCK = 18;

const INET_DIAG_INFO = 2;
const INET_DIAG_SKV6ONLY = 11;
const MESSAGE_BYTES = 72;
/** Header and the part of tcp_info that is read. */
const INFO_LEAST = 4 + 60;
const AF_INET = 2;
const AF_INET6 = 10;
const TCPI_OPT_TIMESTAMPS = 1;

/** Every state but CLOSE: bits 1 to 13, the last being bound-only sockets (Linux 6.8). */
export const ALL_STATES = 0x3fff & ~((1 << 0) | (1 << TcpState.close));

/** Asks for all TCP sockets in `states` (bit n = state n), with tcp_info if `info`. */
export const encodeSocketRequest = (states: number, info: boolean): Uint8Array => {
  const payload = new Uint8Array(60);
  payload[3] = info ? 1 << (INET_DIAG_INFO - 1) : 0;
  // After family, lengths and extensions (4 bytes) and the socket id (48), which stay zero: everything. idiag_dbs is ignored.
  new DataView(payload.buffer).setUint32(52, states, true);
  return encodeRequest(TCPDIAG_GETSOCK, NLM_F_REQUEST | NLM_F_DUMP, payload);
};

const swap16 = (value: number): number => ((value & 0xff) << 8) | ((value >>> 8) & 0xff);

/**
 * Appends the sockets of a chunk of `length` bytes to `table`. The hot path: room is made once a chunk, so that the columns
 * stay the same arrays throughout, and an address equal to the one before is not looked up again.
 */
export const decodeSockets = (frames: Frames, buffer: NetlinkBuffer, length: number, table: SocketTable): void => {
  table.reserve(Math.ceil(length / (16 + MESSAGE_BYTES)));
  const w = buffer.words;
  const { state, flags, localPort, remotePort, local, remote, expires, inode, uid, cookie, addresses } = table;
  let lastLocal = -1;
  let lastLocalId = 0;
  let lastRemote = -1;
  let lastRemoteId = 0;
  let row = table.count;
  while (frames.next()) {
    if (frames.type !== TCPDIAG_GETSOCK) continue;
    const { word, bytes } = frames;
    if (bytes < MESSAGE_BYTES) throw new PlimsollError('netlink_malformed', { offset: word * 4, reason: `a socket in ${bytes} bytes` });
    const head = w[word]!;
    const family = head & 0xff;
    state[row] = (head >>> 8) & 0xff;
    const ports = w[word + 1]!;
    localPort[row] = swap16(ports);
    remotePort[row] = swap16(ports >>> 16);
    if (family === AF_INET) {
      const a = w[word + 2]!;
      const b = w[word + 6]!;
      if (a !== lastLocal) {
        lastLocal = a;
        lastLocalId = addresses.intern4(a);
      }
      if (b !== lastRemote) {
        lastRemote = b;
        lastRemoteId = addresses.intern4(b);
      }
      local[row] = lastLocalId;
      remote[row] = lastRemoteId;
    } else if (family === AF_INET6) {
      local[row] = addresses.intern(w[word + 2]!, w[word + 3]!, w[word + 4]!, w[word + 5]!);
      remote[row] = addresses.intern(w[word + 6]!, w[word + 7]!, w[word + 8]!, w[word + 9]!);
      flags[row] = SocketFlag.v6;
    } else throw new PlimsollError('netlink_malformed', { offset: word * 4, reason: `address family ${family}` });
    cookie[row] = w[word + 11]! ^ Math.imul(w[word + 12]!, 0x9e3779b1);
    expires[row] = w[word + 13]!;
    uid[row] = w[word + 16]!;
    inode[row] = w[word + 17]!;
    table.count = row + 1;
    if (bytes > MESSAGE_BYTES) decodeAttributes(buffer, word + MESSAGE_BYTES / 4, bytes - MESSAGE_BYTES, table, row);
    row++;
  }
};

/** Where the last live socket had its tcp_info: in words from the first attribute, and that attribute's header. The next has it there too. */
let infoOffset = 0;
let infoHeader = 0;

/** tcp_info at word `at`: options in byte 5, last_data_sent at 44, last_data_recv at 52, last_ack_recv at 56; all times in ms. */
const takeInfo = (w: Uint32Array, at: number, table: SocketTable, row: number): void => {
  table.flags[row] = table.flags[row]! | SocketFlag.info | ((w[at + 1]! >>> 8) & TCPI_OPT_TIMESTAMPS ? SocketFlag.timestamps : 0);
  table.silent[row] = Math.min(w[at + 11]!, w[at + 13]!);
  table.acked[row] = w[at + 14]!;
};

const decodeAttributes = (buffer: NetlinkBuffer, word: number, bytes: number, table: SocketTable, row: number): void => {
  const w = buffer.words;
  const end = word + (bytes >>> 2);
  const state = table.state[row];
  if (state === TcpState.timeWait) return;
  const guess = word + infoOffset;
  if (state === TcpState.established && infoHeader !== 0 && guess + (INFO_LEAST >>> 2) <= end && w[guess] === infoHeader) {
    takeInfo(w, guess + 1, table, row);
    return;
  }
  let at = word;
  while (at < end) {
    const size = w[at]! & 0xffff;
    if (size < 4 || size > (end - at) * 4)
      throw new PlimsollError('netlink_malformed', { offset: at * 4, reason: `an attribute of ${size} bytes` });
    const type = (w[at]! >>> 16) & 0x3fff;
    if (type === INET_DIAG_INFO && size >= INFO_LEAST) {
      infoOffset = at - word;
      infoHeader = w[at]!;
      takeInfo(w, at + 1, table, row);
    } else if (type === INET_DIAG_SKV6ONLY && size >= 5 && (w[at + 1]! & 0xff) === 1) {
      table.flags[row] = table.flags[row]! | SocketFlag.v6only;
    }
    at += (size + 3) >>> 2;
  }
};
