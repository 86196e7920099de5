/**
 * The agent: looks at the host again and again, and tells what it saw to whoever listens. One loop feeds everything:
 *
 *   Observer ─▶ newest look ─▶ history, findings' life, alerts ─▶ events ─▶ HTTP
 *   balancer's socket ─▶ newest state ─▶ events ─▶ HTTP
 */
import type { Diagnosis } from '../core/diagnosis.ts';
import { PlimsollError } from '../core/errors.ts';
import type {
  AgentEvents,
  Alert,
  BalancerDocument,
  BalancerEvent,
  FindingLife,
  HistoryDocument,
  Readiness,
  SampleEvent,
} from '../wire/api.ts';
import { spaceDocument } from '../wire/report.ts';
import { withoutOwners } from './anonymous.ts';
import { EventLog } from './http/event-log.ts';
import type { Logbook } from './logbook.ts';
import type { Observation } from './sampling/observer.ts';
import type { AgentView, BalancerAccess, DeliveryCounts, HistoryQuery, HistoryStatus } from './view.ts';

/** What the agent needs of whoever looks: the next look when it is due, null at the end. */
export interface Looking {
  observe(): Promise<Observation | null>;
  close(): void;
}

export interface AgentOptions {
  readonly version: string;
  readonly host: string;
  readonly looking: Looking;
  /** Seconds between looks, as asked for. */
  readonly interval: number;
  readonly logbook: Logbook;
  readonly balancer: BalancerAccess;
  /** Told of every look. */
  readonly onLook: (diagnosis: Diagnosis) => void;
  /** Told of what went wrong while it goes on: one line. */
  readonly complain: (text: string) => void;
}

/** Seconds between two questions to the balancer. */
const BALANCER_EVERY = 2;
/** A look this many intervals old says that the agent has stopped looking. */
const STALE_INTERVALS = 10;
/** Seconds to the next try after a look failed. */
const RETRY_AFTER = 5;

const summary = (socket: string, state: BalancerDocument | null): BalancerEvent => ({
  socket,
  reachable: state !== null,
  virtual_services: (state?.virtual_services ?? []).map((v) => ({
    name: v.name,
    state: v.oper_status.state,
    connection_multiplexing: v.connection_multiplexing,
    open_conns: v.open_conns,
    open_requests: v.open_requests,
    total_requests: v.total_requests,
    connections_dropped: v.connections_dropped,
  })),
  pools: (state?.pools ?? []).map((p) => ({
    name: p.name,
    state: p.oper_status.state,
    servers_up: p.num_servers_up,
    servers: p.num_servers,
    open_conns: p.open_conns,
    waiting: p.queue.waiting,
  })),
});

export class Agent implements AgentView {
  readonly version: string;
  readonly host: string;
  readonly startedAt = Date.now();
  readonly events = new EventLog(Date.now().toString(36));
  readonly balancer: BalancerAccess;
  private readonly options: AgentOptions;
  private look: Observation | null = null;
  private trouble: string | null = null;
  private state: BalancerDocument | null = null;
  private lastSummary = '';

  constructor(options: AgentOptions) {
    this.options = options;
    this.version = options.version;
    this.host = options.host;
    this.balancer = options.balancer;
  }

  /** Looks until interrupted. */
  async run(interrupted: AbortSignal): Promise<void> {
    const { looking } = this.options;
    const stop = (): void => looking.close();
    interrupted.addEventListener('abort', stop);
    const asking = this.followBalancer(interrupted);
    while (!interrupted.aborted) {
      try {
        const look = await looking.observe();
        if (look === null) break;
        this.trouble = null;
        this.take(look);
      } catch (error) {
        const text = error instanceof PlimsollError ? error.message : String((error as Error).stack ?? error);
        if (text !== this.trouble) this.options.complain(`cannot look at this host: ${text}`);
        this.trouble = text;
        await pause(RETRY_AFTER, interrupted);
      }
    }
    looking.close();
    await asking;
    this.options.logbook.close();
  }

  private take(look: Observation): void {
    this.look = look;
    const { diagnosis } = look;
    this.options.onLook(diagnosis);
    const anonymous = withoutOwners(diagnosis);
    // What is written down, and sent away, has no process names in it.
    const entries = this.options.logbook.take({ ...look, diagnosis: anonymous });
    const event = (spaces: typeof diagnosis.spaces): SampleEvent => ({
      at: diagnosis.takenAt,
      verdict: diagnosis.verdict,
      because: [...diagnosis.because],
      spaces: spaces.map(spaceDocument),
      spaces_total: look.measured.length,
      interval: look.interval,
      slowed_to: look.slowedTo,
    });
    this.tell('sample', event(diagnosis.spaces), event(anonymous.spaces));
    for (const { life } of entries.findings) this.tell('finding', life);
    for (const { alert } of entries.alerts) this.tell('alert', alert);
  }

  private tell<T extends keyof AgentEvents>(type: T, data: AgentEvents[T], anonymous: AgentEvents[T] = data): void {
    this.events.append(type, data, anonymous);
  }

  private async followBalancer(interrupted: AbortSignal): Promise<void> {
    while (!interrupted.aborted) {
      try {
        this.state = await this.balancer.state();
      } catch {
        this.state = null;
      }
      const told = summary(this.balancer.socket, this.state);
      const text = JSON.stringify(told);
      if (text !== this.lastSummary && !(this.lastSummary === '' && !told.reachable)) this.tell('balancer', told);
      this.lastSummary = text;
      await pause(BALANCER_EVERY, interrupted);
    }
  }

  latest(): Observation | null {
    return this.look;
  }

  balancerState(): BalancerDocument | null {
    return this.state;
  }

  history(query: HistoryQuery): HistoryDocument {
    return this.options.logbook.history(query);
  }

  historyStatus(): HistoryStatus {
    return this.options.logbook.historyStatus();
  }

  findings(state: 'open' | 'closed' | 'all'): readonly FindingLife[] {
    return this.options.logbook.findings(state);
  }

  alerts(): readonly Alert[] {
    return this.options.logbook.alerts();
  }

  deliveries(): DeliveryCounts {
    return this.options.logbook.deliveries();
  }

  health(): Readiness {
    const reasons: string[] = [];
    if (this.trouble !== null) reasons.push(`the host cannot be looked at: ${this.trouble}`);
    else if (this.look === null) reasons.push('the host has not been looked at twice yet');
    else {
      const age = (Date.now() - this.look.takenAt) / 1000;
      const longest = STALE_INTERVALS * Math.max(this.options.interval, this.look.slowedTo ?? 0) + 5;
      if (age > longest) reasons.push(`the newest look is ${Math.round(age)} s old`);
      if (this.look.diagnosis.verdict === 'unknown') reasons.push('sockets cannot be read');
    }
    return { ready: reasons.length === 0, reasons };
  }
}

const pause = (seconds: number, interrupted: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    if (interrupted.aborted) return resolve();
    const finish = (): void => {
      clearTimeout(timer);
      interrupted.removeEventListener('abort', finish);
      resolve();
    };
    const timer = setTimeout(finish, seconds * 1000);
    interrupted.addEventListener('abort', finish);
  });
