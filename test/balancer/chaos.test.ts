/**
 * Clients and servers that behave as badly as they can, for a few seconds, in every mode; then everybody leaves. Whatever
 * happened, the books must balance: no request open, nobody waiting, no load on a server, no port in use.
 */
import { connect, type Socket } from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import { until } from '../support/poll.ts';
import { balancer, file, rawServer, sourcePorts } from './support/balancer.ts';

const stops: (() => unknown)[] = [];
afterEach(async () => {
  for (const stop of stops.splice(0).reverse()) await stop();
});

/** mulberry32: the same seed gives the same misbehaviour. */
const random = (seed: number) => (): number => {
  seed = (seed + 0x6d2b79f5) | 0;
  let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
  t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
  return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
};

const budget = 2000;
const clients = 40;

const misbehavingServer =
  (dice: () => number) =>
  (socket: Socket): void => {
    let text = '';
    const pick = <T>(list: readonly T[]): T => list[Math.floor(dice() * list.length)]!;
    socket.on('data', (chunk) => {
      text += chunk.toString('latin1');
      while (text.includes('\r\n\r\n')) {
        text = text.slice(text.indexOf('\r\n\r\n') + 4);
        const act = (): void => {
          if (socket.destroyed) return;
          const body = 'x'.repeat(Math.floor(dice() ** 4 * 200_000));
          pick([
            () => socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'),
            () => socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'),
            () => socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\n\r\n${body}`),
            () => socket.write(`HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n0\r\n\r\n`),
            () => socket.write('HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nab'),
            () => socket.end('HTTP/1.1 200 OK\r\n\r\nuntil close'),
            () => socket.end('HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok'),
            () => socket.write('HTTP/1.1 401 No\r\nWWW-Authenticate: NTLM\r\nContent-Length: 0\r\n\r\n'),
            () => socket.write('HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\nhi'),
            () => socket.write('HTTP/1.1 103 Hints\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\nextra'),
            () => socket.write('nonsense nonsense nonsense\r\n\r\n'),
            () => socket.end(),
            () => socket.resetAndDestroy(),
            () => undefined,
          ])();
        };
        if (dice() < 0.5) act();
        else setTimeout(act, dice() * 60);
      }
    });
    socket.on('end', () => (dice() < 0.8 ? socket.end() : undefined));
  };

const misbehavingClient = async (port: number, dice: () => number, over: () => boolean): Promise<void> => {
  const pick = <T>(list: readonly T[]): T => list[Math.floor(dice() * list.length)]!;
  const wait = (ms: number): Promise<void> => new Promise((done) => setTimeout(done, ms));
  while (!over()) {
    const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
    socket.on('error', () => {});
    socket.on('data', () => {});
    for (let i = 0; i < 6 && !socket.destroyed && !over(); i++) {
      socket.write(
        pick([
          'GET / HTTP/1.1\r\nHost: a\r\n\r\n',
          'GET / HTTP/1.1\r\nHost: a\r\n\r\n'.repeat(5),
          'HEAD / HTTP/1.1\r\nHost: a\r\n\r\n',
          'GET / HTTP/1.0\r\n\r\n',
          'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nabcde',
          'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 50000\r\n\r\nabcde',
          'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n',
          '0\r\n\r\n',
          'GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n',
          'GET / HTTP/1.1\r\nHost: a\r\nAuthorization: NTLM x\r\n\r\n',
          'GET / HT',
          'garbage\r\n\r\n',
        ]),
        'latin1',
      );
      await wait(dice() * 40);
      pick([
        () => undefined,
        () => undefined,
        () => socket.end(),
        () => socket.destroy(),
        () => socket.resetAndDestroy(),
        () => socket.pause(),
      ])();
    }
    socket.destroy();
  }
};

describe.each([1, 2])('seed %i', (seed) => {
  test.each(['http', 'tcp'])(
    '%s: after everybody has left, no request is open and no port is used',
    async (type) => {
      const dice = random(seed);
      const backend = await rawServer(misbehavingServer(dice));
      stops.push(() => backend.stop());
      // Fewer ports than clients.
      const low = await sourcePorts(16);
      const running = await balancer((port) =>
        file(port, [backend.port], {
          type,
          profile:
            'client_header_timeout: 200ms, client_body_timeout: 200ms, client_idle_timeout: 300ms, server_timeout: 300ms, tunnel_idle_timeout: 300ms, half_closed_timeout: 200ms',
          pool: 'snat_pool: s, connections: { max_per_server: 12, idle_timeout: 300ms }, queue: { depth: 20, timeout: 300ms }',
          rest: `snat_pools: [{ name: s, addresses: [127.0.0.1], ports: [${low}-${low + 15}], monitor_ports: 0, cooldown: { fin: 200ms, rst: 200ms, half_open: 200ms } }]`,
        }),
      );
      stops.push(() => running.stop());
      const end = Date.now() + budget;
      // At least so long, and at least so much: a busy machine needs longer for it.
      const over = (): boolean => Date.now() > end && running.engine.state().virtual_services[0]!.total_requests > 100;
      const flips =
        type === 'tcp'
          ? null
          : setInterval(() => {
              running.engine.setMultiplexing('web', dice() < 0.5);
              running.engine.administer(
                'web',
                's0',
                (['enabled', 'enabled', 'enabled', 'draining', 'disabled'] as const)[Math.floor(dice() * 5)]!,
              );
            }, 50);
      await Promise.all(Array.from({ length: clients }, () => misbehavingClient(running.port, dice, over)));
      if (flips !== null) clearInterval(flips);
      running.engine.administer('web', 's0', 'enabled');
      const state = () => running.engine.state();
      expect(state().virtual_services[0]!.total_requests).toBeGreaterThan(100);
      await until('the books to balance', () => {
        const { virtual_services, pools, snat_pools } = state();
        const [service, pool, member] = [virtual_services[0]!, pools[0]!, pools[0]!.servers[0]!];
        const open =
          service.open_conns + service.open_requests + service.tunnels + pool.queue.waiting + member.open_conns + member.opening_conns;
        return (
          open === 0 &&
          member.open_requests === 0 &&
          member.bound_conns === 0 &&
          member.idle_conns === 0 &&
          snat_pools[0]!.use.every((u) => u.used === 0)
        );
      }).catch((error) => {
        const { virtual_services, pools, snat_pools } = state();
        throw new Error(`${error.message}: ${JSON.stringify({ service: virtual_services[0], pool: pools[0], snat: snat_pools[0]!.use })}`);
      });
    },
    60_000,
  );
});
