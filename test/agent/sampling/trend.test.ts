/** Slow growth from the past: found where it is, and not where the load only breathes. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Past } from '../../../src/agent/sampling/past.ts';
import { type PastUse, trendOf, withTrend } from '../../../src/core/trend.ts';

/** Repeatable noise of a standard deviation of about one. */
const noise = (seed: number): (() => number) => {
  let state = seed >>> 0 || 1;
  const uniform = (): number => {
    state ^= state << 13;
    state >>>= 0;
    state ^= state >>> 17;
    state ^= state << 5;
    state >>>= 0;
    return state / 2 ** 32;
  };
  return () => Array.from({ length: 12 }, uniform).reduce((a, b) => a + b, 0) - 6;
};

const line = (seconds: number, live: (t: number) => number): PastUse[] =>
  Array.from({ length: seconds }, (_, t) => ({ at: 1000 + t, live: Math.round(live(t)) }));

/** What the observer remembers of `seconds` of looks. */
const remembered = (uses: readonly PastUse[]): readonly PastUse[] => {
  const past = new Past();
  for (const use of uses) past.add('space', use);
  return past.of('space');
};

describe('a trend', () => {
  test('finds a leak of three connections a minute in 20 minutes of looks, within a tenth', () => {
    const trend = trendOf(remembered(line(1200, (t) => 5000 + t * 0.05)))!;
    expect(Math.abs(trend.slope - 0.05)).toBeLessThan(0.005);
    expect(trend.window).toBeGreaterThanOrEqual(600);
  });

  test('finds growth under noise, and its error covers the truth', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 1e9 }),
        fc.double({ min: 0.2, max: 50, noNaN: true }),
        fc.constantFrom(1, -1),
        (seed, slope, sign) => {
          const random = noise(seed);
          const trend = trendOf(remembered(line(300, (t) => 20000 + sign * slope * t + 5 * random())));
          expect(trend).not.toBeNull();
          expect(Math.sign(trend!.slope)).toBe(sign);
          expect(Math.abs(trend!.slope - sign * slope)).toBeLessThan(Math.max(6 * trend!.error, 0.02 * slope));
        },
      ),
      { numRuns: 100 },
    );
  });

  test('a load that only breathes has none, in 99 of 100 looks', () => {
    let found = 0;
    const looks = 2000;
    for (let seed = 1; seed <= looks; seed++) {
      const random = noise(seed * 7919);
      if (trendOf(line(120, () => 1000 + 20 * random())) !== null) found++;
    }
    expect(found / looks).toBeLessThan(0.01);
  });

  test('a wave of a few minutes has none over the whole of it', () => {
    const trend = trendOf(remembered(line(3600, (t) => 5000 + 300 * Math.sin(t / 100))));
    // Seconds of a wave are a line; an hour of it is not.
    if (trend !== null) expect(trend.window).toBeLessThanOrEqual(120);
  });

  test('growth that began ten minutes ago is not taken for a slow one over the hour', () => {
    const trend = trendOf(remembered(line(3600, (t) => 1000 + Math.max(0, t - 3000))))!;
    expect(Math.abs(trend.slope - 1)).toBeLessThan(0.1);
  });

  test('replaces the slope of two looks, and is none where the past proves none', () => {
    const load = { live: 1000, liveSlope: 12, timeWaitRate: 0, timeWaits: [], timeWaitLife: 60, tick: 2.048, events: 12 };
    expect(
      withTrend(
        load,
        line(60, () => 1000),
      ).liveSlope,
    ).toBe(0);
    expect(
      withTrend(
        load,
        line(3, () => 1000),
      ).liveSlope,
    ).toBe(12);
    expect(
      withTrend(
        load,
        line(60, (t) => 900 + 2 * t),
      ).liveSlope,
    ).toBeCloseTo(2, 1);
  });
});

describe('the remembered past', () => {
  test('keeps six hours in a few hundred numbers, ascending, with the means it was made of', () => {
    const uses = line(7 * 3600, (t) => t);
    const past = remembered(uses);
    expect(past.length).toBeLessThan(800);
    expect(past.at(-1)!.at - past[0]!.at).toBeGreaterThan(5.9 * 3600);
    past.forEach((p, i) => {
      if (i > 0) expect(p.at).toBeGreaterThan(past[i - 1]!.at);
      expect(Math.abs(p.live - (p.at - 1000))).toBeLessThanOrEqual(1);
    });
  });

  test('forgets the spaces not seen for longest', () => {
    const past = new Past();
    for (let i = 0; i < 2000; i++) past.add(`s${i}`, { at: i, live: 1 });
    expect(past.of('s1999')).toHaveLength(1);
    expect(past.of('s0')).toHaveLength(0);
    expect(Array.from({ length: 2000 }, (_, i) => past.of(`s${i}`).length).reduce((a, b) => a + b, 0)).toBeLessThanOrEqual(512);
  });
});
