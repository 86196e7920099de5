/**
 * `plimsoll explain` beside tshark printing the SYN and RST fields of the same capture: 800,000 packets, 100,000 connections over
 * 60,000 tuples, 40,000 of them on four numbers used before. Rounds are interleaved; time is wall clock, and CPU seconds beside it,
 * since other work on the machine moves only the first.
 *
 * With `--once FILE`: reads and explains FILE in this process and prints the milliseconds and the peak memory. The bench runs
 * itself so, because the first run of a process is what a user waits for.
 */
import { spawnSync } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, readSync, rmSync, statSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Analysis } from '../src/capture/analysis.ts';
import type { CaptureResult } from '../src/capture/explain/result.ts';
import { CaptureStream } from '../src/capture/format/stream.ts';
import { connection, frame, pcapFile } from '../test/support/capture-file.ts';
import { machine, spread, table } from './machine.ts';

const packets = 800_000;
const rounds = 5;

const explain = (path: string): CaptureResult => {
  const stream = new CaptureStream(path);
  const analysis = new Analysis([stream], { filter: null, keep: 10, size: statSync(path).size, seed: 1 });
  const fd = openSync(path, 'r');
  while (analysis.advance() >= 0) {
    const count = readSync(fd, stream.room());
    if (count === 0) stream.finish();
    else stream.wrote(count);
  }
  closeSync(fd);
  return analysis.finish();
};

/** Writes the capture; its path. */
const write = (folder: string): string => {
  const path = join(folder, 'capture.pcap');
  const fd = openSync(path, 'w');
  for (let from = 0; from < 100_000; from += 5000) {
    const frames = Array.from({ length: 5000 }, (_, k) => {
      const i = from + k;
      const tuple = i % 60_000;
      const client = [`10.0.${Math.floor(tuple / 30_000)}.5`, 30_000 + (tuple % 30_000)] as const;
      return connection(1.7e9 + i * 0.001, client, ['10.1.0.1', 80], {
        isn: i * 1000,
        serverIsn: i * 7,
        request: 150,
        answer: 820,
        stamp: i,
        closer: 'server',
      }).map((p) => frame(p));
    }).flat();
    const file = pcapFile(frames);
    writeSync(fd, from === 0 ? file : file.subarray(24));
  }
  closeSync(fd);
  return path;
};

interface Run {
  readonly wall: number;
  readonly cpu: number;
  readonly rss: number;
  readonly out: string;
}

/** Runs a program to its end and asks the kernel what it took. */
const measure = (argv: readonly string[]): Run => {
  const code =
    'import os,subprocess,sys,time,resource\nt=time.monotonic()\np=subprocess.run(sys.argv[1:],stdout=subprocess.PIPE,stderr=subprocess.DEVNULL)\nw=time.monotonic()-t\nr=resource.getrusage(resource.RUSAGE_CHILDREN)\nsys.stderr.write(f"{w} {r.ru_utime+r.ru_stime} {r.ru_maxrss}")\nsys.stdout.buffer.write(p.stdout)\nsys.exit(p.returncode)';
  const run = spawnSync('python3', ['-c', code, ...argv], { encoding: 'utf8', maxBuffer: 1 << 28 });
  if (run.status !== 0) throw new Error(`${argv[0]} ended with ${run.status}: ${run.stderr}`);
  const [wall, cpu, rss] = run.stderr.trim().split('\n').at(-1)!.split(' ').map(Number) as [number, number, number];
  return { wall, cpu, rss: rss / 1024, out: run.stdout };
};

const main = (): number => {
  const folder = mkdtempSync(join(tmpdir(), 'plimsoll-bench-'));
  try {
    process.stdout.write(machine([['tshark', '--version']]));
    const path = write(folder);
    const size = statSync(path).size;
    process.stdout.write(
      `\n${packets.toLocaleString('en')} packets, ${(size / 1e6).toFixed(0)} MB; ${rounds} interleaved rounds, median (low-high)\n\n`,
    );
    const fields = [
      'frame.number',
      'frame.time_epoch',
      'ip.src',
      'tcp.srcport',
      'ip.dst',
      'tcp.dstport',
      'tcp.flags.syn',
      'tcp.flags.reset',
      'tcp.analysis.reused_ports',
    ];
    const tsharkArgv = [
      'tshark',
      '-r',
      path,
      '-Y',
      'tcp.flags.syn == 1 || tcp.flags.reset == 1',
      '-T',
      'fields',
      ...fields.flatMap((f) => ['-e', f]),
    ];
    const runs = { tshark: [] as Run[], explain: [] as Run[], once: [] as number[], warm: [] as number[] };
    // The file is in the page cache for everybody.
    explain(path);
    for (let round = 0; round < rounds; round++) {
      runs.explain.push(measure([process.execPath, 'dist/plimsoll.cjs', 'explain', path, '--json']));
      runs.tshark.push(measure(tsharkArgv));
      runs.once.push(Number(measure([process.execPath, process.argv[1]!, '--once', path]).out));
      const start = performance.now();
      explain(path);
      runs.warm.push((performance.now() - start) / 1000);
    }
    // Both found the same, or the comparison is worth nothing.
    const rows = runs.tshark[0]!.out.trimEnd()
      .split('\n')
      .map((line) => line.split('\t'));
    const result = JSON.parse(runs.explain[0]!.out) as CaptureResult;
    const reused = rows.filter((r) => r[8] === '1').length;
    if (rows.length !== result.tcp.syn + result.tcp.syn_ack + result.tcp.rst || reused !== result.handshakes.reused)
      throw new Error(
        `tshark printed ${rows.length} rows, ${reused} of them reused ports; explain counted ${result.tcp.syn} SYN, ${result.handshakes.reused} reused`,
      );
    const seconds = (values: readonly number[]): string => {
      const { median, low, high } = spread(values);
      return `${median.toFixed(3)} (${low.toFixed(3)}-${high.toFixed(3)})`;
    };
    const wall = (list: readonly Run[]): number[] => list.map((r) => r.wall);
    const t = spread(wall(runs.tshark)).median;
    const ratio = (s: number): string => `${(t / s).toFixed(0)}x`;
    const speed = (s: number): string => `${(packets / s / 1e6).toFixed(1)} M/s`;
    const row = (name: string, values: readonly number[], cpu: readonly number[] | null, rss: readonly number[] | null): string[] => {
      const { median } = spread(values);
      return [
        name,
        seconds(values),
        cpu === null ? '' : seconds(cpu),
        rss === null ? '' : `${spread(rss).median.toFixed(0)} MB`,
        ratio(median),
        speed(median),
      ];
    };
    const list = [
      ['', 'wall s', 'CPU s', 'peak RSS', 'faster', 'packets'],
      row(
        'tshark, SYN and RST fields',
        wall(runs.tshark),
        runs.tshark.map((r) => r.cpu),
        runs.tshark.map((r) => r.rss),
      ),
      row(
        'plimsoll explain, whole process',
        wall(runs.explain),
        runs.explain.map((r) => r.cpu),
        runs.explain.map((r) => r.rss),
      ),
      row('  reading and explaining, first run of a process', runs.once, null, null),
      row('  the same once compiled', runs.warm, null, null),
    ];
    process.stdout.write(table(list));
    const memory = spread(runs.explain.map((r) => r.rss)).median / spread(runs.tshark.map((r) => r.rss)).median;
    const process_ = t / spread(wall(runs.explain)).median;
    const first = t / spread(runs.once).median;
    const rate = packets / spread(runs.once).median / 1e6;
    const bounds: readonly (readonly [string, string, boolean])[] = [
      ['faster than tshark, whole process', `${process_.toFixed(0)}x, aim 60x`, process_ >= 60],
      ['faster than tshark, reading and explaining', `${first.toFixed(0)}x, aim 60x`, first >= 60],
      ['packets a second, first run', `${rate.toFixed(1)} M/s, aim 3`, rate >= 3],
      ['peak RSS beside tshark', `${memory.toFixed(2)}x, aim 0.25`, memory <= 0.25],
    ];
    process.stdout.write(
      `\n${table([['bound', 'measured', ''], ...bounds.map(([name, value, ok]) => [name, value, ok ? 'reached' : 'MISSED'])])}`,
    );
    return bounds.every(([, , ok]) => ok) ? 0 : 1;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
};

if (process.argv[2] === '--once') {
  const start = performance.now();
  explain(process.argv[3]!);
  process.stdout.write(String((performance.now() - start) / 1000));
} else process.exitCode = main();
