/** What port searches cost under a planned load, in the long run. */
import { plateau } from '../forecast.ts';
import { PROBE_SECONDS, passSeconds } from '../port-search.ts';
import type { Stage } from './stage.ts';

export interface SearchCost {
  /** Seconds of processor time for one connect(). */
  readonly perConnection: number;
  /** Processors kept busy by all spaces together. */
  readonly cores: number;
}

/** The cost in the long run: none below the wall, the scan beyond it, the whole range for those that fail. */
export const searchCost = (stage: Stage): SearchCost => {
  const used = plateau(stage.load);
  if (stage.wall === null || used <= stage.wall || used <= 0) return { perConnection: 0, cores: 0 };
  const waiting = Math.min(1, (stage.load.timeWaitRate * (stage.load.timeWaitLife + stage.load.tick / 2)) / used);
  const perPort = stage.kind === 'bind' ? PROBE_SECONDS.bind : passSeconds(1, waiting);
  const failing = used > stage.capacity ? 1 - stage.capacity / used : 0;
  const scan = stage.wall * perPort;
  const perConnection = scan * (1 - failing) + stage.capacity * perPort * failing;
  return { perConnection, cores: perConnection * stage.connectionRate * stage.spaces };
};
