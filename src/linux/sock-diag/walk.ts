/** All TCP sockets of the current network namespace, by sock_diag. */
import { SocketTable } from '../../core/socket-table.ts';
import type { Ffi } from '../ffi.ts';
import { dump } from '../netlink/dump.ts';
import { ALL_STATES, decodeSockets, encodeSocketRequest } from './codec.ts';

const NETLINK_SOCK_DIAG = 4;

/** A dump that the table moved under is repeated this often; then it is taken as it is, for on a busy host it always moves. */
const ATTEMPTS = 3;

export interface WalkOptions {
  /** Read tcp_info of live sockets: when they last spoke, whether the peer has timestamps. About a third more time. */
  readonly info: boolean;
  /** Rows to make room for, if known. */
  readonly expect?: number;
  /** Filled instead of a new one; what is in it is gone. */
  readonly table?: SocketTable;
}

/** Reads them all, in one walk for both families. Throws `netlink_refused` or `netlink_malformed`. Needs no privilege. */
export const walkSockets = (ffi: Ffi, options: WalkOptions): SocketTable => {
  const request = encodeSocketRequest(ALL_STATES, options.info);
  for (let attempt = 1; ; attempt++) {
    const table = options.table ?? new SocketTable(options.expect);
    table.clear();
    table.reserve(options.expect ?? 0);
    const { interrupted } = dump(ffi, NETLINK_SOCK_DIAG, request, (frames, buffer, length) => decodeSockets(frames, buffer, length, table));
    if (!interrupted || attempt === ATTEMPTS) return table;
  }
};
