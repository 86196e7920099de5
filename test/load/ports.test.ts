/** What a load does to source ports, on the real kernel: when they run out against what was predicted, and whose they are. */
import { describe, expect } from 'vitest';
import { kernelTest, type Namespace, namespace } from '../support/netns.ts';
import { bindOnly, close } from '../support/sockets.ts';
import { held, load, serveHttp, serveTcp, start, unaccounted } from './support.ts';

const server = '10.66.0.1';
const answer = (_: unknown, response: { end(text: string): void }): void => response.end('hello');

/** A namespace with a server, whose kernel chooses from `range`. */
const place = (range: readonly [number, number], sysctls: Record<string, number> = {}): Namespace => {
  const ns = namespace({ range, sysctls: { 'net.ipv4.tcp_tw_reuse': 0, ...sysctls }, addresses: [server, '10.66.0.5', '10.66.0.6'] });
  serveHttp(ns, server, 80, answer);
  return ns;
};

describe('plimsoll load and the ports the kernel chooses', () => {
  kernelTest('run out when it said they would, with their errno, and it goes on counting', async () => {
    const ns = place([40000, 40299]);
    const { code, document: d, err } = await load(ns, `http://${server}/ --rate 100/s --duration 4s --requests-per-connection 1`);
    expect(code).toBe(0);
    expect(err).toMatch(/Predicted: 100\/s .*closed first by the client: 300 source\s+ports \(40000-40299/s);
    expect(err.replace(/\s+/g, ' ')).toContain('last 3 s; 4.8/s is sustainable. To make it last: add');
    expect(err).toMatch(/Source ports ran out after 3(\.\d)? s \(predicted after 3 s\): EADDRNOTAVAIL at connect/);
    expect(d.ports).toMatchObject({ chosen_by: 'connect', capacity: 300, peak_used: 300 });
    expect(d.prediction.exhausts_after).toBeCloseTo(3, 1);
    expect(d.exhausted_after! / d.prediction.exhausts_after!).toBeGreaterThan(0.95);
    expect(d.exhausted_after! / d.prediction.exhausts_after!).toBeLessThan(1.15);
    expect(d.exhausted_by).toEqual({ code: 'EADDRNOTAVAIL', call: 'connect' });
    // The kernel's own count: each port was used once and is in TIME_WAIT.
    expect([d.ok, held(ns, 'time-wait', 80)]).toEqual([300, 300]);
    expect(d.scheduled).toBe(400);
    expect(d.errors.local_port + d.missed_because.no_port).toBe(100);
    expect(unaccounted(d)).toEqual([0, 0]);
  });

  kernelTest('that are in use when it begins are counted into the prediction', async () => {
    const ns = place([40000, 40299]);
    await load(ns, `http://${server}/ --rate 100/s --duration 1s --requests-per-connection 1`);
    const { document: d } = await load(ns, `http://${server}/ --rate 100/s --duration 3s --requests-per-connection 1`);
    expect(d.ports.used_before).toBe(100);
    expect(d.prediction.exhausts_after).toBeCloseTo(2, 1);
    expect(d.exhausted_after! / d.prediction.exhausts_after!).toBeGreaterThan(0.95);
    expect(d.exhausted_after! / d.prediction.exhausts_after!).toBeLessThan(1.15);
  });

  kernelTest('none free from the beginning: exit 69, and nothing was sent', async () => {
    const ns = place([40000, 40019]);
    await load(ns, `http://${server}/ --rate 100/s --duration 0.3s --requests-per-connection 1`);
    const run = start(ns, `http://${server}/ --rate 10/s`);
    expect(await run.ended).toEqual({ code: 69, signal: null });
    expect(run.err()).toContain(`no source port towards ${server}:80 is free in the range 40000-40019: EADDRNOTAVAIL`);
    expect(run.out()).toBe('');
  });

  kernelTest('last when the server closes first', async () => {
    const ns = place([40000, 40079]);
    const { document: d } = await load(ns, `http://${server}/ --rate 100/s --duration 1s --requests-per-connection 1 --closer server`);
    expect([d.ok, d.prediction.lasts, d.exhausted_after]).toEqual([100, true, null]);
    expect([d.connections.closed_by_server, d.connections.closed_by_client]).toEqual([100, 0]);
    expect(held(ns, 'time-wait', 80)).toBe(0);
  });

  kernelTest('with a source address they are chosen at bind(): another errno, no TIME_WAIT is taken', async () => {
    const ns = place([40000, 40099], { 'net.ipv4.tcp_tw_reuse': 1 });
    const line = `http://${server}/ --rate 100/s --duration 2s --requests-per-connection 1 --source 10.66.0.5 --auto-ports`;
    const { document: d, err } = await load(ns, line);
    expect(d.ports).toMatchObject({ chosen_by: 'bind', capacity: 100 });
    expect(err.replace(/\s+/g, ' ')).toContain('chosen by the kernel at bind');
    expect(d.exhausted_after! / d.prediction.exhausts_after!).toBeGreaterThan(0.9);
    expect(d.exhausted_after! / d.prediction.exhausts_after!).toBeLessThan(1.3);
    expect(d.exhausted_by?.code).toBe('EADDRINUSE');
    expect(d.ok).toBe(100);
  });

  kernelTest(
    '--find-limit finds the rate that the planner says, and names the ports',
    async () => {
      const ns = place([40000, 40399], { 'net.ipv4.tcp_tw_reuse': 1, 'net.ipv4.tcp_tw_reuse_delay': 4000 });
      const { code, document: d } = await load(ns, `http://${server}/ --find-limit --duration 1s --requests-per-connection 1`);
      expect(code).toBe(0);
      // 399 ports in four seconds; what is sent late falls on what is on time.
      expect(d.prediction.sustainable_rate).toBeCloseTo(99.75, 1);
      expect(d.limit?.cause).toBe('local_port');
      expect(d.limit!.rate! / 99.75).toBeGreaterThan(0.85);
      expect(d.limit!.rate! / 99.75).toBeLessThan(1.03);
      expect(d.limit!.fails_at! / d.limit!.rate!).toBeLessThanOrEqual(1.06);
      expect(d.limit!.probes.filter((p) => p.ok).every((p) => p.rate <= d.limit!.rate!)).toBe(true);
    },
    90_000,
  );
});

describe('plimsoll load and the ports it chooses itself', () => {
  kernelTest('from as many addresses and ports as it is given and from no others, each about as often as the next', async () => {
    const ns = place([40000, 40999]);
    const seen = new Map<string, number>();
    serveTcp(ns, server, 81, (socket) => {
      // The look before the run is closed by RST, mostly before it can be asked where it came from.
      if (socket.remotePort === undefined) return;
      const from = `${socket.remoteAddress} ${socket.remotePort}`;
      seen.set(from, (seen.get(from) ?? 0) + 1);
    });
    const line = `tcp://${server}:81 --rate 200/s --duration 2s --source 10.66.0.5-10.66.0.6 --ports 2000-2049,3000-3049`;
    const { document: d } = await load(ns, line);
    expect(d.ok).toBe(400);
    expect([400, 401]).toContain([...seen.values()].reduce((a, b) => a + b));
    const ports = [...seen.keys()].map((from) => Number(from.split(' ')[1]));
    expect(seen.size).toBe(200);
    expect(ports.every((p) => (p >= 2000 && p <= 2049) || (p >= 3000 && p <= 3049))).toBe(true);
    // At random one in seven would not have been used at all, and some six times.
    expect(Math.max(...seen.values())).toBeLessThanOrEqual(4);
    expect(d.ports).toMatchObject({ chosen_by: 'ledger', capacity: 200 });
  });

  kernelTest('a port that we closed is used again at once, whatever TIME_WAIT says', async () => {
    const ns = place([40000, 40999]);
    const { document: d } = await load(ns, `http://${server}/ --connections 2 --duration 2s --requests-per-connection 1 --ports 2000-2019`);
    expect([d.ok > 40, d.connections.opened - d.ok, d.errors.local_port]).toEqual([true, 0, 0]);
    expect(d.prediction).toEqual({ exhausts_after: null, sustainable_rate: null, lasts: true });
    expect(held(ns, 'time-wait', 80)).toBe(20);
  });

  kernelTest('one that the server closed rests while there are others, and is used early when there are none', async () => {
    const ns = place([40000, 40999]);
    const line = (rate: string): string =>
      `http://${server}/ --rate ${rate} --duration 1s --requests-per-connection 1 --closer server --ports 2000-2099`;
    const resting = (await load(ns, line('80/s'))).document;
    expect(resting.ports.sources).toMatchObject([{ cooling: 80, early_reuses: 0, free: 20 }]);
    const early = (await load(ns, line('150/s'))).document;
    expect(early.ports.sources).toMatchObject([{ cooling: 100, early_reuses: 50, free: 0 }]);
    expect([resting.ok, early.ok]).toEqual([80, 150]);
    const rested = (await load(ns, `${line('150/s')} --cooldown 100ms`)).document;
    expect(rested.ports.sources).toMatchObject([{ early_reuses: 0 }]);
  });

  kernelTest('a port that somebody else holds is passed over, and counted as theirs', async () => {
    const ns = place([40000, 40999]);
    const others = ns.run(() => [2000, 2003, 2007].map((port) => bindOnly('10.66.0.5', port)));
    try {
      const { document: d } = await load(
        ns,
        `http://${server}/ --connections 2 --duration 2s --requests-per-connection 1 --source 10.66.0.5 --ports 2000-2009`,
      );
      expect([d.ok > 10, d.ok - d.connections.opened, d.errors.local_port]).toEqual([true, 0, 0]);
      expect(d.ports.sources).toMatchObject([{ held_by_others: 3 }]);
    } finally {
      close(...others);
    }
  });

  kernelTest('when all are in use it says so, and every request is accounted for', async () => {
    const ns = place([40000, 40999]);
    serveTcp(ns, server, 81);
    const { document: d, err } = await load(ns, `tcp://${server}:81 --rate 50/s --duration 2s --hold 10s --timeout 1s --ports 2000-2029`);
    expect(err).toMatch(/Source ports ran out after \S+ s \(predicted after 600 ms\): every port given is in use/);
    expect(d.prediction.exhausts_after).toBeCloseTo(0.6, 1);
    expect(d.exhausted_after! / 0.6).toBeGreaterThan(0.95);
    expect(d.exhausted_by).toEqual({ code: 'NONE_FREE', call: 'ledger' });
    expect([d.ok, d.errors.local_port]).toEqual([30, 70]);
    expect(unaccounted(d)).toEqual([0, 0]);
  });

  kernelTest('none free from the beginning: exit 69, after each was tried', async () => {
    const ns = place([40000, 40999]);
    const others = ns.run(() => Array.from({ length: 10 }, (_, i) => bindOnly(server, 2000 + i)));
    try {
      const run = start(ns, `http://${server}/ --rate 10/s --ports 2000-2009`);
      expect(await run.ended).toEqual({ code: 69, signal: null });
      expect(run.err()).toContain(`no source port towards ${server}:80 is free in the range 2000-2009: others hold all 10`);
    } finally {
      close(...others);
    }
  });

  kernelTest('with more processes than requests the run ends all the same', async () => {
    const ns = place([40000, 40999]);
    const { document: d } = await load(ns, `http://${server}/ --rate 2/s --duration 1s --workers 3`);
    expect([d.scheduled, d.ok]).toEqual([2, 2]);
  });

  kernelTest('are shared out over processes: no port is asked for twice', async () => {
    const ns = place([40000, 40999]);
    const from: number[] = [];
    // Where the machine stands still for seconds, a connection has ended before its port can be read here.
    serveTcp(ns, server, 81, (socket) => socket.remotePort !== undefined && from.push(socket.remotePort));
    const { document: d } = await load(ns, `tcp://${server}:81 --rate 300/s --duration 1s --hold 3s --workers 3 --ports 2000-2299`);
    expect([d.ok, d.errors.local_port, d.ports.capacity]).toEqual([300, 0, 300]);
    // The first connection asks whether the server is there.
    const asked = from.slice(1);
    expect(new Set(asked).size).toBe(asked.length);
    expect(asked.length).toBeGreaterThan(250);
    expect(d.ports.sources).toHaveLength(1);
  });
});
