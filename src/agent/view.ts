/**
 * What the HTTP side reads of the agent, whatever fills it: the newest look at the host, what was kept of the earlier ones, what
 * happened in between, and the balancer behind its socket. `agent.ts` puts it together.
 */
import type { Alert, BalancerDocument, FindingLife, HistoryDocument, Readiness } from '../wire/api.ts';
import type { EventLog } from './http/event-log.ts';
import type { Observation } from './sampling/observer.ts';

/** A stretch of history; `from` and `to` are seconds since 1970, `step` seconds or null for what suits the stretch. */
export interface HistoryQuery {
  readonly space: string;
  readonly from: number;
  readonly to: number;
  readonly step: number | null;
}

/** How the history does. */
export interface HistoryStatus {
  /** The file, or null for memory only. */
  readonly path: string | null;
  /** What is wrong with keeping it (`ENOSPC`, …), or null. */
  readonly trouble: string | null;
  readonly rows: number;
  /** On disk; 0 in memory. */
  readonly bytes: number;
}

/** One change of a running balancer, as its control socket takes it. */
export type BalancerChange =
  | { readonly change: 'multiplexing'; readonly virtualService: string; readonly on: boolean }
  | { readonly change: 'administer'; readonly pool: string; readonly server: string; readonly to: 'enabled' | 'disabled' | 'draining' }
  | { readonly change: 'add_snat_address'; readonly snatPool: string; readonly address: string };

/** The balancer behind a socket. Both reject with the PlimsollError it answered with; not_running where none answers. */
export interface BalancerAccess {
  readonly socket: string;
  state(): Promise<BalancerDocument>;
  change(change: BalancerChange): Promise<void>;
}

/** What alert deliveries did since the start. */
export interface DeliveryCounts {
  readonly delivered: number;
  readonly failed: number;
  readonly dropped: number;
  readonly queued: number;
}

export interface AgentView {
  readonly version: string;
  readonly host: string;
  /** Milliseconds since 1970. */
  readonly startedAt: number;
  /** The newest look; null until there was one. */
  latest(): Observation | null;
  /** The newest balancer state read; null where none answers. */
  balancerState(): BalancerDocument | null;
  history(query: HistoryQuery): HistoryDocument;
  historyStatus(): HistoryStatus;
  /** Newest first. */
  findings(state: 'open' | 'closed' | 'all'): readonly FindingLife[];
  /** Raised and not cleared. */
  alerts(): readonly Alert[];
  deliveries(): DeliveryCounts;
  readonly events: EventLog;
  readonly balancer: BalancerAccess;
  health(): Readiness;
}
