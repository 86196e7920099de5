/** What the dashboard's sliders compute is what the doctor's remedies promise. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { MeasuredStart } from '../../../src/core/plan/from-space.ts';
import { asItIs, changesOf, outlook, outlookCurve, reuseMatters, stageOf, triedStage } from '../../../src/core/plan/tried.ts';
import { rangeSize } from '../../../src/core/port-range.ts';
import { effect } from '../../../src/core/remedy/effect.ts';

const start = (over: Partial<MeasuredStart> = {}): MeasuredStart => ({
  id: 'host/connect/10.0.0.5/10.0.0.9:443',
  kind: 'connect',
  source: '10.0.0.5',
  destination: '10.0.0.9',
  destinations: 1,
  range: { low: 32768, high: 60999 },
  blocked: 10,
  load: {
    live: 40,
    liveSlope: 0,
    timeWaitRate: 500,
    timeWaits: Array.from({ length: 12_000 }, (_, i) => (i / 12_000) * 60),
    timeWaitLife: 60,
    tick: 2.048,
    events: 12_000,
  },
  openRate: 500,
  twReuse: 2,
  twReuseDelay: 1,
  timestamps: true,
  ...over,
});
const capacityOf = (s: MeasuredStart): number => rangeSize(s.range) - s.blocked;
const stage = (s: MeasuredStart) => stageOf(s, capacityOf(s), Math.ceil(capacityOf(s) / 2));

describe('what is tried on a space', () => {
  test('is nothing where everything is left as it is', () => {
    expect(changesOf(start(), asItIs(start()))).toEqual([]);
  });

  test('is, one at a time, exactly what the remedy of the same kind promises', () => {
    const s = start();
    const space = { capacity: capacityOf(s), load: s.load };
    for (const over of [{ addresses: 3 }, { range: { low: 1024, high: 65535 } }, { reuse: true }, { shared: 32 }] satisfies Partial<
      ReturnType<typeof asItIs>
    >[]) {
      const changes = changesOf(s, { ...asItIs(s), ...over });
      expect(changes).toHaveLength(1);
      const { capacity, usedRatio, forecast } = outlook(triedStage(stage(s), changes));
      expect({ capacity, usedRatio, forecast }).toEqual(effect(space, changes[0]!));
    }
  });

  test('together never leaves less room than one of them alone', () => {
    const s = start();
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 16 }), fc.integer({ min: 1024, max: 32768 }), fc.boolean(), (addresses, low, reuse) => {
        const both = outlook(triedStage(stage(s), changesOf(s, { addresses, range: { low, high: 65535 }, reuse, shared: null })));
        const one = outlook(triedStage(stage(s), changesOf(s, { ...asItIs(s), addresses })));
        expect(both.usedRatio).toBeLessThanOrEqual(one.usedRatio + 1e-9);
      }),
    );
  });

  test('tcp_tw_reuse matters only to connect() with timestamps, and not where it is on already', () => {
    expect(reuseMatters(start())).toBe(true);
    expect(reuseMatters(start({ kind: 'bind' }))).toBe(false);
    expect(reuseMatters(start({ timestamps: false }))).toBe(false);
    expect(reuseMatters(start({ load: { ...start().load, timeWaitLife: 1 } }))).toBe(false);
  });

  test('the curve begins where the space stands, stays within its bounds and reaches capacity when the forecast says', () => {
    const s = start();
    const { forecast, capacity } = outlook(stage(s));
    if (forecast.kind !== 'exhausts') throw new Error(forecast.kind);
    const seconds = [0, forecast.seconds * 0.5, forecast.seconds];
    const points = outlookCurve(stage(s), seconds);
    expect(points[0]!.used).toBe(12_040);
    for (const p of points) expect(p.low <= p.used && p.used <= p.high).toBe(true);
    expect(points[1]!.used).toBeLessThan(capacity);
    expect(points[2]!.used / capacity).toBeGreaterThan(0.98);
  });
});
