/**
 * What the kernel's port search costs. Up to the search wall it is a few probes; beyond it every automatic choice scans all
 * ports of the first parity. Measured on Linux 6.18 with the default range (docs/reference/plan.md); proportional to the range.
 */
import { plateau } from '../forecast.ts';
import type { Stage } from './stage.ts';

/** Seconds to pass over one port that is held by a live connection, by a TIME_WAIT, or by anything in bind(ip, 0). */
export const PROBE_SECONDS = { live: 55e-9, timeWait: 138e-9, bind: 206e-9 } as const;

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
  const perPort = stage.kind === 'bind' ? PROBE_SECONDS.bind : waiting * PROBE_SECONDS.timeWait + (1 - waiting) * PROBE_SECONDS.live;
  const failing = used > stage.capacity ? 1 - stage.capacity / used : 0;
  const scan = stage.wall * perPort;
  const perConnection = scan * (1 - failing) + stage.capacity * perPort * failing;
  return { perConnection, cores: perConnection * stage.connectionRate * stage.spaces };
};
