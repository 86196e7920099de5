/**
 * Alerts to a webhook: one POST after the other, in order. What fails is tried again with growing, jittered pauses until it is
 * given up; what waits is bounded. Nothing here ever holds up the agent.
 */
import type { DeliveryCounts } from '../view.ts';
import type { WebhookSettings } from './rules.ts';

export interface WebhookOptions extends WebhookSettings {
  /** Told once when deliveries begin to fail, and once when they succeed again. */
  readonly say: (message: string) => void;
  readonly userAgent: string;
  /** From 0 to 1. */
  readonly random?: () => number;
  /** Seconds before the first retry; it doubles with each, up to a minute. */
  readonly firstPause?: number;
}

interface Waiting {
  readonly body: string;
  readonly since: number;
}

const LONGEST_PAUSE = 60;

/** Answers that another try may change. */
const worthAnotherTry = (status: number): boolean => status === 408 || status === 425 || status === 429 || status >= 500;

/** Seconds before retry `n` (from 0): doubled each time, up to a minute, between half of it and all of it. */
export const pauseBefore = (n: number, first: number, random: number): number =>
  Math.min(LONGEST_PAUSE, first * 2 ** Math.min(n, 20)) * (0.5 + random / 2);

export class Webhook {
  private readonly options: WebhookOptions;
  private readonly queue: Waiting[] = [];
  private readonly closing = new AbortController();
  private readonly origin: string;
  private readonly counts = { delivered: 0, failed: 0, dropped: 0 };
  private running = false;
  private failing = false;

  constructor(options: WebhookOptions) {
    this.options = options;
    // The path of a webhook is often its secret: messages name the host alone.
    this.origin = new URL(options.url).origin;
  }

  /** Queues a document. */
  post(document: object): void {
    if (this.closing.signal.aborted) return;
    if (this.queue.length >= this.options.queue) {
      // The first may be on its way.
      this.queue.splice(this.running ? 1 : 0, 1);
      this.counts.dropped++;
      if (this.counts.dropped === 1 || this.counts.dropped % 100 === 0)
        this.options.say(
          `alerts: ${this.options.queue} wait for ${this.origin} and the oldest is dropped (${this.counts.dropped} so far); raise agent.alerts.webhook.queue, or see why it does not answer`,
        );
    }
    this.queue.push({ body: JSON.stringify(document), since: performance.now() });
    if (!this.running) void this.drain();
  }

  get state(): DeliveryCounts {
    return { ...this.counts, queued: this.queue.length };
  }

  /** Ends it; what waits is not delivered. */
  close(): void {
    this.closing.abort();
  }

  private async drain(): Promise<void> {
    this.running = true;
    try {
      while (this.queue.length > 0 && !this.closing.signal.aborted) {
        const first = this.queue[0]!;
        const outcome = await this.deliver(first);
        if (this.closing.signal.aborted) return;
        const at = this.queue.indexOf(first);
        if (at >= 0) this.queue.splice(at, 1);
        this.counts[outcome]++;
      }
    } finally {
      this.running = false;
    }
  }

  private async deliver({ body, since }: Waiting): Promise<'delivered' | 'failed'> {
    const { random = Math.random, firstPause = 1, give_up_after: patience } = this.options;
    for (let n = 0; ; n++) {
      const { problem, again, after } = await this.once(body);
      if (problem === null) {
        if (this.failing) this.options.say(`alerts: ${this.origin} takes alerts again`);
        this.failing = false;
        return 'delivered';
      }
      const late = (performance.now() - since) / 1000;
      const pause = Math.max(after, pauseBefore(n, firstPause, random()));
      const over = !again || late + pause > patience;
      if (!this.failing || over)
        this.options.say(
          `alerts: ${this.origin} did not take an alert: ${problem}${over ? (again ? `; it is given up after ${n + 1} tries` : '; it is not tried again: check agent.alerts.webhook.url') : `; it is tried again for ${patience} s`}`,
        );
      this.failing = true;
      if (over || !(await this.wait(pause))) return 'failed';
    }
  }

  private async once(body: string): Promise<{ readonly problem: string | null; readonly again: boolean; readonly after: number }> {
    const { url, timeout, userAgent } = this.options;
    try {
      const answer = await fetch(url, {
        method: 'POST',
        headers: { 'content-type': 'application/json', 'user-agent': userAgent },
        body,
        redirect: 'manual',
        signal: AbortSignal.any([this.closing.signal, AbortSignal.timeout(timeout * 1000)]),
      });
      // The answer's text is nobody's concern, but its connection is.
      await answer.body?.cancel();
      if (answer.status >= 200 && answer.status < 300) return { problem: null, again: false, after: 0 };
      const after = Number(answer.headers.get('retry-after') ?? 0);
      return {
        problem: `it answered ${answer.status}`,
        again: worthAnotherTry(answer.status),
        after: Number.isFinite(after) && after > 0 ? Math.min(after, LONGEST_PAUSE) : 0,
      };
    } catch (error) {
      const { name, message, cause } = error as Error;
      // fetch() says "fetch failed" to everything; why is underneath.
      const reason = cause as NodeJS.ErrnoException | undefined;
      const problem = name === 'TimeoutError' ? `no answer within ${timeout} s` : (reason?.code ?? reason?.message ?? message);
      return { problem, again: true, after: 0 };
    }
  }

  private wait(seconds: number): Promise<boolean> {
    const { signal } = this.closing;
    return new Promise((resolve) => {
      const finish = (): void => {
        clearTimeout(timer);
        signal.removeEventListener('abort', finish);
        resolve(!signal.aborted);
      };
      const timer = setTimeout(finish, seconds * 1000);
      signal.addEventListener('abort', finish);
      if (signal.aborted) finish();
    });
  }
}
