/**
 * What drawing costs `plimsoll watch`: CPU-seconds of the whole process, drawing in a real terminal (tmux) and printing a line for
 * each look into /dev/null, side by side over the same seconds, so that whatever else the host does weighs on both. The difference
 * is the drawing; the lines are the sampling.
 * `-- --seconds 20 --rounds 5` are the defaults.
 */
import { execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { churn } from '../test/support/churn.ts';
import { linked } from '../test/support/namespace.ts';
import { listen, open } from '../test/support/sockets.ts';
import { machine, spread, table } from './machine.ts';

const { values } = parseArgs({ options: { seconds: { type: 'string', default: '20' }, rounds: { type: 'string', default: '5' } } });
const SECONDS = Number(values.seconds);
const ROUNDS = Number(values.rounds);
/** Start and the first compilation are not what runs all day. */
const WARM = 5;
const BOUND = 0.01;

const command = new URL('../../dist/plimsoll.cjs', import.meta.url).pathname;
const folder = mkdtempSync(join(tmpdir(), 'plimsoll-bench-watch-'));
process.on('exit', () => rmSync(folder, { recursive: true, force: true }));

/** CPU-seconds of all threads of a process so far, to the nanosecond. */
const cpuSeconds = (pid: number): number =>
  readdirSync(`/proc/${pid}/task`).reduce(
    (sum, task) => sum + Number(readFileSync(`/proc/${pid}/task/${task}/schedstat`, 'utf8').split(' ')[0]) / 1e9,
    0,
  );

const wait = (seconds: number): Promise<void> => new Promise((done) => setTimeout(done, seconds * 1000));
const untilReady = async <T>(probe: () => T | null): Promise<T> => {
  for (let i = 0; i < 200; i++) {
    const value = probe();
    if (value !== null) return value;
    await wait(0.05);
  }
  throw new Error('not ready after 10 s');
};

/** The newest child of `pid`, through the shells and wrappers between. */
const leaf = (pid: number): number | null => {
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim();
  if (children === '') return readFileSync(`/proc/${pid}/comm`, 'utf8').startsWith('node') ? pid : null;
  return leaf(Number(children.split(' ')[0]));
};

const [client, server] = linked({ range: [32768, 60999] });
for (let i = 1; i <= 40; i++) server.addAddress(`10.77.0.${10 + i}/24`, 'eth0');
const listener = server.run(() => listen('0.0.0.0', 80));
client.run(() => {
  for (let i = 1; i <= 40; i++) for (let n = 0; n < i * 4; n++) open(`10.77.0.${10 + i}`, 80);
});
// Numbers and bars move with every look; a leak counts down on every frame.
const load = churn(client, '10.77.0.2', 80, listener, { rate: 200 });
const leak = setInterval(() => client.run(() => open('10.77.0.50', 80)), 1000 / 15);

interface Watcher {
  readonly pid: number;
  stop(): void;
}

let terminals = 0;
/** One that draws on a terminal of this size. */
const drawing = async (columns: number, rows: number): Promise<Watcher> => {
  const socket = join(folder, `tmux-${terminals++}`);
  const tmux = (...args: readonly string[]): string =>
    execFileSync('tmux', ['-N', '-S', socket, '-u', ...args], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
  const terminal = spawn('setpriv', ['--pdeathsig', 'KILL', 'tmux', '-S', socket, '-u', '-f', '/dev/null', '-D'], { stdio: 'ignore' });
  const inside = ['ip', 'netns', 'exec', client.name, process.execPath, command, 'watch'];
  await untilReady(() => {
    try {
      return tmux('new-session', '-d', '-x', String(columns), '-y', String(rows), ...inside);
    } catch {
      return null;
    }
  });
  const pid = await untilReady(() => leaf(Number(tmux('display-message', '-p', '#{pane_pid}'))));
  await untilReady(() => (tmux('capture-pane', '-p').includes('10.77.0.50:80') ? true : null));
  return { pid, stop: () => void terminal.kill('SIGKILL') };
};

/** One that prints a line for each look. */
const printing = (): Watcher => {
  const child = spawn('ip', ['netns', 'exec', client.name, process.execPath, command, 'watch'], { stdio: 'ignore' });
  return { pid: child.pid!, stop: () => void child.kill('SIGKILL') };
};

const sizes = [
  [80, 24],
  [200, 60],
] as const;
const lines: number[] = [];
const drawn = sizes.map((): number[] => []);
for (let round = 0; round < ROUNDS; round++) {
  const watchers = [printing()];
  for (const [columns, rows] of sizes) watchers.push(await drawing(columns, rows));
  await wait(WARM);
  const before = watchers.map((w) => cpuSeconds(w.pid));
  const from = performance.now();
  await wait(SECONDS);
  const seconds = (performance.now() - from) / 1000;
  const shares = watchers.map((w, i) => (cpuSeconds(w.pid) - before[i]!) / seconds);
  for (const w of watchers) w.stop();
  lines.push(shares[0]!);
  for (const s of sizes.keys()) drawn[s]!.push(shares[s + 1]!);
}
load.stop();
clearInterval(leak);

const percent = (ratio: number): string => `${(ratio * 100).toFixed(2)} %`;
const row = (name: string, shares: readonly number[], bound = ''): readonly string[] => {
  const { median, low, high } = spread(shares);
  return [name, percent(median), percent(low), percent(high), bound, bound === '' ? '' : median <= BOUND ? 'reached' : 'MISSED'];
};
const rows = [
  ['share of one core', 'median', 'least', 'most', 'aim', ''],
  row('lines, a look every second: the sampling', lines),
  ...sizes.flatMap(([columns, height], s) => [
    row(`drawn at ${columns}x${height}, 4 frames/s`, drawn[s]!),
    row(
      '  more than the lines of its round',
      drawn[s]!.map((share, i) => share - lines[i]!),
      `<= ${percent(BOUND)}`,
    ),
  ]),
];
console.log(machine([['tmux', '-V']]));
console.log(table(rows));
process.exitCode = rows.some((r) => r[5] === 'MISSED') ? 1 : 0;
