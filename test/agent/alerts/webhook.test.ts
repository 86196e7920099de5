/** The webhook against a real server: retries, order, bounds, and what is said. */
import { createServer, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import { Alerts } from '../../../src/agent/alerts/alerts.ts';
import { Delivery } from '../../../src/agent/alerts/delivery.ts';
import { usualSettings } from '../../../src/agent/alerts/rules.ts';
import { pauseBefore, Webhook, type WebhookOptions } from '../../../src/agent/alerts/webhook.ts';
import { until } from '../../support/poll.ts';
import { observation } from '../support/observation.ts';

interface Received {
  readonly at: number;
  readonly body: { readonly n: number };
  readonly headers: IncomingMessage['headers'];
}

const cleanUp: (() => void)[] = [];
afterEach(() => {
  for (const undo of cleanUp.splice(0)) undo();
});

/** A server that answers with what `answer` says; null: not at all. */
const server = async (
  answer: (n: number) => number | null,
): Promise<{ readonly url: string; readonly received: Received[]; readonly server: Server }> => {
  const received: Received[] = [];
  const s = createServer((request, response) => {
    let text = '';
    request.on('data', (d: Buffer) => {
      text += d.toString();
    });
    request.on('end', () => {
      received.push({ at: performance.now(), body: JSON.parse(text), headers: request.headers });
      const status = answer(received.length - 1);
      if (status !== null) response.writeHead(status).end('thanks');
    });
  });
  await new Promise<void>((done) => s.listen(0, '127.0.0.1', done));
  cleanUp.push(() => {
    s.closeAllConnections();
    s.close();
  });
  return { url: `http://127.0.0.1:${(s.address() as AddressInfo).port}/hook/SECRET`, received, server: s };
};

const webhook = (url: string, options: Partial<WebhookOptions> = {}): { readonly hook: Webhook; readonly said: string[] } => {
  const said: string[] = [];
  const hook = new Webhook({
    url,
    timeout: 5,
    give_up_after: 60,
    queue: 100,
    userAgent: 'plimsoll/0',
    say: (m) => said.push(m),
    random: () => 0,
    firstPause: 0.02,
    ...options,
  });
  cleanUp.push(() => hook.close());
  return { hook, said };
};

describe('the webhook', () => {
  test('gets alerts one after the other, in order, as JSON', async () => {
    const { url, received } = await server(() => 204);
    const { hook, said } = webhook(url);
    for (let n = 0; n < 20; n++) hook.post({ n });
    await until('all of them', () => hook.state.delivered === 20);
    expect(received.map((r) => r.body.n)).toEqual(Array.from({ length: 20 }, (_, n) => n));
    expect(received[0]!.headers).toMatchObject({ 'content-type': 'application/json', 'user-agent': 'plimsoll/0' });
    expect(hook.state).toEqual({ delivered: 20, failed: 0, dropped: 0, queued: 0 });
    expect(said).toEqual([]);
  });

  test('is tried again with growing pauses, in order, and says once that it fails and once that it works', async () => {
    const { url, received } = await server((n) => (n < 4 ? 503 : 200));
    const { hook, said } = webhook(url);
    hook.post({ n: 0 });
    hook.post({ n: 1 });
    await until('both', () => hook.state.delivered === 2);
    expect(received.map((r) => r.body.n)).toEqual([0, 0, 0, 0, 0, 1]);
    // 10, 20, 40, 80 ms with no luck in the jitter.
    const pauses = [1, 2, 3, 4].map((i) => received[i]!.at - received[i - 1]!.at);
    pauses.forEach((pause, i) => {
      expect(pause).toBeGreaterThanOrEqual(10 * 2 ** i - 2);
    });
    expect(said).toHaveLength(2);
    expect(said[0]).toMatch(/^alerts: http:\/\/127\.0\.0\.1:\d+ did not take an alert: it answered 503; it is tried again for 60 s$/);
    expect(said[1]).toMatch(/takes alerts again$/);
    // A webhook's path is often its secret.
    expect(said.join()).not.toContain('SECRET');
  });

  test('that refuses for good, or is not there until patience ends, is given up and counted', async () => {
    const { url } = await server(() => 404);
    const refused = webhook(url);
    refused.hook.post({ n: 0 });
    await until('it to fail', () => refused.hook.state.failed === 1);
    expect(refused.said[0]).toContain('it answered 404; it is not tried again: check agent.alerts.webhook.url');

    const absent = webhook('http://127.0.0.1:9/x', { give_up_after: 0.2 });
    absent.hook.post({ n: 0 });
    await until('it to be given up', () => absent.hook.state.failed === 1);
    expect(absent.said.at(-1)).toMatch(/did not take an alert: .+; it is given up after \d+ tries$/);
  });

  test('that does not answer is left after the timeout, and a redirect is not followed', async () => {
    const { url, received } = await server((n) => (n === 0 ? null : n === 1 ? 302 : 200));
    const { hook, said } = webhook(url, { timeout: 0.2 });
    hook.post({ n: 0 });
    await until('the redirect to be refused', () => hook.state.failed === 1);
    expect(received).toHaveLength(2);
    expect(said[0]).toContain('no answer within 0.2 s');
  });

  test('keeps a bounded queue: the oldest that waits is dropped, counted and told', async () => {
    const { url, received } = await server((n) => (n === 0 ? null : 200));
    const { hook, said } = webhook(url, { queue: 5, timeout: 0.3 });
    for (let n = 0; n < 50; n++) hook.post({ n });
    expect(hook.state.queued).toBe(5);
    expect(hook.state.dropped).toBe(45);
    await until('the rest', () => hook.state.delivered === 5);
    // The one on its way is not dropped under its feet.
    expect(received.map((r) => r.body.n)).toEqual([0, 0, 46, 47, 48, 49]);
    expect(said.filter((m) => m.includes('dropped'))).toHaveLength(1);
  });

  test('lets go of the request under way when it ends, and takes no more', async () => {
    const { url, server: s, received } = await server(() => null);
    let gone = false;
    s.on('connection', (socket) =>
      socket.on('close', () => {
        gone = true;
      }),
    );
    const { hook } = webhook(url);
    hook.post({ n: 0 });
    await until('it to be under way', () => received.length === 1);
    hook.close();
    hook.post({ n: 1 });
    await until('the connection to close', () => gone);
    expect(hook.state).toMatchObject({ delivered: 0, failed: 0, queued: 1 });
  });

  test('pauses double up to a minute, between half of it and all of it', () => {
    expect([0, 1, 2, 3].map((n) => pauseBefore(n, 1, 1))).toEqual([1, 2, 4, 8]);
    expect(pauseBefore(50, 1, 1)).toBe(60);
    expect(pauseBefore(3, 1, 0)).toBe(4);
  });
});

describe('delivery', () => {
  test('sends plimsoll.alert/1 to the webhook and a line to standard error, and nothing of a quiet one', async () => {
    const { url, received } = await server(() => 200);
    const lines: [string, number][] = [];
    const settings = { alerts: { ...usualSettings.alerts, webhook: { url, timeout: 5, give_up_after: 60, queue: 10 } } };
    const delivery = new Delivery({ settings, host: 'proxy-1', version: '0.1.0', say: (line, level) => lines.push([line, level]) });
    cleanUp.push(() => delivery.close());
    const alerts = new Alerts(settings.alerts.rules);
    for (let s = 0; s < 20; s++) {
      const seen = observation(1_800_000_000 + s, [{ port: 443, used: 97, capacity: 100 }]);
      delivery.tell(alerts.take(seen, seen.takenAt));
    }
    await until('the alert', () => delivery.counts().delivered === 1);
    expect(received).toHaveLength(1);
    expect(received[0]!.body).toMatchObject({
      schema: 'plimsoll.alert/1',
      event: 'raised',
      host: 'proxy-1',
      version: '0.1.0',
      alert: { rule: 'nearly_full', severity: 'critical', value: 0.97, threshold: 0.95 },
    });
    expect(lines).toHaveLength(1);
    expect(lines[0]![0]).toMatch(/^critical: 10\.0\.0\.1 → 10\.0\.0\.7:443 is 97 % full\. 97 of 100 ports are used and 3 free/);
    expect(lines[0]![1]).toBe(2);
  });
});
