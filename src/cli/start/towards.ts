/** The port space towards one destination as it stands: one look, before a load begins. */

import type { NamespaceSettings } from '../../core/host-sample.ts';
import { type MeasuredStart, startOf } from '../../core/plan/from-space.ts';
import { measurePortSpaces } from '../../core/port-spaces.ts';
import { DEFAULT_HZ, TIME_WAIT_SECONDS, timerGranule } from '../../core/timer-tick.ts';
import { findNamespaces } from '../../linux/netns.ts';
import { liveRoot } from '../../linux/proc.ts';
import { Sampler } from '../../linux/sampler.ts';

/** Milliseconds for asking which ports are blocked. */
const PROBE_BUDGET = 50;

export interface SpaceTowards {
  /** Null without a route to it. */
  readonly source: string | null;
  readonly start: MeasuredStart | null;
  /** How late this host's TIME_WAIT timers may be, in seconds. */
  readonly tick: number;
  readonly settings: NamespaceSettings | null;
}

export const lookTowards = (destination: string, port: number): SpaceTowards => {
  const sampler = new Sampler(findNamespaces(liveRoot, null));
  const tick = timerGranule(TIME_WAIT_SECONDS, sampler.facts.tickHz ?? DEFAULT_HZ);
  const source = sampler.sourceTowards(destination, port);
  const [view] = sampler.look({ info: false, probeBudget: PROBE_BUDGET }).views;
  if (view === undefined) return { source, start: null, tick, settings: null };
  const { settings } = view.sample;
  if (source === null) return { source, start: null, tick, settings };
  const asked = [{ source, destination, destinationPort: port }];
  const found = measurePortSpaces(null, view, { tickHz: sampler.facts.tickHz, failed: null, asked }).find(
    ({ space }) =>
      space.kind === 'connect' && space.source === source && space.destination === destination && space.destinationPort === port,
  );
  if (found === undefined) return { source, start: null, tick, settings };
  const start = startOf(found);
  // Nothing held tells nothing of the peer's timestamps: most have them.
  return { source, start: found.space.held > 0 ? start : { ...start, timestamps: settings.timestamps }, tick, settings };
};
