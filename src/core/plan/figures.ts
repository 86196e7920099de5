/** What a stage comes to, in numbers: for one of its spaces, and for all of them together. */
import { forecast, plateau } from '../forecast.ts';
import { type SearchCost, searchCost } from './search-cost.ts';
import { headroom, meanHeadroom, type Stage } from './stage.ts';

/** Rates are requests per second, as the workload's; times seconds from the start; null is never. */
export interface Figures {
  readonly capacity: number;
  /** The highest rate at which not one connect() fails, arrivals evenly spaced. */
  readonly sustainableRate: number;
  /** The highest rate served on average, with failures at the end of each timer tick. */
  readonly meanRate: number;
  /** Ports in use in the long run, averaged over whole ticks. More than `capacity` is what the load would need. */
  readonly plateau: { readonly used: number; readonly usedRatio: number; readonly timeWait: number; readonly established: number };
  readonly exhaustsAfter: number | null;
  readonly searchWallAt: number | null;
  readonly searchWallAfter: number | null;
  readonly search: SearchCost;
  /** What still gets through once no port is free: everything where none runs out. */
  readonly rateAfterExhaustion: number;
}

/** Seconds until `capacity` ports of the stage are used, or null if they never are. */
export const fillsAfter = (stage: Stage, capacity: number): number | null => {
  const { load, rampUp, connectionRate } = stage;
  const held = load.live + load.timeWaits.length;
  if (held >= capacity) return rampUp > 0 && connectionRate > 0 ? Math.min(rampUp, capacity / connectionRate) : 0;
  const outcome = forecast(load, capacity);
  return outcome.kind === 'exhausts' ? rampUp + outcome.seconds : outcome.kind === 'exhausted' ? rampUp : null;
};

/** The figures of one space of the stage. */
export const figuresOf = (stage: Stage): Figures => {
  const { load, capacity, requestRate } = stage;
  const used = plateau(load);
  const exhaustsAfter = fillsAfter(stage, capacity);
  const meanRate = requestRate * meanHeadroom(stage);
  return {
    capacity,
    sustainableRate: requestRate * headroom(stage),
    meanRate,
    plateau: {
      used,
      usedRatio: capacity > 0 ? used / capacity : 1,
      timeWait: load.timeWaitRate * (load.timeWaitLife + load.tick / 2),
      established: load.live,
    },
    exhaustsAfter,
    searchWallAt: stage.wall,
    searchWallAfter: stage.wall === null ? null : fillsAfter(stage, stage.wall),
    search: searchCost({ ...stage, spaces: 1 }),
    rateAfterExhaustion: exhaustsAfter === null ? requestRate : Math.min(requestRate, meanRate),
  };
};

/** The figures of all spaces of the stage together: counts and rates add up, times stay. */
export const totalFigures = (stage: Stage): Figures => {
  const one = figuresOf(stage);
  const n = stage.spaces;
  return {
    ...one,
    capacity: one.capacity * n,
    sustainableRate: one.sustainableRate * n,
    meanRate: one.meanRate * n,
    plateau: { ...one.plateau, used: one.plateau.used * n, timeWait: one.plateau.timeWait * n, established: one.plateau.established * n },
    searchWallAt: one.searchWallAt === null ? null : one.searchWallAt * n,
    search: { ...one.search, cores: one.search.cores * n },
    rateAfterExhaustion: one.rateAfterExhaustion * n,
  };
};
