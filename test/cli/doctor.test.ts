/** `plimsoll doctor` as a user runs it: the built command, in namespaces, with and without rights, with wrong input. */
import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect } from 'vitest';
import type { ReportDocument } from '../../src/wire/report.ts';
import { reportSchema } from '../../src/wire/report-schema.ts';
import { kernelTest, linked, type Namespace, namespace } from '../support/netns.ts';
import { until } from '../support/poll.ts';
import { listen, makeTimeWaits, open, openUntilFailure } from '../support/sockets.ts';

const command = new URL('../../dist/plimsoll.cjs', import.meta.url).pathname;
const A = '10.66.0.1';

interface Ran {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs the command inside `ns`, to its end; `before` are words in front of it. */
const runIn = async (ns: Namespace, args: readonly string[], env: NodeJS.ProcessEnv = {}, before: readonly string[] = []): Promise<Ran> => {
  const line = [...before, process.execPath, command, 'doctor', ...args];
  const child = ns.spawn(line[0]!, line.slice(1), { ...process.env, NO_COLOR: '1', ...env });
  let stdout = '';
  let stderr = '';
  child.stdout!.on('data', (d: Buffer) => {
    stdout += d.toString();
  });
  child.stderr!.on('data', (d: Buffer) => {
    stderr += d.toString();
  });
  const [code] = (await once(child, 'close')) as [number | null];
  return { code, stdout, stderr };
};

const report = async (
  ns: Namespace,
  args: readonly string[] = ['--interval', '0s'],
  env: NodeJS.ProcessEnv = {},
  before: readonly string[] = [],
): Promise<ReportDocument> => reportSchema.parse(JSON.parse((await runIn(ns, ['--json', ...args], env, before)).stdout));

const filled = (timeWaits: number): Namespace => {
  const ns = namespace({ range: [40000, 40099], addresses: [A], sysctls: { 'net.ipv4.tcp_tw_reuse': 0 } });
  ns.run(() => {
    const listener = listen(A, 80);
    makeTimeWaits(A, 80, listener, timeWaits);
    for (let i = 0; i < 3; i++) open(A, 80);
  });
  return ns;
};

/** A process that waits, then fails to connect three times, and stays until it is killed. */
const failer = `
process.stdin.once('data', () => {
  const net = require('node:net');
  let left = 3;
  for (let i = 0; i < 3; i++) net.connect(80, '10.77.0.2').on('error', (e) => { if (--left === 0) console.log(e.code); });
});
setInterval(() => {}, 1000);
require('node:fs').writeFileSync('/proc/self/comm', 'checkout');
console.log('ready');
`;

describe.concurrent('plimsoll doctor', () => {
  kernelTest(
    'reports three failed port searches as three, with destination and process',
    async () => {
      const [client, server] = linked({ range: [40000, 40019] });
      server.run(() => listen('10.77.0.2', 80));
      client.run(() => openUntilFailure('10.77.0.2', 80));
      const child = client.spawn(process.execPath, ['-e', failer]);
      let said = '';
      child.stdout!.on('data', (d: Buffer) => {
        said += d.toString();
      });
      await until('the process to be there', () => said.includes('ready'));
      const running = report(client, ['--interval', '3s']);
      // The watch is set up when the doctor holds perf events.
      await until('the doctor to watch', () =>
        readdirSync('/proc')
          .filter((pid) => /^\d+$/.test(pid))
          .some((pid) => {
            try {
              const line = spawnSync('cat', [`/proc/${pid}/cmdline`]).stdout.toString();
              return (
                line.includes('plimsoll.cjs\0doctor') &&
                line.includes('3s') &&
                spawnSync('ls', ['-l', `/proc/${pid}/fd`])
                  .stdout.toString()
                  .includes('perf_event')
              );
            } catch {
              return false;
            }
          }),
      );
      child.stdin!.write('go\n');
      const d = await running;
      expect(said).toContain('EADDRNOTAVAIL');
      const space = d.port_spaces.find((s) => s.destination === '10.77.0.2' && s.destination_port === 80)!;
      expect(space.failed_searches).toBe(3);
      expect(space.owners.map((o) => o.command)).toContain('checkout');
      expect(d.because).toContain('failed_port_searches');
      child.kill('SIGKILL');
    },
    40_000,
  );

  kernelTest('answers like a monitoring plugin: 0, 1, 2', async () => {
    expect((await runIn(filled(20), ['--interval', '0s'])).code).toBe(0);
    expect((await runIn(filled(85), ['--interval', '100ms'])).code).toBe(1);
    const full = filled(97);
    const { code, stdout } = await runIn(full, ['--interval', '0s']);
    expect(code).toBe(2);
    expect(stdout).toMatch(/^CRITICAL {2}Short connections fill 10\.66\.0\.1 → 10\.66\.0\.1:80/);
    expect(stdout).toContain('What each remedy buys');
  });

  kernelTest('writes a document that its schema accepts, and names the process that holds the sockets', async () => {
    const d = await report(filled(20), ['--interval', '200ms']);
    expect(d.port_spaces[0]).toMatchObject({
      source: A,
      destination: A,
      destination_port: 80,
      capacity: 100,
      used: 23,
      free: 77,
      by_state: { time_wait: 20, established: 3 },
    });
    expect(d.port_spaces[0]!.owners).toMatchObject([{ pid: process.pid, sockets: 3 }]);
    expect(d.sensors.filter((s) => s.status !== 'ok').map((s) => s.name)).toEqual(['balancer']);
    expect(d.interval).toBeGreaterThan(0.15);
  });

  kernelTest('tells how many connections are possible to a destination without a socket', async () => {
    const d = await report(filled(0), ['--interval', '0s', '--to', `${A}:8443`, '--to', '127.0.0.1:5432']);
    const asked = d.port_spaces.filter((s) => s.used === 0);
    expect(asked.map((s) => [s.destination, s.destination_port, s.free])).toEqual(
      expect.arrayContaining([
        [A, 8443, 100],
        ['127.0.0.1', 5432, 100],
      ]),
    );
  });

  kernelTest('without root still counts exactly, and names what it could not see', async () => {
    const ns = filled(40);
    const nobody = ['setpriv', '--reuid', '65534', '--regid', '65534', '--clear-groups', '--inh-caps=-all', '--bounding-set=-all'];
    const d = await report(ns, ['--interval', '200ms'], {}, nobody);
    expect(d.port_spaces[0]).toMatchObject({ used: 43, free: 57, free_low: 57, free_high: 57, failed_searches: null });
    const status = Object.fromEntries(d.sensors.map((s) => [s.name, s.status]));
    expect(status).toMatchObject({ sockets: 'ok', owners: 'denied', 'port searches': 'denied' });
    const page = await runIn(ns, ['--interval', '200ms'], {}, nobody);
    expect(page.stdout).toContain('Not seen');
    expect(page.stdout.replace(/\s+/g, ' ')).toContain('naming those needs root');
  });

  kernelTest('without the C library reads /proc, counts the same, and says what that costs', async () => {
    const d = await report(filled(40), ['--interval', '200ms'], { PLIMSOLL_FFI: 'off' });
    expect(d.port_spaces[0]).toMatchObject({ used: 43, free: 57, by_state: { time_wait: 40, established: 3 }, idle_connections: null });
    expect(d.sensors.find((s) => s.name === 'sockets')).toMatchObject({ status: 'unsupported' });
  });

  kernelTest('looks into another namespace by name, by process, and into all of them, each with its own range', async () => {
    const here = filled(10);
    const there = namespace({ range: [50000, 50049], addresses: [A] });
    there.run(() => {
      listen(A, 80);
      for (let i = 0; i < 30; i++) open(A, 80);
    });
    const sleeper = there.spawn('sleep', ['60']);
    const byName = await report(here, ['--interval', '0s', '--netns', there.name]);
    expect(byName.namespaces[0]).toMatchObject({ name: there.name, port_range: { low: 50000, high: 50049 } });
    expect(byName.port_spaces[0]).toMatchObject({ used: 30, capacity: 50 });
    // setpriv and ip replace themselves, so the child is the sleeper.
    const byPid = await until('the process to be in its namespace', async () => {
      const d = await report(here, ['--interval', '0s', '--netns', `pid:${sleeper.pid}`]);
      return d.namespaces[0]!.port_range.low === 50000 ? d : null;
    });
    expect(byPid.port_spaces[0]).toMatchObject({ used: 30 });
    const all = await report(here, ['--interval', '0s', '--netns', 'all', '--top', '500']);
    expect(all.namespaces.map((n) => n.name)).toEqual(expect.arrayContaining([here.name, there.name]));
    expect(all.port_spaces.some((s) => s.namespace === there.name && s.used === 30)).toBe(true);
  });

  kernelTest(
    'says what is wrong with the input, by exit code and nearest name',
    async () => {
      const ns = filled(0);
      const cases: readonly (readonly [readonly string[], number, RegExp])[] = [
        [['--intervall', '2s'], 64, /did you mean "--interval"/],
        [['--interval', '2'], 64, /"2" is not a duration/],
        [['--to', '10.0.0.7'], 64, /HOST:PORT/],
        [['--to', 'no-such-host.invalid:80'], 66, /cannot resolve/],
        [['--to', '203.0.113.5:80'], 66, /no route/],
        [['--netns', `${ns.name}x`], 66, new RegExp(`did you mean "${ns.name}"`)],
        [['--netns', 'pid:4194300'], 66, /no network namespace/],
        [['--top', '0'], 64, /1 to 1000/],
        [['extra'], 64, /does not take "extra"/],
      ];
      for (const [args, code, words] of cases) {
        const ran = await runIn(ns, args);
        expect([args, ran.code]).toEqual([args, code]);
        expect(ran.stderr).toMatch(words);
        expect(ran.stdout).toBe('');
      }
    },
    60_000,
  );

  kernelTest(
    'ends at once on SIGINT and SIGTERM, by that signal, and leaves nothing behind',
    async () => {
      const ns = filled(5);
      for (const signal of ['SIGINT', 'SIGTERM'] as const) {
        const child = ns.spawn(process.execPath, [command, 'doctor', '--interval', '30s']);
        await until('perf events to be held', () =>
          spawnSync('ls', ['-l', `/proc/${child.pid}/fd`])
            .stdout.toString()
            .includes('perf_event'),
        );
        child.kill(signal);
        const [code, by] = (await once(child, 'close')) as [number | null, string | null];
        expect([code, by]).toEqual([null, signal]);
      }
    },
    40_000,
  );

  kernelTest('a process name with line breaks and escape sequences cannot forge a line', async () => {
    const ns = namespace({ range: [40000, 40009], addresses: [A] });
    ns.run(() => listen(A, 80));
    const evil = ns.spawn(process.execPath, [
      '-e',
      `require('node:fs').writeFileSync('/proc/self/comm', 'x\\nOK\\x1b[2J');
       const net = require('node:net'); let n = 0;
       for (let i = 0; i < 9; i++) net.connect(80, '${A}', () => { if (++n === 9) console.log('ready'); });`,
    ]);
    await once(evil.stdout!, 'data');
    const { stdout } = await runIn(ns, ['--interval', '100ms']);
    expect(stdout).toContain('x\\x0aOK\\x1b[2J');
    // biome-ignore lint/suspicious/noControlCharactersInRegex: looking for exactly those
    expect(stdout).not.toMatch(/^OK|[\u0000-\u0009\u000b-\u001f]/m);
  });

  kernelTest('shows the port spaces of a running balancer by the names of its pool and server', async () => {
    const ns = namespace({ range: [40000, 40099], addresses: [A, '10.66.0.2'] });
    const folder = mkdtempSync(join(tmpdir(), 'plimsoll-doctor-'));
    const socket = join(folder, 'balance.sock');
    writeFileSync(
      join(folder, 'plimsoll.yaml'),
      `version: 1
virtual_services: [{ name: web, listen: ${A}:8080, application_profile: http, pool: shop }]
application_profiles: [{ name: http, type: http, connection_multiplexing: false }]
pools:
  - { name: shop, algorithm: round_robin, servers: [{ name: alpha, address: ${A}:80 }], snat_pool: egress }
snat_pools: [{ name: egress, addresses: [10.66.0.2], ports: [50000-50009], monitor_ports: 0 }]
`,
    );
    try {
      const server = ns.spawn(process.execPath, [
        '-e',
        `require('node:http').createServer((q, r) => r.end('ok')).listen(80, '${A}', () => console.log('up'))`,
      ]);
      await once(server.stdout!, 'data');
      const balancer = ns.spawn(process.execPath, [command, 'balance', '-c', join(folder, 'plimsoll.yaml'), '--socket', socket]);
      balancer.stdout!.resume();
      balancer.stderr!.resume();
      await until('the balancer to answer', () => existsSync(socket));
      const clients = ns.spawn(process.execPath, [
        '-e',
        `const http = require('node:http'); const agent = new http.Agent({ keepAlive: true }); let n = 0;
         for (let i = 0; i < 9; i++) http.get({ host: '${A}', port: 8080, agent }, (r) => { r.resume(); r.on('end', () => { if (++n === 9) console.log('done'); }); });
         setInterval(() => {}, 1e6);`,
      ]);
      await once(clients.stdout!, 'data');
      const d = await report(ns, ['--interval', '100ms', '--socket', socket]);
      expect(d.port_spaces.find((s) => s.kind === 'ledger')).toMatchObject({
        label: 'shop/alpha',
        source: '10.66.0.2',
        destination: A,
        destination_port: 80,
        used: 9,
        capacity: 10,
      });
      expect(d.findings.map((f) => f.title).join()).toContain('(shop/alpha)');
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });

  kernelTest('fits a terminal of 80 columns', async () => {
    const { stdout } = await runIn(filled(90), ['--interval', '100ms']);
    // Lines to paste into a configuration stay whole; they are indented by nine.
    const prose = stdout.split('\n').filter((line) => !line.startsWith(' '.repeat(9)) || line.startsWith(' '.repeat(10)));
    expect(prose.length).toBeGreaterThan(30);
    expect(prose.filter((line) => Array.from(line).length > 80)).toEqual([]);
  });
});
