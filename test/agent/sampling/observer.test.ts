/** The observer on the real kernel: rates, trends, what is carried between two readings of tcp_info, namespaces one after the other. */
import { statSync } from 'node:fs';
import { afterEach, describe, expect } from 'vitest';
import { type Observation, Observer, type ObserverOptions } from '../../../src/agent/sampling/observer.ts';
import type { Reading } from '../../../src/core/host-sample.ts';
import type { LedgerUse } from '../../../src/core/ledger-spaces.ts';
import type { PortSpace } from '../../../src/core/port-space.ts';
import { Sampler } from '../../../src/linux/sampler.ts';
import { churn } from '../../support/churn.ts';
import { kernelTest, type Namespace, namespace } from '../../support/netns.ts';
import { until } from '../../support/poll.ts';
import { acceptAll, bindOnly, close, listen, open } from '../../support/sockets.ts';

const A = '10.66.0.1';
const open_: Observer[] = [];
afterEach(() => {
  for (const observer of open_.splice(0)) observer.close();
});

const samplerOf = (...namespaces: readonly Namespace[]): Sampler =>
  new Sampler(
    namespaces.map((ns) => {
      const path = `/run/netns/${ns.name}`;
      return { id: String(statSync(path).ino), name: ns.name, path };
    }),
  );

const absent: Reading<readonly LedgerUse[]> = { status: 'absent', hint: 'none' };

const observe = (namespaces: readonly Namespace[], options: Partial<ObserverOptions> = {}): Observer => {
  const observer = new Observer({
    sampler: samplerOf(...namespaces),
    ledgers: async () => absent,
    interval: 0.2,
    top: 10,
    idleEvery: 15,
    ...options,
  });
  open_.push(observer);
  return observer;
};

const look = async (observer: Observer): Promise<Observation> => {
  const seen = await observer.observe();
  if (seen === null) throw new Error('it is closed');
  return seen;
};

const spaceIn = (seen: Observation, port: number): PortSpace => {
  const found = seen.measured.find((m) => m.space.destinationPort === port && m.space.kind === 'connect');
  if (found === undefined) throw new Error(`no space to port ${port}`);
  return found.space;
};

const room = (): Namespace => namespace({ range: [40000, 40999], addresses: [A], sysctls: { 'net.ipv4.tcp_tw_reuse': 0 } });

describe('observing', () => {
  kernelTest('counts what opened between two looks: the rates add up to the connections made', async () => {
    const ns = room();
    const listener = ns.run(() => listen(A, 80));
    const observer = observe([ns]);
    const load = churn(ns, A, 80, listener, { rate: 40 });
    try {
      await until('a connection', () => load.opened > 0);
      const before = await look(observer);
      expect(before.interval).toBe(0);
      expect(spaceIn(before, 80).openRate).toBeNull();
      const from = spaceIn(before, 80).held;
      let opened = 0;
      let last = before;
      for (let i = 0; i < 10; i++) {
        last = await look(observer);
        opened += spaceIn(last, 80).openRate! * last.interval;
      }
      // Nothing of it ends within these seconds, so what is held now is what was opened.
      expect(Math.round(opened)).toBe(spaceIn(last, 80).held - from);
      expect(opened).toBeGreaterThan(20);
    } finally {
      load.stop();
    }
  });

  kernelTest('keeps what tcp_info told of a connection until it is read again', async () => {
    const ns = room();
    const listener = ns.run(() => listen(A, 80));
    const fds = ns.run(() => Array.from({ length: 7 }, () => open(A, 80)));
    const observer = observe([ns], { idleEvery: 3600 });
    const flags = (seen: Observation): number[] => {
      const { members, view } = seen.measured.find((m) => m.space.destinationPort === 80)!;
      return members.flatMap((g) =>
        Array.from({ length: g.end - g.start }, (_, i) => view.groups.table.flags[view.groups.rows[g.start + i]!]! & 3),
      );
    };
    expect(flags(await look(observer))).toEqual(Array(7).fill(3));
    const extra = ns.run(() => open(A, 80));
    // The one that came since then is not known yet, and nothing is made up about it.
    const seen = await look(observer);
    expect(flags(seen).sort()).toEqual([0, 3, 3, 3, 3, 3, 3, 3]);
    expect(spaceIn(seen, 80).idleConnections).toBe(0);
    expect(flags(await look(observer)).sort()).toEqual([0, 3, 3, 3, 3, 3, 3, 3]);
    ns.run(() => close(...fds, extra, ...acceptAll(listener)));
  });

  kernelTest(
    'foresees the end of a slow leak that two looks do not show, from what it saw before',
    async () => {
      const ns = room();
      const listener = ns.run(() => listen(A, 80));
      const fds: number[] = ns.run(() => Array.from({ length: 300 }, () => open(A, 80)));
      const observer = observe([ns]);
      const started = performance.now();
      const timer = setInterval(() => {
        // Two a second: of 0.2 s between looks most see none.
        while (fds.length - 300 < (performance.now() - started) / 500) fds.push(ns.run(() => open(A, 80)));
      }, 20);
      try {
        let seen = await look(observer);
        await until(
          'a trend of 10 s',
          async () => {
            seen = await look(observer);
            return performance.now() - started > 12_000;
          },
          30_000,
        );
        const space = spaceIn(seen, 80);
        expect(Math.abs(space.load.liveSlope - 2)).toBeLessThan(0.3);
        expect(space.forecast.kind).toBe('exhausts');
        const truth = (1000 - fds.length) / 2;
        const told = space.forecast.kind === 'exhausts' ? space.forecast.seconds : 0;
        expect(Math.abs(told - truth) / truth).toBeLessThan(0.15);
      } finally {
        clearInterval(timer);
        ns.run(() => close(...fds, ...acceptAll(listener)));
      }
    },
    60_000,
  );

  kernelTest('takes up the past of an earlier run', async () => {
    const ns = room();
    const listener = ns.run(() => listen(A, 80));
    const fds = ns.run(() => Array.from({ length: 600 }, () => open(A, 80)));
    const now = performance.now() / 1000;
    const asked: string[] = [];
    const observer = observe([ns], {
      remembered: (id) => {
        asked.push(id);
        // 100 more every minute, for five minutes.
        return Array.from({ length: 300 }, (_, i) => ({ at: now - 300 + i, live: 100 + Math.round((i * 5) / 3) }));
      },
    });
    const seen = await look(observer);
    const [space] = seen.measured;
    expect(asked).toEqual([space!.space.id]);
    expect(space!.space.forecast.kind).toBe('exhausts');
    expect(Math.abs(space!.space.load.liveSlope - 5 / 3)).toBeLessThan(0.05);
    await look(observer);
    expect(asked).toHaveLength(1);
    ns.run(() => close(...fds, ...acceptAll(listener)));
  });

  kernelTest('spreads the looks at several namespaces over the interval', async () => {
    const spaces = [room(), room(), room(), room()];
    const observer = observe(spaces, { interval: 1.6 });
    await look(observer);
    await look(observer);
    const seen = await look(observer);
    const at = seen.looks.after.map((v) => v.sample.at);
    expect(seen.looks.after).toHaveLength(4);
    for (let i = 1; i < 4; i++) expect(at[i]! - at[i - 1]!).toBeGreaterThan(0.1);
    // A busy machine is late with one or the other; without spreading all four are within milliseconds.
    expect(at[3]! - at[0]!).toBeGreaterThan(0.8);
    // Each is compared with its own look before.
    for (const [i, view] of seen.looks.after.entries()) expect(view.sample.at - seen.looks.before[i]!.sample.at).toBeGreaterThan(0.8);
  });

  kernelTest('follows namespaces that come and go', async () => {
    const first = room();
    const second = room();
    const both = samplerOf(first, second).namespaces;
    let there = both.slice(0, 1);
    const sampler = samplerOf(first);
    const observer = observe([first], { sampler, namespaces: () => there });
    expect((await look(observer)).looks.after.map((v) => v.sample.name)).toEqual([first.name]);
    there = [...both];
    sampler.follow(there);
    expect((await look(observer)).looks.after.map((v) => v.sample.name)).toEqual([first.name, second.name]);
    second.destroy();
    // Gone between two questions who is there: left out, no error.
    expect((await look(observer)).looks.after.map((v) => v.sample.name)).toEqual([first.name]);
  });

  kernelTest('learns within a few looks which ports were bound explicitly, and sees at once when they are not', async () => {
    const ns = room();
    const listener = ns.run(() => listen(A, 80));
    const explicit = ns.run(() => Array.from({ length: 20 }, (_, i) => open(A, 80, { bind: [A, 40100 + i] })));
    const automatic = ns.run(() => Array.from({ length: 30 }, () => open(A, 80)));
    const unconnected = ns.run(() => bindOnly(A, 40900));
    const observer = observe([ns], { probeBudget: 0.1 });
    // A tenth of a millisecond asks about 25 ports a look.
    await until('all 50 ports to be asked about', async () => {
      const seen = await look(observer);
      return seen.looks.after[0]!.sample.probe.unknown.count({ low: 0, high: 65535 }) === 0;
    });
    const space = spaceIn(await look(observer), 80);
    // 20 by those sockets, one by the socket that is only bound.
    expect(space.blocked).toBe(21);
    expect(space.held).toBe(30);
    ns.run(() => {
      for (const fd of [...explicit]) close(fd);
      close(unconnected, ...acceptAll(listener));
    });
    ns.run(() => close(...automatic));
  });

  kernelTest(
    'slows down where looks take too long, says so, and recovers',
    async () => {
      const ns = room();
      const real = samplerOf(ns);
      let burn = 60;
      const slow = Object.create(real, {
        look: {
          value: (options: Parameters<Sampler['look']>[0]) => {
            const until = performance.now() + burn;
            while (performance.now() < until);
            return real.look(options);
          },
        },
      }) as Sampler;
      const observer = observe([ns], { sampler: slow, interval: 0.2 });
      const slowed = await until('it to slow down', async () => (await look(observer)).slowedTo, 20_000);
      expect(slowed).toBeGreaterThanOrEqual(0.4);
      burn = 0;
      await until('it to recover', async () => (await look(observer)).slowedTo === null, 25_000);
    },
    60_000,
  );

  kernelTest('ends at once while a look is waited for, and a balancer that hangs holds nothing up for long', async () => {
    const ns = room();
    const waiting = observe([ns], { interval: 60 });
    await look(waiting);
    const next = waiting.observe();
    const from = performance.now();
    waiting.close();
    expect(await next).toBeNull();
    expect(performance.now() - from).toBeLessThan(1000);
    expect(await waiting.observe()).toBeNull();

    const hung = observe([ns], { ledgers: () => new Promise(() => {}) });
    const seen = await look(hung);
    expect(seen.diagnosis.sensors.find((s) => s.name === 'balancer')!.hint).toContain('did not answer within 1 s');
  });
});
