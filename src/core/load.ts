/** The load on a port space as the forecast wants it, from one dump and, where there are two, from what moved between them. */
import { arrivalRate, type Load } from './forecast.ts';
import type { Motion } from './motion.ts';
import type { PortRange, PortSet } from './port-range.ts';
import type { SocketGroup, SocketGroups } from './socket-groups.ts';
import { UNKNOWN } from './socket-table.ts';
import { TcpState } from './tcp-state.ts';
import { DEFAULT_HZ, TIME_WAIT_SECONDS, timerGranule } from './timer-tick.ts';

/** Silent for longer than this, an established connection counts as idle, in seconds. */
export const IDLE_SECONDS = 30;

export interface GroupLoad {
  readonly load: Load;
  readonly idleConnections: number | null;
  /** Seconds since the peer closed, ascending. */
  readonly closeWaitAges: readonly number[];
}

/** Ages of TIME_WAITs, for one call at a time: an observer makes thousands of them a minute. */
let ages = new Float64Array(4096);

/** Reads the load off the rows of `members`; `reuse` as in reuseAfter(); ports outside `range` or in `blocked` do not count. */
export const measureLoad = (
  groups: SocketGroups,
  members: readonly SocketGroup[],
  range: PortRange,
  blocked: PortSet,
  reuse: number | null,
  tickHz: number | null,
  motion: Motion | null,
): GroupLoad => {
  const { state, localPort, expires, silent, acked } = groups.table;
  const rows = members.reduce((sum, g) => sum + g.end - g.start, 0);
  const waits = new Float32Array(rows);
  let waiting = 0;
  if (ages.length < rows) ages = new Float64Array(2 * rows);
  let aged = 0;
  const closeWaitAges: number[] = [];
  let live = 0;
  let idle = 0;
  let knowsSilence = false;
  let established = 0;
  for (const group of members) {
    for (let i = group.start; i < group.end; i++) {
      const row = groups.rows[i]!;
      const port = localPort[row]!;
      if (port < range.low || port > range.high || blocked.has(port)) continue;
      const s = state[row]!;
      if (s === TcpState.timeWait) {
        const left = expires[row]! / 1000;
        const age = TIME_WAIT_SECONDS - left;
        ages[aged++] = age;
        if (reuse === null) waits[waiting++] = left;
        else if (age <= reuse) waits[waiting++] = reuse - age;
        continue;
      }
      live++;
      if (s === TcpState.established) {
        established++;
        if (silent[row] !== UNKNOWN) {
          knowsSilence = true;
          if (silent[row]! > IDLE_SECONDS * 1000) idle++;
        }
      } else if (s === TcpState.closeWait && acked[row] !== UNKNOWN) closeWaitAges.push(acked[row]! / 1000);
    }
  }
  closeWaitAges.sort((a, b) => a - b);

  // TIME_WAITs that reuse took away leave no age behind: then only those that could not be taken yet tell the rate, and the
  // movement between two samples tells more.
  const history = arrivalRate(ages.subarray(0, aged), reuse === null ? 60 : reuse);
  const fromMotion = motion !== null && motion.seconds > 0 ? { rate: motion.timeWaits / motion.seconds, events: motion.timeWaits } : null;
  // A second without a single one, where the history says there should have been many: it has stopped.
  const stopped = motion !== null && motion.seconds >= 1 && motion.timeWaits === 0 && history.rate * motion.seconds > 10;
  const churn = stopped ? { rate: 0, events: 0 } : reuse !== null && fromMotion !== null ? fromMotion : history;

  // Live sockets grow by what opened less what closed; half the noise of counting both is not growth.
  const growth = motion === null ? 0 : motion.liveAfter - motion.liveBefore;
  const proven =
    motion !== null && motion.seconds > 0 && Math.abs(growth) > 2 * Math.sqrt(motion.opened + motion.closed) && Math.abs(growth) >= 3;
  // Without a second sample, CLOSE_WAITs tell by their age how fast a leak grows.
  const leak = motion === null ? arrivalRate(closeWaitAges) : { rate: 0, events: 0 };
  const leakProven = leak.events >= 5;
  return {
    load: {
      live,
      liveSlope: proven ? growth / motion.seconds : leakProven ? leak.rate : 0,
      timeWaitRate: churn.rate,
      timeWaits: waits.subarray(0, waiting),
      timeWaitLife: reuse ?? TIME_WAIT_SECONDS,
      tick: reuse === null ? timerGranule(TIME_WAIT_SECONDS, tickHz ?? DEFAULT_HZ) : 0,
      events: Math.max(churn.events, proven ? motion.opened : 0, leakProven ? leak.events : 0),
    },
    idleConnections: knowsSilence || established === 0 ? idle : null,
    closeWaitAges,
  };
};
