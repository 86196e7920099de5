/**
 * `npm run bench load [-- --rounds N --seconds S]`: the load generator beside wrk, each with one core to itself, the server (nginx, one
 * worker, 1 KiB) on the other. They take turns in one run; the ratio is each round's own. CPU seconds are the generator's less
 * those of a very short run (Node's start and the look at the host): on a machine that is busy otherwise they say more than rates.
 */
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { LoadDocument } from '../src/wire/load.ts';
import { backendAddress, Setting } from './balance/setting.ts';
import { machine, spread, table } from './machine.ts';

const run = promisify(execFile);
const argument = (name: string, fallback: number): number => {
  const at = process.argv.indexOf(name);
  return at < 0 ? fallback : Number(process.argv[at + 1]);
};
const rounds = argument('--rounds', 5);
const seconds = argument('--seconds', 5);
const url = `http://${backendAddress}/`;
const program = join(process.cwd(), 'dist/plimsoll.cjs');
const out = (text: string): void => void process.stdout.write(text);

interface Turn {
  /** Requests answered per second. */
  readonly rate: number;
  /** CPU seconds for each thousand of them. */
  readonly cpu: number;
  readonly document: LoadDocument | null;
}

/** Runs a generator on core 1; what it printed, and its CPU seconds. */
const generate = async (setting: Setting, argv: readonly string[]): Promise<{ readonly text: string; readonly cpu: number }> => {
  const timed = ['bash', '-c', 'TIMEFORMAT="cpu %U %S"; time taskset -c 1 "$0" "$@" 2>/dev/null', ...argv];
  const { stdout, stderr } = await run('ip', ['netns', 'exec', setting.ns.name, ...timed], { maxBuffer: 1 << 26 });
  const cpu = /cpu ([\d.]+) ([\d.]+)/.exec(stderr);
  return { text: stdout, cpu: Number(cpu?.[1]) + Number(cpu?.[2]) };
};

const wrk = async (setting: Setting, more: readonly string[]): Promise<Turn> => {
  const { text, cpu } = await generate(setting, ['wrk', '-t1', '-c100', `-d${seconds}s`, ...more, url]);
  const count = Number(/(\d+) requests in/.exec(text)?.[1]);
  return { rate: Number(/Requests\/sec:\s+([\d.]+)/.exec(text)?.[1]), cpu: (1000 * cpu) / count, document: null };
};

const ours = async (setting: Setting, more: readonly string[], lasting = seconds): Promise<Turn> => {
  const once = async (duration: string): Promise<{ readonly document: LoadDocument; readonly cpu: number }> => {
    const { text, cpu } = await generate(setting, [process.execPath, program, 'load', url, '--duration', duration, '--json', ...more]);
    return { document: JSON.parse(text) as LoadDocument, cpu };
  };
  const start = await once('50ms');
  const whole = await once(`${lasting}s`);
  const cpu = (1000 * (whole.cpu - start.cpu)) / (whole.document.ok - start.document.ok);
  return { rate: whole.document.rate, cpu, document: whole.document };
};

type Contender = readonly [name: string, turn: () => Promise<Turn>];

/** Rounds in which each goes first in turn, after a warm-up. */
const interleaved = async (contenders: readonly Contender[]): Promise<ReadonlyMap<string, readonly Turn[]>> => {
  const results = new Map<string, Turn[]>(contenders.map(([name]) => [name, []]));
  for (const [, turn] of contenders) await turn();
  for (let round = 0; round < rounds; round++)
    for (let i = 0; i < contenders.length; i++) {
      const [name, turn] = contenders[(i + round) % contenders.length]!;
      results.get(name)!.push(await turn());
    }
  return results;
};

const verdicts: string[][] = [['work', 'must', 'measured (low-high)', 'CPU ratio', 'aim', '']];
/** `judged`: the contender that does what wrk does; the others do more, and are shown for what it costs. */
const show = (title: string, results: ReadonlyMap<string, readonly Turn[]>, judged: string, must: number, aim: string): void => {
  const base = results.get('wrk')!;
  const rows = [['generator', 'requests/s (low-high)', 'CPU-s/1000 (low-high)', 'rate/wrk', 'CPU/wrk']];
  for (const [name, turns] of results) {
    const rate = spread(turns.map((t) => t.rate));
    const cpu = spread(turns.map((t) => t.cpu));
    const ratio = spread(turns.map((t, i) => t.rate / base[i]!.rate));
    const cost = spread(turns.map((t, i) => t.cpu / base[i]!.cpu)).median;
    rows.push([
      name,
      `${rate.median.toFixed(0)} (${rate.low.toFixed(0)}-${rate.high.toFixed(0)})`,
      `${cpu.median.toFixed(4)} (${cpu.low.toFixed(4)}-${cpu.high.toFixed(4)})`,
      ratio.median.toFixed(2),
      cost.toFixed(2),
    ]);
    if (name !== judged) continue;
    const measured = `${ratio.median.toFixed(2)}x (${ratio.low.toFixed(2)}-${ratio.high.toFixed(2)})`;
    verdicts.push([`${title}: ${name}`, `>= ${must}x`, measured, `${cost.toFixed(2)}x`, aim, ratio.median >= must ? 'reached' : 'MISSED']);
  }
  out(`\n${title}\n\n${table(rows)}`);
};

const ms = (value: number | null): string => (value === null ? '-' : (value * 1000).toFixed(3));

/** Own lateness at rates that a rate-driven run has to keep. */
const openLoop = async (setting: Setting): Promise<void> => {
  const rows = [
    ['rate asked', 'for s', 'sent/s', 'own lateness p50 ms', 'p99 ms', 'p99.9 ms', 'latency p50 ms', 'p99 ms', 'missed', 'CPU of a core'],
  ];
  // The last is as long as a run is unless it is told otherwise: the first 100 ms, in which the code is not compiled yet, are a 50th of 5 s.
  for (const [rate, lasting] of [
    [500, seconds],
    [5000, seconds],
    [20_000, seconds],
    [20_000, 30],
  ] as const) {
    const turns: Turn[] = [];
    for (let round = 0; round < rounds; round++) turns.push(await ours(setting, ['--rate', `${rate}/s`], lasting));
    const middle = (of: (d: LoadDocument) => number | null): number => spread(turns.map((t) => of(t.document!) ?? 0)).median;
    const p99 = middle((d) => d.scheduler_lateness.p99);
    rows.push([
      `${rate}/s`,
      String(lasting),
      middle((d) => d.sent / d.seconds).toFixed(0),
      ms(middle((d) => d.scheduler_lateness.p50)),
      ms(p99),
      ms(middle((d) => d.scheduler_lateness.p999)),
      ms(middle((d) => d.latency.p50)),
      ms(middle((d) => d.latency.p99)),
      middle((d) => d.missed).toFixed(0),
      spread(turns.map((t) => (t.cpu * t.document!.ok) / 1000 / lasting)).median.toFixed(2),
    ]);
    if (lasting !== 30) continue;
    const all = spread(turns.map((t) => (t.document!.scheduler_lateness.p99 ?? 0) * 1000));
    const measured = `${all.median.toFixed(2)} ms (${all.low.toFixed(2)}-${all.high.toFixed(2)})`;
    verdicts.push(['own lateness at 20,000/s for 30 s, p99', '<= 2 ms', measured, '', '<= 0.25 ms', p99 <= 0.002 ? 'reached' : 'MISSED']);
  }
  out(`\nOpen loop: kept connections, median of ${rounds} rounds\n\n${table(rows)}`);
};

const setting = new Setting();
out(
  machine([
    ['bash', '-c', 'nginx -v 2>&1'],
    ['bash', '-c', 'wrk -v | head -1'],
  ]),
);
out(`${rounds} rounds of ${seconds} s\n`);
await setting.backend();
show(
  'Closed loop, 100 kept connections',
  await interleaved([
    ['wrk', () => wrk(setting, [])],
    ['plimsoll', () => ours(setting, ['--connections', '100'])],
  ]),
  'plimsoll',
  0.8,
  '',
);
const perRequest = ['--connections', '100', '--requests-per-connection', '1'];
show(
  'A connection for each request, 100 at once',
  await interleaved([
    ['wrk', () => wrk(setting, ['-H', 'Connection: close'])],
    // wrk closes as soon as it has the answer.
    ['client closes', () => ours(setting, perRequest)],
    ['server closes', () => ours(setting, [...perRequest, '--closer', 'server'])],
    ['ports chosen, client closes', () => ours(setting, [...perRequest, '--ports', '10000-32000'])],
  ]),
  'client closes',
  0.65,
  '>= 0.8x',
);
await openLoop(setting);
out(`\n${table(verdicts)}`);
setting.ns.destroy();
process.exitCode = verdicts.some((v) => v.at(-1) === 'MISSED') ? 1 : 0;
