/**
 * What a change would do to a port space: one arithmetic for the doctor's remedies, plan's what-ifs, tune's promise and the
 * dashboard's sliders. A change is data; its effect is the same space with another capacity or another load, forecast anew.
 */
import { type Forecast, forecast, type Load, plateau } from '../forecast.ts';

export type Change =
  /** `factor` times as many 4-tuples: source addresses, destination addresses or destination ports. */
  | { readonly kind: 'multiply_capacity'; readonly factor: number }
  | { readonly kind: 'set_capacity'; readonly capacity: number }
  /** TIME_WAITs hold their port for `seconds` (tcp_tw_reuse_delay, or another closing host's life). */
  | { readonly kind: 'time_wait_life'; readonly seconds: number; readonly tick: number }
  /** No TIME_WAIT here any more: the other side closes first, or connections are kept. */
  | { readonly kind: 'no_time_wait' }
  /** `connections` fewer live connections, and no growth of what held them if `stopsGrowth`. */
  | { readonly kind: 'fewer_connections'; readonly connections: number; readonly stopsGrowth: boolean }
  /** The fullest destination has `share` of the load, and from now on a port space of its own. */
  | { readonly kind: 'split'; readonly share: number }
  /** `connections` server connections carry everything. */
  | { readonly kind: 'fixed_connections'; readonly connections: number };

/** What a port space comes to once changes are made. */
export interface Effect {
  readonly capacity: number;
  /** In the long run: plateau over capacity. What grows without end counts as it is now. */
  readonly usedRatio: number;
  readonly forecast: Forecast;
}

/** The load after `change`. */
export const changedLoad = (load: Load, change: Change): Load => {
  switch (change.kind) {
    case 'multiply_capacity':
    case 'set_capacity':
      return load;
    case 'time_wait_life': {
      // What has waited longer than the new life may be taken at once.
      const waited = load.timeWaitLife;
      const left = Array.from(load.timeWaits, (seconds) => seconds - (waited - change.seconds)).filter((seconds) => seconds > 0);
      return { ...load, timeWaits: left, timeWaitLife: change.seconds, tick: change.tick };
    }
    case 'no_time_wait':
      return { ...load, timeWaits: [], timeWaitRate: 0 };
    case 'fewer_connections':
      return { ...load, live: Math.max(0, load.live - change.connections), liveSlope: change.stopsGrowth ? 0 : load.liveSlope };
    case 'split': {
      const kept = Array.from(load.timeWaits).filter((_, i) => Math.floor((i + 1) * change.share) > Math.floor(i * change.share));
      const { live, liveSlope, timeWaitRate } = load;
      return {
        ...load,
        live: live * change.share,
        liveSlope: liveSlope * change.share,
        timeWaitRate: timeWaitRate * change.share,
        timeWaits: kept,
      };
    }
    case 'fixed_connections':
      return { ...load, live: change.connections, liveSlope: 0, timeWaits: [], timeWaitRate: 0 };
  }
};

/** The capacity after `change`. */
export const changedCapacity = (capacity: number, change: Change): number => {
  switch (change.kind) {
    case 'multiply_capacity':
      return capacity * change.factor;
    case 'set_capacity':
      return change.capacity;
    default:
      return capacity;
  }
};

/** Capacity, long-run occupancy and forecast of a space of `capacity` under `load` after `change`. */
export const effect = (space: { readonly capacity: number; readonly load: Load }, change: Change): Effect => {
  const load = changedLoad(space.load, change);
  const capacity = changedCapacity(space.capacity, change);
  const used = load.liveSlope > 0 ? load.live + load.timeWaits.length : plateau(load);
  return { capacity, usedRatio: capacity > 0 ? used / capacity : 1, forecast: forecast(load, capacity) };
};
