import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { MOST_SHARE, Pace } from '../../../src/agent/sampling/pace.ts';

const note = (pace: Pace, cost: number, times = 1): void => {
  for (let i = 0; i < times; i++) pace.note(cost);
};

describe('the pace of looking', () => {
  test('stays as asked for while looks are quick', () => {
    const pace = new Pace(1);
    note(pace, 0.19, 100);
    expect(pace.interval).toBe(1);
    expect(pace.slowedTo).toBeNull();
  });

  test('slows until a look takes no more than a fifth of the interval, and comes back when looks are quick again', () => {
    const pace = new Pace(1);
    note(pace, 0.5, 5);
    expect(pace.slowedTo).toBe(4);
    note(pace, 0.03, 20);
    expect(pace.interval).toBe(1);
    expect(pace.slowedTo).toBeNull();
  });

  test('one slow look, or two, change nothing', () => {
    const pace = new Pace(1);
    for (let i = 0; i < 50; i++) note(pace, i % 5 === 0 || i % 5 === 2 ? 3 : 0.02);
    expect(pace.interval).toBe(1);
  });

  test('a cost near the bound does not make it go to and fro', () => {
    fc.assert(
      fc.property(
        fc.double({ min: 0.001, max: 3, noNaN: true }),
        fc.array(fc.double({ min: 0.9, max: 1.1, noNaN: true }), { minLength: 60, maxLength: 120 }),
        (cost, noise) => {
          const pace = new Pace(1);
          const changes: number[] = [];
          let last = pace.interval;
          for (const factor of noise) {
            pace.note(cost * factor);
            if (pace.interval !== last) changes.push(Math.sign(pace.interval - last));
            last = pace.interval;
          }
          // Only ever slower for a cost that stays where it is.
          expect(changes.every((c) => c > 0)).toBe(true);
          if (cost * 1.1 <= 60 * MOST_SHARE) expect(cost * 0.9).toBeLessThanOrEqual(pace.interval * MOST_SHARE);
        },
      ),
    );
  });

  test('is never faster than asked for and never slower than a minute', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(0.2, 1, 5),
        fc.array(fc.double({ min: 0, max: 100, noNaN: true }), { maxLength: 200 }),
        (asked, costs) => {
          const pace = new Pace(asked);
          for (const cost of costs) {
            pace.note(cost);
            expect(pace.interval).toBeGreaterThanOrEqual(asked);
            expect(pace.interval).toBeLessThanOrEqual(60);
          }
        },
      ),
    );
  });
});
