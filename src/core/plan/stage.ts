/**
 * A workload as loads on port spaces. The host's own ports are one stage; a NAT in the path is another, with its own range and
 * its own, longer memory. All spaces of a stage are alike, so one of them stands for all.
 */
import type { Load } from '../forecast.ts';
import { plateau } from '../forecast.ts';
import { rangeSize } from '../port-range.ts';
import type { PortSpaceKind } from '../port-space.ts';
import { SNAT_LOSS_RATIO } from '../port-spaces.ts';
import { type Change, changedCapacity, changedLoad } from '../remedy/effect.ts';
import { afterClose, connectionRate, connectionsOpen, type Workload } from './workload.ts';

/** One space that stands for `spaces` alike. */
export interface Stage {
  readonly kind: PortSpaceKind;
  readonly spaces: number;
  readonly capacity: number;
  /** On one space, at the moment when connections begin to end as fast as they open. */
  readonly load: Load;
  /** Seconds from an empty space to that moment. */
  readonly rampUp: number;
  /** New connections per second, on one space. */
  readonly connectionRate: number;
  /** Requests per second, on one space. */
  readonly requestRate: number;
  /** Used ports from which on every search scans them all; null where nothing is searched. */
  readonly wall: number | null;
}

/** conntrack tries 128 ports in a row first, so it finds the last port of a range that small (nf_nat_core.c). */
const SNAT_SCANS_WHOLE = 128;

const share = (w: Workload, spaces: number, life: number, tick: number): Load => ({
  live: connectionsOpen(w) / spaces,
  liveSlope: 0,
  timeWaitRate: life > 0 ? connectionRate(w) / spaces : 0,
  timeWaits: [],
  timeWaitLife: life,
  tick,
  events: 0,
});

const hostStage = (w: Workload): Stage => {
  const spaces = w.portChoice === 'bind' ? w.sources : w.sources * w.destinations;
  const held = afterClose(w);
  const size = rangeSize(w.range);
  // The search rounds an odd range down, and may so miss its last port (net/ipv4/inet_hashtables.c: remaining &= ~1).
  const missed = size % 2 === 1 && size > 1 && w.portChoice !== 'explicit' ? 1 : 0;
  const capacity = Math.max(0, size - w.blocked - missed);
  return {
    kind: w.portChoice === 'explicit' ? 'ledger' : w.portChoice,
    spaces,
    capacity,
    load: share(w, spaces, held.seconds, held.tick),
    rampUp: w.upstreamLatency === null ? w.duration : 0,
    connectionRate: connectionRate(w) / spaces,
    requestRate: w.rate / spaces,
    wall: w.portChoice === 'explicit' ? null : Math.ceil(capacity / 2),
  };
};

const snatStage = (w: Workload): Stage | null => {
  if (w.snat === null) return null;
  const spaces = w.snat.addresses * w.destinations;
  const size = rangeSize(w.snat.range);
  return {
    kind: 'snat',
    spaces,
    capacity: size <= SNAT_SCANS_WHOLE ? size : Math.floor(size * SNAT_LOSS_RATIO),
    // Whoever closes: conntrack remembers both directions.
    load: share(w, spaces, connectionRate(w) === 0 ? 0 : w.closer === 'reset' ? w.snat.afterReset : w.snat.timeWait, 0),
    rampUp: w.upstreamLatency === null ? w.duration : 0,
    connectionRate: connectionRate(w) / spaces,
    requestRate: w.rate / spaces,
    wall: null,
  };
};

/** The stages that a connection of `w` passes, the host's own first. */
export const stagesOf = (w: Workload): readonly Stage[] => {
  const nat = snatStage(w);
  return nat === null ? [hostStage(w)] : [hostStage(w), nat];
};

/** Used ports at the worst moment of a timer tick, just before a batch of TIME_WAITs ends. */
export const peak = (load: Load): number => load.live + load.timeWaitRate * (load.timeWaitLife + load.tick);

/**
 * How many times the load would just fit without a single failure. Arrivals evenly spaced meet at most ⌊rate × life⌋ others and
 * need one port themselves. Infinite where nothing is used, 0 where the load grows without end.
 */
export const headroom = (stage: Stage): number => {
  if (stage.load.liveSlope > 0) return 0;
  const used = peak(stage.load);
  return used > 0 ? Math.max(0, stage.capacity - (stage.connectionRate > 0 ? 1 : 0)) / used : Number.POSITIVE_INFINITY;
};

/** The same on average over whole ticks, failures at the end of each included. */
export const meanHeadroom = (stage: Stage): number => {
  const used = plateau(stage.load);
  return used > 0 ? stage.capacity / used : Number.POSITIVE_INFINITY;
};

/** The stage after `change`: the arithmetic of `effect`, kept as a stage so that changes can follow one another. */
export const changedStage = (stage: Stage, change: Change): Stage => {
  const capacity = changedCapacity(stage.capacity, change);
  return {
    ...stage,
    capacity,
    load: changedLoad(stage.load, change),
    wall: stage.wall === null || stage.capacity === 0 ? stage.wall : Math.ceil((stage.wall * capacity) / stage.capacity),
    connectionRate: change.kind === 'fixed_connections' ? 0 : stage.connectionRate,
  };
};

/** The stage that runs out first. */
export const tightest = (stages: readonly Stage[]): Stage => stages.reduce((worst, s) => (headroom(s) < headroom(worst) ? s : worst));
