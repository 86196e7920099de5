/** The forecast against the kernel: plateaus, times to exhaustion, and what each remedy promises, on real TIME_WAITs. */
import { describe, expect } from 'vitest';
import type { Forecast } from '../../src/core/forecast.ts';
import type { PortSpace } from '../../src/core/port-space.ts';
import { timerGranule } from '../../src/core/timer-tick.ts';
import { churn } from '../support/churn.ts';
import { connectSpace, diagnoseNamespace, remedyOf, spacesOf, viewOf } from '../support/look.ts';
import { kernelTest, linked, type Namespace, namespace } from '../support/netns.ts';
import { until } from '../support/poll.ts';
import { acceptAll, close, listen, open, openUntilFailure, reset, send } from '../support/sockets.ts';

const A = '10.66.0.1';
const LONG = 150_000;

const thousand = (sysctls: Record<string, string | number> = {}): Namespace =>
  namespace({ range: [40000, 40999], addresses: [A], sysctls: { 'net.ipv4.tcp_tw_reuse': 0, ...sysctls } });

const spaceNow = (ns: Namespace, port = 80): PortSpace => connectSpace(ns, A, A, port);

/** Mean of `held` over whole timer ticks: ports come back in batches, so part of a tick would say nothing. */
const meanOverTicks = async (read: () => number, tickHz: number, ticks: number): Promise<number> => {
  const seconds = timerGranule(60, tickHz) * ticks;
  const started = performance.now();
  const values: number[] = [];
  await until(
    `${ticks} ticks to pass`,
    () => {
      values.push(read());
      return performance.now() - started >= seconds * 1000;
    },
    seconds * 1000 + 5000,
  );
  return values.reduce((a, b) => a + b, 0) / values.length;
};

const plateauOf = (f: Forecast): number => (f.kind === 'plateau' || f.kind === 'stable' ? f.plateauUsed : Number.NaN);

describe.concurrent('the forecast is right', () => {
  kernelTest(
    'steady churn settles within 3 % of the plateau that was told a third of the way there',
    async () => {
      const ns = thousand();
      const listener = ns.run(() => listen(A, 80));
      const load = churn(ns, A, 80, listener, { rate: 12 });
      try {
        await until('20 s of history', () => load.elapsed > 20, 30_000);
        const told = spaceNow(ns).forecast;
        expect(told.kind).toBe('plateau');
        await until('the first TIME_WAITs to end', () => load.elapsed > 64, 60_000);
        const mean = await meanOverTicks(() => spaceNow(ns).held, viewOf(ns).tickHz ?? 250, 4);
        expect(Math.abs(plateauOf(told) - mean) / mean).toBeLessThan(0.03);
        const settled = spaceNow(ns).forecast;
        expect(settled.kind).toBe('stable');
        expect(Math.abs(plateauOf(settled) - mean) / mean).toBeLessThan(0.03);
        expect(load.failures).toBe(0);
      } finally {
        load.stop();
      }
    },
    LONG,
  );

  kernelTest(
    'churn beyond what is sustainable runs out when it was told to, from one look and from two',
    async () => {
      const ns = thousand();
      const listener = ns.run(() => listen(A, 80));
      const rate = 20;
      const load = churn(ns, A, 80, listener, { rate });
      try {
        await until('10 s of history', () => load.elapsed > 10, 20_000);
        const at = load.elapsed;
        const one = spaceNow(ns).forecast;
        const { view } = viewOf(ns);
        await until('two more seconds', () => load.elapsed > 12);
        const twoAt = load.elapsed;
        const two = spacesOf(ns, [], view).find((m) => m.space.destinationPort === 80)!.space.forecast;
        const failedAfter = await until('the first connect to fail', () => load.failedAfter, 60_000);
        const allowed = Math.max(0.05, 2 / Math.sqrt(rate * 10));
        for (const [told, toldAt] of [
          [one, at],
          [two, twoAt],
        ] as const) {
          if (told.kind !== 'exhausts') throw new Error(`told ${told.kind}`);
          const measured = failedAfter - toldAt;
          expect(Math.abs(told.seconds - measured) / measured).toBeLessThan(allowed);
          expect(told.secondsLow).toBeLessThanOrEqual(measured * (1 + allowed));
          expect(told.secondsHigh ?? Number.POSITIVE_INFINITY).toBeGreaterThanOrEqual(measured * (1 - allowed));
        }
      } finally {
        load.stop();
      }
    },
    LONG,
  );

  kernelTest(
    'a leak of live connections runs out when two looks told it to',
    async () => {
      const ns = thousand();
      ns.run(() => listen(A, 80));
      const started = performance.now();
      let opened = 0;
      let failedAfter: number | null = null;
      const timer = setInterval(() => {
        const due = Math.floor(((performance.now() - started) / 1000) * 40) - opened;
        ns.run(() => {
          for (let i = 0; i < due && failedAfter === null; i++) {
            try {
              open(A, 80);
              opened++;
            } catch {
              failedAfter = (performance.now() - started) / 1000;
            }
          }
        });
      }, 5);
      try {
        await until('a quarter', () => opened > 250);
        const { view } = viewOf(ns);
        await until('four more seconds', () => opened > 410);
        const toldAt = (performance.now() - started) / 1000;
        const told = spacesOf(ns, [], view)[0]!.space.forecast;
        if (told.kind !== 'exhausts') throw new Error(`told ${told.kind}`);
        const measured = (await until('the first connect to fail', () => failedAfter, 40_000)) - toldAt;
        expect(Math.abs(told.seconds - measured) / measured).toBeLessThan(Math.max(0.05, 2 / Math.sqrt(160)));
      } finally {
        clearInterval(timer);
      }
    },
    LONG,
  );

  kernelTest('what does not move is stable, and one look without any TIME_WAIT says that it cannot tell', async () => {
    const ns = thousand();
    ns.run(() => {
      listen(A, 80);
      for (let i = 0; i < 50; i++) open(A, 80);
    });
    expect(spaceNow(ns).forecast).toEqual({ kind: 'unknown' });
    const d = await diagnoseNamespace(ns);
    expect(d.spaces[0]!.forecast).toEqual({ kind: 'stable', plateauUsed: 50 });
  });
});

describe.concurrent('a remedy’s promise is kept within 5 %', () => {
  kernelTest(
    'letting the server close first empties the space of TIME_WAITs',
    async () => {
      const ns = namespace({ range: [40000, 40299], addresses: [A], sysctls: { 'net.ipv4.tcp_tw_reuse': 0 } });
      const listener = ns.run(() => listen(A, 80));
      let load = churn(ns, A, 80, listener, { rate: 12 });
      try {
        await until('the space to be 85 % full', () => spaceNow(ns).usedRatio > 0.85, 40_000);
        const { effect } = await remedyOf(ns, 'peer_closes_first');
        load.stop();
        load = churn(ns, A, 80, listener, { rate: 12, closer: 'server' });
        await until('the old TIME_WAITs to end', () => load.elapsed > 63, 70_000);
        const measured = spaceNow(ns).usedRatio;
        expect(Math.abs(measured - effect.usedRatio)).toBeLessThanOrEqual(0.05);
        expect(load.failures).toBe(0);
      } finally {
        load.stop();
      }
    },
    LONG,
  );

  kernelTest(
    'tcp_tw_reuse=1 leaves a second of TIME_WAITs counted as used',
    async () => {
      const ns = namespace({ range: [40000, 40299], addresses: [A], sysctls: { 'net.ipv4.tcp_tw_reuse': 0 } });
      const listener = ns.run(() => listen(A, 80));
      const load = churn(ns, A, 80, listener, { rate: 20 });
      try {
        await until('the space to be 85 % full', () => spaceNow(ns).usedRatio > 0.85, 40_000);
        const { effect, remedy } = await remedyOf(ns, 'tcp_tw_reuse');
        expect(remedy.settings).toEqual([{ name: 'net.ipv4.tcp_tw_reuse', from: '0', to: '1' }]);
        ns.sysctl('net.ipv4.tcp_tw_reuse', 1);
        const from = load.opened;
        // More than the range holds: without reuse this would have failed.
        await until('400 more connections', () => load.opened > from + 400, 30_000);
        const measured = spaceNow(ns).usedRatio;
        expect(Math.abs(measured - effect.usedRatio)).toBeLessThanOrEqual(0.05);
        expect(load.failures).toBe(0);
      } finally {
        load.stop();
      }
    },
    LONG,
  );

  kernelTest('one more source address doubles what can be opened', async () => {
    const ns = namespace({ range: [40000, 40099], addresses: [A, '10.66.0.2'] });
    ns.run(() => {
      listen(A, 80);
      for (let i = 0; i < 85; i++) open(A, 80);
    });
    const { effect } = await remedyOf(ns, 'add_source_addresses');
    const fill = (source: string): number =>
      ns.run(() => {
        for (let n = 0; ; n++) {
          try {
            open(A, 80, { bind: [source, 0], noPort: true });
          } catch {
            return n;
          }
        }
      });
    expect(85 + fill(A) + fill('10.66.0.2')).toBe(effect.capacity);
    expect(85 / effect.capacity).toBeCloseTo(effect.usedRatio, 5);
  });

  kernelTest('binding the address without a port gives every destination its own ports', async () => {
    const ns = namespace({ range: [40000, 40099], addresses: [A] });
    const fds = ns.run(() => {
      listen(A, 80);
      listen(A, 81);
      return Array.from({ length: 85 }, (_, i) => open(A, i < 55 ? 80 : 81, { bind: [A, 0], reuseAddress: true }));
    });
    const { effect } = await remedyOf(ns, 'bind_address_no_port');
    reset(...fds);
    ns.run(() => {
      for (let i = 0; i < 85; i++) open(A, i < 55 ? 80 : 81, { bind: [A, 0], noPort: true });
    });
    const fullest = (await diagnoseNamespace(ns)).spaces[0]!;
    expect(fullest.kind).toBe('connect');
    expect(Math.abs(fullest.usedRatio - effect.usedRatio)).toBeLessThanOrEqual(0.05);
  });

  kernelTest('giving blocked ports back, and a wider range, bring the capacity they say', async () => {
    const ns = namespace({ range: [40000, 40099], addresses: [A], sysctls: { 'net.ipv4.ip_local_reserved_ports': '40000-40049' } });
    ns.run(() => {
      listen(A, 80);
      listen('127.0.0.1', 5000);
      for (let i = 0; i < 45; i++) open(A, 80);
    });
    const freed = await remedyOf(ns, 'free_blocked_ports');
    const wide = await remedyOf(ns, 'widen_range');
    ns.sysctl('net.ipv4.ip_local_reserved_ports', '');
    expect(spaceNow(ns).capacity).toBe(freed.effect.capacity);
    let more = 0;
    ns.run(() => {
      try {
        for (;;) {
          open(A, 80);
          more++;
        }
      } catch {
        // Full.
      }
    });
    expect(45 + more).toBe(freed.effect.capacity);
    // The commands as the doctor prints them, in this namespace.
    for (const command of wide.remedy.commands) ns.exec('sh', '-c', command);
    const space = spaceNow(ns);
    expect(Math.abs(space.capacity - wide.effect.capacity) / wide.effect.capacity).toBeLessThanOrEqual(0.05);
    expect(space.blocked).toBeGreaterThan(0);
  });

  kernelTest('one more endpoint of the destination doubles what can be opened', async () => {
    const ns = namespace({ range: [40000, 40099], addresses: [A] });
    ns.run(() => {
      listen(A, 80);
      listen(A, 81);
      for (let i = 0; i < 85; i++) open(A, 80);
    });
    const { effect } = await remedyOf(ns, 'add_destinations');
    const more = ns.run(() => openUntilFailure(A, 80).fds.length + openUntilFailure(A, 81).fds.length);
    expect(85 + more).toBe(effect.capacity);
    expect(85 / effect.capacity).toBeCloseTo(effect.usedRatio, 5);
  });

  kernelTest('closing what the peer closed gives those ports back', async () => {
    const ns = namespace({ range: [40000, 40099], addresses: [A] });
    const leaked = ns.run(() => {
      const listener = listen(A, 80);
      for (let i = 0; i < 30; i++) send(open(A, 80), 'GET');
      expect(acceptAll(listener)).toHaveLength(30);
      const fds = Array.from({ length: 55 }, () => open(A, 80));
      close(...acceptAll(listener));
      return fds;
    });
    const { effect } = await remedyOf(ns, 'fix_leak');
    close(...leaked);
    const space = await until('the last of them to be closed', () => {
      const now = spaceNow(ns);
      return now.held === 30 ? now : null;
    });
    expect(space.usedRatio).toBeCloseTo(effect.usedRatio, 5);
  });

  kernelTest(
    'closing idle connections, or sharing the busy ones, leaves as many ports as it says',
    async () => {
      const ns = namespace({ range: [40000, 40099], addresses: [A] });
      const { idle, busy } = ns.run(() => {
        listen(A, 80);
        return { idle: Array.from({ length: 70 }, () => open(A, 80)), busy: Array.from({ length: 15 }, () => open(A, 80)) };
      });
      await until(
        '70 of them to be silent for half a minute',
        () => {
          ns.run(() => {
            for (const fd of busy) send(fd, 'x');
          });
          return spaceNow(ns).idleConnections === 70;
        },
        45_000,
      );
      const closing = await remedyOf(ns, 'shorten_idle_timeout');
      const sharing = await remedyOf(ns, 'multiplexing');
      expect(sharing.effect.usedRatio).toBe(closing.effect.usedRatio);
      reset(...idle);
      expect(spaceNow(ns).usedRatio).toBeCloseTo(closing.effect.usedRatio, 5);
    },
    LONG,
  );

  kernelTest('giving up on a destination that does not answer frees what waited for it', async () => {
    const [client, server] = linked({ range: [40000, 40099] });
    server.exec(
      'nft',
      'add table inet t; add chain inet t in { type filter hook input priority 0; }; add rule inet t in tcp dport 80 drop',
    );
    const fds = client.run(() => Array.from({ length: 85 }, () => open('10.77.0.2', 80, { nonBlocking: true })));
    const { effect } = await remedyOf(client, 'check_destination');
    close(...fds);
    expect(connectSpace(client, '10.77.0.1', '10.77.0.2', 80).usedRatio).toBeCloseTo(effect.usedRatio, 5);
  });

  kernelTest(
    'a shorter tcp_fin_timeout keeps that share of half-closed ports',
    async () => {
      const ns = namespace({ range: [40000, 40099], addresses: [A], sysctls: { 'net.ipv4.tcp_fin_timeout': 30 } });
      const listener = ns.run(() => listen(A, 80));
      const load = churn(ns, A, 80, listener, { rate: 3, peerKeeps: true });
      try {
        await until('the half-closed ports to settle', () => load.elapsed > 34, 50_000);
        const { effect } = await remedyOf(ns, 'shorten_fin_timeout');
        ns.sysctl('net.ipv4.tcp_fin_timeout', 10);
        await until('the old ones to end', () => load.elapsed > 34 + 33, 60_000);
        const mean = await meanOverTicks(() => spaceNow(ns).usedRatio, viewOf(ns).tickHz ?? 250, 2);
        expect(Math.abs(mean - effect.usedRatio)).toBeLessThanOrEqual(0.05);
        close(listener);
      } finally {
        load.stop();
      }
    },
    LONG,
  );
});
