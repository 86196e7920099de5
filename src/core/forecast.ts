/**
 * When a port space runs out, from what holds its ports now and the rates measured.
 *
 * The ports that TIME_WAITs hold come back at known times: each says how long it has left, and the timer wheel adds up to one
 * tick. What arrives is a rate. So used(t) = live(t) + known TIME_WAITs still held at t + those that began since; nothing is
 * fitted. In the long run that is Little's law: plateau = live + rate × (life + tick/2).
 */

/** What holds the ports of one port space, and how that changes. Times are seconds, rates per second. */
export interface Load {
  /** Ports held by connections that are not in TIME_WAIT. */
  readonly live: number;
  /** Change of `live` per second; 0 where none is proven. */
  readonly liveSlope: number;
  /** TIME_WAITs that begin per second. */
  readonly timeWaitRate: number;
  /** For each TIME_WAIT that counts as used now: seconds until it no longer does, by the kernel's count (without the tick). */
  readonly timeWaits: ArrayLike<number>;
  /** How long a new TIME_WAIT holds its port: 60 s, or tcp_tw_reuse_delay where connect() may take it. */
  readonly timeWaitLife: number;
  /** Lateness of the timer that ends them, 0 to this. */
  readonly tick: number;
  /** Connections the rates were counted from: the fewer, the wider the range. */
  readonly events: number;
}

export type Forecast =
  /** Used stays where it is. */
  | { readonly kind: 'stable'; readonly plateauUsed: number }
  /** Used goes to `plateauUsed` and stays there, below capacity. */
  | { readonly kind: 'plateau'; readonly plateauUsed: number; readonly seconds: number }
  /** No port is left after `seconds`; the high end is null where a little less load never runs out. */
  | {
      readonly kind: 'exhausts';
      readonly seconds: number;
      readonly secondsLow: number;
      readonly secondsHigh: number | null;
      readonly plateauUsed: number | null;
    }
  | { readonly kind: 'exhausted' }
  /** One sample, and nothing in it tells a rate. */
  | { readonly kind: 'unknown' };

/** Beyond this nobody plans by a measured rate: 30 days. */
const HORIZON = 30 * 86400;

/** Used ports in the long run, averaged over whole ticks; grows without end when `liveSlope` is positive. */
export const plateau = (load: Load): number => load.live + load.timeWaitRate * (load.timeWaitLife + load.tick / 2);

/** The TIME_WAITs held now, by when they end: counts in equal slices of the life they have at most. */
interface Departures {
  readonly slice: number;
  readonly counts: Float64Array;
  readonly total: number;
}

/** So fine that a slice of 60 s is 50 ms, and so few that a forecast is microseconds, however many TIME_WAITs there are. */
const SLICES = 1200;

const departuresOf = (load: Load): Departures => {
  const slice = Math.max(load.timeWaitLife, 1e-3) / SLICES;
  const counts = new Float64Array(SLICES + 1);
  const { timeWaits } = load;
  for (let i = 0; i < timeWaits.length; i++) counts[Math.min(SLICES, Math.max(0, Math.round(timeWaits[i]! / slice)))]!++;
  return { slice, counts, total: timeWaits.length };
};

/**
 * Seconds until `load` uses `capacity` ports, or null if it never does. `late` is the share of a tick by which TIME_WAITs
 * outlast their count: 1 is the worst moment, just before a batch ends.
 */
const timeToFill = (load: Load, capacity: number, departures: Departures, rateFactor: number, late: number): number | null => {
  const lateness = late * load.tick;
  const life = load.timeWaitLife + lateness;
  const rate = load.timeWaitRate * rateFactor;
  const slope = load.liveSlope * (load.liveSlope > 0 ? rateFactor : 1);
  // Between two departures used(t) is a straight line; walk from one to the next. New TIME_WAITs add `rate` per second until the
  // first of them ends after `life`, from when on they add nothing.
  const growth = rate + slope;
  let t = 0;
  let used = load.live + departures.total;
  if (used >= capacity) return 0;
  for (let i = 0; i <= SLICES + 1; i++) {
    const leaving = i <= SLICES ? departures.counts[i]! : 0;
    if (leaving === 0 && i <= SLICES) continue;
    const departure = i <= SLICES ? Math.min(i * departures.slice + lateness, life) : life;
    if (growth > 0) {
      const fill = t + (capacity - used) / growth;
      if (fill <= departure) return fill;
    }
    used += growth * (departure - t) - leaving;
    t = departure;
  }
  return slope > 0 ? Math.max(t, t + (capacity - used) / slope) : null;
};

/** By which share the rates may be off: two standard deviations of what they were counted from. */
export const uncertainty = (load: Load): number => (load.events > 0 ? 2 / Math.sqrt(load.events) : 0);

/** The forecast for a space of `capacity` ports under `load`. */
export const forecast = (load: Load, capacity: number): Forecast => {
  const used = load.live + load.timeWaits.length;
  if (used >= capacity) return { kind: 'exhausted' };
  const departures = departuresOf(load);
  const noise = uncertainty(load);
  const likely = timeToFill(load, capacity, departures, 1, 0.5);
  const earliest = timeToFill(load, capacity, departures, 1 + noise, 1);
  const worst = likely ?? timeToFill(load, capacity, departures, 1, 1);
  const end = plateau(load);
  if (worst !== null && worst <= HORIZON) {
    const latest = timeToFill(load, capacity, departures, Math.max(0, 1 - noise), 0);
    return {
      kind: 'exhausts',
      seconds: worst,
      secondsLow: Math.min(worst, earliest ?? worst),
      secondsHigh: latest !== null && latest <= HORIZON ? Math.max(worst, latest) : null,
      plateauUsed: load.liveSlope > 0 ? null : end,
    };
  }
  // Within the noise of the count, or a twentieth, it is where it will stay.
  const tolerance = Math.max(2, end * Math.max(0.05, noise / 2));
  if (Math.abs(end - used) <= tolerance || load.liveSlope < 0) return { kind: 'stable', plateauUsed: end };
  return { kind: 'plateau', plateauUsed: end, seconds: load.timeWaitLife + load.tick };
};

/** Resolution of the history of ages, per second. */
const SLOTS = 4;

/**
 * The rate at which TIME_WAITs began, from the ages of those that are held: one dump is 60 s of history. `ages` are seconds
 * since each began. The window is the longest of 2, 4, 8 … 60 s over which the rate did not change by more than chance (two
 * standard deviations between its newer and older half). `oldest` bounds the window: what tcp_tw_reuse hides must not count.
 * What came in one burst within the last two seconds is no rate: then there are no events to tell one from.
 */
export const arrivalRate = (ages: ArrayLike<number>, oldest = 60): { readonly rate: number; readonly events: number } => {
  const slots = new Float64Array(60 * SLOTS);
  for (let i = 0; i < ages.length; i++) {
    const age = ages[i]!;
    if (age >= 0 && age < 60) slots[Math.floor(age * SLOTS)]!++;
  }
  const within = (from: number, to: number): number => {
    let sum = 0;
    for (let slot = Math.round(from * SLOTS); slot < Math.round(to * SLOTS); slot++) sum += slots[slot]!;
    return sum;
  };
  const first = Math.min(2, Math.max(0.5, oldest));
  let best = { rate: within(0, first) / first, events: within(0, first) };
  let grew = false;
  for (const window of [4, 8, 16, 32, 58]) {
    if (window > oldest) break;
    const newer = within(0, window / 2);
    const older = within(window / 2, window);
    if (Math.abs(newer - older) > 2 * Math.sqrt(newer + older) + 1) break;
    best = { rate: (newer + older) / window, events: newer + older };
    grew = true;
  }
  const occupied = slots.subarray(0, Math.round(first * SLOTS)).filter((n) => n > 0).length;
  const burst = !grew && occupied * 2 <= first * SLOTS;
  return burst ? { rate: 0, events: 0 } : best;
};
