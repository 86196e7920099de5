/**
 * The shapes of the agent's HTTP API (docs/reference/api.md), for the agent and the dashboard. Types are those of the schemas in
 * `api-schema.ts`; importing this loads no zod.
 */
import type { z } from 'zod';
import type { Load } from '../core/forecast.ts';
import type { MeasuredStart } from '../core/plan/from-space.ts';
import type * as schema from './api-schema.ts';
import type { balancerSchema } from './balancer-schema.ts';

export type Problem = z.infer<typeof schema.problemSchema>;
export type Session = z.infer<typeof schema.sessionSchema>;
export type SpacesPage = z.infer<typeof schema.spacesPageSchema>;
export type SpaceDetail = z.infer<typeof schema.spaceDetailSchema>;
export type StartDocument = z.infer<typeof schema.startSchema>;
export type PortMapDocument = z.infer<typeof schema.portMapSchema>;
export type HistoryDocument = z.infer<typeof schema.historySchema>;
export type HistoryColumn = keyof HistoryDocument['columns'];
export type FindingLife = z.infer<typeof schema.findingLifeSchema>;
export type FindingsPage = z.infer<typeof schema.findingsPageSchema>;
export type Alert = z.infer<typeof schema.alertSchema>;
export type AlertsPage = z.infer<typeof schema.alertsPageSchema>;
export type BalancerDocument = z.infer<typeof balancerSchema>;
export type BalancersPage = z.infer<typeof schema.balancersPageSchema>;
export type Changed = z.infer<typeof schema.changedSchema>;
export type Readiness = z.infer<typeof schema.readinessSchema>;

export type SampleEvent = z.infer<typeof schema.sampleEventSchema>;
export type BalancerEvent = z.infer<typeof schema.balancerEventSchema>;
export type ResetEvent = z.infer<typeof schema.resetEventSchema>;

/** Every kind of event of /api/v1/events with its data. */
export interface AgentEvents {
  readonly sample: SampleEvent;
  readonly finding: FindingLife;
  readonly balancer: BalancerEvent;
  readonly alert: Alert;
  readonly reset: ResetEvent;
}
export type AgentEventType = keyof AgentEvents;

/** What a write needs besides the token. */
export const WRITE_HEADER = 'X-Plimsoll';

/** How the slices of `time_waits` divide the life they have at most. */
const SLICES = 1200;

const rounded = (value: number): number => (Number.isFinite(value) ? Number(value.toPrecision(6)) : value);

/** The document of a start; `capacity` is the space's. */
export const startDocument = (start: MeasuredStart, capacity: number): StartDocument => {
  const { load } = start;
  const slice = Math.max(load.timeWaitLife, 1e-3) / SLICES;
  const counts: number[] = [];
  for (let i = 0; i < load.timeWaits.length; i++) {
    const at = Math.min(SLICES, Math.max(0, Math.round(load.timeWaits[i]! / slice)));
    while (counts.length <= at) counts.push(0);
    counts[at]!++;
  }
  return {
    id: start.id,
    kind: start.kind,
    source: start.source,
    destination: start.destination,
    destinations: start.destinations,
    range: { low: start.range.low, high: start.range.high },
    blocked: start.blocked,
    capacity,
    load: {
      live: rounded(load.live),
      live_slope: rounded(load.liveSlope),
      time_wait_rate: rounded(load.timeWaitRate),
      time_waits: { slice, counts },
      time_wait_life: load.timeWaitLife,
      tick: load.tick,
      events: load.events,
    },
    open_rate: start.openRate === null ? null : rounded(start.openRate),
    tcp_tw_reuse: start.twReuse,
    tcp_tw_reuse_delay: start.twReuseDelay,
    timestamps: start.timestamps,
  };
};

/** The start that a document tells of, for plan and effect(). */
export const measuredStart = (document: StartDocument): MeasuredStart => {
  const { load } = document;
  const { slice, counts } = load.time_waits;
  const measured: Load = {
    live: load.live,
    liveSlope: load.live_slope,
    timeWaitRate: load.time_wait_rate,
    timeWaits: counts.flatMap((n, i) => new Array<number>(n).fill(i * slice)),
    timeWaitLife: load.time_wait_life,
    tick: load.tick,
    events: load.events,
  };
  return {
    id: document.id,
    kind: document.kind,
    source: document.source,
    destination: document.destination,
    destinations: document.destinations,
    range: document.range,
    blocked: document.blocked,
    load: measured,
    openRate: document.open_rate,
    twReuse: document.tcp_tw_reuse,
    twReuseDelay: document.tcp_tw_reuse_delay,
    timestamps: document.timestamps,
  };
};
