/**
 * What somebody tries on a space as it stands: other source addresses, another range, tcp_tw_reuse, shared connections. Each is a
 * `Change`, so what is tried here is what the doctor's remedies promise; the order is the one in which they can follow each other.
 */
import { type Forecast, forecast, type Load, plateau, uncertainty } from '../forecast.ts';
import { type PortRange, rangeSize } from '../port-range.ts';
import type { Change } from '../remedy/effect.ts';
import { TIME_WAIT_SECONDS } from '../timer-tick.ts';
import type { MeasuredStart } from './from-space.ts';
import { changedStage, type Stage } from './stage.ts';
import { usedAt } from './timeline.ts';

export interface Tried {
  /** Source addresses, or destination endpoints: times as many 4-tuples as now. */
  readonly addresses: number;
  readonly range: PortRange;
  /** connect() takes TIME_WAITs after tcp_tw_reuse_delay. */
  readonly reuse: boolean;
  /** Server connections that carry everything, kept open and shared; null: as now. */
  readonly shared: number | null;
}

/** Whether connect() takes TIME_WAITs here now. */
export const reusesNow = (start: MeasuredStart): boolean => start.load.timeWaitLife < TIME_WAIT_SECONDS;

/** Whether tcp_tw_reuse could change anything: only connect() reads it, and only with timestamps. */
export const reuseMatters = (start: MeasuredStart): boolean =>
  start.kind === 'connect' && start.timestamps && !reusesNow(start) && start.twReuseDelay < start.load.timeWaitLife;

/** The space as it is. */
export const asItIs = (start: MeasuredStart): Tried => ({ addresses: 1, range: start.range, reuse: reusesNow(start), shared: null });

/** What `tried` changes, in the order in which the changes can follow one another. */
export const changesOf = (start: MeasuredStart, tried: Tried): readonly Change[] => {
  const changes: Change[] = [];
  const { low, high } = tried.range;
  if (low !== start.range.low || high !== start.range.high)
    changes.push({ kind: 'set_capacity', capacity: Math.max(0, rangeSize(tried.range) - start.blocked) });
  if (tried.reuse && reuseMatters(start)) changes.push({ kind: 'time_wait_life', seconds: start.twReuseDelay, tick: 0 });
  if (tried.shared !== null) changes.push({ kind: 'fixed_connections', connections: tried.shared });
  if (tried.addresses !== 1) changes.push({ kind: 'multiply_capacity', factor: tried.addresses });
  return changes;
};

/** The space as the stage of a plan; `wall` is where its search begins to scan, null where nothing is searched. */
export const stageOf = (start: MeasuredStart, capacity: number, wall: number | null): Stage => ({
  kind: start.kind,
  spaces: 1,
  capacity,
  load: start.load,
  rampUp: 0,
  connectionRate: Math.max(start.load.timeWaitRate, start.openRate ?? 0),
  requestRate: Math.max(start.load.timeWaitRate, start.openRate ?? 0),
  wall,
});

export const triedStage = (stage: Stage, changes: readonly Change[]): Stage => changes.reduce(changedStage, stage);

export interface Outlook {
  readonly capacity: number;
  readonly wall: number | null;
  /** In the long run; what grows without end counts as it is now. */
  readonly usedRatio: number;
  readonly forecast: Forecast;
}

/** What a stage comes to; equal to `effect` where it is one change away. */
export const outlook = (stage: Stage): Outlook => {
  const { load, capacity, wall } = stage;
  const used = load.liveSlope > 0 ? load.live + load.timeWaits.length : plateau(load);
  return { capacity, wall, usedRatio: capacity > 0 ? used / capacity : 1, forecast: forecast(load, capacity) };
};

const withRates = (load: Load, factor: number): Load => ({
  ...load,
  timeWaitRate: load.timeWaitRate * factor,
  liveSlope: load.liveSlope * (load.liveSlope > 0 ? factor : 1),
});

/** Used ports at each of `seconds`, with the bounds that the uncertainty of the counted rates leaves. */
export const outlookCurve = (
  stage: Stage,
  seconds: readonly number[],
): readonly { readonly seconds: number; readonly low: number; readonly used: number; readonly high: number }[] => {
  const doubt = uncertainty(stage.load);
  const fewer = { ...stage, load: withRates(stage.load, Math.max(0, 1 - doubt)) };
  const more = { ...stage, load: withRates(stage.load, 1 + doubt) };
  return seconds.map((at) => ({ seconds: at, low: usedAt(fewer, at), used: usedAt(stage, at), high: usedAt(more, at) }));
};
