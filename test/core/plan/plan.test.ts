/** The plan's arithmetic: the incidents' own numbers, a simulation that counts ports one by one, and what-ifs done the long way. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { figuresOf, totalFigures } from '../../../src/core/plan/figures.ts';
import { describeStart, startFrom, workloadOf } from '../../../src/core/plan/from-space.ts';
import { plan, solve } from '../../../src/core/plan/plan.ts';
import { stagesOf } from '../../../src/core/plan/stage.ts';
import { timeline } from '../../../src/core/plan/timeline.ts';
import { cheapest, whatIfs } from '../../../src/core/plan/what-if.ts';
import { defaultSnat, defaultTick, defaultWorkload, type Workload } from '../../../src/core/plan/workload.ts';
import type { RemedyCode } from '../../../src/core/remedy/codes.ts';

const load = (w: Partial<Workload>): Workload => ({ ...defaultWorkload, ...w });
const space = (w: Partial<Workload>) => figuresOf(stagesOf(load(w))[0]!);
const total = (w: Partial<Workload>) => totalFigures(stagesOf(load(w))[0]!);
const wide = { low: 1024, high: 65535 };

describe('the numbers of the incidents', () => {
  test('28,000 ports and a TIME_WAIT of 120 s are 233/s, and the plan says where 120 s comes from and what Linux’s 60 s give', () => {
    const p = plan(load({ rate: 230, range: { low: 32768, high: 60767 }, timeWait: 120, tick: defaultTick(120) }), 1);
    expect(Math.round(p.space.sustainableRate)).toBe(233);
    expect(p.assumptions.join(' ')).toMatch(/60 s, fixed when the kernel is built; 120 s is conntrack’s/);
    expect(p.assumptions.join(' ')).toContain('28,000 ports last at 451/s');
  });

  test('Linux as installed: 28,232 ports, 455/s without a failure, 463/s on average', () => {
    const { capacity, sustainableRate, meanRate } = space({ rate: 100 });
    expect([capacity, Math.round(sustainableRate), Math.round(meanRate)]).toEqual([28232, 455, 463]);
  });

  test('other timers: HZ 1000 gives 440/s, HZ 100 gives 434/s', () => {
    expect(Math.round(space({ tick: 4.096 }).sustainableRate)).toBe(440);
    expect(Math.round(space({ tick: 5.12 }).sustainableRate)).toBe(434);
  });

  test('the search wall is reached at 231/s, and a connect() then costs 2 ms', () => {
    expect(space({ rate: 227 }).searchWallAfter).toBeNull();
    const at = space({ rate: 232 });
    expect(at.searchWallAfter).toBeGreaterThan(60);
    expect(at.search.perConnection).toBeCloseTo(1.948e-3, 5);
    expect(at.search.cores).toBeCloseTo(0.452, 2);
  });

  test('five addresses are 5 × 64,512 ports', () => {
    expect(total({ range: wide, sources: 5 }).capacity).toBe(5 * 64512);
  });

  test('65,000 connections from one source do not fit, whatever closes first', () => {
    const p = plan(load({ rate: 65000 / 60, duration: 60, closer: 'server', range: wide }), 1.2);
    expect([p.space.capacity, p.lasts, Math.round(p.space.plateau.used)]).toEqual([64512, false, 65000]);
    expect(p.whatIfs.find((i) => i.remedy === 'add_source_addresses')?.title).toContain('2 source addresses');
    // They are held open by idle clients: what is busy at once is all that multiplexing keeps.
    expect(p.whatIfs.find((i) => i.remedy === 'multiplexing')).toMatchObject({ title: '26 kept and shared connections', holds: true });
    expect(p.cheapest?.remedies.map((r) => r.remedy)).toEqual(['multiplexing']);
    const shared = plan(load({ rate: 2000, upstreamLatency: 0.05, range: wide }), 1.2);
    expect([shared.space.plateau.used, shared.lasts]).toEqual([100, true]);
  });

  test('a NAT remembers 120 s and loses SYNs from 95 % on: 64,512 ports are 510/s', () => {
    const p = plan(load({ rate: 600, sources: 4, snat: defaultSnat }), 1);
    expect([p.tightest.kind, p.lasts]).toEqual(['snat', false]);
    expect(Math.round(p.total.sustainableRate)).toBe(Math.round((Math.floor(64512 * 0.95) - 1) / 120));
    expect(p.whatIfs.find((i) => i.remedy === 'conntrack_settings')?.holds).toBe(true);
  });

  test('--solve answers with the number asked for', () => {
    const p = plan(load({ rate: 2000 }), 1.2);
    expect(solve('addresses', p)).toEqual({ value: Math.ceil((2000 * 1.2) / (28231 / 62.048)), unit: 'source addresses' });
    expect(solve('rate', p)?.value).toBeCloseTo(28231 / 62.048 / 1.2, 6);
    expect(solve('connections', plan(load({ rate: 2000, upstreamLatency: 0.02 }), 1.5))?.value).toBe(60);
    expect(solve('connections', plan(load({ rate: 2e6, upstreamLatency: 1 }), 1))).toBeNull();
  });
});

/** Ports counted one by one: each is held until its connection closed, and then until the timer that is due next after `life`. */
const simulate = (
  w: { readonly capacity: number; readonly rate: number; readonly duration: number; readonly life: number; readonly tick: number },
  phase: number,
  seconds: number,
): { readonly failures: number; readonly first: number | null; readonly meanUsed: number } => {
  const ends: number[] = [];
  let gone = 0;
  let failures = 0;
  let first: number | null = null;
  let area = 0;
  let areaFrom = 0;
  let last = 0;
  // The mean is taken once it has settled, over whole ticks.
  const settled = w.duration + w.life + 2 * w.tick;
  const whole = w.tick > 0 ? Math.floor((seconds - settled) / w.tick) * w.tick : seconds - settled;
  const count = (until: number): void => {
    const a = Math.max(last, settled);
    const b = Math.min(until, settled + whole);
    if (b > a) {
      area += (ends.length - gone) * (b - a);
      areaFrom += b - a;
    }
    last = until;
  };
  for (let k = 0; k / w.rate < seconds; k++) {
    const now = k / w.rate;
    while (gone < ends.length && ends[gone]! <= now) {
      count(ends[gone]!);
      gone++;
    }
    count(now);
    if (ends.length - gone >= w.capacity) {
      failures++;
      first ??= now;
      continue;
    }
    const due = now + w.duration + w.life;
    ends.push(w.life > 0 && w.tick > 0 ? (Math.floor((due + phase) / w.tick) + 1) * w.tick - phase : due);
  }
  return { failures, first, meanUsed: area / areaFrom };
};

const workloads = fc.record({
  size: fc.integer({ min: 40, max: 400 }).map((n) => n * 2),
  duration: fc.double({ min: 0, max: 90, noNaN: true }),
  closer: fc.constantFrom('client' as const, 'client' as const, 'server' as const),
  tick: fc.constantFrom(1.7, 2.048, 4.096, 5.12),
  reuse: fc.boolean(),
  delay: fc.double({ min: 1, max: 30, noNaN: true }),
  phase: fc.double({ min: 0, max: 5, noNaN: true }),
});

describe('counted one by one', () => {
  test('the sustainable rate never fails, 5 % more does, the plateau is the mean, and ports run out when it says', () => {
    fc.assert(
      fc.property(workloads, (g) => {
        fc.pre(g.closer === 'client' || g.duration > 1);
        const w = load({
          range: { low: 10000, high: 10000 + g.size - 1 },
          duration: g.duration,
          closer: g.closer,
          tick: g.tick,
          twReuse: g.reuse ? 1 : 0,
          twReuseDelay: g.delay,
        });
        const life = g.closer === 'client' ? (g.reuse ? g.delay : 60) : 0;
        const tick = g.closer === 'client' && !g.reuse ? g.tick : 0;
        const run = (rate: number, seconds: number) =>
          simulate({ capacity: g.size, rate, duration: g.duration, life, tick }, g.phase, seconds);
        const long = 4 * (g.duration + life + tick) + 20 * tick;

        const { sustainableRate } = space(w);
        const fine = run(sustainableRate * (1 - 1e-9), long);
        expect(fine.failures).toBe(0);
        const at = figuresOf(stagesOf({ ...w, rate: sustainableRate })[0]!);
        // One port's worth of rounding, plus what is left of an interval.
        expect(Math.abs(fine.meanUsed - at.plateau.used)).toBeLessThan(1 + at.plateau.used * 0.002);
        expect(run(sustainableRate * 1.05 * (1 + 2 / g.size), long).failures).toBeGreaterThan(0);

        const over = figuresOf(stagesOf({ ...w, rate: sustainableRate * 2 })[0]!);
        expect(over.exhaustsAfter).not.toBeNull();
        expect(Math.abs(run(sustainableRate * 2, long).first! - over.exhaustsAfter!)).toBeLessThan(1.5 / sustainableRate + 1e-6);
      }),
      { numRuns: 150 },
    );
  });

  test('what is served after exhaustion is the mean rate within 3 %', () => {
    for (const factor of [1.05, 1.3, 2]) {
      const w = load({ range: { low: 10000, high: 10999 } });
      const rate = space(w).sustainableRate * factor;
      const seconds = 62 * 40;
      const { failures } = simulate({ capacity: 1000, rate, duration: 0, life: 60, tick: 2.048 }, 0.3, seconds);
      const served = rate - failures / seconds;
      expect(Math.abs(served / figuresOf(stagesOf({ ...w, rate })[0]!).rateAfterExhaustion - 1)).toBeLessThan(0.03);
    }
  });
});

describe('a what-if', () => {
  const target = 1.2;
  const find = (w: Workload, remedy: RemedyCode) => whatIfs(stagesOf(w), w, target).find((i) => i.remedy === remedy);

  test('is what a plan of the changed workload says', () => {
    fc.assert(
      fc.property(
        fc.record({
          rate: fc.double({ min: 1, max: 5000, noNaN: true }),
          duration: fc.double({ min: 0, max: 5, noNaN: true }),
          sources: fc.integer({ min: 1, max: 5 }),
          destinations: fc.integer({ min: 2, max: 5 }),
          portChoice: fc.constantFrom('connect' as const, 'bind' as const),
        }),
        (g) => {
          const w = load(g);
          const same = (remedy: RemedyCode, changed: Partial<Workload>): void => {
            const by = find(w, remedy);
            if (by === undefined) return;
            const direct = total({ ...w, ...changed });
            expect(by.total.plateau.usedRatio).toBeCloseTo(direct.plateau.usedRatio, 9);
            expect(by.total.capacity).toBeCloseTo(direct.capacity, 6);
            // Several spaces each need one port for the next connection; a remedy counts them as one.
            if (direct.sustainableRate === Number.POSITIVE_INFINITY) expect(by.total.sustainableRate).toBe(direct.sustainableRate);
            else expect(Math.abs(by.total.sustainableRate / direct.sustainableRate - 1)).toBeLessThan(0.001);
            if ((by.total.exhaustsAfter === null) !== (direct.exhaustsAfter === null))
              throw new Error(`${remedy} disagrees about running out`);
          };
          same('tcp_tw_reuse', { twReuse: 1 });
          same('widen_range', { range: wide });
          same('peer_closes_first', { closer: 'server' });
          if (g.portChoice === 'bind') same('bind_address_no_port', { portChoice: 'connect' });
          const sources = Number(/^(\d+)/.exec(find(w, 'add_source_addresses')!.title.replaceAll(',', ''))![1]);
          same('add_source_addresses', { sources });
          expect(find(w, 'add_source_addresses')!.holds).toBe(true);
          expect(sources === g.sources + 1 || !whatIfsHold(w, sources - 1)).toBe(true);
        },
      ),
      { numRuns: 200 },
    );
  });

  const whatIfsHold = (w: Workload, sources: number): boolean => total({ ...w, sources }).sustainableRate >= w.rate * target * 1.0001;

  test('is not offered where it changes nothing', () => {
    const codes = (w: Partial<Workload>): RemedyCode[] => whatIfs(stagesOf(load(w)), load(w), target).map((i) => i.remedy);
    expect(codes({ timestamps: false })).not.toContain('tcp_tw_reuse');
    expect(codes({ loopback: true })).not.toContain('tcp_tw_reuse');
    expect(codes({ closer: 'server', duration: 1 })).not.toContain('tcp_tw_reuse');
    expect(codes({ portChoice: 'bind', destinations: 3 })).not.toContain('tcp_tw_reuse');
    expect(codes({ portChoice: 'bind', destinations: 3 })).not.toContain('add_destinations');
    expect(codes({ range: wide })).not.toContain('widen_range');
    expect(codes({ upstreamLatency: 0.1 })).not.toContain('multiplexing');
    expect(codes({})).not.toContain('conntrack_settings');
  });
});

describe('the cheapest set', () => {
  test('is empty where the load fits, one setting where that is enough, and always holds', () => {
    expect(cheapest(stagesOf(load({ rate: 100 })), load({ rate: 100 }), 1.2)?.remedies).toEqual([]);
    const churn = load({ rate: 1000 });
    expect(cheapest(stagesOf(churn), churn, 1.2)?.remedies.map((r) => r.remedy)).toEqual(['tcp_tw_reuse']);
    const old = load({ rate: 900, timestamps: false });
    expect(cheapest(stagesOf(old), old, 1.1)?.remedies.map((r) => r.remedy)).toEqual(['widen_range']);
    const pool = load({ rate: 1500, destinations: 4, portChoice: 'bind' });
    expect(cheapest(stagesOf(pool), pool, 1.2)?.remedies.map((r) => r.remedy)).toEqual(['bind_address_no_port']);
  });

  test('of several is what a plan of the workload changed by all of them says', () => {
    const w = load({ rate: 3000, destinations: 4, portChoice: 'bind', timestamps: false, blocked: 1000 });
    const found = cheapest(stagesOf(w), w, 1.2, new Set(['multiplexing', 'peer_closes_first', 'add_source_addresses']));
    expect(found?.remedies.map((r) => r.remedy)).toEqual(['widen_range', 'bind_address_no_port']);
    const direct = total({ ...w, portChoice: 'connect', range: wide });
    expect(found!.total.capacity).toBe(direct.capacity);
    expect(found!.total.plateau.usedRatio).toBeCloseTo(direct.plateau.usedRatio, 9);
    // Without any way to need fewer ports, addresses are what is left, as many as it takes.
    const rest = cheapest(
      stagesOf(w),
      w,
      1.2,
      new Set(['multiplexing', 'peer_closes_first', 'widen_range', 'free_blocked_ports', 'add_destinations']),
    );
    expect(rest?.remedies.map((r) => r.remedy)).toEqual(['bind_address_no_port', 'add_source_addresses']);
    expect(rest?.remedies[1]?.title).toContain('3 source addresses instead of 1');
  });

  test('holds the load times the margin, for any workload', () => {
    fc.assert(
      fc.property(
        fc.record({
          rate: fc.double({ min: 1, max: 1e6, noNaN: true }),
          duration: fc.double({ min: 0, max: 300, noNaN: true }),
          closer: fc.constantFrom('client' as const, 'server' as const, 'reset' as const),
          sources: fc.integer({ min: 1, max: 8 }),
          destinations: fc.integer({ min: 1, max: 8 }),
          timestamps: fc.boolean(),
          portChoice: fc.constantFrom('connect' as const, 'bind' as const, 'explicit' as const),
          snat: fc.constantFrom(null, defaultSnat),
        }),
        fc.double({ min: 0, max: 3, noNaN: true }),
        (g, margin) => {
          const w = load(g);
          const found = cheapest(stagesOf(w), w, 1 + margin);
          expect(found).not.toBeNull();
          expect(found!.total.sustainableRate).toBeGreaterThanOrEqual(w.rate * (1 + margin) * 0.999_999);
          expect(found!.total.exhaustsAfter).toBeNull();
        },
      ),
      { numRuns: 300 },
    );
  });
});

describe('a plan that starts from a host', () => {
  const measured = {
    id: 'host/connect/10.0.0.1/10.0.0.2:80',
    kind: 'connect' as const,
    source: '10.0.0.1',
    destination: '10.0.0.2',
    destinations: 1,
    range: { low: 40000, high: 40999 },
    blocked: 0,
    load: {
      live: 40,
      liveSlope: 0,
      timeWaitRate: 20,
      timeWaits: Array.from({ length: 600 }, (_, i) => 30 + i / 20),
      timeWaitLife: 60,
      tick: 2.048,
      events: 600,
    },
    openRate: 20,
    twReuse: 2 as const,
    twReuseDelay: 1,
    timestamps: true,
  };

  test('reads rate, duration and closer off it, and runs out when its own forecast says', () => {
    const w = workloadOf(measured);
    expect(w).toMatchObject({ rate: 20, duration: 2, closer: 'client' });
    const p = plan(w, 1.2, { start: startFrom(measured, stagesOf(w)), known: [describeStart(measured)] });
    expect(p.assumptions[0]).toBe(
      'Begun with host/connect/10.0.0.1/10.0.0.2:80 as it was: 640 ports in use, 600 of them in TIME_WAIT; 20/s, 2 s each, closed by the client. What you gave overrules it.',
    );
    // 640 used, 20/s more, nothing comes back for 30 s.
    expect(p.space.exhaustsAfter).toBeCloseTo(18, 6);
    expect(timeline(p.tightest, 36, 3).map((point) => Math.round(point.used))).toEqual([640, 1000, 1000]);
  });
});
