/**
 * What the plan says a port search costs beyond the search wall, against what the kernel takes: processor time per connect() with
 * the space 75 % full, less the same 25 % full. Ranges of three sizes; occupants in TIME_WAIT, live, and chosen by bind(ip, 0). And
 * the same with IP_LOCAL_PORT_RANGE set to the whole range, of which the doctor says that it stays as quick as in an empty space.
 * It needs root, for a network namespace.
 */

import { searchCost } from '../src/core/plan/search-cost.ts';
import { stagesOf } from '../src/core/plan/stage.ts';
import { defaultWorkload, type Workload } from '../src/core/plan/workload.ts';
import { Namespace } from '../test/support/namespace.ts';
import { acceptAll, close, listen, open, reset } from '../test/support/sockets.ts';
import { machine, spread, table } from './machine.ts';

const A = '10.66.0.1';
const rounds = 3;
const sample = 400;

type Kind = 'time_wait' | 'live' | 'bind';

/** Microseconds of processor time for one connect() (or bind and connect), with the socket made and closed; no TIME_WAIT is left. */
const costNow = (port: number, listener: number, kind: Kind, portRange?: readonly [number, number]): number => {
  const options = kind === 'bind' ? { bind: [A, 0] as const } : portRange === undefined ? {} : { portRange };
  const before = process.cpuUsage();
  for (let i = 0; i < sample; i++) {
    const fd = open(A, port, options);
    reset(fd);
    close(...acceptAll(listener));
  }
  const { user, system } = process.cpuUsage(before);
  return (user + system) / sample;
};

/** Fills ports one by one: those of TIME_WAITs by our closing first. */
const fill = (port: number, listener: number, kind: Kind, count: number, held: number[]): void => {
  for (let i = 0; i < count; i++) {
    const fd = open(A, port, kind === 'bind' ? { bind: [A, 0] } : {});
    if (kind === 'time_wait') {
      close(fd);
      close(...acceptAll(listener));
    } else held.push(fd, ...acceptAll(listener));
  }
};

interface Measured {
  readonly planned: number;
  readonly measured: number;
  /** connect() with IP_LOCAL_PORT_RANGE at 75 %, as a share of plain connect() at 75 %, and of the one at 25 %; null for bind(ip, 0). */
  readonly option: readonly [ofBeyond: number, ofBase: number] | null;
}

/** Measured and planned microseconds of the search for one range and kind. */
const measure = (size: number, kind: Kind): Measured => {
  const range = { low: 65536 - size, high: 65535 };
  const ns = new Namespace({
    range: [range.low, range.high],
    addresses: [A],
    sysctls: { 'net.ipv4.tcp_tw_reuse': 0, 'net.ipv4.tcp_max_tw_buckets': 262144 },
  });
  const held: number[] = [];
  try {
    return ns.run(() => {
      const listener = listen(A, 80);
      fill(80, listener, kind, Math.floor(size / 4), held);
      const base = costNow(80, listener, kind);
      fill(80, listener, kind, Math.floor(size / 2), held);
      const beyond = costNow(80, listener, kind);
      const quick = kind === 'bind' ? null : costNow(80, listener, kind, [range.low, range.high]);
      close(listener);
      const used = size * 0.75;
      const workload: Workload = {
        ...defaultWorkload,
        range,
        portChoice: kind === 'bind' ? 'bind' : 'connect',
        twReuse: 0,
        ...(kind === 'time_wait' ? { rate: used / 61.024 } : { rate: used, duration: 1, closer: 'server' as const }),
      };
      return {
        measured: beyond - base,
        planned: searchCost(stagesOf(workload)[0]!).perConnection * 1e6,
        option: quick === null ? null : [quick / beyond, quick / base],
      };
    });
  } finally {
    reset(...held);
    ns.destroy();
  }
};

process.stdout.write(machine());
const rows: string[][] = [
  [
    '75 % full of',
    'range',
    'planned µs',
    'measured µs (median)',
    'least',
    'most',
    'measured / planned',
    'with IP_LOCAL_PORT_RANGE / plain',
    '/ 25 % full',
  ],
];
// Live connections need two descriptors each: their ranges are smaller. A wider range than the default cannot be filled with
// TIME_WAITs this way: beyond the wall it takes longer than they last.
const cases: readonly (readonly [Kind, number])[] = [
  ['time_wait', 4000],
  ['time_wait', 12000],
  ['time_wait', 28232],
  ['live', 4000],
  ['live', 12000],
  ['bind', 4000],
  ['bind', 12000],
];
const results = new Map<string, Measured[]>();
for (let round = 0; round < rounds; round++) {
  for (const [kind, size] of cases) {
    const key = `${kind} ${size}`;
    results.set(key, [...(results.get(key) ?? []), measure(size, kind)]);
  }
}
for (const [kind, size] of cases) {
  const all = results.get(`${kind} ${size}`)!;
  const { planned } = all[0]!;
  const { median, low, high } = spread(all.map((m) => m.measured));
  const ratio = (which: 0 | 1): string =>
    kind === 'bind' ? '' : spread(all.map((m) => m.option![which])).median.toFixed(which === 0 ? 3 : 2);
  rows.push([
    kind,
    String(size),
    planned.toFixed(0),
    median.toFixed(0),
    low.toFixed(0),
    high.toFixed(0),
    (median / planned).toFixed(2),
    ratio(0),
    ratio(1),
  ]);
}
process.stdout.write(table(rows));
