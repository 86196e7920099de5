/**
 * `npm run bench agent`: what leaving `plimsoll serve` running costs. The whole agent as it is shipped, in a network namespace of
 * its own, with 100,000 sockets there: CPU time of the process against the clock, and its largest RSS. Then the soak: churn at
 * 1,500 connections a second and 100 readers of its events, RSS early against late. Ten minutes a row; `-- --seconds 60` for less.
 */
import type { ChildProcess } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { linked, type Namespace, namespace } from '../test/support/namespace.ts';
import { until } from '../test/support/poll.ts';
import { acceptAll, close, listen, open } from '../test/support/sockets.ts';
import { machine, spread, table } from './machine.ts';

const argument = (name: string): string | null => {
  const at = process.argv.indexOf(`--${name}`);
  return at < 0 ? null : (process.argv[at + 1] ?? null);
};
const SECONDS = Number(argument('seconds') ?? 600);
const only = argument('only');
/** V8 compiles and the history's first minute passes before the clock starts. */
const WARM_UP = Math.min(30, SECONDS / 4);
const A = '10.66.0.1';
const SOCKETS = 100_000;
const DESTINATIONS = 8;
const command = new URL('../../dist/plimsoll.cjs', import.meta.url).pathname;
const folder = mkdtempSync(join(tmpdir(), 'plimsoll-bench-'));
process.on('exit', () => rmSync(folder, { recursive: true, force: true }));

const rest = (seconds: number): Promise<void> => new Promise((done) => setTimeout(done, seconds * 1000));

/** Seconds of CPU a process has had. */
const cpuOf = (pid: number): number => {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8')
    .replace(/^.*\) /s, '')
    .split(' ');
  return (Number(fields[11]) + Number(fields[12])) / 100;
};
const memoryOf = (pid: number, field: 'VmRSS' | 'VmHWM'): number =>
  Number(new RegExp(`${field}:\\s+(\\d+)`).exec(readFileSync(`/proc/${pid}/status`, 'utf8'))![1]) / 1024;

interface Running {
  readonly pid: number;
  readonly child: ChildProcess;
  /** What it said so far. */
  said(): string;
}

let instance = 0;

/** Starts the agent inside `ns` and waits until it is ready. */
const serve = async (ns: Namespace): Promise<Running> => {
  const data = join(folder, `data-${instance++}`);
  const child = ns.spawn(process.execPath, [
    ...(argument('cpu-prof') === null ? [] : ['--cpu-prof', `--cpu-prof-dir=${argument('cpu-prof')}`]),
    command,
    'serve',
    '--data',
    data,
    '--token-file',
    join(folder, 'token'),
    '--socket',
    join(folder, `${instance}.sock`),
  ]);
  let text = '';
  child.stderr!.on('data', (d: Buffer) => {
    text += d.toString();
  });
  child.stdout!.resume();
  await until(
    'the agent to be ready',
    () => {
      if (child.exitCode !== null) throw new Error(`the agent ended: ${text}`);
      try {
        return ns.exec('curl', '-sf', 'http://127.0.0.1:7575/readyz') !== '';
      } catch {
        return false;
      }
    },
    30_000,
  );
  // setpriv and ip become the program they start.
  return { pid: child.pid!, child, said: () => text };
};

const stop = async ({ child }: Running): Promise<void> => {
  child.kill('SIGTERM');
  await until('the agent to end', () => child.exitCode !== null || child.signalCode !== null, 20_000);
};

/** Connections through `ns` at a steady rate, each closed by us first: as many TIME_WAITs as are made in 60 s. */
const churn = (ns: Namespace, rate: number): { stop(): void; readonly made: number } => {
  const listeners = ns.run(() => Array.from({ length: DESTINATIONS }, (_, d) => listen(A, 80 + d)));
  const started = performance.now();
  let made = 0;
  const timer = setInterval(() => {
    const due = Math.min(200, Math.floor(((performance.now() - started) / 1000) * rate) - made);
    if (due <= 0) return;
    ns.run(() => {
      for (let i = 0; i < due; i++, made++) close(open(A, 80 + (made % DESTINATIONS)));
      for (const listener of listeners) close(...acceptAll(listener));
    });
  }, 5);
  return {
    stop: () => {
      clearInterval(timer);
      close(...listeners);
    },
    get made() {
      return made;
    },
  };
};

const holder = `
const net = require('node:net');
const count = Number(process.argv[1]);
let open = 0, next = 0;
const more = () => {
  if (next === count) return;
  const s = net.connect({ host: '10.77.0.2', port: 80 + (next++ % ${DESTINATIONS}) }, () => { if (++open === count) console.log('ready'); more(); });
  s.on('error', (e) => { console.error(e.message); process.exit(1); });
};
for (let i = 0; i < 50; i++) more();
setInterval(() => {}, 1e6);
`;

const rows: string[][] = [['work', 'measured', 'bound', '']];
const row = (work: string, value: number, bound: number, unit: string): void => {
  rows.push([work, `${value.toFixed(1)} ${unit}`, `<= ${bound} ${unit}`, value <= bound ? 'reached' : 'MISSED']);
};

/** Counts the agent's looks from now on, as a reader of its events. */
const countLooks = (ns: Namespace): { readonly looks: number; stop(): void } => {
  const token = readFileSync(join(folder, 'token'), 'utf8').trim();
  const child = ns.spawn('curl', ['-sN', '-H', `authorization: Bearer ${token}`, 'http://127.0.0.1:7575/api/v1/events']);
  let looks = 0;
  child.stdout!.on('data', (d: Buffer) => {
    looks += d.toString('latin1').split('event: sample').length - 1;
  });
  return {
    get looks() {
      return looks;
    },
    stop: () => void child.kill('SIGKILL'),
  };
};

/** Measures the agent in `ns` for the time asked. */
const measure = async (ns: Namespace, work: string, share: number): Promise<void> => {
  const agent = await serve(ns);
  await rest(WARM_UP);
  const events = countLooks(ns);
  const from = performance.now();
  const cpu = cpuOf(agent.pid);
  await rest(SECONDS);
  const seconds = (performance.now() - from) / 1000;
  const used = (cpuOf(agent.pid) - cpu) / seconds;
  events.stop();
  const sockets = ns.exec('cat', '/proc/net/sockstat').match(/inuse (\d+).* tw (\d+)/)!;
  row(`${work} (${sockets[1]} open, ${sockets[2]} TIME_WAIT at the end)`, used * 100, share, '% of one core');
  row('  its largest RSS', memoryOf(agent.pid, 'VmHWM'), 150, 'MB');
  rows.push(['  CPU for each look, everything included', `${((used * seconds * 1000) / events.looks).toFixed(1)} ms`, '', '']);
  // Looking less often would be cheap, and no answer: on a machine with other things to do it says nothing about the bound.
  if (events.looks < 0.95 * seconds)
    rows.push([`  it looked ${events.looks} times in ${seconds.toFixed(0)} s: the machine is too busy for this row`, '', '', 'MISSED']);
  await stop(agent);
};

console.log(machine());
console.log(`${SECONDS} s a row, after ${WARM_UP} s\n`);

if (only === null || only === 'time-wait') {
  const ns = namespace({
    addresses: [A],
    range: [15000, 64999],
    sysctls: { 'net.ipv4.tcp_tw_reuse': 0, 'net.ipv4.tcp_max_tw_buckets': 262144 },
  });
  const load = churn(ns, SOCKETS / 61);
  await until('100,000 TIME_WAITs', () => Number(ns.exec('cat', '/proc/net/sockstat').match(/ tw (\d+)/)![1]) >= 0.98 * SOCKETS, 180_000);
  await measure(ns, '100 k TIME_WAIT, one look a second', 6);
  load.stop();
  ns.destroy();
}

if (only === null || only === 'established') {
  const [ns, server] = linked({ range: [15000, 64999] });
  // Never accepted: the other ends wait in the listeners' queues and need no descriptor.
  const listeners = server.run(() => Array.from({ length: DESTINATIONS }, (_, d) => listen('10.77.0.2', 80 + d)));
  const each = 12_500;
  for (let made = 0; made < SOCKETS; made += each) {
    const child = ns.spawn(process.execPath, ['-e', holder, String(each)]);
    let said = '';
    child.stderr!.on('data', (d: Buffer) => process.stderr.write(d));
    child.stdout!.on('data', (d: Buffer) => {
      said += d.toString();
    });
    await until(`${made + each} connections`, () => said.includes('ready'), 120_000);
  }
  // The host has 100,000 sockets, not both ends of them: the other ends vanish without a word.
  server.exec('nft', 'add table ip t; add chain ip t out { type filter hook output priority 0; }; add rule ip t out tcp flags rst drop');
  close(...listeners);
  await measure(ns, '100 k ESTABLISHED, idle times every 15 s', 12);
  ns.destroy();
  server.destroy();
}

const READERS = 100;
const reader = `
const { readFileSync } = require('node:fs');
const authorization = 'Bearer ' + readFileSync(process.argv[1], 'utf8').trim();
let open = 0, bytes = 0;
for (let i = 0; i < ${READERS}; i++) fetch('http://127.0.0.1:7575/api/v1/events', { headers: { authorization } }).then(async (r) => {
  if (!r.ok) { console.log('refused ' + r.status); return; }
  if (++open === ${READERS}) console.log('ready');
  for await (const chunk of r.body) bytes += chunk.length;
}).catch((e) => console.log('lost ' + e.message));
setInterval(() => console.log('bytes ' + bytes), 1000);
`;

if (only === null || only === 'soak') {
  const ns = namespace({
    addresses: [A],
    range: [15000, 64999],
    sysctls: { 'net.ipv4.tcp_tw_reuse': 0, 'net.ipv4.tcp_max_tw_buckets': 262144 },
  });
  const load = churn(ns, 1500);
  const agent = await serve(ns);
  const readers = ns.spawn(process.execPath, ['-e', reader, join(folder, 'token')]);
  let said = '';
  readers.stdout!.on('data', (d: Buffer) => {
    said += d.toString();
  });
  readers.stderr!.on('data', (d: Buffer) => process.stderr.write(d));
  await until('100 readers', () => said.includes('ready'), 30_000);
  const samples: number[] = [];
  const from = performance.now();
  const cpu = cpuOf(agent.pid);
  for (let elapsed = 0; elapsed < SECONDS; elapsed = (performance.now() - from) / 1000) {
    samples.push(memoryOf(agent.pid, 'VmRSS'));
    await rest(1);
  }
  const used = (cpuOf(agent.pid) - cpu) / ((performance.now() - from) / 1000);
  // Of what the first minute settles, the first third is left out; medians, for a collection of garbage is no leak.
  const settled = samples.slice(Math.floor(samples.length / 3));
  const quarter = Math.max(1, Math.floor(settled.length / 4));
  const early = spread(settled.slice(0, quarter)).median;
  const late = spread(settled.slice(-quarter)).median;
  const lost = said.match(/lost|refused/g)?.length ?? 0;
  const megabytes = Number(said.match(/bytes (\d+)\n$/)?.[1] ?? 0) / 1e6;
  row(
    `soak: ${load.made} connections, ${READERS} readers of ${megabytes.toFixed(0)} MB; RSS ${early.toFixed(0)} -> ${late.toFixed(0)} MB, growth`,
    (late / early - 1) * 100,
    10,
    '%',
  );
  rows.push(['  its CPU', `${(used * 100).toFixed(1)} % of one core`, '', '']);
  if (lost > 0) rows.push([`  ${lost} readers were lost`, '', '', 'MISSED']);
  load.stop();
  readers.kill('SIGKILL');
  await stop(agent);
  ns.destroy();
}

console.log(table(rows));
process.exitCode = rows.some((r) => r[3] === 'MISSED') ? 1 : 0;
