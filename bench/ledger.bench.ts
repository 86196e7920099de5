/** What choosing a port costs as the space fills up, and what a server's ports weigh. */
import { writeFileSync } from 'node:fs';
import { writeKnowledge } from '../src/balancer/processes/port-memory.ts';
import { PortLedger } from '../src/core/port-ledger.ts';
import { machine, spread, table } from './machine.ts';

const addresses = ['10.0.0.5', '10.0.0.6', '10.0.0.7', '10.0.0.8', '10.0.0.9'];
const servers = ['10.0.1.11:80', '10.0.1.12:80', '10.0.1.13:80', '10.0.1.14:80'];
const portsPerAddress = 64512;
const rounds = 7;
const batch = 200_000;

const full = (): PortLedger =>
  new PortLedger({ addresses, ports: [{ low: 1024, high: 65535 }], monitorPorts: 4, cooldown: { fin: 65, rst: 16, half_open: 30 } });

/** Nanoseconds for one acquire and release at `occupancy`, over all servers in turn. */
const pairCost = (occupancy: number, ending: 'we_closed' | 'fin'): number => {
  const ledger = full();
  let now = 0;
  const held = Math.floor(occupancy * (portsPerAddress - 4) * addresses.length);
  for (const server of servers) for (let i = 0; i < held; i++) ledger.acquire(server, now);
  const start = process.hrtime.bigint();
  for (let i = 0; i < batch; i++) {
    // 40 kHz: with fin, the ports of 65 s would need 2.6 million; the rest are early reuses, as they would be.
    now += 25e-6;
    const lease = ledger.acquireEarly(servers[i & 3]!, now)!;
    ledger.release(lease, ending, now);
  }
  return Number(process.hrtime.bigint() - start) / batch;
};

process.stdout.write(machine());

// Memory first: later the heap keeps what timing left behind.
const collect = (globalThis as { gc?: () => void }).gc ?? (() => {});
const resident = (): number => {
  collect();
  return process.memoryUsage().rss;
};
const ledger = full();
const before = resident();
const count = 8;
const name = (i: number): string => `10.9.0.${i}:80`;
for (let i = 0; i < count; i++) ledger.release(ledger.acquire(name(i), 0)!, 'we_closed', 0);
const idle = (resident() - before) / count;
for (let i = 0; i < count; i++)
  for (let n = 0; n < portsPerAddress * addresses.length; n++) {
    const lease = ledger.acquire(name(i), 0);
    if (lease !== null) ledger.release(lease, 'we_closed', 0);
  }
const touched = (resident() - before) / count;
// `stats` keeps the ledger alive until here.
const reserved = ledger.stats(0).length === 0 ? 0 : process.memoryUsage().arrayBuffers / count;
process.stdout.write(
  `\nmemory per server with ${addresses.length} addresses: ${(idle / 1024).toFixed(0)} KiB when first used (${(reserved / 1024 / 1024).toFixed(2)} MiB reserved), ${(touched / 1024 / 1024).toFixed(2)} MiB when every port was used once (${(touched / addresses.length / portsPerAddress).toFixed(1)} bytes a port)\n`,
);
process.stdout.write(
  `\n${addresses.length} addresses x ${portsPerAddress.toLocaleString('en')} ports x ${servers.length} servers; acquire + release, ns, median of ${rounds} (low-high)\n\n`,
);
const rows: string[][] = [['ports in use', 'we closed', 'server closed (cool-down)']];
const levels = [0, 0.5, 0.9, 0.999];
const results = new Map<string, number[]>();
for (let round = 0; round < rounds; round++)
  for (const level of levels)
    for (const ending of ['we_closed', 'fin'] as const) {
      const key = `${level} ${ending}`;
      results.set(key, [...(results.get(key) ?? []), pairCost(level, ending)]);
    }
for (const level of levels) {
  const cell = (ending: string): string => {
    const { median, low, high } = spread(results.get(`${level} ${ending}`)!);
    return `${median.toFixed(0)} (${low.toFixed(0)}-${high.toFixed(0)})`;
  };
  rows.push([`${level * 100} %`, cell('we_closed'), cell('fin')]);
}
process.stdout.write(table(rows));

// What a balancer pays once a second so that a restart knows its cooling ports: every port of the four servers cools.
const cooling = full();
for (const server of servers)
  for (let n = 0; n < portsPerAddress * addresses.length; n++) {
    const lease = cooling.acquire(server, 0);
    if (lease !== null) cooling.release(lease, 'fin', 0);
  }
const kept: number[] = [];
let ports = 0;
for (let round = 0; round < rounds; round++) {
  const start = process.cpuUsage();
  const known = cooling.remember(1);
  const file = writeKnowledge(new Map([['egress', known]]), 0);
  writeFileSync('/dev/null', Buffer.concat(file));
  const { user, system } = process.cpuUsage(start);
  ports = known.reduce((sum, space) => sum + space.ports.length, 0);
  kept.push(((user + system) * 1000) / ports);
}
const { median, low, high } = spread(kept);
process.stdout.write(
  `\nremembering ${ports.toLocaleString('en')} cooling ports: ${median.toFixed(0)} ns of CPU a port (${low.toFixed(0)}-${high.toFixed(0)}), ${((median * ports) / 1e6).toFixed(0)} ms in all\n`,
);
