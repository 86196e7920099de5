/**
 * `npm run bench balance [-- --rounds N --seconds S] [-- --only ROW…]`: the load balancer beside HAProxy (one thread) and nginx
 * (one worker) in the same run. Rows: exhaustion, requests, connect, tcp, memory. Rows that lose are printed as well.
 */

import { exhaustion } from '../test/balancer/stories/exhaustion.ts';
import { bundled } from '../test/balancer/stories/program.ts';
import type { Answer } from '../test/balancer/stories/programs/client.ts';
import { interleaved, keepAlive, type Load, perRequest } from './balance/requests.ts';
import { backendAddress, type Contender, cpuSeconds, type Name, ownMemory, Setting } from './balance/setting.ts';
import { machine, spread, table } from './machine.ts';

const argument = (name: string, fallback: number): number => {
  const at = process.argv.indexOf(name);
  return at < 0 ? fallback : Number(process.argv[at + 1]);
};
const rounds = argument('--rounds', 5);
const seconds = argument('--seconds', 4);
const onlyAt = process.argv.indexOf('--only');
const only = onlyAt < 0 ? null : new Set(process.argv.slice(onlyAt + 1));
const wanted = (row: string): boolean => only === null || only.has(row);

const out = (text: string): void => void process.stdout.write(text);
const verdicts: string[][] = [['work', 'must', 'measured', 'aim', '']];
/** `limit` is a ceiling, or a floor if `atLeast`. */
const judge = (work: string, ratio: number, limit: number, aim: string, atLeast: boolean, unit = 'x'): void => {
  const good = atLeast ? ratio >= limit : ratio <= limit;
  verdicts.push([work, `${atLeast ? '>=' : '<='} ${limit}${unit}`, `${ratio.toFixed(2)}${unit}`, aim, good ? 'reached' : 'MISSED']);
};

const median = (loads: readonly Load[], of: (load: Load) => number): number => spread(loads.map(of)).median;
/** The ratio of each round by itself, so that a slow minute counts for both; then the median. */
const paired = (results: ReadonlyMap<Name, readonly Load[]>, of: (load: Load) => number, against: Name): number => {
  const theirs = results.get(against)!;
  return spread(results.get('plimsoll')!.map((load, i) => of(load) / of(theirs[i]!))).median;
};

const loadTable = (results: ReadonlyMap<Name, readonly Load[]>): string =>
  table([
    ['proxy', 'requests/s (low-high)', 'CPU-s/1000 (low-high)', 'server conns', 'p99 ms', 'failed', 'rate/HAProxy', 'CPU/HAProxy'],
    ...[...results].map(([name, loads]) => {
      const rate = spread(loads.map((l) => l.rate));
      const cpu = spread(loads.map((l) => l.cpu));
      const base = results.get('HAProxy')!;
      return [
        name,
        `${rate.median.toFixed(0)} (${rate.low.toFixed(0)}-${rate.high.toFixed(0)})`,
        `${cpu.median.toFixed(4)} (${cpu.low.toFixed(4)}-${cpu.high.toFixed(4)})`,
        String(Math.max(...loads.map((l) => l.serverConnections))),
        median(loads, (l) => l.p99).toFixed(1),
        String(loads.reduce((sum, l) => sum + l.failed, 0)),
        spread(loads.map((l, i) => l.rate / base[i]!.rate)).median.toFixed(2),
        spread(loads.map((l, i) => l.cpu / base[i]!.cpu)).median.toFixed(2),
      ];
    }),
  ]);

const exhaustionRows = async (): Promise<void> => {
  out('\nExhaustion: 2 healthy servers, 14 requests of 1 s at once, tcp check every 300 ms, few source ports\n\n');
  const rows = [['proxy', 'source ports', 'answers', 'healthy servers taken out', 'log lines', 'next 200 after the last answer']];
  for (const chooser of ['proxy', 'kernel'] as const)
    for (const product of ['haproxy', 'nginx', 'plimsoll'] as const) {
      const run = await exhaustion(product, chooser);
      rows.push([
        product,
        chooser === 'proxy' ? '4 for each server, own choice' : "6 for each server, kernel's choice",
        Object.entries(run.statuses)
          .map(([status, count]) => `${count}x${status}`)
          .join(' '),
        String(run.downs),
        String(run.logLines),
        `${run.recovery.toFixed(2)} s, ${run.failedAfter} failed`,
      ]);
    }
  out(table(rows));
  out(
    'nginx has no source ports of its own: one source address and a kernel range of 4 stand in. HAProxy keeps ports of idle connections.\n',
  );
};

const requestRows = async (): Promise<void> => {
  const setting = new Setting();
  await setting.backend();
  const contenders: readonly Contender[] = [await setting.haproxy(8081), await setting.nginx(8082), await setting.plimsoll(8083)];
  out(
    `\nRequests: 100 keep-alive connections, 1 KiB, ${rounds} interleaved rounds of ${seconds} s, proxy on one core, clients and backend on the other\n\n`,
  );
  const kept = await interleaved(contenders, rounds, (c) => keepAlive(setting, c, seconds));
  out(loadTable(kept));
  judge(
    'requests/s against HAProxy',
    paired(kept, (l) => l.rate, 'HAProxy'),
    0.8,
    '1.0x',
    true,
  );
  judge(
    'CPU-s per 1000 requests',
    paired(kept, (l) => l.cpu, 'HAProxy'),
    1.3,
    '1.0x',
    false,
  );
  for (const name of ['HAProxy', 'nginx'] as const)
    judge(
      `server connections against ${name}`,
      paired(kept, (l) => l.serverConnections, name),
      0.35,
      '',
      false,
    );
  out(`\nConnect per request: the same with "Connection: close"\n\n`);
  const closed = await interleaved(contenders, rounds, (c) => perRequest(setting, c, seconds));
  out(loadTable(closed));
  judge(
    'CPU-s per 1000, connect per request',
    paired(closed, (l) => l.cpu, 'HAProxy'),
    2.6,
    '2.0x',
    false,
  );
  setting.ns.destroy();
};

const connectRow = async (): Promise<void> => {
  const setting = new Setting();
  setting.ns.sysctl('net.ipv4.ip_local_port_range', '32768 60999');
  setting.ns.sysctl('net.ipv4.tcp_tw_reuse', '0');
  setting.ns.sysctl('net.ipv4.tcp_max_tw_buckets', '200000');
  const program = await bundled('bench/balance/connect-cost.ts');
  const text = await setting.aside(process.execPath, program, '3');
  const us = JSON.parse(text) as Record<'ledgerEmpty' | 'ledgerFull' | 'kernelEmpty' | 'kernelFull', readonly number[]>;
  const m = (key: keyof typeof us): number => spread(us[key]).median;
  out('\nconnect() with 90 % of 28,232 ports towards one destination in use (established), microseconds, p50\n\n');
  out(
    table([
      ['who chooses the port', 'empty', '90 % full', 'ratio'],
      [
        'the ledger (explicit bind)',
        m('ledgerEmpty').toFixed(1),
        m('ledgerFull').toFixed(1),
        (m('ledgerFull') / m('ledgerEmpty')).toFixed(2),
      ],
      ['the kernel', m('kernelEmpty').toFixed(1), m('kernelFull').toFixed(1), (m('kernelFull') / m('kernelEmpty')).toFixed(2)],
    ]),
  );
  judge('connect() p50, 90 % full against empty', m('ledgerFull') / m('ledgerEmpty'), 2, '', false);
  setting.ns.destroy();
};

const tcpRow = async (): Promise<void> => {
  const setting = new Setting();
  await setting.backend();
  const contenders = [await setting.haproxy(8091, 'tcp'), await setting.plimsoll(8092, 'tcp')];
  const speeds = new Map<Name, number[]>(contenders.map((c) => [c.name, []]));
  const costs = new Map<Name, number[]>(contenders.map((c) => [c.name, []]));
  for (let round = -1; round < rounds; round++)
    for (const contender of contenders) {
      const cpu = cpuSeconds(contender.pid);
      const start = performance.now();
      // Discarding where it is read: a reader in a pipe would be the slowest of all.
      await setting.aside('curl', '-sf', '-o', '/dev/null', `${contender.url}big`);
      if (round < 0) continue;
      speeds.get(contender.name)!.push(1 / ((performance.now() - start) / 1000));
      costs.get(contender.name)!.push(cpuSeconds(contender.pid) - cpu);
    }
  const rows = [['proxy', 'GiB/s (low-high)', 'CPU-s per GiB (low-high)']];
  for (const { name } of contenders) {
    const speed = spread(speeds.get(name)!);
    const cost = spread(costs.get(name)!);
    rows.push([
      name,
      `${speed.median.toFixed(2)} (${speed.low.toFixed(2)}-${speed.high.toFixed(2)})`,
      `${cost.median.toFixed(2)} (${cost.low.toFixed(2)}-${cost.high.toFixed(2)})`,
    ]);
  }
  out('\nTCP service: 1 GiB through one connection\n\n');
  out(table(rows));
  judge(
    'TCP service against HAProxy mode tcp',
    spread(speeds.get('plimsoll')!.map((s, i) => s / speeds.get('HAProxy')![i]!)).median,
    0.5,
    '0.8x',
    true,
  );
  setting.ns.destroy();
};

const memoryRow = async (): Promise<void> => {
  const setting = new Setting();
  await setting.backend();
  const contenders = [await setting.haproxy(8081), await setting.nginx(8082), await setting.plimsoll(8083)];
  const count = 8000;
  const client = await bundled('test/balancer/stories/programs/client.ts');
  const rows = [['proxy', 'own memory before, MiB', 'with 8,000 idle clients', 'settled (20 s later)', 'KiB a client', 'settled']];
  for (const contender of contenders) {
    // One client has been served: what the first request costs once is no part of it.
    await setting.aside('wrk', '-t1', '-c50', '-d2', contender.url);
    const before = ownMemory(contender.pid);
    const child = setting.ns.spawn(process.execPath, [client, `${backendAddress}:${new URL(contender.url).port}`]);
    const lines: string[] = [];
    let rest = '';
    child.stdout?.on('data', (b: Buffer) => {
      const parts = (rest + b.toString()).split('\n');
      rest = parts.pop()!;
      lines.push(...parts);
    });
    child.stdin?.write(`${JSON.stringify({ kind: 'open', count, path: '/', timeout: 20_000 })}\n`);
    while (lines.length < 2) await new Promise((done) => setTimeout(done, 50));
    const failed = (JSON.parse(lines[1]!) as Answer[]).filter((a) => a.status !== 200).length;
    if (failed > 0) out(`${contender.name}: ${failed} of ${count} clients were not served\n`);
    await new Promise((done) => setTimeout(done, 2000));
    const opened = ownMemory(contender.pid);
    await new Promise((done) => setTimeout(done, 18_000));
    const settled = ownMemory(contender.pid);
    child.kill('SIGKILL');
    const each = (bytes: number): number => (bytes - before) / count / 1024;
    const mib = (bytes: number): string => (bytes / 2 ** 20).toFixed(1);
    rows.push([contender.name, mib(before), mib(opened), mib(settled), each(opened).toFixed(2), each(settled).toFixed(2)]);
    if (contender.name === 'plimsoll') judge('memory per idle client', each(opened), 10, '6 KB', false, ' KB');
  }
  out('\nMemory per idle client connection (each has been served once)\n\n');
  out(table(rows));
  setting.ns.destroy();
};

out(
  machine([
    ['haproxy', '-v'],
    ['sh', '-c', 'nginx -v 2>&1'],
    ['sh', '-c', 'wrk -v 2>&1 || true'],
  ]),
);
if (wanted('exhaustion')) await exhaustionRows();
if (wanted('requests')) await requestRows();
if (wanted('connect')) await connectRow();
if (wanted('tcp')) await tcpRow();
if (wanted('memory')) await memoryRow();
out(`\n${table(verdicts)}`);
process.exit(0);
