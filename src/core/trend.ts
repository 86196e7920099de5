/**
 * How a port space's live connections grew, from what was seen of it before. Two looks a second apart show a flood; a leak of
 * three connections a minute shows only over many minutes.
 */
import type { Load } from './forecast.ts';

/** A port space as it was. */
export interface PastUse {
  /** Seconds, on the clock of NamespaceSample.at; from before this process started, negative. */
  readonly at: number;
  /** Ports held by connections that are not in TIME_WAIT. */
  readonly live: number;
}

export interface Trend {
  /** Change of `live` per second. */
  readonly slope: number;
  /** Its standard error. */
  readonly error: number;
  /** Seconds it was measured over. */
  readonly window: number;
}

/** Over how long it is looked for, in seconds; the longest that is one straight line counts. */
const WINDOWS = [6 * 3600, 3600, 1800, 600, 120, 30, 10, 5];
const LEAST_POINTS = 5;
/** Fewer ports than this are no growth. */
const LEAST_GROWTH = 3;
/** Slopes less than so many standard errors from zero are chance; of few points the error itself is a guess, so it takes more. */
const SURE = 4;
const sureOf = (points: number): number => SURE * (1 + 6 / points);

interface Line {
  readonly slope: number;
  readonly error: number;
}

/** Least squares over points `from..to-1`; the error allows for neighbours that resemble each other. */
const fitLine = (past: readonly PastUse[], from: number, to: number): Line | null => {
  const n = to - from;
  if (n < 3) return null;
  let sumT = 0;
  let sumY = 0;
  for (let i = from; i < to; i++) {
    sumT += past[i]!.at;
    sumY += past[i]!.live;
  }
  const meanT = sumT / n;
  const meanY = sumY / n;
  let tt = 0;
  let ty = 0;
  for (let i = from; i < to; i++) {
    const t = past[i]!.at - meanT;
    tt += t * t;
    ty += t * (past[i]!.live - meanY);
  }
  if (tt === 0) return null;
  const slope = ty / tt;
  let squares = 0;
  let neighbours = 0;
  let last = 0;
  for (let i = from; i < to; i++) {
    const residual = past[i]!.live - meanY - slope * (past[i]!.at - meanT);
    squares += residual * residual;
    if (i > from) neighbours += residual * last;
    last = residual;
  }
  const alike = squares === 0 ? 0 : Math.min(0.9, Math.max(0, neighbours / squares));
  // Counting whole connections is itself a rounding of up to half a port.
  const variance = Math.max(squares / (n - 2), 1 / 12);
  return { slope, error: Math.sqrt((variance / tt) * ((1 + alike) / (1 - alike))) };
};

/** Mean of `live` in each quarter of the time between two points; null where one is empty. */
const quarters = (past: readonly PastUse[], from: number, to: number): readonly number[] | null => {
  const start = past[from]!.at;
  const length = (past[to - 1]!.at - start) / 4;
  const sums = [0, 0, 0, 0];
  const counts = [0, 0, 0, 0];
  for (let i = from; i < to; i++) {
    const quarter = Math.min(3, Math.floor((past[i]!.at - start) / length));
    sums[quarter]! += past[i]!.live;
    counts[quarter]!++;
  }
  return counts.includes(0) ? null : sums.map((sum, i) => sum / counts[i]!);
};

/** The growth that `past` (ascending) proves up to its last point, or null: it stays, it breathes, or there is too little of it. */
export const trendOf = (past: readonly PastUse[]): Trend | null => {
  const to = past.length;
  if (to < LEAST_POINTS) return null;
  const now = past[to - 1]!.at;
  let least = Number.POSITIVE_INFINITY;
  let most = Number.NEGATIVE_INFINITY;
  for (const { live } of past) {
    if (live < least) least = live;
    if (live > most) most = live;
  }
  if (most - least < LEAST_GROWTH) return null;
  let from = 0;
  for (const window of WINDOWS) {
    if (now - past[0]!.at < 0.9 * window) continue;
    while (past[from]!.at < now - window - 1e-6) from++;
    if (to - from < LEAST_POINTS) break;
    const line = fitLine(past, from, to);
    if (line === null) continue;
    const growth = Math.abs(line.slope) * (now - past[from]!.at);
    if (growth < LEAST_GROWTH || Math.abs(line.slope) < sureOf(to - from) * line.error) continue;
    // A leak that began a while ago is no line over the whole window: its newer half is much steeper.
    const parts = quarters(past, from, to);
    if (parts === null || !parts.every((p, i) => i === 0 || (p - parts[i - 1]!) * line.slope > 0)) continue;
    const newer = fitLine(past, from + Math.floor((to - from) / 2), to);
    if (newer !== null && Math.abs(newer.slope - line.slope) > Math.max(0.5 * Math.abs(line.slope), SURE * newer.error)) continue;
    return { slope: line.slope, error: line.error, window };
  }
  return null;
};

/** What is seen for less than this says nothing yet: then two looks are all there is. */
const ENOUGH = 5;

/**
 * `load` with the growth its past proves, and none where it proves none: the difference of two looks is mostly the breathing of
 * the load. The forecast's width follows the trend's error.
 */
export const withTrend = (load: Load, past: readonly PastUse[]): Load => {
  if (past.length < LEAST_POINTS || past.at(-1)!.at - past[0]!.at < ENOUGH) return load;
  const trend = trendOf(past);
  if (trend === null) return { ...load, liveSlope: 0 };
  const sure = Math.round((trend.slope / trend.error) ** 2);
  return { ...load, liveSlope: trend.slope, events: trend.slope > load.timeWaitRate ? sure : load.events };
};
