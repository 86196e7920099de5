/** The port spaces of a ledger that chooses ports itself: our balancer's SNAT pools. One doctor judges them like any other. */
import { parseEndpoint } from './address.ts';
import { forecast, type Load } from './forecast.ts';
import type { NamespaceSample } from './host-sample.ts';
import type { PortRange } from './port-range.ts';
import { type PortSpace, portSpaceId } from './port-space.ts';
import { continued, type PastOf } from './port-spaces.ts';
import { stateCounts, TcpState } from './tcp-state.ts';

/** What a ledger says of one source address and server. */
export interface LedgerUse {
  /** `pool/server` in the operator's own names. */
  readonly label: string;
  readonly address: string;
  /** `address:port`. */
  readonly server: string;
  readonly range: PortRange;
  /** Ports it may choose from, those held by others included. */
  readonly ports: number;
  readonly used: number;
  /** Given back and resting. */
  readonly cooling: number;
  readonly heldByOthers: number;
}

/** The spaces of `now`; with an earlier reading `seconds` ago also their rate. Cooling ports count as used: taking one is early reuse. */
export const ledgerSpaces = (
  { name: namespace, at }: Pick<NamespaceSample, 'name' | 'at'>,
  now: readonly LedgerUse[],
  before: readonly LedgerUse[] | null,
  seconds: number,
  past: PastOf,
): PortSpace[] =>
  now.flatMap((use) => {
    const endpoint = parseEndpoint(use.server);
    if (endpoint === null) return [];
    const capacity = use.ports - use.heldByOthers;
    const used = use.used + use.cooling;
    const earlier = before?.find((b) => b.address === use.address && b.server === use.server && b.label === use.label);
    const growth = earlier === undefined ? 0 : used - earlier.used - earlier.cooling;
    // A few connections more or less are the load's own breathing.
    const proven = earlier !== undefined && seconds > 0 && Math.abs(growth) > Math.max(3, 2 * Math.sqrt(used));
    const id = portSpaceId(namespace, 'ledger', use.address, endpoint.host, endpoint.port);
    const measured: Load = {
      live: used,
      liveSlope: proven ? growth / seconds : 0,
      timeWaitRate: 0,
      timeWaits: [],
      timeWaitLife: 60,
      tick: 0,
      events: Math.abs(growth),
    };
    const load = continued(measured, past(id), at);
    const byState = new Uint32Array(14);
    byState[TcpState.established] = use.used;
    byState[TcpState.boundInactive] = use.cooling;
    const free = capacity - used;
    return [
      {
        id,
        kind: 'ledger',
        namespace,
        label: use.label,
        source: use.address,
        destination: endpoint.host,
        destinationPort: endpoint.port,
        range: use.range,
        blocked: use.heldByOthers,
        capacity,
        held: used,
        reusable: 0,
        used,
        free,
        freeLow: free,
        freeHigh: free,
        usedRatio: capacity > 0 ? used / capacity : 1,
        // Its ports are taken from a list, not searched.
        searchWall: { at: capacity, passed: false },
        byState: stateCounts(byState),
        idleConnections: null,
        closeWaitAges: [],
        shared: [],
        openRate: null,
        closeRate: null,
        failedSearches: null,
        load,
        forecast: free <= 0 ? { kind: 'exhausted' } : earlier === undefined ? { kind: 'unknown' } : forecast(load, capacity),
        owners: [],
      } satisfies PortSpace,
    ];
  });
