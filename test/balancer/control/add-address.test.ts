/** A SNAT pool is given one more source address while it runs out: the ports are there at once, with one process and with workers. */
import { writeFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { withSnatAddress } from '../../../src/balancer/configuration/live.ts';
import { ask } from '../../../src/balancer/control/client.ts';
import { parseRequest } from '../../../src/balancer/control/protocol.ts';
import { program, scratch, start } from '../../agent/support/serve.ts';
import { until } from '../../support/poll.ts';
import { plimsoll } from '../../support/shell.ts';
import { configuration, freePort, Raw, rawServer, sourcePorts } from '../support/balancer.ts';

const yaml = (port: number, server: number, low: number, ports: number): string => `
version: 1
virtual_services: [{ name: web, listen: 127.0.0.1:${port}, application_profile: p, pool: web }]
application_profiles: [{ name: p, type: http, connection_multiplexing: false }]
pools: [{ name: web, servers: [{ name: a, address: 127.0.0.1:${server} }], snat_pool: egress, queue: { depth: 100, timeout: 60s } }]
snat_pools:
  - { name: egress, addresses: [127.0.0.2], ports: [${low}-${low + ports - 1}], monitor_ports: 1 }
  - { name: other, addresses: [127.0.0.3], ports: [${low}-${low + ports - 1}], monitor_ports: 1 }
`;

test('the request is parsed, its address in canonical form, and nothing else is', () => {
  const line = (address: unknown, pool: unknown = 'egress'): string => JSON.stringify({ request: 'add_address', snat_pool: pool, address });
  expect(parseRequest(line('::FFFF:10.0.0.6'))).toEqual({ request: 'add_address', snat_pool: 'egress', address: '10.0.0.6' });
  expect(parseRequest(line('2001:DB8:0::1'))).toMatchObject({ address: '2001:db8::1' });
  for (const wrong of ['', '10.0.0', '10.0.0.0/8', 7, null, 'localhost']) expect([wrong, parseRequest(line(wrong))]).toEqual([wrong, null]);
  expect(parseRequest(line('10.0.0.6', ''))).toBeNull();
});

test('it is held against the rules of the file: no address twice, none whose ports belong to another pool, no other family', () => {
  const running = configuration(yaml(80, 81, 20_000, 10));
  expect(withSnatAddress(running, 'egress', '127.0.0.9').snat_pools[0]!.addresses).toEqual(['127.0.0.2', '127.0.0.9']);
  expect(withSnatAddress(running, 'egress', '127.0.0.2')).toBe(running);
  expect(() => withSnatAddress(running, 'egress', '127.0.0.3')).toThrow(/other/);
  expect(() => withSnatAddress(running, 'egress', '0.0.0.0')).toThrow(/no source address/);
  expect(() => withSnatAddress(running, 'none', '127.0.0.9')).toThrow(/no SNAT pool/);
});

test.each([1, 2])(
  'with %i workers: requests that waited for a port get one when the address comes, other settings stay, and a reload goes by the file',
  async (workers) => {
    const low = await sourcePorts(8);
    const port = await freePort();
    const held: string[] = [];
    const server = await rawServer((socket) => {
      held.push(`${socket.remoteAddress}`);
      socket.resume();
    });
    const file = scratch('plimsoll.yaml');
    const socket = scratch('balance.sock');
    // Five ports for traffic.
    writeFileSync(file, yaml(port, server.port, low, 6));
    const balancer = start(process.execPath, [program, 'balance', '-c', file, '--socket', socket, '--workers', String(workers)]);
    await until('the balancer', () => balancer.said.err.includes('web on'), 30_000);
    await ask(socket, { request: 'set', virtual_service: 'web', connection_multiplexing: true });
    await ask(socket, { request: 'set', virtual_service: 'web', connection_multiplexing: false });
    const clients = await Promise.all(
      Array.from({ length: 9 }, async () => {
        const client = await Raw.connect(port);
        client.socket.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n');
        return client;
      }),
    );
    const waiting = async (): Promise<number> => (await ask(socket, { request: 'state' })).pools[0]!.queue.waiting;
    await until('four that wait', async () => held.length === 5 && (await waiting()) === 4, 30_000);
    const set = (...args: string[]) => plimsoll(['set', 'snatpool', ...args, '--socket', socket]);
    expect(await set('egress', 'address+=127.0.0.3')).toMatchObject({ code: 64, err: expect.stringContaining('belong to snat_pool') });
    expect(await set('egress', 'address+=192.0.2.9')).toMatchObject({ code: 64, err: expect.stringContaining('is not on this host') });
    expect(await set('none', 'address+=127.0.0.9')).toMatchObject({ code: 66 });
    expect(await set('egress', 'address+=here')).toMatchObject({ code: 64 });
    expect(await set('egress', 'address+=127.0.0.9')).toMatchObject({
      code: 0,
      err: expect.stringContaining('127.0.0.9 is a source address of SNAT pool egress'),
    });
    await until('the four that waited', () => held.length === 9, 30_000);
    expect(held.filter((address) => address === '127.0.0.9').length).toBe(4);
    const state = await ask(socket, { request: 'state' });
    expect(state.snat_pools[0]!.addresses).toEqual([
      { address: '127.0.0.2', state: 'active' },
      { address: '127.0.0.9', state: 'active' },
    ]);
    expect(state.virtual_services[0]!.connection_multiplexing).toBe(false);
    expect(state.events.some((e) => e.kind === 'address_added' && e.text.includes('127.0.0.9'))).toBe(true);
    expect(await set('egress', 'address+=127.0.0.9')).toMatchObject({ code: 0 });
    await ask(socket, { request: 'reload' });
    expect((await ask(socket, { request: 'state' })).snat_pools[0]!.addresses.find((a) => a.address === '127.0.0.9')?.state).not.toBe(
      'active',
    );
    for (const client of clients) client.socket.destroy();
    balancer.child.kill('SIGKILL');
    await server.stop();
  },
  90_000,
);
