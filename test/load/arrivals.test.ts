/** When requests are due. The oracle is the rate, summed up in small steps. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Arrivals, parseProfile, peakRate, type Stretch } from '../../src/load/arrivals.ts';

const all = (profile: readonly Stretch[], share?: { index: number; of: number }): number[] => {
  const arrivals = new Arrivals(profile, share);
  const times: number[] = [];
  for (let at = arrivals.next(); at !== Number.POSITIVE_INFINITY; at = arrivals.next()) times.push(at);
  expect(times).toHaveLength(arrivals.count);
  return times;
};
const stretch = fc.record({
  from: fc.integer({ min: 0, max: 300 }),
  to: fc.integer({ min: 1, max: 300 }),
  seconds: fc.integer({ min: 1, max: 5 }),
});

/** Arrivals due before `t`, by summing the rate over steps of a millisecond. */
const summed = (profile: readonly Stretch[], t: number): number => {
  let sum = 0;
  let start = 0;
  for (const s of profile) {
    for (let ms = 0; ms < s.seconds * 1000; ms++) {
      const middle = (ms + 0.5) / 1000;
      if (start + middle > t) return sum;
      sum += (s.from + ((s.to - s.from) * middle) / s.seconds) / 1000;
    }
    start += s.seconds;
  }
  return sum;
};

describe('arrivals', () => {
  test('come as many and when the rate says, whatever its profile', () => {
    fc.assert(
      fc.property(fc.array(stretch, { minLength: 1, maxLength: 4 }), fc.double({ min: 0, max: 1, noNaN: true }), (profile, where) => {
        const times = all(profile);
        const whole = profile.reduce((sum, s) => sum + s.seconds, 0);
        expect(times.every((t, i) => t >= (times[i - 1] ?? 0) && t <= whole + 1e-9)).toBe(true);
        const t = whole * where;
        // Half an arrival at each end is rounding, the rest is the sum's own step.
        expect(Math.abs(times.filter((at) => at < t).length - summed(profile, t))).toBeLessThanOrEqual(2);
      }),
      { numRuns: 60 },
    );
  });

  test('are shared out over processes without one lost or doubled', () => {
    fc.assert(
      fc.property(fc.array(stretch, { minLength: 1, maxLength: 3 }), fc.integer({ min: 1, max: 7 }), (profile, of) => {
        const parts = Array.from({ length: of }, (_, index) => all(profile, { index, of })).flat();
        expect(parts.sort((a, b) => a - b)).toEqual(all(profile));
      }),
      { numRuns: 60 },
    );
  });

  test('stand evenly at a constant rate', () => {
    expect(all(parseProfile('4/s', 1)!)).toEqual([0, 0.25, 0.5, 0.75]);
    expect(all(parseProfile('30/m', 6)!)).toEqual([0, 2, 4]);
  });

  test('are read from what people type, and nothing else is', () => {
    expect(parseProfile('1k/s', 10)).toEqual([{ from: 1000, to: 1000, seconds: 10 }]);
    expect(parseProfile('100/s..1000/s', 10)).toEqual([{ from: 100, to: 1000, seconds: 10 }]);
    expect(parseProfile('0/s..10/s', 10)).toEqual([{ from: 0, to: 10, seconds: 10 }]);
    expect(parseProfile('1/s,2/s', 10)?.map((s) => [s.from, s.seconds])).toEqual([
      [1, 5],
      [2, 5],
    ]);
    expect(peakRate(parseProfile('5/s,20/s,10/s', 3)!)).toBe(20);
    for (const text of ['', '0/s', '0/s..0/s', '5', '-1/s', '1/s..', '1/s..2/s..3/s', '1/s,,2/s', '1/s,0/s', 'NaN/s', '1e3/s'])
      expect([text, parseProfile(text, 10)]).toEqual([text, null]);
  });
});
