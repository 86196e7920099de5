/** Where alerts go: a line on standard error, which is the journal under systemd, and the webhook, if there is one. */
import type { Alert } from '../../wire/api.ts';
import type { DeliveryCounts } from '../view.ts';
import type { AlertChange } from './alerts.ts';
import type { AgentSettings } from './rules.ts';
import { Webhook } from './webhook.ts';

export const ALERT_SCHEMA = 'plimsoll.alert/1';

export interface DeliveryOptions {
  readonly settings: AgentSettings;
  readonly host: string;
  readonly version: string;
  /** Writes one line for people; `level` is syslog's: 2 critical, 4 warning, 5 notice. */
  readonly say: (line: string, level: number) => void;
  readonly random?: () => number;
  readonly firstPause?: number;
}

/** What the webhook is sent: plimsoll.alert/1. */
export const alertDocument = ({ what, alert }: Pick<AlertChange, 'what' | 'alert'>, host: string, version: string) => ({
  schema: ALERT_SCHEMA as typeof ALERT_SCHEMA,
  event: what,
  host,
  version,
  alert,
});

/** One line: what happened, the numbers, what to do. */
export const alertLine = ({ what, alert }: Pick<AlertChange, 'what' | 'alert'>): string =>
  what === 'raised'
    ? `${alert.severity}: ${alert.title}. ${alert.text} [${alert.rule}]`
    : `cleared: ${subjectOf(alert)}. ${alert.text} [${alert.rule}]`;

/** The title says how it was when it was raised; of a cleared alert only what it was about still holds. */
const subjectOf = (alert: Alert): string => alert.subject;

export class Delivery {
  private readonly options: DeliveryOptions;
  private readonly webhook: Webhook | null;
  private said = 0;

  constructor(options: DeliveryOptions) {
    this.options = options;
    const { settings, version, say } = options;
    const { webhook } = settings.alerts;
    this.webhook =
      webhook === null
        ? null
        : new Webhook({
            ...webhook,
            userAgent: `plimsoll/${version}`,
            say: (line) => say(line, 4),
            ...(options.random === undefined ? {} : { random: options.random }),
            ...(options.firstPause === undefined ? {} : { firstPause: options.firstPause }),
          });
  }

  /** Tells of what is not quiet. Never waits. */
  tell(changes: readonly AlertChange[]): void {
    const { settings, host, version, say } = this.options;
    for (const change of changes) {
      if (change.quiet) continue;
      if (settings.alerts.stderr) {
        say(alertLine(change), change.what === 'cleared' ? 5 : change.alert.severity === 'critical' ? 2 : 4);
        this.said++;
      }
      this.webhook?.post(alertDocument(change, host, version));
    }
  }

  /** Of the webhook; without one, of the lines. */
  counts(): DeliveryCounts {
    return this.webhook?.state ?? { delivered: this.said, failed: 0, dropped: 0, queued: 0 };
  }

  close(): void {
    this.webhook?.close();
  }
}
