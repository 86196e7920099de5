/** A port space: the source ports from one source address towards one destination; the unit that runs out. */
import type { Forecast, Load } from './forecast.ts';
import type { PortRange } from './port-range.ts';
import type { StateCounts } from './tcp-state.ts';

/**
 * Who chooses the port: the kernel at connect(); the kernel at bind(ip, 0), for all destinations at once; our own ledger;
 * conntrack's source NAT.
 */
export type PortSpaceKind = 'connect' | 'bind' | 'ledger' | 'snat';

export interface OwnerShare {
  readonly pid: number;
  readonly command: string;
  readonly container: string | null;
  /** Live sockets of the space it holds. */
  readonly sockets: number;
  /** Connections per second it opened while we watched; null if that could not be watched. */
  readonly opens: number | null;
}

/** Counted ports: everything that is arithmetic over one dump. */
export interface Occupancy {
  /** The ports this kind chooses from. */
  readonly range: PortRange;
  /** Ports of the range that no automatic choice may take. */
  readonly blocked: number;
  /** Range less blocked. */
  readonly capacity: number;
  /** Ports of the range this space holds, in any state, blocked ones left out. */
  readonly held: number;
  /** Held TIME_WAITs that connect() would take now. */
  readonly reusable: number;
  /** held − reusable. */
  readonly used: number;
  /** capacity − used. */
  readonly free: number;
  /** Bounds of `free` where the kernel hides a fact; else equal to it. */
  readonly freeLow: number;
  readonly freeHigh: number;
  /** used / capacity; 1 for a space without capacity. */
  readonly usedRatio: number;
  /** Used ports from which on every search scans thousands of ports, and whether we are there. */
  readonly searchWall: { readonly at: number; readonly passed: boolean };
  readonly byState: StateCounts;
}

export interface PortSpace extends Occupancy {
  readonly id: string;
  readonly kind: PortSpaceKind;
  /** Name of the network namespace. */
  readonly namespace: string;
  readonly source: string;
  /** Null for `bind`: one pool for all destinations. */
  readonly destination: string | null;
  readonly destinationPort: number | null;
  /** Name given by whoever owns it (a pool's server), or null. */
  readonly label: string | null;
  /** Established and silent for longer than the threshold; null where tcp_info was not read. */
  readonly idleConnections: number | null;
  /** CLOSE_WAITs by age: seconds since the peer closed, ascending; empty where tcp_info was not read. */
  readonly closeWaitAges: readonly number[];
  /** Destinations that share this pool (`bind`) with the ports each holds; empty for the other kinds. */
  readonly shared: readonly { readonly destination: string; readonly destinationPort: number; readonly held: number }[];
  /** Per second, between two samples; null with one sample. */
  readonly openRate: number | null;
  readonly closeRate: number | null;
  readonly failedSearches: number | null;
  readonly load: Load;
  readonly forecast: Forecast;
  readonly owners: readonly OwnerShare[];
}

/** The id users script against: stable over runs, unique in a report. */
export const portSpaceId = (
  namespace: string,
  kind: PortSpaceKind,
  source: string,
  destination: string | null,
  port: number | null,
): string =>
  [
    namespace,
    kind,
    source,
    destination === null ? '*' : destination.includes(':') ? `[${destination}]:${port}` : `${destination}:${port}`,
  ].join('/');
