/** The histogram against sorting: the oracle is the list of values itself. */
import { deserialize, serialize } from 'node:v8';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Histogram } from '../../src/load/histogram.ts';

/** The value that a share of `q` of all does not exceed. */
const exact = (values: readonly number[], q: number): number => {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length, Math.max(1, Math.ceil(q * sorted.length))) - 1]!;
};
const micros = fc.oneof(
  fc.integer({ min: 0, max: 5000 }),
  fc.integer({ min: 0, max: 2 ** 31 - 1 }),
  fc.constantFrom(2047, 2048, 2049, 4095, 4096, 2 ** 31 - 1),
);
const share = fc.oneof(fc.constantFrom(0, 0.5, 0.9, 0.99, 0.999, 1), fc.double({ min: 0, max: 1, noNaN: true }));

describe('the histogram', () => {
  test('answers every quantile as sorting does, at most 0.1 % above', () => {
    fc.assert(
      fc.property(fc.array(micros, { minLength: 1, maxLength: 400 }), share, (values, q) => {
        const h = new Histogram();
        for (const us of values) h.record(us / 1e6);
        const truth = exact(values, q);
        const answer = Math.round(h.quantile(q)! * 1e6);
        expect(answer).toBeGreaterThanOrEqual(truth);
        expect(answer).toBeLessThanOrEqual(truth + Math.floor(truth / 1024));
        expect([h.count, Math.round(h.max! * 1e6)]).toEqual([values.length, Math.max(...values)]);
      }),
      { numRuns: 300 },
    );
  });

  test('adds up over processes and seconds, through a pipe, to what one would have recorded', () => {
    fc.assert(
      fc.property(fc.array(fc.array(micros, { maxLength: 60 }), { minLength: 1, maxLength: 6 }), share, (parts, q) => {
        const whole = new Histogram();
        const sum = new Histogram();
        for (const part of parts) {
          const h = new Histogram();
          for (const us of part) {
            h.record(us / 1e6);
            whole.record(us / 1e6);
          }
          sum.add(deserialize(serialize(h.take())));
          expect([h.count, h.max, h.quantile(0.5)]).toEqual([0, null, null]);
        }
        expect([sum.count, sum.max, sum.quantile(q)]).toEqual([whole.count, whole.max, whole.quantile(q)]);
      }),
      { numRuns: 100 },
    );
  });

  test('takes a clock that went back for no time at all, and a day for 35 minutes', () => {
    const h = new Histogram();
    h.record(-1);
    h.record(86400);
    expect([h.quantile(0.5), h.max]).toEqual([0, (2 ** 31 - 1) / 1e6]);
  });
});
