/** The columns of the occupancy picture: what was, stacked by state, and what will be, with its bounds. Pure. */

import type { MeasuredStart } from '../../core/plan/from-space.ts';
import { changesOf, outlookCurve, stageOf, type Tried, triedStage } from '../../core/plan/tried.ts';
import type { HistoryDocument } from '../../wire/api.ts';

type Column = (number | null)[];

/** One row per moment; times are seconds since 1970. All columns are as long as `at`. */
export interface Occupancy {
  readonly at: number[];
  /** Cumulative from below: established, then with every other live state, then with TIME_WAIT. */
  readonly established: Column;
  readonly live: Column;
  readonly used: Column;
  readonly low: Column;
  readonly expected: Column;
  readonly high: Column;
  /** Under what is tried; null throughout where nothing is. */
  readonly tried: Column;
}

/** Steps without a sample that count as late; beyond, the agent was away. */
const LATE = 15;
/** Points of the outlook: enough for a smooth line. */
const POINTS = 90;

/** Seconds ahead that are worth drawing. */
export const horizonOf = (start: MeasuredStart): number => Math.max(90, start.load.timeWaitLife * 1.5 + start.load.tick);

/** `now` is when `start` was measured, `established` how many of its connections are; `capacity` the space's. */
export const occupancyOf = (
  history: HistoryDocument,
  now: number,
  start: MeasuredStart,
  established: number,
  capacity: number,
  tried: Tried,
): Occupancy => {
  const o = {
    at: [] as number[],
    established: [] as Column,
    live: [] as Column,
    used: [] as Column,
    low: [] as Column,
    expected: [] as Column,
    high: [] as Column,
    tried: [] as Column,
  };
  const { at, columns } = history;
  let before = Number.NEGATIVE_INFINITY;
  at.forEach((t, i) => {
    const used = columns.used[i] ?? null;
    const open = columns.established[i] ?? null;
    // Nothing was sampled then. A look that came late is bridged; where the agent was away there is a gap.
    if (t > now || used === null || open === null) return;
    const away = t - before > LATE * Math.max(1, history.step);
    const rows: readonly (readonly [number, number | null, number | null, number | null])[] = [
      ...(away && o.at.length > 0 ? ([[(before + t) / 2, null, null, null]] as const) : []),
      // Sockets on blocked ports count as sockets and not as used: the stack ends where `used` does.
      [t, Math.min(used, open), Math.min(used, open + (columns.other[i] ?? 0)), used],
    ];
    before = t;
    for (const [moment, ofEstablished, ofLive, ofUsed] of rows) {
      o.at.push(moment);
      o.established.push(ofEstablished);
      o.live.push(ofLive);
      o.used.push(ofUsed);
      for (const column of [o.low, o.expected, o.high, o.tried]) column.push(null);
    }
  });
  const stage = stageOf(start, capacity, null);
  const changes = changesOf(start, tried);
  const horizon = horizonOf(start);
  const seconds = Array.from({ length: POINTS + 1 }, (_, i) => (horizon * i) / POINTS);
  const other = triedStage(stage, changes);
  const asTried = changes.length === 0 ? [] : outlookCurve(other, seconds);
  outlookCurve(stage, seconds).forEach((point, i) => {
    const t = now + point.seconds;
    if (i === 0 && o.at.at(-1) === t) {
      // The look that the outlook starts from is in the history already.
      o.low[o.low.length - 1] = o.high[o.high.length - 1] = o.expected[o.expected.length - 1] = point.used;
      o.tried[o.tried.length - 1] = asTried[0]?.used ?? null;
      return;
    }
    o.at.push(t);
    // The newest look may not have reached the history yet: then the start tells how things stand.
    const { live } = start.load;
    o.established.push(i === 0 ? Math.min(established, live) : null);
    o.live.push(i === 0 ? live : null);
    o.used.push(i === 0 ? point.used : null);
    o.low.push(point.low);
    o.expected.push(point.used);
    o.high.push(point.high);
    o.tried.push(asTried[i]?.used ?? null);
  });
  return o;
};
