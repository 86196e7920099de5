/** Used ports over time, for the plot: the same straight lines that `forecast` walks, averaged over a timer tick. */
import { plateau } from '../forecast.ts';
import type { Stage } from './stage.ts';

export interface Point {
  readonly seconds: number;
  /** Ports of one space; never more than there are. */
  readonly used: number;
}

/** Ports in use `seconds` after the start. */
export const usedAt = (stage: Stage, seconds: number): number => {
  const { load, rampUp } = stage;
  const live = rampUp > 0 ? load.live * Math.min(1, seconds / rampUp) : load.live;
  const since = Math.max(0, seconds - rampUp);
  let earlier = 0;
  for (let i = 0; i < load.timeWaits.length; i++) if (load.timeWaits[i]! + load.tick / 2 > seconds) earlier++;
  const began = load.timeWaitRate * Math.min(since, load.timeWaitLife + load.tick / 2);
  return Math.min(stage.capacity, live + load.liveSlope * seconds + earlier + began);
};

/** How long is worth drawing: until it has settled or run out, and a quarter more. */
export const worthDrawing = (stage: Stage, fills: number | null): number => {
  const settled = stage.rampUp + (stage.load.timeWaitRate > 0 ? stage.load.timeWaitLife + stage.load.tick : 0);
  const end = fills !== null && (plateau(stage.load) > stage.capacity * 2 || stage.load.liveSlope > 0) ? fills : settled;
  return Math.max(1, end * 1.25);
};

/** `count` points from the start to `seconds`. */
export const timeline = (stage: Stage, seconds: number, count: number): readonly Point[] =>
  Array.from({ length: count }, (_, i) => {
    const at = (seconds * i) / Math.max(1, count - 1);
    return { seconds: at, used: usedAt(stage, at) };
  });
