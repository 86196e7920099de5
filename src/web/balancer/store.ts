/** The balancer's state while its page is open, the last readings of each service, and what was switched in this tab. */
import { effect, signal } from '@preact/signals';
import type { BalancerDocument } from '../../wire/api.ts';
import { ApiTrouble, api } from '../live/api.ts';
import { balancer as news } from '../live/store.ts';
import type { Space } from '../model/space.ts';
import { type PoolReading, type Prediction, readingOf, spacesOfPool } from './prediction.ts';

export const state = signal<BalancerDocument | null>(null);
/** Whether it was asked for, and why it is not there. */
export const answered = signal(false);
export const trouble = signal<ApiTrouble | null>(null);
/** Port spaces of its pools. */
export const spaces = signal<readonly Space[]>([]);
/** By virtual service, ascending in time. */
export const readings = signal<ReadonlyMap<string, readonly PoolReading[]>>(new Map());

/** A switch of multiplexing: what was before, what was promised. */
export interface Switched {
  readonly at: number;
  readonly to: boolean;
  readonly before: readonly PoolReading[];
  readonly predicted: Prediction | null;
}
export const switched = signal<ReadonlyMap<string, Switched>>(new Map());

/** Requests under way at each of the last pieces of news, by virtual service: one moment alone tells little. */
const underWay = new Map<string, number[]>();
/** News kept: about a minute. */
const NEWS = 60;
effect(() => {
  for (const service of news.value?.virtual_services ?? []) {
    const kept = underWay.get(service.name) ?? [];
    kept.push(service.open_requests);
    underWay.set(service.name, kept.slice(-NEWS));
  }
});

/** Most requests of a virtual service seen under way at once. */
export const busiest = (service: string): number =>
  Math.max(0, ...(underWay.get(service) ?? []), ...(readings.value.get(service) ?? []).map((r) => r.openRequests));

/** Readings kept: what rates are counted over. */
const KEPT = 8;

export const accept = (next: BalancerDocument): void => {
  state.value = next;
  const kept = new Map<string, readonly PoolReading[]>();
  for (const service of next.virtual_services) {
    const pool = next.pools.find((p) => p.name === service.pool);
    if (pool === undefined) continue;
    const earlier = readings.value.get(service.name) ?? [];
    const reading = readingOf(Date.parse(next.taken_at), service, pool, spacesOfPool(pool, spaces.value));
    kept.set(service.name, earlier.at(-1)?.at === reading.at ? earlier : [...earlier, reading].slice(-KEPT));
  }
  readings.value = kept;
};

let busy = false;

export const refresh = async (): Promise<void> => {
  if (busy) return;
  busy = true;
  try {
    const [{ items }, listed] = await Promise.all([api.balancers(), api.spaces({ sort: 'used_ratio', limit: 500, offset: 0, q: '' })]);
    spaces.value = listed.items;
    const [first] = items;
    if (first === undefined) state.value = null;
    else accept(first.state);
    trouble.value = null;
    answered.value = true;
  } catch (error) {
    if (error instanceof ApiTrouble) trouble.value = error;
  } finally {
    busy = false;
  }
};
