/** Events to readers that come, go, resume, sleep and vanish. */
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { connect, type Socket } from 'node:net';
import { beforeAll, expect, test } from 'vitest';
import { EventLog } from '../../../src/agent/http/event-log.ts';
import { defaultLimits, Readers, type StreamLimits } from '../../../src/agent/http/stream.ts';
import { ffi } from '../../../src/linux/ffi.ts';
import { boundSendBuffers } from '../../../src/linux/listening.ts';
import type { FindingLife } from '../../../src/wire/api.ts';
import { kernelTest, linked } from '../../support/netns.ts';
import { until } from '../../support/poll.ts';
import { close, listen, open, send } from '../../support/sockets.ts';
import { ask, EventReader, type Serving, serve } from '../support/serve.ts';

let agent: Serving;
beforeAll(async () => {
  agent = await serve(['--interval', '200ms']);
}, 180_000);

const metric = async (name: string): Promise<number> =>
  Number(new RegExp(`^${name} (\\S+)$`, 'm').exec((await ask(agent, '/metrics')).text)?.[1]);

const life = (n: number): FindingLife => ({
  id: `f${n}`,
  code: 'ports_blocked',
  subject: 'x',
  severity: 'info',
  title: '',
  text: '',
  opened_at: '2026-11-20T00:00:00Z',
  changed_at: '2026-11-20T00:00:00Z',
  closed_at: null,
  evidence: [],
  remedies: [],
});

test('a log gives what came after an id, and says when it no longer knows', () => {
  const log = new EventLog('run1');
  const ids = Array.from({ length: 1000 }, (_, n) => log.append('finding', life(n)).id);
  expect(log.since(ids[998]!)!.map((e) => e.id)).toEqual([ids[999]]);
  expect(log.since(ids[999]!)).toEqual([]);
  expect(log.since(ids[0]!)).toBeNull();
  expect(log.since('run2-999')).toBeNull();
  expect(log.since('run1-1001')).toBeNull();
  for (const id of ['', '-1', 'run1-', 'run1-x', 'run1-1e3', '../..']) expect([id, log.since(id)]).toEqual([id, null]);
  // The oldest that is known, and the one before it.
  const kept = ids.findIndex((id) => log.since(id) !== null);
  expect(log.since(ids[kept]!)!.length).toBe(999 - kept);
});

test('a log serialises once for all readers, apart with names and without', () => {
  const log = new EventLog('run1');
  let made = 0;
  const data = { ...life(1), toJSON: () => `named ${++made}` };
  const event = log.append('finding', data as unknown as FindingLife, { ...life(1), title: 'anonymous' });
  expect([event.text(true), event.text(true), made]).toEqual(['"named 1"', '"named 1"', 1]);
  expect(JSON.parse(event.text(false)).title).toBe('anonymous');
});

test('a new reader is told the newest sample at once, then every one, with ids that grow', async () => {
  const reader = await EventReader.open(agent);
  await until('five samples', () => reader.of('sample').length >= 5, 60_000);
  const numbers = reader.events.map((e) => Number(e.id.split('-')[1]));
  expect(numbers).toEqual([...numbers].sort((a, b) => a - b));
  expect(new Set(numbers).size).toBe(numbers.length);
  reader.close();
}, 120_000);

test('who comes back with the last id misses nothing and gets nothing twice', async () => {
  const first = await EventReader.open(agent);
  await until('three samples', () => first.of('sample').length >= 3, 60_000);
  first.close();
  const last = first.events.at(-1)!.id;
  await new Promise((resolve) => setTimeout(resolve, 700));
  for (const asking of [{ headers: { 'Last-Event-ID': last } }, { query: `?since=${last}` }]) {
    const second = await EventReader.open(agent, asking);
    await until('what was missed', () => second.events.length >= 3, 60_000);
    const numbers = second.events.map((e) => Number(e.id.split('-')[1]));
    expect(numbers[0]).toBe(Number(last.split('-')[1]) + 1);
    expect(numbers).toEqual(numbers.map((_, i) => numbers[0]! + i));
    second.close();
  }
  expect(await metric('plimsoll_event_readers_resumed_total')).toBeGreaterThanOrEqual(2);
}, 180_000);

test('process names are in events only for who has the token', async () => {
  const open = await EventReader.open(agent);
  const named = await EventReader.open(agent, { token: true });
  // This test's own connections make a port space with an owner.
  const hold = await Promise.all(
    Array.from(
      { length: 3 },
      () =>
        new Promise<Socket>((resolve) => {
          const s = connect(agent.port, '127.0.0.1', () => resolve(s));
        }),
    ),
  );
  const owners = (r: EventReader) =>
    r
      .of('sample')
      .flatMap((e) => e.data.spaces)
      .flatMap((s: { owners: { command: string }[] }) => s.owners);
  await until('an owner', () => owners(named).length > 0, 40_000);
  expect(owners(open)).toEqual([]);
  expect((await ask(agent, '/api/v1/report')).json.port_spaces.flatMap((s: { owners: unknown[] }) => s.owners)).toEqual([]);
  expect(
    (await ask(agent, '/api/v1/report', { token: true })).json.port_spaces.flatMap((s: { owners: unknown[] }) => s.owners),
  ).not.toEqual([]);
  for (const s of hold) s.destroy();
  open.close();
  named.close();
}, 180_000);

/** Readers over a real listener, with bounds that are soon reached. */
const listening = async (limits: Partial<StreamLimits>) => {
  const log = new EventLog('run1');
  const readers = new Readers(log, { ...defaultLimits, ...limits });
  const server = createServer((_, response) => readers.attach(response, null, false)).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const c = ffi();
  if (c.status === 'ok') boundSendBuffers(c.value, (server as unknown as { _handle: { fd: number } })._handle.fd, 32 * 1024);
  const { port } = server.address() as { port: number };
  const asking = 'GET / HTTP/1.1\r\nHost: localhost\r\n\r\n';
  return { log, readers, server, port, asking };
};
const big = { ...life(1), text: 'x'.repeat(20_000) };

test('a reader that takes nothing is cut off at the bound of its buffer and counted; the others hear everything', async () => {
  const { log, readers, server, port, asking } = await listening({ buffer: 128 * 1024 });
  const asleep = [0, 1, 2].map(() => open('127.0.0.1', port));
  for (const fd of asleep) send(fd, asking);
  const awake = connect(port, '127.0.0.1');
  awake.write(asking);
  let heard = '';
  awake.setEncoding('latin1').on('data', (text: string) => {
    heard += text;
  });
  await until('four readers', () => readers.size === 4, 30_000);
  let told = 0;
  await until('three cut off', () => {
    log.append('finding', big);
    told++;
    return readers.counts.dropped_slow === 3;
  });
  // What waited in this process for each was never more than its bound; the rest is in the kernel, which is bounded too.
  expect(told * 20_000).toBeLessThan(12e6);
  expect(readers.size).toBe(1);
  await until('all of it', () => heard.split('event: finding').length - 1 === told, 60_000);
  close(...asleep);
  awake.destroy();
  readers.close();
  server.close();
}, 180_000);

test('a reader that is too slow for too long is cut off though its buffer has room', async () => {
  const { log, readers, server, port, asking } = await listening({ buffer: 64 * 1024 * 1024, stall: 2 });
  const asleep = open('127.0.0.1', port);
  send(asleep, asking);
  await until('a reader', () => readers.size === 1);
  for (let i = 0; i < 600; i++) log.append('finding', big);
  await until('being cut off', () => readers.counts.dropped_slow === 1, 20_000);
  close(asleep);
  readers.close();
  server.close();
}, 180_000);

kernelTest(
  'a reader whose host has vanished without a word is cut off too',
  async () => {
    const [here, there] = linked();
    const { log, readers, server } = await (async () => {
      const eventLog = new EventLog('run1');
      const held = new Readers(eventLog, { ...defaultLimits, stall: 2, heartbeat: 1 });
      const fd = here.run(() => listen('10.77.0.1', 8000));
      const listener = createServer((_, response) => held.attach(response, null, false)).listen({ fd });
      await once(listener, 'listening');
      return { log: eventLog, readers: held, server: listener };
    })();
    const reader = there.run(() => open('10.77.0.1', 8000));
    send(reader, 'GET / HTTP/1.1\r\nHost: localhost\r\n\r\n');
    await until('a reader', () => readers.size === 1);
    log.append('finding', life(1));
    execFileSync('ip', ['-n', there.name, 'link', 'set', 'eth0', 'down']);
    await until(
      'being cut off',
      () => {
        log.append('finding', big);
        return readers.counts.dropped_slow === 1;
      },
      30_000,
    );
    close(reader);
    readers.close();
    server.close();
  },
  60_000,
);

test('a hundred readers hear the same, and cost little', async () => {
  const readers = await Promise.all(Array.from({ length: 100 }, () => EventReader.open(agent)));
  await until('a hundred', async () => (await metric('plimsoll_event_readers')) === 100, 60_000);
  const cpu = await metric('process_cpu_seconds_total');
  const from = performance.now();
  await until('ten samples', () => readers.every((r) => r.of('sample').length >= 10), 100_000);
  const seconds = (performance.now() - from) / 1000;
  const share = ((await metric('process_cpu_seconds_total')) - cpu) / seconds;
  // Five looks a second and a hundred readers of each.
  expect(share).toBeLessThan(0.5);
  // One event has one text, whoever reads it.
  const byId = new Map<string, Set<string>>();
  for (const r of readers) for (const e of r.events) byId.set(e.id, (byId.get(e.id) ?? new Set()).add(JSON.stringify(e.data)));
  for (const [id, texts] of byId) expect([id, texts.size]).toEqual([id, 1]);
  for (const r of readers) r.close();
  await until('no reader left', async () => (await metric('plimsoll_event_readers')) === 0, 60_000);
}, 180_000);

test('beyond the bound a further reader is told to come back', async () => {
  const readers = await Promise.all(Array.from({ length: 256 }, () => EventReader.open(agent)));
  expect(await ask(agent, '/api/v1/events')).toMatchObject({ status: 503, json: { code: 'http_readers_full' } });
  for (const r of readers) r.close();
  await until('room again', async () => (await metric('plimsoll_event_readers')) === 0, 60_000);
}, 180_000);

test('after kill -9 and a restart, a reader that comes back with its old id is told to start anew', async () => {
  const other = await serve();
  const reader = await EventReader.open(other);
  await until('a sample', () => reader.of('sample').length > 0, 60_000);
  const last = reader.events.at(-1)!.id;
  other.child.kill('SIGKILL');
  await until('the end', () => reader.closed, 30_000);
  const again = await serve();
  const back = await EventReader.open(again, { headers: { 'Last-Event-ID': last } });
  await until('a reset and a sample', () => back.of('reset').length === 1 && back.of('sample').length >= 1, 60_000);
  expect(back.events[0]!.event).toBe('reset');
  back.close();
  again.child.kill();
}, 180_000);

test('SIGTERM ends it at once though readers listen, with exit code 0, and their streams end properly', async () => {
  const other = await serve();
  const readers = await Promise.all(Array.from({ length: 5 }, () => EventReader.open(other)));
  const from = performance.now();
  other.child.kill('SIGTERM');
  expect(await other.exited).toBe(0);
  expect(performance.now() - from).toBeLessThan(10_000);
  await until('ends', () => readers.every((r) => r.closed), 30_000);
}, 180_000);
