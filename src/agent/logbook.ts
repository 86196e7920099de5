/** What the agent writes down of each look, and who is told of it: history, findings with their life, alerts. */
import { formatDuration } from '../core/quantity.ts';
import type { PastUse } from '../core/trend.ts';
import type { Alert, FindingLife, HistoryDocument } from '../wire/api.ts';
import { type AlertChange, Alerts } from './alerts/alerts.ts';
import { Delivery } from './alerts/delivery.ts';
import { type AgentSettings, usualSettings } from './alerts/rules.ts';
import { FindingBook, type FindingChange } from './findings/book.ts';
import { type History, openHistory } from './history/history.ts';
import type { Observation } from './sampling/observer.ts';
import type { DeliveryCounts, HistoryQuery, HistoryStatus } from './view.ts';

export interface LogbookOptions {
  /** Where history is kept; null: in memory. */
  readonly folder: string | null;
  /** The file's `agent:` section; without one, what usualSettings says. */
  readonly settings?: AgentSettings;
  readonly host: string;
  readonly version: string;
  /** Writes one line for people; `level` is syslog's. */
  readonly say: (line: string, level: number) => void;
}

/** What a look changed. */
export interface Entries {
  readonly findings: readonly FindingChange[];
  readonly alerts: readonly AlertChange[];
}

const seconds = (rfc3339: string): number => Date.parse(rfc3339) / 1000;

/** Opens it, with what an earlier run left. Throws what openHistory throws. */
export const openLogbook = async (options: LogbookOptions): Promise<Logbook> => {
  const { folder, settings = usualSettings, say } = options;
  const history = await openHistory(folder, { say: (line) => say(line, 4) });
  return new Logbook(history, new Delivery({ ...options, settings }), settings, say);
};

export class Logbook {
  private readonly past: History;
  private readonly book: FindingBook;
  private readonly alarms: Alerts;
  private readonly delivery: Delivery;
  private readonly say: LogbookOptions['say'];
  private slowedTo: number | null = null;

  constructor(history: History, delivery: Delivery, settings: AgentSettings, say: LogbookOptions['say']) {
    this.say = say;
    this.past = history;
    this.delivery = delivery;
    this.book = new FindingBook({ now: Date.now(), known: read<FindingLife>(history, 'finding') });
    this.alarms = new Alerts(settings.alerts.rules, read<Alert>(history, 'alert'));
  }

  /** Writes down a look and tells of what changed. */
  take(seen: Observation): Entries {
    this.tellPace(seen);
    const interval = Math.max(seen.interval, seen.slowedTo ?? 0);
    const findings = this.book.take(seen.diagnosis.findings, seen.takenAt, interval);
    const alerts = this.alarms.take(seen, seen.takenAt);
    for (const { life } of findings)
      this.past.keep({
        kind: 'finding',
        id: life.id,
        openedAt: seconds(life.opened_at),
        closedAt: life.closed_at === null ? null : seconds(life.closed_at),
        document: JSON.stringify(life),
      });
    for (const { alert } of alerts)
      this.past.keep({
        kind: 'alert',
        id: alert.id,
        openedAt: seconds(alert.raised_at),
        closedAt: alert.cleared_at === null ? null : seconds(alert.cleared_at),
        document: JSON.stringify(alert),
      });
    this.past.append(seen);
    this.delivery.tell(alerts);
    return { findings, alerts };
  }

  private tellPace({ slowedTo, cost }: Observation): void {
    if (slowedTo === this.slowedTo) return;
    this.slowedTo = slowedTo;
    this.say(
      slowedTo === null
        ? 'looking at this host is quick again: it is looked at as often as asked for'
        : `looking at this host takes ${formatDuration(cost.seconds)}, so the agent looks less often: every ${formatDuration(slowedTo)}. A longer --interval makes that the rule; fewer namespaces (--netns) cost less.`,
      slowedTo === null ? 5 : 4,
    );
  }

  history(query: HistoryQuery): HistoryDocument {
    return this.past.series(query);
  }

  historyStatus(): HistoryStatus {
    return this.past.status();
  }

  /** What an earlier run saw of a space, for the Observer. */
  remembered(space: string): readonly PastUse[] {
    return this.past.remembered(space);
  }

  /** Newest first. */
  findings(state: 'open' | 'closed' | 'all'): readonly FindingLife[] {
    return this.book.list(state);
  }

  alerts(): readonly Alert[] {
    return this.alarms.active();
  }

  deliveries(): DeliveryCounts {
    return this.delivery.counts();
  }

  close(): void {
    this.delivery.close();
    this.past.close();
  }
}

/** Documents of an earlier run; one that does not parse was not written by us. */
const read = <T>(history: History, kind: string): readonly T[] =>
  history.lives(kind).flatMap(({ document }) => {
    try {
      return [JSON.parse(document) as T];
    } catch {
      return [];
    }
  });
