/** The life of findings: opened, changed, closed, without flicker. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { FindingBook } from '../../../src/agent/findings/book.ts';
import type { Finding } from '../../../src/core/finding.ts';
import { finding } from '../support/observation.ts';

const T = Date.parse('2026-11-20T12:00:00Z');
const at = (seconds: number): number => T + seconds * 1000;
const whats = (book: FindingBook, seconds: number, found: readonly Finding[]): string[] => book.take(found, at(seconds)).map((c) => c.what);

describe('a finding', () => {
  test('opens when it is seen, closes when it has been absent for 30 s, and says when', () => {
    const book = new FindingBook({ now: T });
    expect(whats(book, 0, [finding()])).toEqual(['opened']);
    expect(whats(book, 10, [finding()])).toEqual([]);
    for (let s = 11; s < 40; s++) expect(whats(book, s, [])).toEqual([]);
    const [closed] = book.take([], at(40));
    expect(closed).toMatchObject({
      what: 'closed',
      life: { opened_at: '2026-11-20T12:00:00.000Z', closed_at: '2026-11-20T12:00:40.000Z' },
    });
    expect(book.list('open')).toEqual([]);
    expect(book.list('closed')).toEqual([closed!.life]);
  });

  test('that flickers stays one finding', () => {
    const book = new FindingBook({ now: T });
    const told: string[] = [];
    for (let s = 0; s < 300; s++) told.push(...whats(book, s, s % 20 === 0 ? [finding()] : []));
    expect(told).toEqual(['opened']);
  });

  test('that comes back after it was closed is another one', () => {
    const book = new FindingBook({ now: T });
    book.take([finding()], at(0));
    book.take([], at(31));
    book.take([finding()], at(60));
    const [newer, older] = book.list('all');
    expect(newer!.id).not.toBe(older!.id);
    expect([newer!.closed_at === null, older!.closed_at === null]).toEqual([true, false]);
  });

  test('becomes worse at once and milder only after 30 s; its text moves on without being told', () => {
    const book = new FindingBook({ now: T });
    book.take([finding()], at(0));
    expect(whats(book, 1, [finding({ severity: 'critical', text: 'worse' })])).toEqual(['changed']);
    for (let s = 2; s < 30; s++) expect(whats(book, s, [finding({ severity: 'warning', text: `${s}` })])).toEqual([]);
    expect(book.list('open')[0]).toMatchObject({ severity: 'critical', text: '29' });
    expect(whats(book, 32, [finding({ severity: 'warning' })])).toEqual(['changed']);
    expect(book.list('open')[0]!.severity).toBe('warning');
  });

  test('outlives a restart: the same id while it is seen again, closed when it is not', () => {
    const before = new FindingBook({ now: T });
    const other = finding({ subject: 'namespace host', code: 'collisions' });
    before.take([finding(), other], at(0));
    const known = before.list('open');
    const after = new FindingBook({ now: at(600), known });
    expect(after.take([finding()], at(601))).toEqual([]);
    const [closed] = after.take([finding()], at(640));
    expect(closed).toMatchObject({ what: 'closed', life: { code: 'collisions', id: known.find((l) => l.code === 'collisions')!.id } });
    expect(after.list('open').map((l) => l.id)).toEqual([known.find((l) => l.code === 'close_wait_leak')!.id]);
  });

  test('is not closed between two looks that are far apart', () => {
    const book = new FindingBook({ now: T });
    book.take([finding()], at(0), 60);
    expect(book.take([], at(60), 60)).toEqual([]);
    expect(book.take([], at(120), 60)).toEqual([]);
    expect(book.take([], at(180), 60).map((c) => c.what)).toEqual(['closed']);
  });

  test('whatever is seen when: told lives alternate between opened and closed, ids are never used twice, and at most one is open', () => {
    const codes = ['collisions', 'close_wait_leak', 'narrow_range'] as const;
    const looks = fc.array(
      fc.tuple(fc.integer({ min: 1, max: 45 }), fc.subarray([...codes]), fc.constantFrom('info', 'warning', 'critical')),
      { maxLength: 80 },
    );
    fc.assert(
      fc.property(looks, (steps) => {
        const book = new FindingBook({ now: T });
        const open = new Map<string, string>();
        const ids = new Set<string>();
        const lastSeen = new Map<string, number>();
        let now = 0;
        for (const [pause, seen, severity] of steps) {
          now += pause;
          for (const { what, life } of book.take(
            seen.map((code) => finding({ code, severity: severity as Finding['severity'] })),
            at(now),
          )) {
            if (what === 'opened') {
              expect(open.has(life.code)).toBe(false);
              expect(ids.has(life.id)).toBe(false);
              ids.add(life.id);
              open.set(life.code, life.id);
            } else expect(open.get(life.code)).toBe(life.id);
            if (what === 'closed') {
              expect(now - lastSeen.get(life.code)!).toBeGreaterThanOrEqual(30);
              open.delete(life.code);
            }
          }
          for (const code of seen) lastSeen.set(code, now);
          expect(new Set(book.list('open').map((l) => l.id))).toEqual(new Set(open.values()));
        }
      }),
    );
  });

  test('thousands of them stay bounded', () => {
    const book = new FindingBook({ now: T });
    for (let round = 0; round < 5; round++) {
      book.take(
        Array.from({ length: 3000 }, (_, i) => finding({ subject: `s${round}-${i}` })),
        at(round * 100),
      );
      book.take([], at(round * 100 + 50));
    }
    expect(book.list('all').length).toBeLessThanOrEqual(2000);
  });
});
