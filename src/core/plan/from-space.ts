/** A workload and a beginning read off a real port space, so that a plan starts where the host stands. */
import { isLoopback } from '../address.ts';
import type { Load } from '../forecast.ts';
import type { NamespaceSettings } from '../host-sample.ts';
import type { PortRange } from '../port-range.ts';
import type { PortSpace, PortSpaceKind } from '../port-space.ts';
import type { MeasuredSpace } from '../port-spaces.ts';
import { formatDuration, formatNumber, formatRate } from '../quantity.ts';
import { TIME_WAIT_SECONDS } from '../timer-tick.ts';
import type { Stage } from './stage.ts';
import { defaultSnat, defaultWorkload, type Workload } from './workload.ts';

/** What a report or a live look tells of a space. */
export interface MeasuredStart {
  readonly id: string;
  readonly kind: PortSpaceKind;
  readonly source: string;
  readonly destination: string | null;
  /** How many destinations share it; 1 unless it is a `bind` space. */
  readonly destinations: number;
  readonly range: PortRange;
  readonly blocked: number;
  readonly load: Load;
  /** Opened per second; null with one sample. */
  readonly openRate: number | null;
  readonly twReuse: 0 | 1 | 2;
  readonly twReuseDelay: number;
  readonly timestamps: boolean;
}

/** What a live look and a report both tell of a space. */
type Described = Pick<PortSpace, 'id' | 'kind' | 'source' | 'destination' | 'range' | 'blocked' | 'openRate'> & {
  readonly shared: readonly unknown[];
};

type ReuseSettings = Pick<NamespaceSettings, 'twReuse' | 'twReuseDelay' | 'timestamps'>;

const isLocal = ({ source, destination }: Pick<PortSpace, 'source' | 'destination'>): boolean =>
  isLoopback(source) || (destination !== null && isLoopback(destination));

/** Whether tcp_tw_reuse as set lets connect() take a TIME_WAIT between these addresses, peer willing. */
export const reuseAllowed = (space: Pick<PortSpace, 'source' | 'destination'>, twReuse: NamespaceSettings['twReuse']): boolean =>
  twReuse === 1 || (twReuse === 2 && isLocal(space));

/** The beginning from a space under `load`, in a namespace with these settings. */
export const startWith = (space: Described, load: Load, { twReuse, twReuseDelay, timestamps }: ReuseSettings): MeasuredStart => ({
  id: space.id,
  kind: space.kind,
  source: space.source,
  destination: space.destination,
  destinations: Math.max(1, space.shared.length),
  range: space.range,
  blocked: space.blocked,
  load,
  openRate: space.openRate,
  twReuse,
  twReuseDelay,
  timestamps,
});

/** What a plan needs of a measured space. */
export const startOf = ({ space, view }: MeasuredSpace): MeasuredStart => {
  const { settings } = view.sample;
  // Reuse is on and yet they last their whole life: the peer does without timestamps.
  const without = reuseAllowed(space, settings.twReuse) && space.kind === 'connect' && space.load.timeWaitLife >= TIME_WAIT_SECONDS;
  return startWith(space, space.load, { ...settings, timestamps: settings.timestamps && !without });
};

/** Slower than one connection an hour is standing still. */
const SLOWEST = 1 / 3600;

const measuredRate = (s: MeasuredStart): number => Math.max(s.load.timeWaitRate, s.openRate ?? 0);

/** Whether its connections come and go; else those it holds are taken to stay. */
export const isMoving = (s: MeasuredStart): boolean => measuredRate(s) > SLOWEST;

/** The workload that would bring the space about: its rate, how long a connection lasts by Little's law, who closes. */
export const workloadOf = (s: MeasuredStart): Workload => {
  const { load } = s;
  const rate = Math.max(measuredRate(s), SLOWEST);
  // Most of what opened left no TIME_WAIT: somebody else keeps them.
  const clientCloses = isMoving(s) ? load.timeWaitRate >= rate / 2 : load.timeWaits.length > 0;
  const snat = s.kind === 'snat';
  return {
    ...defaultWorkload,
    rate: clientCloses ? Math.max(load.timeWaitRate, SLOWEST) : rate,
    duration: isMoving(s) ? load.live / rate : 0,
    closer: clientCloses ? 'client' : 'server',
    destinations: s.destinations,
    range: snat ? defaultWorkload.range : s.range,
    blocked: snat ? 0 : s.blocked,
    tick: load.tick > 0 ? load.tick : defaultWorkload.tick,
    twReuse: s.twReuse,
    twReuseDelay: s.twReuseDelay,
    timestamps: s.timestamps,
    loopback: isLocal(s),
    portChoice: s.kind === 'bind' ? 'bind' : s.kind === 'ledger' ? 'explicit' : 'connect',
    snat: snat ? { ...defaultSnat, range: s.range, timeWait: load.timeWaitLife } : null,
  };
};

/** What was read off, in a sentence for the assumptions. */
export const describeStart = (s: MeasuredStart): string => {
  const w = workloadOf(s);
  const held = s.load.live + s.load.timeWaits.length;
  const moves = isMoving(s)
    ? `${formatRate(w.rate)}, ${formatDuration(w.duration)} each, closed by the ${w.closer === 'client' ? 'client' : 'server'}`
    : 'nothing opened or closed while it was looked at, so its live connections are taken to stay';
  return `Begun with ${s.id} as it was: ${formatNumber(held)} ports in use, ${formatNumber(s.load.timeWaits.length)} of them in TIME_WAIT; ${moves}. What you gave overrules it.`;
};

/** The stages of a plan, begun with the TIME_WAITs that the space holds and the connections it has. */
export const startFrom = (s: MeasuredStart, stages: readonly Stage[]): readonly Stage[] => {
  const counted = s.kind === 'snat' ? 'snat' : stages[0]!.kind;
  const standing = isMoving(s) ? 0 : s.load.live;
  return stages.map((stage) =>
    stage.kind === counted
      ? {
          ...stage,
          rampUp: 0,
          load: {
            ...stage.load,
            live: stage.load.live + standing,
            liveSlope: s.load.liveSlope,
            timeWaits: s.load.timeWaits,
            events: s.load.events,
          },
        }
      : stage,
  );
};
