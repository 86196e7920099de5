/** What history gives back, against the rows that went in, counted again another way. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, describe, expect, test } from 'vitest';
import { REST } from '../../../src/agent/history/columns.ts';
import { type History, openHistory } from '../../../src/agent/history/history.ts';
import { idOf, observation, type SpaceNumbers } from '../support/observation.ts';

const cleanUp: (() => void)[] = [];
afterEach(() => {
  for (const undo of cleanUp.splice(0).reverse()) undo();
});

const folder = (): string => {
  const made = mkdtempSync(join(tmpdir(), 'plimsoll-history-'));
  cleanUp.push(() => rmSync(made, { recursive: true, force: true }));
  return made;
};

/** A history whose clock is set by what goes in. */
const opened = async (
  path: string | null,
  top = 32,
): Promise<{ readonly history: History; add(s: number, spaces: readonly SpaceNumbers[]): void; at(s: number): void }> => {
  let now = 0;
  const history = await openHistory(path, { say: (m) => expect.unreachable(m), now: () => now * 1000, top });
  cleanUp.push(() => history.close());
  return {
    history,
    add: (s, spaces) => {
      now = s;
      history.append(observation(s, spaces));
    },
    at: (s) => {
      now = s;
    },
  };
};

const T = 1_800_000_000;
const hourOf = (s: number): number => Math.floor(s / 3600) * 3600;

interface Fed {
  readonly s: number;
  readonly used: number;
  readonly timeWait: number;
  readonly rate: number;
}

/** The same by brute force: per step the fullest row (the first of equal ones), the mean rate. */
const expected = (rows: readonly Fed[], first: number, count: number, step: number) =>
  Array.from({ length: count }, (_, i) => {
    const inside = rows.filter((r) => r.s >= first + i * step && r.s < first + (i + 1) * step);
    if (inside.length === 0) return { used: null, time_wait: null, open_rate: null };
    const fullest = inside.reduce((a, b) => (b.used > a.used ? b : a));
    return { used: fullest.used, time_wait: fullest.timeWait, open_rate: inside.reduce((sum, r) => sum + r.rate, 0) / inside.length };
  });

const feed = fc
  .array(fc.tuple(fc.integer({ min: 1, max: 40 }), fc.nat({ max: 500 }), fc.nat({ max: 100 }), fc.nat({ max: 50 })), {
    minLength: 1,
    maxLength: 150,
  })
  .map((steps) => {
    let s = T;
    return steps.map(([pause, timeWait, live, rate]): Fed => {
      s += pause;
      return { s, used: timeWait + live, timeWait, rate };
    });
  });

const check = (history: History, rows: readonly Fed[], from: number, to: number, step: number | null): void => {
  const series = history.series({ space: idOf(443), from, to, step });
  expect(series.at.length).toBeLessThanOrEqual(4001);
  series.at.forEach((at, i) => {
    expect(at).toBe(series.at[0]! + i * series.step);
  });
  const oracle = expected(rows, series.at[0]!, series.at.length, series.step);
  oracle.forEach((want, i) => {
    const { used, time_wait, open_rate } = series.columns;
    expect([used[i], time_wait[i]], `entry ${i} of step ${series.step}`).toEqual([want.used, want.time_wait]);
    if (want.open_rate === null) expect(open_rate[i]).toBeNull();
    else expect(open_rate[i]).toBeCloseTo(want.open_rate, 2);
  });
};

describe('a series', () => {
  test('by the second tells every row, and null where nobody looked', async () => {
    await fc.assert(
      fc.asyncProperty(feed, fc.constantFrom(1, 2, 7, 30), async (rows, step) => {
        const { history, add } = await opened(null);
        for (const r of rows) add(r.s, [{ port: 443, used: r.used, timeWait: r.timeWait, openRate: r.rate }]);
        const end = rows.at(-1)!.s;
        check(history, rows, Math.max(T, end - 3500), end, step);
      }),
      { numRuns: 40 },
    );
  });

  test('by the minute tells the fullest moment of each, in memory, from the file, and after a restart', async () => {
    await fc.assert(
      fc.asyncProperty(feed, fc.constantFrom(60, 120, 300), async (rows, step) => {
        const path = folder();
        const memory = await opened(null);
        const file = await opened(path);
        for (const r of rows)
          for (const h of [memory, file]) h.add(r.s, [{ port: 443, used: r.used, timeWait: r.timeWait, openRate: r.rate }]);
        const end = rows.at(-1)!.s;
        // Means of means of unequal minutes differ a little; the oracle for them is by the minute.
        const one = (h: History): void => {
          const series = h.series({ space: idOf(443), from: T, to: end, step });
          const oracle = expected(rows, series.at[0]!, series.at.length, step);
          expect(series.step).toBe(step);
          expect(series.columns.used).toEqual(oracle.map((o) => o.used));
          expect(series.columns.time_wait.map((v, i) => (oracle[i]!.used === null ? v : typeof v))).toEqual(
            oracle.map((o) => (o.used === null ? null : 'number')),
          );
          check(h, rows, T, end, 60);
        };
        one(memory.history);
        one(file.history);
        file.history.close();
        const again = await opened(path);
        again.at(end);
        one(again.history);
      }),
      { numRuns: 25 },
    );
  });

  test('gives the fullest spaces by name and the others as one', async () => {
    const { history, add } = await opened(null, 2);
    add(
      T,
      [1, 2, 3, 4].map((port) => ({ port, used: 100 - port, timeWait: 10, openRate: 5 })),
    );
    const value = (space: string, column: 'used' | 'capacity' | 'open_rate'): number | null =>
      history.series({ space, from: T, to: T, step: 1 }).columns[column][0]!;
    expect(value(idOf(2), 'used')).toBe(98);
    expect(value(idOf(3), 'used')).toBeNull();
    expect([value(REST, 'used'), value(REST, 'capacity'), value(REST, 'open_rate')]).toEqual([97 + 96, null, 10]);
  });

  test('is never finer than what is kept, never longer than a screen, and empty for what nobody knows', async () => {
    const { history, add } = await opened(null);
    add(T, [{ port: 443, used: 1 }]);
    const day = history.series({ space: idOf(443), from: T - 86400, to: T, step: 1 });
    expect(day.step).toBe(60);
    const month = history.series({ space: idOf(443), from: T - 30 * 86400, to: T, step: null });
    expect(month.at.length).toBeLessThan(1000);
    const centuries = history.series({ space: idOf(443), from: 0, to: 1e12, step: 1 });
    expect(centuries.at.length).toBeLessThanOrEqual(4001);
    expect(history.series({ space: 'nobody/knows', from: T - 60, to: T, step: null }).columns.used.every((v) => v === null)).toBe(true);
    expect(history.series({ space: idOf(443), from: T, to: T - 100, step: null }).at.length).toBeLessThanOrEqual(1);
  });

  test('keeps an hour by the second and 30 days by the minute, and forgets in small steps', async () => {
    const path = folder();
    const { history, add } = await opened(path);
    const days = 32;
    // Every ten minutes, or this test takes minutes itself.
    const steps = (days * 86400) / 600;
    for (let i = 0; i <= steps; i++)
      add(T + i * 600, [
        { port: 443, used: i % 1000 },
        { port: 80, used: 1 },
      ]);
    const end = T + days * 86400;
    const first = history.series({ space: idOf(443), from: T, to: end, step: 3600 });
    const kept = first.at.filter((_, i) => first.columns.used[i] !== null);
    expect(kept[0]! - hourOf(end - 30 * 86400)).toBeGreaterThanOrEqual(-2 * 86400);
    expect(kept[0]!).toBeGreaterThan(T + 86400);
    expect(kept.at(-1)).toBe(hourOf(end));
    expect(history.status().rows).toBeLessThan(2 * (31 * 144 + 10));
  }, 60_000);

  test('in memory stays bounded, however many spaces come and go', async () => {
    const { history, add } = await opened(null);
    for (let s = 0; s < 3000; s++)
      add(
        T + s,
        Array.from({ length: 40 }, (_, i) => ({ port: (s * 40 + i) % 60000, used: 1 })),
      );
    expect(history.status().rows).toBeLessThan(128 * 60 + 2 * 3600);
  });

  test('is remembered by a new run as the past of a space, on its own clock', async () => {
    const path = folder();
    const now = Math.floor(Date.now() / 1000);
    const before = await opened(path);
    for (let s = now - 600; s <= now - 5; s++) before.add(s, [{ port: 443, used: 100 + (s - now + 600), timeWait: 100 }]);
    before.history.close();
    const after = await opened(path);
    after.at(now);
    const past = after.history.remembered(idOf(443));
    expect(past).toHaveLength(596);
    const last = past.at(-1)!;
    expect(last.live).toBe(595);
    // Five seconds ago, on the clock of performance.now(): before this process began, it would be negative.
    expect(last.at - (performance.now() / 1000 - 5)).toBeLessThan(1.5);
    expect(Math.abs(last.at - (performance.now() / 1000 - 5))).toBeLessThan(5);
  });
});
