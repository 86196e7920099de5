/**
 * tcp_info is dear to read, so an observer reads it every few looks. In between, a socket that is still the same keeps what was
 * read of it: how long it was silent and whether its peer has timestamps, as of then.
 */
import { CANDIDATES, type NamespaceView, sameGroup } from './port-spaces.ts';
import { SocketFlag, UNKNOWN } from './socket-table.ts';

/** Row + 1 of the earlier socket on each port; 0 for none. */
const earlier = new Uint32Array(65536);

/** Copies it into the table of `after`, in place, for the groups that are counted. */
export const carryInfo = (before: NamespaceView, after: NamespaceView): void => {
  const from = before.groups.table;
  const to = after.groups.table;
  for (const group of after.groups.outbound.slice(0, CANDIDATES)) {
    const same = sameGroup(before, after, group);
    for (const g of same)
      for (let i = g.start; i < g.end; i++) earlier[from.localPort[before.groups.rows[i]!]!] = before.groups.rows[i]! + 1;
    for (let i = group.start; i < group.end; i++) {
      const row = after.groups.rows[i]!;
      const old = earlier[to.localPort[row]!]! - 1;
      if (old < 0 || from.cookie[old] !== to.cookie[row] || (from.flags[old]! & SocketFlag.info) === 0) continue;
      to.flags[row] = to.flags[row]! | (from.flags[old]! & (SocketFlag.info | SocketFlag.timestamps));
      to.silent[row] = from.silent[old]!;
      // A connection that closed since then has no age as a CLOSE_WAIT yet.
      to.acked[row] = from.state[old] === to.state[row] ? from.acked[old]! : UNKNOWN;
    }
    for (const g of same) for (let i = g.start; i < g.end; i++) earlier[from.localPort[before.groups.rows[i]!]!] = 0;
  }
};
