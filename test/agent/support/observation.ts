/** Looks made of numbers, for what only counts: history, findings' life, alerts. */

import type { Observation } from '../../../src/agent/sampling/observer.ts';
import type { Diagnosis } from '../../../src/core/diagnosis.ts';
import type { Finding } from '../../../src/core/finding.ts';
import type { Forecast } from '../../../src/core/forecast.ts';
import { PortSet } from '../../../src/core/port-range.ts';
import { type PortSpace, portSpaceId } from '../../../src/core/port-space.ts';
import { type MeasuredSpace, viewNamespace } from '../../../src/core/port-spaces.ts';
import { SocketTable } from '../../../src/core/socket-table.ts';
import { stateCounts } from '../../../src/core/tcp-state.ts';

const range = { low: 32768, high: 60999 };
const view = viewNamespace({
  id: '1',
  name: 'host',
  at: 0,
  settings: { portRange: range, reserved: [], twReuse: 2, twReuseDelay: 1, timestamps: true, finTimeout: 60, maxTwBuckets: 0 },
  sockets: new SocketTable(16),
  probe: { blocked: new PortSet(), unknown: new PortSet() },
  counters: {},
  conntrack: null,
});

export interface SpaceNumbers {
  readonly port: number;
  readonly used: number;
  readonly capacity?: number;
  readonly timeWait?: number;
  readonly openRate?: number | null;
  readonly forecast?: Forecast;
}

export const idOf = (port: number): string => portSpaceId('host', 'connect', '10.0.0.1', '10.0.0.7', port);

export const measuredSpace = (n: SpaceNumbers): MeasuredSpace => {
  const capacity = n.capacity ?? 28232;
  const timeWait = n.timeWait ?? 0;
  const byState = new Uint32Array(14);
  byState[1] = n.used - timeWait;
  byState[6] = timeWait;
  const space: PortSpace = {
    id: idOf(n.port),
    kind: 'connect',
    namespace: 'host',
    source: '10.0.0.1',
    destination: '10.0.0.7',
    destinationPort: n.port,
    label: null,
    range,
    blocked: 0,
    capacity,
    held: n.used,
    reusable: 0,
    used: n.used,
    free: capacity - n.used,
    freeLow: capacity - n.used,
    freeHigh: capacity - n.used,
    usedRatio: n.used / capacity,
    searchWall: { at: capacity / 2, passed: false },
    byState: stateCounts(byState),
    idleConnections: 0,
    closeWaitAges: [],
    shared: [],
    openRate: n.openRate === undefined ? 0 : n.openRate,
    closeRate: 0,
    failedSearches: 0,
    load: { live: n.used - timeWait, liveSlope: 0, timeWaitRate: 0, timeWaits: [], timeWaitLife: 60, tick: 2.048, events: 0 },
    forecast: n.forecast ?? { kind: 'stable', plateauUsed: n.used },
    owners: [],
  };
  return { space, view, members: [] };
};

/** A look at `seconds` since 1970, the spaces in the order given. */
export const observation = (seconds: number, spaces: readonly SpaceNumbers[], findings: readonly Finding[] = []): Observation => {
  const measured = spaces.map(measuredSpace);
  const takenAt = Math.round(seconds * 1000);
  const host = { name: 'h', kernel: '6.18', tickHz: 250 };
  const diagnosis: Diagnosis = {
    host,
    takenAt: new Date(takenAt).toISOString(),
    interval: 1,
    namespaces: [view],
    verdict: 'ok',
    because: [],
    spaces: measured.map((m) => m.space),
    unlisted: 0,
    inbound: [],
    findings,
    remedies: [],
    ruledOut: [],
    sensors: [],
  };
  return {
    takenAt,
    interval: 1,
    diagnosis,
    measured,
    looks: { host, takenAt: diagnosis.takenAt, before: [], after: [view], watched: { seconds: 0, failedSearches: [], openings: [] } },
    failedSearches: [],
    cost: { seconds: 0.01, cpuSeconds: 0.01 },
    slowedTo: null,
  };
};

export const finding = (change: Partial<Finding> = {}): Finding => ({
  code: 'close_wait_leak',
  severity: 'warning',
  title: 'A process here does not close its connections',
  text: '12 sockets are in CLOSE_WAIT.',
  subject: idOf(443),
  evidence: [{ name: 'close_wait', value: 12, unit: 'sockets', source: 'sock_diag' }],
  remedies: ['fix_leak'],
  ...change,
});
