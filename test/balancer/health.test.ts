/** What monitors say of a server, on real sockets: each class, and that a failure of this host is never the server's. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer as createHttpServer } from 'node:http';
import { connect } from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import { connectFailure, streamFailure } from '../../src/balancer/failure.ts';
import { type MonitorPorts, probe, type Question, type Target } from '../../src/balancer/health/probe.ts';
import { PortLedger } from '../../src/core/port-ledger.ts';
import { until } from '../support/poll.ts';
import { balancer, file, freePort, Raw, rawServer, sourcePorts } from './support/balancer.ts';

const stops: (() => unknown)[] = [];
afterEach(async () => {
  for (const stop of stops.splice(0).reverse()) await stop();
});

const at = (port: number, address = '127.0.0.1'): Target => ({ address, port, key: `${address}:${port}` });
const tcp: Question = { type: 'tcp', receive_timeout: 0.3 };
const http = (more: Partial<Question> = {}): Question => ({
  type: 'http',
  receive_timeout: 0.3,
  path: '/healthz',
  expect: [{ low: 200, high: 399 }],
  ...more,
});

const ledger = (ports: readonly [number, number], address = '127.0.0.1'): { readonly ports: MonitorPorts; readonly ledger: PortLedger } => {
  const own = new PortLedger({
    addresses: [address],
    ports: [{ low: ports[0], high: ports[1] }],
    monitorPorts: ports[1] - ports[0] + 1,
    cooldown: { fin: 1, rst: 1, half_open: 1 },
  });
  const now = (): number => performance.now() / 1000;
  return {
    ledger: own,
    ports: {
      acquire: (key) => own.acquireMonitor(key, now()),
      release: (lease, ending) => own.release(lease, ending, now()),
      hold: (lease) => own.hold(lease, now()),
    },
  };
};

describe('a probe', () => {
  test('of a listener is up, from the kernel’s port and from ours, a hundred times over four ports', async () => {
    const server = await rawServer(() => {});
    stops.push(() => server.stop());
    expect(await probe(at(server.port), tcp, null)).toMatchObject({ class: 'up', collisions: 0 });
    const base = await sourcePorts(4);
    const { ports } = ledger([base, base + 3]);
    for (let i = 0; i < 100; i++) expect((await probe(at(server.port), tcp, ports)).class).toBe('up');
  });

  test('of a closed port is refused, after other ports were tried', async () => {
    const base = await sourcePorts(4);
    const { ports } = ledger([base, base + 3]);
    const result = await probe(at(await freePort()), tcp, ports);
    expect(result).toMatchObject({ class: 'refused', collisions: 0 });
    expect(result.detail).toContain('ECONNREFUSED');
  });

  test('of an address that does not answer is a timeout', async () => {
    // A listener whose queue is full drops SYNs: a process that was stopped, and three connections that it does not accept.
    const child = spawn(process.execPath, [
      '-e',
      'const s = require("net").createServer().listen({ port: 0, host: "127.0.0.1", backlog: 1 }, () => console.log(s.address().port))',
    ]);
    stops.push(() => child.kill('SIGKILL'));
    const port = Number(String((await once(child.stdout, 'data'))[0]));
    child.kill('SIGSTOP');
    for (let i = 0; i < 3; i++) {
      const filler = connect({ port, host: '127.0.0.1' }).on('error', () => {});
      stops.push(() => filler.destroy());
    }
    await until('the queue to be full', async () => (await probe(at(port), tcp, null)).class === 'timeout');
    expect(await probe(at(port), tcp, null)).toMatchObject({ class: 'timeout', detail: 'no answer to the SYN in time' });
  });

  test('of a server that answers too late, badly, or by closing is told apart', async () => {
    const server = await rawServer((socket) => {
      socket.on('data', (chunk) => {
        const path = /GET (\S+)/.exec(chunk.toString())?.[1];
        if (path === '/nonsense') socket.write('hello\r\n\r\nhello hello');
        if (path === '/close') socket.end();
        if (path === '/reset') socket.resetAndDestroy();
        if (path === '/500') socket.write('HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n');
        if (path === '/early') socket.write('HTTP/1.1 103 Early\r\n\r\nHTTP/1.1 204 Fine\r\n\r\n');
      });
    });
    stops.push(() => server.stop());
    const ask = (path: string) => probe(at(server.port), http({ path }), null);
    expect(await ask('/late')).toMatchObject({ class: 'timeout' });
    expect(await ask('/nonsense')).toMatchObject({ class: 'bad_response' });
    expect(await ask('/close')).toMatchObject({ class: 'bad_response' });
    expect(await ask('/reset')).toMatchObject({ class: 'bad_response' });
    expect(await ask('/500')).toMatchObject({ class: 'bad_response', detail: 'status 500' });
    expect(await ask('/early')).toMatchObject({ class: 'up', detail: 'status 204' });
    expect(await probe(at(server.port), http({ path: '/500', expect: [{ low: 500, high: 500 }] }), null)).toMatchObject({ class: 'up' });
  });

  test('that finds its ports taken, its address absent or none left is local', async () => {
    const server = await rawServer(() => {});
    stops.push(() => server.stop());
    const holder = await rawServer(() => {});
    stops.push(() => holder.stop());
    const taken = ledger([holder.port, holder.port]);
    expect(await probe(at(server.port), tcp, taken.ports)).toMatchObject({ class: 'local' });
    expect(taken.ledger.stats(performance.now() / 1000)[0]!.monitor_used).toBe(0);
    const base = await sourcePorts(4);
    expect(await probe(at(server.port), tcp, ledger([base, base], '203.0.113.77').ports)).toMatchObject({ class: 'local' });
    const one = ledger([base, base]);
    one.ports.acquire(at(server.port).key, false);
    expect(await probe(at(server.port), tcp, one.ports)).toMatchObject({ class: 'local', detail: 'no monitor port left' });
  });
});

describe('a server', () => {
  const monitored = (port: number, server: number, more = ''): string =>
    file(port, [server], {
      pool: `health_monitors: [m]${more}`,
      rest: 'health_monitors: [{ name: m, type: http, path: /, send_interval: 50ms, receive_timeout: 40ms, successful_checks: 2, failed_checks: 3 }]',
    });

  test('goes down after failed_checks in a row and up after successful_checks, with the reason kept', async () => {
    let status = 200;
    const server = createHttpServer((_, response) => {
      response.statusCode = status;
      response.end();
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    stops.push(() => {
      server.closeAllConnections();
      server.close();
    });
    const running = await balancer((port) => monitored(port, (server.address() as { port: number }).port));
    stops.push(() => running.stop());
    const member = () => running.engine.state().pools[0]!.servers[0]!;
    await until('the first answer', () => member().oper_status.state === 'OPER_UP');
    status = 500;
    await until('down', () => member().oper_status.state === 'OPER_DOWN');
    expect(member().health_check_failures).toBeGreaterThanOrEqual(3);
    expect(running.events.find((e) => e.kind === 'server_down')).toMatchObject({
      cause: 'remote',
      text: expect.stringContaining('status 500'),
    });
    const raw = await Raw.connect(running.port);
    stops.push(() => raw.destroy());
    expect((await raw.write('GET / HTTP/1.1\r\nHost: a\r\n\r\n').response()).status).toBe(503);
    status = 200;
    await until('up again', () => member().oper_status.state === 'OPER_UP');
    expect(running.events.filter((e) => e.kind === 'server_up')).toHaveLength(1);
  });

  test('whose monitors have no port to ask from stays as it was', async () => {
    const server = await rawServer((socket) => void socket.on('data', () => socket.write('HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n')));
    stops.push(() => server.stop());
    const holder = await rawServer(() => {});
    stops.push(() => holder.stop());
    // Two ports, the higher kept for monitors: and that one is somebody else's.
    const running = await balancer(
      (port) =>
        `${monitored(port, server.port, ', snat_pool: s')}\nsnat_pools: [{ name: s, addresses: [127.0.0.1], ports: [${holder.port - 1}-${holder.port}], monitor_ports: 1 }]`,
    );
    stops.push(() => running.stop());
    const monitor = () => running.engine.state().health_monitors[0]!;
    await until('ten probes without a port', () => monitor().local >= 10);
    expect(monitor()).toMatchObject({ refused: 0, timeout: 0, bad_response: 0 });
    expect(running.engine.state().pools[0]!.servers[0]!.oper_status.state).not.toBe('OPER_DOWN');
    expect(running.events.filter((e) => e.kind === 'server_down')).toEqual([]);
  });
});

test('failures are told apart by code, call and whose port it was, never by their message', () => {
  const error = (code: string, syscall: string): NodeJS.ErrnoException => Object.assign(new Error('whatever it says'), { code, syscall });
  expect(connectFailure(error('EADDRINUSE', 'bind'), true)).toMatchObject({ kind: 'port_taken', cause: 'local' });
  expect(connectFailure(error('EADDRNOTAVAIL', 'connect'), true)).toMatchObject({ kind: 'port_taken', cause: 'local' });
  expect(connectFailure(error('EADDRNOTAVAIL', 'connect'), false)).toMatchObject({ kind: 'no_port', cause: 'local' });
  expect(connectFailure(error('EADDRNOTAVAIL', 'bind'), true)).toMatchObject({ kind: 'address_absent', cause: 'local' });
  expect(connectFailure(error('EMFILE', 'connect'), false)).toMatchObject({ kind: 'local_other', cause: 'local' });
  expect(connectFailure(error('ECONNREFUSED', 'connect'), true)).toMatchObject({ kind: 'refused', cause: 'remote' });
  expect(connectFailure(error('ETIMEDOUT', 'connect'), true)).toMatchObject({ kind: 'timeout', cause: 'network' });
  expect(connectFailure(error('EHOSTUNREACH', 'connect'), true)).toMatchObject({ kind: 'unreachable', cause: 'network' });
  expect(streamFailure(error('ECONNRESET', 'read'))).toMatchObject({ kind: 'reset', cause: 'remote' });
});
