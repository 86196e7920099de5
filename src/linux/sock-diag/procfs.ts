/**
 * Sockets from /proc/net/tcp and tcp6, where sock_diag cannot be asked. Three to four times slower, and blind to bound-only
 * sockets, to peers' timestamps and to how long a connection has been silent.
 */
import { readFileSync } from 'node:fs';
import { SocketFlag, SocketTable } from '../../core/socket-table.ts';
import type { HostRoot } from '../proc.ts';

/** The kernel prints times in clock ticks of 1/100 s whatever HZ is (USER_HZ). */
const MS_PER_TICK = 10;

/** Appends the sockets of one file's text. Lines that are cut or malformed are passed over. */
export const parseProcTcp = (text: string, table: SocketTable): void => {
  let from = text.indexOf('\n') + 1;
  while (from > 0 && from < text.length) {
    const end = text.indexOf('\n', from);
    const line = text.slice(from, end < 0 ? text.length : end);
    from = end < 0 ? text.length : end + 1;
    const match =
      /^\s*\d+: ([0-9A-F]{8}|[0-9A-F]{32}):([0-9A-F]{4}) ([0-9A-F]{8}|[0-9A-F]{32}):([0-9A-F]{4}) ([0-9A-F]{2}) [0-9A-F]+:[0-9A-F]+ ([0-9A-F]{2}):([0-9A-F]{8}) [0-9A-F]+\s+(\d+)\s+\d+ (\d+)/.exec(
        line,
      );
    if (match === null || match[1]!.length !== match[3]!.length) continue;
    // Addresses are 32-bit words as they lie in memory: the form the table interns.
    const address = (hex: string): number =>
      hex.length === 8
        ? table.addresses.intern4(Number.parseInt(hex, 16))
        : table.addresses.intern(
            ...([0, 8, 16, 24].map((at) => Number.parseInt(hex.slice(at, at + 8), 16)) as [number, number, number, number]),
          );
    table.reserve(1);
    const row = table.count++;
    table.local[row] = address(match[1]!);
    table.localPort[row] = Number.parseInt(match[2]!, 16);
    table.remote[row] = address(match[3]!);
    table.remotePort[row] = Number.parseInt(match[4]!, 16);
    table.state[row] = Number.parseInt(match[5]!, 16);
    table.expires[row] = Number.parseInt(match[7]!, 16) * MS_PER_TICK;
    table.uid[row] = Number(match[8]);
    table.inode[row] = Number(match[9]);
    // No cookie here: a live socket's inode tells one connection from the next just as well.
    table.cookie[row] = table.inode[row]!;
    table.flags[row] = match[1]!.length === 32 ? SocketFlag.v6 : 0;
  }
};

/** Reads both families of the current network namespace. */
export const readProcSockets = (root: HostRoot): SocketTable => {
  const table = new SocketTable();
  parseProcTcp(readFileSync(`${root.proc}/net/tcp`, 'utf8'), table);
  try {
    parseProcTcp(readFileSync(`${root.proc}/net/tcp6`, 'utf8'), table);
  } catch {
    // IPv6 is off.
  }
  return table;
};
