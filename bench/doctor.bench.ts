/**
 * `npm run bench doctor`: reading sockets and making port spaces, against ss and against a C program that asks the kernel the
 * same and throws the answer away. Every row is paired: ours and the peer's take turns in one run.
 */
import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PortSet } from '../src/core/port-range.ts';
import { measurePortSpaces, viewNamespace } from '../src/core/port-spaces.ts';
import { ffi } from '../src/linux/ffi.ts';
import { findOwners } from '../src/linux/owners.ts';
import { liveRoot } from '../src/linux/proc.ts';
import { readSettings } from '../src/linux/settings.ts';
import { walkSockets } from '../src/linux/sock-diag/walk.ts';
import { linked, type Namespace, namespace } from '../test/support/namespace.ts';
import { acceptAll, close, listen, open } from '../test/support/sockets.ts';
import { machine, spread, table } from './machine.ts';

const ROUNDS = 15;
const WARM_UP = 30;
const A = '10.66.0.1';
const library = ffi();
if (library.status !== 'ok') throw new Error(library.hint);
const c = library.value;
const folder = mkdtempSync(join(tmpdir(), 'plimsoll-bench-'));
process.on('exit', () => rmSync(folder, { recursive: true, force: true }));

/** The kernel's share: the same request, the answer read and thrown away. */
const drainSource = `
#include <linux/netlink.h>
#include <linux/inet_diag.h>
#include <stdlib.h>
#include <string.h>
#include <stdio.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
int main(int argc, char **argv) {
  struct { struct nlmsghdr h; struct inet_diag_req r; } m;
  static char buffer[65536];
  struct timespec a, b;
  clock_gettime(CLOCK_MONOTONIC, &a);
  int fd = socket(AF_NETLINK, SOCK_RAW, NETLINK_SOCK_DIAG);
  memset(&m, 0, sizeof m);
  m.h.nlmsg_len = sizeof m;
  m.h.nlmsg_type = TCPDIAG_GETSOCK;
  m.h.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
  m.r.idiag_states = 0x3f7e;
  m.r.idiag_ext = argc > 1 ? 2 : 0;
  send(fd, &m, sizeof m, 0);
  for (int done = 0; !done;) {
    int n = recv(fd, buffer, sizeof buffer, 0);
    struct nlmsghdr *h = (struct nlmsghdr *)buffer;
    for (; NLMSG_OK(h, n); h = NLMSG_NEXT(h, n)) if (h->nlmsg_type == NLMSG_DONE || h->nlmsg_type == NLMSG_ERROR) done = 1;
  }
  clock_gettime(CLOCK_MONOTONIC, &b);
  printf("%f\\n", (b.tv_sec - a.tv_sec) * 1e3 + (b.tv_nsec - a.tv_nsec) / 1e6);
  return 0;
}`;

const ms = (work: () => void): number => {
  const start = performance.now();
  work();
  return performance.now() - start;
};

const settings = readSettings(liveRoot);
/** Sockets of the look before: what the next makes room for, as the product does from /proc/net/sockstat. */
let known = 0;

/** Our work of one look: dump, group, count. The settings are read with the doctor's row. */
const look = (info: boolean): void => {
  const sockets = walkSockets(c, { info, expect: 1.05 * known });
  known = sockets.count;
  const probe = { blocked: new PortSet(), unknown: new PortSet() };
  const view = viewNamespace({ id: '1', name: 'bench', at: 0, settings, sockets, probe, counters: {}, conntrack: null });
  measurePortSpaces(null, view, { tickHz: 250, failed: null, asked: [] });
};

const rows: string[][] = [['work', 'ours', 'peer', 'ratio (low to high)', 'bound', '']];
const report = (work: string, ours: readonly number[], peer: readonly number[], bound: number, unit = 'ms'): void => {
  const ratios = spread(ours.map((o, i) => o / peer[i]!));
  const o = spread(ours);
  const p = spread(peer);
  rows.push([
    work,
    `${o.median.toFixed(1)} ${unit}`,
    `${p.median.toFixed(1)} ${unit}`,
    `${ratios.median.toFixed(2)} (${ratios.low.toFixed(2)} to ${ratios.high.toFixed(2)})`,
    `<= ${bound.toFixed(2)}`,
    ratios.median <= bound ? 'reached' : 'MISSED',
  ]);
};

/** `count` TIME_WAITs over eight destinations, made on explicit ports: the automatic search would scan for minutes. */
const timeWaits = (ns: Namespace, count: number): void => {
  ns.run(() => {
    const per = Math.ceil(count / 8);
    for (let d = 0; d < 8; d++) {
      const listener = listen(A, 80 + d);
      for (let i = 0; i < per; i++) {
        const fd = open(A, 80 + d, { bind: [A, 20_000 + i], reuseAddress: true });
        const accepted = acceptAll(listener);
        close(fd);
        close(...accepted);
      }
      close(listener);
    }
  });
};

const dumpRows = (ns: Namespace, title: string, info: boolean, boundSs: number, boundC: number): void => {
  const ours: number[] = [];
  const ss: number[] = [];
  const bare: number[] = [];
  ns.run(() => {
    // Compiled as in a process that goes on looking; the whole-process row is the cold one.
    for (let i = 0; i < WARM_UP; i++) look(info);
    for (let round = 0; round < ROUNDS; round++) {
      ours.push(ms(() => look(info)));
      ss.push(ms(() => execFileSync('sh', ['-c', 'ss -tanH >/dev/null'])));
      bare.push(Number(execFileSync(join(folder, 'drain'), info ? ['info'] : [], { encoding: 'utf8' })));
    }
  });
  report(`${title}, dump + port spaces : ss -tanH`, ours, ss, boundSs);
  report(`${title}, dump + port spaces : C, discarding`, ours, bare, boundC);
};

/** Holds `count` established connections in processes of `each`: descriptors per process are limited. */
const holders = async (ns: Namespace, count: number, each: number): Promise<() => void> => {
  const children: ChildProcess[] = [];
  for (let from = 0; from < count; from += each) {
    const child = spawn(
      'setpriv',
      [
        '--pdeathsig',
        'KILL',
        'ip',
        'netns',
        'exec',
        ns.name,
        process.execPath,
        '-e',
        holder,
        String(from),
        String(Math.min(each, count - from)),
      ],
      { stdio: ['ignore', 'pipe', 'inherit'] },
    );
    children.push(child);
    await once(child.stdout!, 'data');
  }
  return () => {
    for (const child of children) child.kill('SIGKILL');
  };
};
const holder = `
const net = require('node:net');
const [from, count] = process.argv.slice(1).map(Number);
let open = 0, next = 0;
const more = () => {
  if (next === count) return;
  const i = from + next++;
  const s = net.connect({ host: '10.77.0.2', port: 80 + (i % 10), localAddress: '10.77.0.1', localPort: 20000 + Math.floor(i / 10) }, () => { if (++open === count) console.log('ready'); more(); });
  s.on('error', (e) => { console.error(e.message); process.exit(1); });
};
for (let i = 0; i < 50; i++) more();
setInterval(() => {}, 1e6);
`;

console.log(
  machine([
    ['ss', '-V'],
    ['gcc', '--version'],
  ]),
);
writeFileSync(join(folder, 'drain.c'), drainSource);
execFileSync('gcc', ['-O2', '-o', join(folder, 'drain'), join(folder, 'drain.c')]);

for (const count of [28_000, 128_000]) {
  const ns = namespace({ addresses: [A] });
  timeWaits(ns, count);
  dumpRows(ns, `${count / 1000} k TIME_WAIT`, false, 0.4, 1.3);
  ns.destroy();
}

{
  const ns = namespace({ addresses: [A] });
  timeWaits(ns, 100_000);
  const command = new URL('../../dist/plimsoll.cjs', import.meta.url).pathname;
  const ours: number[] = [];
  const peer: number[] = [];
  let rss = 0;
  ns.run(() => {
    for (let round = 0; round < ROUNDS + 1; round++) {
      const mine = ms(() =>
        spawnSync(process.execPath, [command, 'doctor', '--interval', '0s', '--json'], { stdio: ['ignore', 'ignore', 'inherit'] }),
      );
      const theirs = ms(() => execFileSync('sh', ['-c', 'ss -tanH | wc -l']));
      if (round === 0) continue;
      ours.push(mine);
      peer.push(theirs);
    }
    const time = spawnSync(
      '/usr/bin/env',
      [
        'python3',
        '-c',
        'import resource,subprocess,sys; subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL); print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)',
        process.execPath,
        command,
        'doctor',
        '--interval',
        '0s',
        '--json',
      ],
      { encoding: 'utf8' },
    );
    rss = Number(time.stdout) / 1024;
  });
  report('100 k TIME_WAIT, whole doctor --interval 0s --json : ss | wc -l', ours, peer, 1.3);
  rows.push(['  its peak RSS', `${rss.toFixed(0)} MB`, '', '', '<= 150 MB', rss <= 150 ? 'reached' : 'MISSED']);
  ns.destroy();
}

{
  // The other ends are in a namespace of their own: walked by the kernel, for its table is one, and not dumped.
  const [ns, server] = linked();
  const listeners = server.run(() => Array.from({ length: 10 }, (_, d) => listen('10.77.0.2', 80 + d)));
  const release = await holders(ns, 50_000, 18_000);
  dumpRows(ns, '50 k ESTABLISHED, with tcp_info', true, 0.6, 1.3);
  const ours: number[] = [];
  const peer: number[] = [];
  ns.run(() => {
    for (let round = 0; round < 3; round++) {
      ours.push(
        ms(() => {
          const sockets = walkSockets(c, { info: false });
          const view = viewNamespace({
            id: '1',
            name: 'bench',
            at: 0,
            settings: readSettings(liveRoot),
            sockets,
            probe: { blocked: new PortSet(), unknown: new PortSet() },
            counters: {},
            conntrack: null,
          });
          const worst = measurePortSpaces(null, view, { tickHz: 250, failed: null, asked: [] }).slice(0, 10);
          const inodes = new Set<number>();
          for (const m of worst)
            for (const g of m.members) for (let i = g.start; i < g.end; i++) inodes.add(sockets.inode[view.groups.rows[i]!]!);
          const { owners } = findOwners(liveRoot, inodes, '0');
          if (owners.size < inodes.size * 0.99) throw new Error(`only ${owners.size} of ${inodes.size} owners found`);
        }),
      );
      peer.push(ms(() => execFileSync('sh', ['-c', 'ss -tanpH >/dev/null'])));
    }
  });
  report('owners of the ten worst of 50 k ESTABLISHED : ss -tanpH', ours, peer, 0.3);
  release();
  close(...listeners);
  ns.destroy();
  server.destroy();
}

console.log(table(rows));
process.exitCode = rows.some((row) => row[5] === 'MISSED') ? 1 : 0;
