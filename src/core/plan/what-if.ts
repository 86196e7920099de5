/**
 * What each remedy would do to a planned load, alone and together. A remedy here is a change (`remedy/effect.ts`) per stage; those
 * that add something are sized last, so that they add no more than the others leave to be done.
 */

import { formatRange, rangeSize } from '../port-range.ts';
import { formatDuration, formatNumber } from '../quantity.ts';
import type { RemedyCode } from '../remedy/codes.ts';
import type { Change } from '../remedy/effect.ts';
import { SHORT_CONNTRACK_TIME_WAIT, WIDE_RANGE } from '../remedy/for-space.ts';
import { type Figures, figuresOf, totalFigures } from './figures.ts';
import { changedStage, headroom, type Stage, tightest } from './stage.ts';
import { afterClose, connectionRate, type Workload } from './workload.ts';

/** A server's time per request where nothing tells: 20 ms. */
const ASSUMED_SERVER_TIME = 0.02;

/** A connection that lasts longer than this per request is taken to be idle for most of it. */
const LONGEST_REQUEST = 1;

/** Seconds a server is taken to need per request, and what tells. */
export const serverTimeOf = (w: Workload): { readonly seconds: number; readonly from: 'told' | 'duration' | 'assumed' } => {
  const told = w.upstreamLatency ?? w.serverTime;
  if (told !== null) return { seconds: told, from: 'told' };
  const lasts = w.duration / w.requestsPerConnection;
  return lasts > 0 && lasts <= LONGEST_REQUEST ? { seconds: lasts, from: 'duration' } : { seconds: ASSUMED_SERVER_TIME, from: 'assumed' };
};

export interface WhatIf {
  readonly remedy: RemedyCode;
  /** What it means here, with the number needed: `3 source addresses instead of 1`. */
  readonly title: string;
  /** Over all spaces of the stage that is tightest afterwards. */
  readonly total: Figures;
  /** Holds the load times the margin without a failure. */
  readonly holds: boolean;
}

interface Applied {
  readonly stages: readonly Stage[];
  readonly title: string;
  /** Effort beyond the candidate's cost: each further address is one. */
  readonly extra?: number;
}

interface Candidate {
  readonly remedy: RemedyCode;
  /** Relative effort and risk: a setting of this host before a change of the application before new addresses. */
  readonly cost: number;
  /** Null where it changes nothing. `target` is how many times the load must fit. */
  apply(stages: readonly Stage[], w: Workload, target: number): Applied | null;
}

const onHost = (stages: readonly Stage[], change: Change): readonly Stage[] =>
  stages.map((s) => (s.kind === 'snat' ? s : changedStage(s, change)));
const onSnat = (stages: readonly Stage[], change: Change): readonly Stage[] =>
  stages.map((s) => (s.kind === 'snat' ? changedStage(s, change) : s));

/** Connections that carry everything at once, where they are kept and shared. */
export const sharedConnections = (w: Workload, target: number): number => Math.max(1, Math.ceil(w.rate * serverTimeOf(w).seconds * target));

/** How many instead of `now` would hold `target` times the load; at least one more. */
const needed = (stages: readonly Stage[], now: number, target: number): number => {
  const room = headroom(tightest(stages));
  return room > 0 && Number.isFinite(room) ? Math.max(now + 1, Math.ceil((now * target) / room - 1e-9)) : now + 1;
};

/** In the order in which they can follow one another: what sets a capacity, what changes the load, what adds to the capacity. */
const candidates: readonly Candidate[] = [
  {
    remedy: 'widen_range',
    cost: 3,
    apply: (stages, w) => {
      const capacity = rangeSize(WIDE_RANGE) - w.blocked;
      if (capacity <= rangeSize(w.range) - w.blocked || w.portChoice === 'explicit') return null;
      return {
        stages: onHost(stages, { kind: 'set_capacity', capacity }),
        title: `the range ${formatRange(WIDE_RANGE)} instead of ${formatRange(w.range)}`,
      };
    },
  },
  {
    remedy: 'free_blocked_ports',
    cost: 5,
    apply: (stages, w) =>
      w.blocked > 0
        ? {
            stages: stages.map((s) =>
              s.kind === 'snat' ? s : changedStage(s, { kind: 'set_capacity', capacity: s.capacity + w.blocked }),
            ),
            title: `the ${formatNumber(w.blocked)} blocked ports moved out of the range`,
          }
        : null,
  },
  {
    remedy: 'tcp_tw_reuse',
    cost: 2,
    apply: (stages, w) => {
      if (w.portChoice !== 'connect' || !w.timestamps || w.twReuseDelay >= w.timeWait || afterClose(w).why !== 'life') return null;
      return {
        stages: onHost(stages, { kind: 'time_wait_life', seconds: w.twReuseDelay, tick: 0 }),
        title: `tcp_tw_reuse=1: connect() takes a TIME_WAIT after ${formatDuration(w.twReuseDelay)}`,
      };
    },
  },
  {
    remedy: 'bind_address_no_port',
    cost: 2,
    apply: (stages, w) =>
      w.portChoice === 'bind' && w.destinations > 1
        ? {
            stages: onHost(stages, { kind: 'multiply_capacity', factor: w.destinations }),
            title: `IP_BIND_ADDRESS_NO_PORT: each of ${formatNumber(w.destinations)} destinations its own ports`,
          }
        : null,
  },
  {
    remedy: 'conntrack_settings',
    cost: 4,
    apply: (stages, w) =>
      w.snat !== null && w.closer !== 'reset' && w.snat.timeWait > SHORT_CONNTRACK_TIME_WAIT
        ? {
            stages: onSnat(stages, { kind: 'time_wait_life', seconds: SHORT_CONNTRACK_TIME_WAIT, tick: 0 }),
            title: `the NAT forgets closed connections after ${SHORT_CONNTRACK_TIME_WAIT} s`,
          }
        : null,
  },
  {
    remedy: 'peer_closes_first',
    cost: 6,
    apply: (stages, w) =>
      w.closer === 'client' && connectionRate(w) > 0 && afterClose(w).seconds > 0
        ? { stages: onHost(stages, { kind: 'no_time_wait' }), title: 'the server closes first and keeps the TIME_WAIT' }
        : null,
  },
  {
    remedy: 'multiplexing',
    cost: 4,
    apply: (stages, w, target) => {
      if (w.upstreamLatency !== null) return null;
      const connections = sharedConnections(w, target);
      return {
        stages: stages.map((s) => changedStage(s, { kind: 'fixed_connections', connections: Math.ceil(connections / s.spaces) })),
        title: `${formatNumber(connections)} kept and shared connection${connections === 1 ? '' : 's'}`,
      };
    },
  },
  {
    remedy: 'add_source_addresses',
    cost: 7,
    apply: (stages, w, target) => {
      const sources = needed(stages, w.sources, target);
      const nat = w.snat === null ? '' : ', and as many times the addresses of the NAT';
      return {
        stages: stages.map((s) => changedStage(s, { kind: 'multiply_capacity', factor: sources / w.sources })),
        title: `${formatNumber(sources)} source addresses instead of ${formatNumber(w.sources)}${nat}`,
        extra: sources - w.sources - 1,
      };
    },
  },
  {
    remedy: 'add_destinations',
    cost: 8,
    apply: (stages, w, target) => {
      if (w.portChoice === 'bind') return null;
      const destinations = needed(stages, w.destinations, target);
      return {
        stages: stages.map((s) => changedStage(s, { kind: 'multiply_capacity', factor: destinations / w.destinations })),
        title: `${formatNumber(destinations)} destination addresses or ports instead of ${formatNumber(w.destinations)}`,
        extra: destinations - w.destinations - 1,
      };
    },
  },
];

const usable = (without: ReadonlySet<RemedyCode>): readonly Candidate[] =>
  candidates.filter((c) => !without.has(c.remedy)).sort((a, b) => a.cost - b.cost);

const outcome = (remedy: RemedyCode, title: string, stages: readonly Stage[], target: number): WhatIf => {
  const worst = tightest(stages);
  return { remedy, title, total: totalFigures(worst), holds: headroom(worst) >= target - 1e-9 && figuresOf(worst).exhaustsAfter === null };
};

/** Codes of the remedies that a plan considers. */
export const plannedRemedies: readonly RemedyCode[] = candidates.map((c) => c.remedy);

/** Whether the stages hold `target` times their load. */
export const holds = (stages: readonly Stage[], target: number): boolean => headroom(tightest(stages)) >= target - 1e-9;

/** Each remedy alone, the least effort first; those in `without` are left out. */
export const whatIfs = (
  stages: readonly Stage[],
  w: Workload,
  target: number,
  without: ReadonlySet<RemedyCode> = new Set(),
): readonly WhatIf[] =>
  usable(without).flatMap((c) => {
    const applied = c.apply(stages, w, target);
    return applied === null ? [] : [outcome(c.remedy, applied.title, applied.stages, target)];
  });

export interface Solution {
  readonly remedies: readonly { readonly remedy: RemedyCode; readonly title: string }[];
  readonly total: Figures;
}

/**
 * The set of remedies with the least effort that holds `target` times the load: the empty set where it holds already, null where
 * none does. All subsets are tried; there are nine remedies.
 */
export const cheapest = (
  stages: readonly Stage[],
  w: Workload,
  target: number,
  without: ReadonlySet<RemedyCode> = new Set(),
): Solution | null => {
  const allowed = candidates.filter((c) => !without.has(c.remedy));
  let best: { readonly cost: number; readonly solution: Solution } | null = null;
  for (let set = 0; set < 1 << allowed.length; set++) {
    const chosen = allowed.filter((_, i) => (set & (1 << i)) !== 0);
    // A second remedy costs more than the sum: it is one more thing to do and to undo.
    let cost = chosen.reduce((sum, c) => sum + c.cost, 0) + Math.max(0, chosen.length - 1);
    if (best !== null && cost >= best.cost) continue;
    let now = stages;
    const remedies: { remedy: RemedyCode; title: string }[] = [];
    for (const candidate of chosen) {
      const applied = candidate.apply(now, w, target);
      if (applied === null) break;
      now = applied.stages;
      cost += applied.extra ?? 0;
      remedies.push({ remedy: candidate.remedy, title: applied.title });
    }
    if (remedies.length === chosen.length && (best === null || cost < best.cost) && holds(now, target))
      best = { cost, solution: { remedies, total: totalFigures(tightest(now)) } };
  }
  return best?.solution ?? null;
};
