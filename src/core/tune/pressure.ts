/** Which port spaces are short of ports, and which settings would relieve them: the ground every recommendation stands on. */
import { isLoopback } from '../address.ts';
import { nameOf } from '../finding/of-space.ts';
import { urgency } from '../finding/urgency.ts';
import { plateau } from '../forecast.ts';
import { blockedBeyondRange, peerTimestamps } from '../occupancy.ts';
import { type PortRange, type PortSet, rangeSize } from '../port-range.ts';
import type { PortSpace } from '../port-space.ts';
import type { MeasuredSpace } from '../port-spaces.ts';
import { formatNumber, formatPercent } from '../quantity.ts';
import { type Change, changedCapacity, changedLoad, type Effect, effect } from '../remedy/effect.ts';
import { WIDE_RANGE } from '../remedy/for-space.ts';
import type { Promised, TuneFacts } from './facts.ts';

/** Used ports in the long run: more than now where TIME_WAITs still pile up. */
const longRun = (space: PortSpace): number => Math.max(space.used, plateau(space.load));

/** Short of ports: urgent, or beyond the search wall now or in the long run. A NAT's space has no sysctl of its own range. */
export const isPressed = (space: PortSpace): boolean =>
  urgency(space) !== null || (space.capacity > 0 && longRun(space) >= space.searchWall.at && longRun(space) > 0);

/** Why tcp_tw_reuse=1 would change nothing in this space, or null where it would. */
export const reuseChangesNothing = ({ space, view, members }: MeasuredSpace): string | null => {
  const { settings } = view.sample;
  if (space.kind === 'bind') return 'its ports are chosen by bind(ip, 0), which never takes a TIME_WAIT';
  if (space.kind === 'snat') return 'its ports are conntrack’s';
  if (space.kind === 'ledger') return 'its ports are named by the application';
  if (settings.twReuse === 1) return 'it is on';
  if (isLoopback(space.source) || (space.destination !== null && isLoopback(space.destination)))
    if (settings.twReuse === 2) return 'it is on towards loopback already';
  if (!settings.timestamps) return 'TCP timestamps are off, and without them no TIME_WAIT may be taken';
  if (members.some((g) => peerTimestamps(view.groups, g, settings) === 'off'))
    return 'the peer does without TCP timestamps, and without them no TIME_WAIT may be taken';
  const waiting = space.load.timeWaits.length;
  if (waiting * 2 < space.used)
    return `${formatNumber(space.used - waiting)} of its ${formatNumber(space.used)} ports are held by live connections, not by TIME_WAITs`;
  return null;
};

/** Why a wider range would not help this space for long, or null where it would. */
export const wideningChangesNothing = ({ space, view }: MeasuredSpace): string | null => {
  if (space.kind === 'snat') return 'conntrack chooses from 1024-65535 whatever this setting says';
  if (space.kind === 'ledger') return 'its ports are named by the application';
  const { portRange } = view.sample.settings;
  if (portRange.low <= WIDE_RANGE.low && portRange.high >= WIDE_RANGE.high) return 'it is as wide as it can be';
  if (space.byState.close_wait * 2 >= space.used && space.used > 0)
    return `${formatNumber(space.byState.close_wait)} of its ports are CLOSE_WAITs that a process never closes: more ports only delay the end`;
  return null;
};

const all = (space: { readonly capacity: number; readonly load: PortSpace['load'] }, changes: readonly Change[]): Effect => {
  const last = changes.at(-1);
  let { capacity, load } = space;
  for (const change of changes.slice(0, -1)) {
    capacity = changedCapacity(capacity, change);
    load = changedLoad(load, change);
  }
  return effect({ capacity, load }, last ?? { kind: 'set_capacity', capacity });
};

/** Ports of `range` that stay closed to automatic choice once `reserved` are reserved. */
const closed = ({ view: { groups, sample } }: TuneFacts, range: PortRange, reserved: PortSet): number =>
  blockedBeyondRange(groups, sample.settings, sample.probe, reserved).count(range);

/** Which spaces are short, and which of them each setting would relieve. */
export interface Relief {
  readonly reuse: readonly MeasuredSpace[];
  readonly widen: readonly MeasuredSpace[];
  readonly pressed: readonly MeasuredSpace[];
  readonly promised: readonly Promised[];
}

/** The fewest changes that relieve each pressed space: tcp_tw_reuse where TIME_WAITs are the trouble, more ports where that is not enough. */
export const relieve = (facts: TuneFacts, reservedAfter: PortSet): Relief => {
  const pressed = facts.spaces.filter((m) => isPressed(m.space));
  const reuse: MeasuredSpace[] = [];
  const widen: MeasuredSpace[] = [];
  const promised: Promised[] = [];
  const delay = facts.view.sample.settings.twReuseDelay;
  const capacity = rangeSize(WIDE_RANGE) - closed(facts, WIDE_RANGE, reservedAfter);
  for (const m of pressed) {
    const changes: Change[] = [];
    if (reuseChangesNothing(m) === null) {
      changes.push({ kind: 'time_wait_life', seconds: delay, tick: 0 });
      reuse.push(m);
    }
    const { space } = m;
    const wall = space.capacity > 0 ? space.searchWall.at / space.capacity : 0;
    const relieved = changes.length > 0 && all(space, changes).usedRatio < wall;
    if (!relieved && wideningChangesNothing(m) === null && capacity > space.capacity) {
      changes.push({ kind: 'set_capacity', capacity });
      widen.push(m);
    }
    if (changes.length > 0) promised.push({ space: space.id, changes, effect: all(space, changes) });
  }
  return { reuse, widen, pressed, promised };
};

/** `10.0.0.1 → 10.0.0.2:80 (87 % used)` for prose. */
export const describe = ({ space }: MeasuredSpace): string => `${nameOf(space)} (${formatPercent(space.usedRatio)} used)`;
