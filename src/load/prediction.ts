/** What the planner says of a run before it begins: the same arithmetic as `plimsoll plan`, begun with the ports in use now. */
import { isLoopback } from '../core/address.ts';
import { type MeasuredStart, startFrom } from '../core/plan/from-space.ts';
import { type Plan, plan } from '../core/plan/plan.ts';
import { stagesOf } from '../core/plan/stage.ts';
import { afterClose, connectionRate, defaultWorkload, type Workload } from '../core/plan/workload.ts';
import { type PortRange, PortSet, rangeSize } from '../core/port-range.ts';
import { peakRate } from './arrivals.ts';
import type { Job } from './job.ts';

/** A server's time per request where connections are kept and nothing tells: how many are open at once follows from it. */
const ASSUMED_SERVER_TIME = 0.02;

/** The port space of a run as it stands before it begins, and the tick of the host's timers in seconds. */
export interface Beginning {
  /** Null where this host could not be looked at: then it is taken to be as installed, and empty. */
  readonly start: MeasuredStart | null;
  readonly tick: number;
  /** The address that the route to the target gives. */
  readonly source: string | null;
}

/** The rate of a job per second, the highest where it changes; null where the server decides it. */
export const rateOf = ({ traffic }: Job): number | null =>
  traffic.kind === 'open' ? peakRate(traffic.profile) : traffic.kind === 'idle' ? traffic.rate : null;

/** One range with as many usable ports as `ranges` have, for the planner. */
const spanOf = (ranges: readonly PortRange[]): { readonly range: PortRange; readonly blocked: number } => {
  const whole = PortSet.of(ranges).ranges();
  const range = { low: whole[0]!.low, high: whole.at(-1)!.high };
  return { range, blocked: rangeSize(range) - whole.reduce((sum, r) => sum + rangeSize(r), 0) };
};

/** The job as the planner's workload; a rate that nobody chose is taken to be one per second. */
export const workloadOf = (job: Job, from: Beginning): Workload => {
  const { sourcePorts, target, traffic } = job;
  const { start } = from;
  const kernel = sourcePorts.kind === 'kernel';
  const own = kernel ? { range: start?.range ?? defaultWorkload.range, blocked: start?.blocked ?? 0 } : spanOf(sourcePorts.ports);
  const kept = job.requestsPerConnection === null;
  return {
    ...defaultWorkload,
    ...own,
    rate: rateOf(job) ?? 1,
    requestsPerConnection: job.requestsPerConnection ?? 1,
    upstreamLatency: kept && traffic.kind !== 'idle' ? ASSUMED_SERVER_TIME : null,
    duration: target.protocol === 'tcp' && Number.isFinite(job.hold) ? job.hold : 0,
    closer: job.closer,
    sources: Math.max(1, sourcePorts.addresses.length),
    tick: from.tick,
    twReuse: start?.twReuse ?? defaultWorkload.twReuse,
    twReuseDelay: start?.twReuseDelay ?? defaultWorkload.twReuseDelay,
    timestamps: start?.timestamps ?? defaultWorkload.timestamps,
    loopback: isLoopback(target.address) || (from.source !== null && isLoopback(from.source)),
    portChoice: !kernel ? 'explicit' : sourcePorts.addresses.length > 0 ? 'bind' : 'connect',
  };
};

export interface Prediction {
  readonly plan: Plan;
  /** Connections per second that are sustainable without a failure over all sources; null where nothing limits them. */
  readonly sustainableRate: number | null;
  /** Seconds until the first failure; null for never, or where the rate is not known beforehand. */
  readonly exhaustsAfter: number | null;
  /** Ports in use before it begins. */
  readonly usedBefore: number;
}

export const predict = (job: Job, from: Beginning): Prediction => {
  const workload = workloadOf(job, from);
  const stages = stagesOf(workload);
  const begun = from.start !== null && workload.portChoice === 'connect' ? { start: startFrom(from.start, stages) } : {};
  const result = plan(workload, 1, begun);
  const { sustainableRate, exhaustsAfter } = result.total;
  const idle = job.traffic.kind === 'idle';
  const short = job.traffic.kind === 'idle' && job.traffic.connections > result.total.capacity;
  return {
    plan: result,
    sustainableRate: Number.isFinite(sustainableRate) && !idle && connectionRate(workload) > 0 ? sustainableRate : null,
    exhaustsAfter: idle
      ? short && workload.rate > 0
        ? result.total.capacity / workload.rate
        : null
      : rateOf(job) === null
        ? null
        : exhaustsAfter,
    usedBefore: begun.start === undefined || from.start === null ? 0 : from.start.load.live + from.start.load.timeWaits.length,
  };
};

/** Seconds for which a port that this load has closed may stay taken; 0 where none does. */
export const portLife = ({ plan }: Prediction): number => {
  const held = afterClose(plan.workload);
  return held.seconds + held.tick;
};
