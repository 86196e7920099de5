/** What the pictures are made of: stretches of a long list, pixels of the port map, columns of the occupancy chart. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { MeasuredStart } from '../../src/core/plan/from-space.ts';
import { asItIs } from '../../src/core/plan/tried.ts';
import { portState } from '../../src/web/model/states.ts';
import { stretchAround, visibleRows } from '../../src/web/overview/pages.ts';
import { formatRoute, parseRoute } from '../../src/web/route.ts';
import { occupancyOf } from '../../src/web/space/occupancy.ts';
import { bytesOf, CELL, countBlocks, type Palette, paintPortMap, pixelOf, SIDE } from '../../src/web/space/port-map-paint.ts';
import type { HistoryDocument } from '../../src/wire/api.ts';

describe('a long list', () => {
  test('asks for a stretch that holds every row on the screen, and no more than 200', () => {
    fc.assert(
      fc.property(
        fc.nat(300_000),
        fc.integer({ min: 40, max: 900 }),
        fc.constantFrom(44, 66),
        fc.integer({ min: 1, max: 6000 }),
        (top, height, row, total) => {
          const [first, last] = visibleRows(top, height, row, total);
          const { offset, limit } = stretchAround(first, Math.min(last, first + 40));
          expect(first).toBeGreaterThanOrEqual(0);
          expect(last).toBeLessThanOrEqual(total);
          expect(offset).toBeLessThanOrEqual(first);
          expect(offset + limit).toBeGreaterThanOrEqual(Math.min(last, first + 40));
          expect(limit).toBeLessThanOrEqual(200);
        },
      ),
    );
  });

  test('asks for the same stretch while one scrolls by a row', () => {
    expect(stretchAround(41, 54)).toEqual(stretchAround(42, 55));
  });
});

describe('the port map', () => {
  const palette: Palette = {
    established: 1,
    opening: 2,
    close_wait: 3,
    closing: 4,
    bound: 5,
    time_wait: 6,
    free: 7,
    blocked: 8,
    reserved: 9,
    outside: 10,
    hatch: 11,
  };
  const cellOf = (pixels: Uint32Array, port: number): number[] => {
    const cell: number[] = [];
    for (let y = 0; y < CELL; y++)
      for (let x = 0; x < CELL; x++) cell.push(pixels[((port >>> 8) * CELL + y) * SIDE + (port & 255) * CELL + x]!);
    return cell;
  };

  test('paints each port once, at its row and column, in its state’s colour', () => {
    fc.assert(
      fc.property(fc.nat(65_535), fc.constantFrom(1, 2, 4, 8, 13), (port, state) => {
        const states = new Uint8Array(65_536);
        states[port] = state;
        const pixels = new Uint32Array(SIDE * SIDE);
        paintPortMap(states, new Uint8Array(65_536).fill(255), palette, pixels);
        const colour = palette[portState(state)];
        expect(cellOf(pixels, port)).toEqual(new Array<number>(CELL * CELL).fill(colour));
        expect(pixels.filter((p) => p === colour)).toHaveLength(CELL * CELL);
      }),
      { numRuns: 20 },
    );
  });

  test('hatches blocked and reserved ports, so that they can be told without colours', () => {
    const states = new Uint8Array(65_536).fill(14);
    states.fill(15, 32_768);
    const pixels = new Uint32Array(SIDE * SIDE);
    paintPortMap(states, new Uint8Array(65_536), palette, pixels);
    const share = pixels.filter((p) => p === palette.hatch).length / pixels.length;
    expect(share).toBeGreaterThan(0.2);
    expect(share).toBeLessThan(0.4);
  });

  test('pales a TIME_WAIT as its time runs out, and leaves it alone where that is not known', () => {
    const states = new Uint8Array(65_536).fill(6);
    const left = new Uint8Array([60, 30, 1, 255]);
    const timeLeft = new Uint8Array(65_536);
    timeLeft.set(left);
    const pixels = new Uint32Array(SIDE * SIDE);
    paintPortMap(states, timeLeft, { ...palette, free: 0xffffffff, time_wait: 0xff000000 }, pixels);
    const red = (port: number): number => cellOf(pixels, port)[0]! & 0xff;
    expect(red(0)).toBe(0);
    expect(red(1)).toBeGreaterThan(red(0));
    expect(red(2)).toBeGreaterThan(red(1));
    expect(red(3)).toBe(0);
  });

  test('counts every port exactly once in its table', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 64, maxLength: 64 }), (pattern) => {
        const states = Uint8Array.from({ length: 65_536 }, (_, port) => pattern[port % 64]! % 17);
        const blocks = countBlocks(states);
        expect(blocks).toHaveLength(16);
        for (const { counts } of blocks) expect([...counts.values()].reduce((a, b) => a + b, 0)).toBe(4096);
      }),
      { numRuns: 20 },
    );
  });

  test('reads the API’s base64 and colours as the stylesheet writes them', () => {
    const bytes = Uint8Array.from({ length: 65_536 }, (_, i) => i % 17);
    expect(Buffer.compare(bytesOf(Buffer.from(bytes).toString('base64')), bytes)).toBe(0);
    expect(bytesOf('').every((byte) => byte === 0)).toBe(true);
    expect(pixelOf(' #1d5f8a ')).toBe(0xff8a5f1d);
    expect(pixelOf('red')).toBeNull();
  });
});

describe('the occupancy picture', () => {
  const start: MeasuredStart = {
    id: 'x',
    kind: 'connect',
    source: '10.0.0.5',
    destination: '10.0.0.9',
    destinations: 1,
    range: { low: 40_000, high: 40_999 },
    blocked: 0,
    load: { live: 10, liveSlope: 0, timeWaitRate: 20, timeWaits: [10, 20, 30], timeWaitLife: 60, tick: 2.048, events: 100 },
    openRate: 20,
    twReuse: 2,
    twReuseDelay: 1,
    timestamps: true,
  };
  const history: HistoryDocument = {
    space: 'x',
    step: 1,
    at: [98, 99, 100, 101],
    columns: {
      used: [10, null, 13, 14],
      capacity: [1000, null, 1000, 1000],
      time_wait: [3, null, 3, 3],
      established: [7, null, 10, 10],
      other: [0, null, 0, 0],
      open_rate: [null, null, 20, 20],
      close_rate: [null, null, null, null],
      failed_searches: [null, null, null, null],
    },
  };

  test('has columns of one length, ascending in time, past without forecast and forecast without past', () => {
    const o = occupancyOf(history, 100, start, 10, 1000, asItIs(start));
    for (const column of [o.established, o.live, o.used, o.low, o.expected, o.high, o.tried]) expect(column).toHaveLength(o.at.length);
    for (let i = 1; i < o.at.length; i++) expect(o.at[i]!).toBeGreaterThan(o.at[i - 1]!);
    const now = o.at.indexOf(100);
    expect(o.used[now]).toBe(13);
    expect(o.expected[now]).toBe(13);
    expect(o.used.slice(now + 1).every((v) => v === null)).toBe(true);
    expect(o.expected.slice(0, now).every((v) => v === null)).toBe(true);
    // A look that came late is no gap, and no zero.
    expect(o.at.slice(0, 2)).toEqual([98, 100]);
    expect(o.tried.every((v) => v === null)).toBe(true);
  });

  test('has a gap where the agent was away', () => {
    const at = [10, 11, 60, 61];
    const columns = { ...history.columns, used: [5, 6, 7, 8], established: [5, 6, 7, 8], other: [0, 0, 0, 0] };
    const o = occupancyOf({ ...history, at, columns }, 61, start, 10, 1000, asItIs(start));
    expect(o.used.slice(0, 5)).toEqual([5, 6, null, 7, 8]);
  });

  test('begins the forecast where the newest look stands, though the history does not know it yet', () => {
    const o = occupancyOf(history, 105, start, 10, 1000, asItIs(start));
    const now = o.at.indexOf(105);
    expect([o.established[now], o.live[now], o.used[now], o.expected[now]]).toEqual([10, 10, 13, 13]);
    expect(o.at[now - 1]).toBe(101);
  });

  test('keeps the forecast within its bounds, and draws what is tried only where something is', () => {
    const o = occupancyOf(history, 100, start, 10, 1000, { ...asItIs(start), shared: 5 });
    o.expected.forEach((v, i) => {
      if (v === null) return;
      expect(o.low[i]!).toBeLessThanOrEqual(v);
      expect(o.high[i]!).toBeGreaterThanOrEqual(v);
    });
    expect(o.tried.at(-1)).toBe(5);
  });
});

test('an address names the page it was written for, whatever the port space is called', () => {
  fc.assert(
    fc.property(fc.string({ minLength: 1 }), (id) => {
      expect(parseRoute(formatRoute({ page: 'space', id }))).toEqual({ page: 'space', id });
    }),
  );
  for (const page of ['overview', 'balancer', 'findings'] as const) expect(parseRoute(formatRoute({ page }))).toEqual({ page });
  expect(parseRoute('#/nonsense')).toEqual({ page: 'overview' });
  expect(parseRoute('#/space/%zz')).toEqual({ page: 'space', id: '%zz' });
});
