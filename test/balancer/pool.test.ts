/** Admission, on real connections: what a waiter gets when ports are still on their way from the parent process. */
import { createServer } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import { Clock } from '../../src/balancer/embedded/clock.ts';
import { Pool, type Waiter } from '../../src/balancer/embedded/pool/pool.ts';
import { Server, type ServerConnection } from '../../src/balancer/embedded/pool/server.ts';
import { SnatPool } from '../../src/balancer/embedded/pool/snat.ts';
import { PortLedger } from '../../src/core/port-ledger.ts';
import { until } from '../support/poll.ts';
import { sourcePorts } from './support/balancer.ts';

const stops: (() => unknown)[] = [];
afterEach(() => {
  for (const stop of stops.splice(0).reverse()) stop();
});

class Asker implements Waiter {
  queueNext = null;
  queuePrevious = null;
  inQueue = false;
  queuedAt = 0;
  readonly exclusive = false;
  readonly key = 0;
  avoid: Set<Server> | null = null;
  tries = 0;
  opening: ServerConnection | null = null;
  got: ServerConnection | null = null;
  readonly fresh: boolean;
  constructor(fresh: boolean) {
    this.fresh = fresh;
  }
  granted(connection: ServerConnection): void {
    this.got = connection;
  }
  refused(): void {
    throw new Error('refused');
  }
}

test('a request that needs a fresh connection waits for its port beside an idle connection, and gets it when it arrives', async () => {
  const backend = createServer((socket) => socket.on('error', () => {}));
  await new Promise<void>((ready) => backend.listen(0, '127.0.0.1', ready));
  stops.push(() => backend.close());
  const to = backend.address() as { port: number };
  const key = `127.0.0.1:${to.port}`;
  const low = await sourcePorts(2);

  const ledger = new PortLedger({
    addresses: ['127.0.0.1'],
    ports: [{ low, high: low + 1 }],
    monitorPorts: 0,
    cooldown: { fin: 1, rst: 1, half_open: 1 },
    owner: false,
  });
  const clock = new Clock();
  // A worker's ledger: what it has not got it asks for, and the answer takes a while.
  const lender = { want: () => true, asking: () => true, surrender: () => {} };
  const pool = new Pool(
    {
      name: 'web',
      algorithm: 'least_connections',
      maxPerServer: 32,
      connectTimeout: 3000,
      idleTimeout: 60_000,
      maxReuse: 0,
      queueDepth: 8,
      queueTimeout: 5000,
    },
    clock,
    () => {},
  );
  pool.snat = new SnatPool('egress', 'shape', ledger, lender, () => clock.seconds());
  const server = new Server('a', '127.0.0.1', to.port, key, 1, { state: 'OPER_UP', reason: '', last_changed_time: '' });
  pool.servers = [server];
  stops.push(() => pool.closeAll(server));

  ledger.borrow({ address: '127.0.0.1', server: key, ports: [low] }, clock.seconds());
  const first = new Asker(false);
  pool.admit(first);
  pool.release(await until('the first connection', () => first.got));
  expect(server.idle).toHaveLength(1);

  const second = new Asker(true);
  pool.admit(second);
  expect([second.got, second.inQueue, server.idle.length]).toEqual([null, true, 1]);

  ledger.borrow({ address: '127.0.0.1', server: key, ports: [low + 1] }, clock.seconds());
  pool.portsFreed();
  const fresh = await until('the fresh connection', () => second.got);
  expect(fresh).not.toBe(first.got);
  expect(server.idle).toHaveLength(1);
});
