/** What happened to a port space between two samples: connections opened, closed, gone into TIME_WAIT. */
import type { SocketGroup, SocketGroups } from './socket-groups.ts';
import { TcpState } from './tcp-state.ts';
import { TIME_WAIT_SECONDS } from './timer-tick.ts';

export interface Motion {
  readonly seconds: number;
  readonly opened: number;
  /** Left the live states: by TIME_WAIT, by reset, or because the other side holds the TIME_WAIT. */
  readonly closed: number;
  readonly timeWaits: number;
  readonly liveBefore: number;
  readonly liveAfter: number;
}

/** Row + 1 of the socket on each port; 0 for none. One array serves all calls: 256 KiB is too much to make anew each time. */
const before = new Uint32Array(65536);

/**
 * Compares port by port. A port changed hands when its TIME_WAIT began anew, became a live socket, or its live socket has another
 * cookie. What opened and closed without a trace between the samples is not seen; it holds no port either.
 */
export const measureMotion = (
  earlier: { readonly groups: SocketGroups; readonly members: readonly SocketGroup[] },
  later: { readonly groups: SocketGroups; readonly members: readonly SocketGroup[] },
  seconds: number,
): Motion => {
  const a = earlier.groups.table;
  const b = later.groups.table;
  let opened = 0;
  let closed = 0;
  let timeWaits = 0;
  let liveBefore = 0;
  let liveAfter = 0;
  // A bind pool has one port once for all its destinations, so ports identify sockets there too.
  for (const group of earlier.members) {
    for (let i = group.start; i < group.end; i++) {
      const row = earlier.groups.rows[i]!;
      before[a.localPort[row]!] = row + 1;
      if (a.state[row] !== TcpState.timeWait) liveBefore++;
    }
  }
  for (const group of later.members) {
    for (let i = group.start; i < group.end; i++) {
      const row = later.groups.rows[i]!;
      const port = b.localPort[row]!;
      const old = before[port]! - 1;
      before[port] = 0;
      const waits = b.state[row] === TcpState.timeWait;
      if (!waits) liveAfter++;
      if (waits && TIME_WAIT_SECONDS - b.expires[row]! / 1000 <= seconds) timeWaits++;
      if (old < 0) {
        opened++;
        if (waits) closed++;
      } else if (a.state[old] === TcpState.timeWait) {
        // Its timer only runs down; a later end means that another connection came and went.
        const anew = waits && b.expires[row]! > a.expires[old]!;
        if (!waits || anew) opened++;
        if (anew) closed++;
      } else if (waits) {
        closed++;
      } else if (a.cookie[old] !== b.cookie[row]) {
        opened++;
        closed++;
      }
    }
  }
  // Live before and gone now. What is left in the array is exactly that, and old TIME_WAITs.
  for (const group of earlier.members) {
    for (let i = group.start; i < group.end; i++) {
      const row = earlier.groups.rows[i]!;
      const port = a.localPort[row]!;
      if (before[port] === 0) continue;
      before[port] = 0;
      if (a.state[row] !== TcpState.timeWait) closed++;
    }
  }
  return { seconds, opened, closed, timeWaits, liveBefore, liveAfter };
};
