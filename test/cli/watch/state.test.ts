/** What keys and looks do to the state, and the state to the picture: on a real namespace's diagnosis, without a terminal. */
import fc from 'fast-check';
import { beforeAll, describe, expect } from 'vitest';
import { painter, width } from '../../../src/cli/terminal.ts';
import { type Key, readKeys } from '../../../src/cli/watch/keys.ts';
import { Memo } from '../../../src/cli/watch/memo.ts';
import { oneLine } from '../../../src/cli/watch/one-line.ts';
import { picture } from '../../../src/cli/watch/page.ts';
import { ORDERS } from '../../../src/cli/watch/rows.ts';
import { cursorIn, initialState, listed, look, press, type Seen, type WatchState } from '../../../src/cli/watch/state.ts';
import { portMap } from '../../../src/core/port-map.ts';
import type { PortSpace } from '../../../src/core/port-space.ts';
import { diagnoseNamespace, spacesOf } from '../../support/look.ts';
import { kernelTest, namespace, privileged } from '../../support/netns.ts';
import { listen, makeTimeWaits, open } from '../../support/sockets.ts';

const A = '10.66.0.1';
const plain = painter({ write: () => {}, isTerminal: false, width: 80 }, {});
const painted = painter({ write: () => {}, isTerminal: true, width: 80 }, {});
/** Text from outside at its worst, on every owner of every space. */
const EVIL = '\u001b[2J\r\n\u009b1;1H\u202e世界';

let seen: Seen;
let state: WatchState;

beforeAll(async () => {
  if (!privileged) return;
  const ns = namespace({ range: [40000, 40099], addresses: [A], sysctls: { 'net.ipv4.tcp_tw_reuse': 0 } });
  const diagnosis = await diagnoseNamespace(ns, () =>
    ns.run(() => {
      for (const [port, count] of [
        [80, 97],
        [81, 30],
        [82, 5],
      ] as const) {
        listen(A, port);
        for (let i = 0; i < count; i++) open(A, port);
      }
      const listener = listen(A, 83);
      makeTimeWaits(A, 83, listener, 12);
    }),
  );
  const owned = (s: PortSpace): PortSpace => ({ ...s, owners: s.owners.map((o) => ({ ...o, command: EVIL, container: EVIL })) });
  seen = {
    takenAt: Date.UTC(2026, 10, 20, 10, 15, 3),
    diagnosis: { ...diagnosis, spaces: diagnosis.spaces.map(owned) },
    measured: spacesOf(ns),
    slowedTo: null,
  };
  state = look(initialState, seen);
});

const pressed = (keys: string, from: WatchState = state): WatchState => {
  let s = from;
  for (const key of readKeys(keys, true).keys) {
    const next = press(s, key, 10);
    if (typeof next === 'string') throw new Error(`${JSON.stringify(keys)} ended in ${next}`);
    s = next;
  }
  return s;
};
const names = (s: WatchState): readonly (number | null)[] => listed(s).map((space) => space.destinationPort);
const frame = (columns: number, rows: number, s: WatchState = state) => {
  const measured = s.page === 'space' ? seen.measured.find((m) => m.space.id === s.selected) : undefined;
  return { columns, rows, interval: 1, now: seen.takenAt + 400, map: measured === undefined ? null : portMap(measured), memo: new Memo() };
};

describe('keys', () => {
  kernelTest('order the list as named, each once round, and back to front', () => {
    expect(names(state)).toEqual([80, 81, 83, 82]);
    const sorted = (presses: number): readonly (number | null)[] => names(pressed('s'.repeat(presses)));
    expect(pressed('s'.repeat(ORDERS.length)).arrangement).toEqual(initialState.arrangement);
    expect(sorted(ORDERS.indexOf('name'))).toEqual([80, 81, 82, 83]);
    expect(names(pressed(`${'s'.repeat(ORDERS.indexOf('name'))}r`))).toEqual([83, 82, 81, 80]);
    expect(sorted(ORDERS.indexOf('used'))).toEqual([80, 81, 83, 82]);
    for (const presses of ORDERS.keys()) expect([...sorted(presses)].sort()).toEqual([80, 81, 82, 83]);
  });

  kernelTest('filter by words that must all occur, in names and processes', () => {
    expect(names(pressed('/:81\r'))).toEqual([81]);
    expect(names(pressed('/66 83\r'))).toEqual([83]);
    expect(names(pressed('/世界\r')).length).toBeGreaterThanOrEqual(3);
    expect(names(pressed('/no such thing\r'))).toEqual([]);
    expect(names(pressed('/:81\u007f3\r'))).toEqual([83]);
    expect(names(pressed('/:81\u001b'))).toEqual([80, 81, 83, 82]);
    expect(names(pressed('/:81\r\u001b'))).toEqual([80, 81, 83, 82]);
    // While it is typed, letters are letters.
    expect(pressed('/qsrp?').arrangement.filter).toBe('qsrp?');
  });

  kernelTest('keep the cursor on the port space, whatever the order', () => {
    const down = pressed('jj');
    expect(listed(down)[cursorIn(down, listed(down))]!.destinationPort).toBe(83);
    const resorted = pressed('sssss', down);
    expect(listed(resorted)[cursorIn(resorted, listed(resorted))]!.destinationPort).toBe(83);
    expect(pressed('G\r').selected).toContain(':82');
    expect(pressed('Gg\r').selected).toContain(':80');
    expect(pressed('\u001b[B\r\u001b[D').page).toBe('list');
  });

  kernelTest('never lead out of what there is', () => {
    const typed = fc.array(
      fc.oneof(
        fc.constantFrom(
          'j',
          'k',
          'g',
          'G',
          '\r',
          '\u001b',
          's',
          'r',
          '/',
          'p',
          '?',
          '\u007f',
          '\u001b[5~',
          '\u001b[6~',
          'h',
          'l',
          'a',
          '8',
          '世',
          '\u0015',
        ),
        fc.string({ minLength: 1, maxLength: 1 }),
      ),
      { maxLength: 60 },
    );
    fc.assert(
      fc.property(typed, fc.integer({ min: 1, max: 130 }), fc.integer({ min: 1, max: 50 }), (parts, columns, rows) => {
        let s = state;
        for (const part of parts) {
          for (const key of readKeys(part, true).keys) {
            const next = press(s, key as Key, rows);
            if (typeof next !== 'string') s = next;
          }
          const spaces = listed(s);
          expect(cursorIn(s, spaces)).toBeLessThan(Math.max(1, spaces.length));
          expect(s.scroll).toBeGreaterThanOrEqual(0);
        }
        const drawn = picture(s, frame(columns, rows, s), plain);
        expect(drawn.lines.length).toBeLessThanOrEqual(Math.max(1, rows));
        expect(drawn.scroll).toBeLessThanOrEqual(s.scroll);
      }),
      { numRuns: 300 },
    );
  });
});

describe('the picture', () => {
  kernelTest('has exactly the lines there are, none wider than the terminal, from 20 columns on', () => {
    for (const page of ['list', 'space', 'help'] as const) {
      for (let columns = 20; columns <= 200; columns += 9) {
        for (const rows of [4, 5, 8, 12, 24, 50]) {
          const s = { ...state, page, selected: state.spaces[0]!.id };
          const { lines } = picture(s, frame(columns, rows, s), plain);
          expect(lines, `${page} ${columns}x${rows}`).toHaveLength(rows);
          expect(lines.join('\n')).not.toMatch(/undefined|NaN|\[object/);
          if (page === 'list' && columns >= 80) for (const line of lines) expect(width(line), `“${line}”`).toBeLessThanOrEqual(columns);
        }
      }
    }
  });

  kernelTest('begins with the verdict, down to a single line', () => {
    for (const [columns, rows] of [
      [80, 24],
      [30, 6],
      [12, 2],
      [10, 1],
    ] as const) {
      expect(picture(state, frame(columns, rows), plain).lines[0]).toMatch(/^ CRITICAL /);
    }
  });

  kernelTest('lets nothing from outside reach the terminal but as text', () => {
    for (const page of ['list', 'space'] as const) {
      for (const paint of [plain, painted]) {
        const s = { ...pressed(`/${EVIL.replace(/[\r\n]/g, '')}`), page, typing: true, selected: state.spaces[0]!.id };
        const { lines } = picture({ ...s, arrangement: { ...s.arrangement, filter: '' } }, frame(100, 40, s), paint);
        // biome-ignore lint/suspicious/noControlCharactersInRegex: our own colours
        const text = lines.join('').replace(/\u001b\[\d+m/g, '');
        expect(text).not.toMatch(/\p{Cc}|\u202e/u);
        if (page === 'space') expect(text).toContain('\\x1b[2J');
      }
    }
  });

  kernelTest('counts down what runs out between looks, and stands still while paused', () => {
    const runningOut: WatchState = {
      ...state,
      spaces: state.spaces.map((s) => ({
        ...s,
        forecast: { kind: 'exhausts', seconds: 30, secondsLow: 20, secondsHigh: null, plateauUsed: null },
      })),
    };
    const text = (s: WatchState, later: number): string =>
      picture(s, { ...frame(100, 24), now: seen.takenAt + later * 1000 }, plain).lines.join('\n');
    expect(text(runningOut, 0)).toContain('out in 30s');
    expect(text(runningOut, 12)).toContain('out in 18s');
    expect(text(runningOut, 40)).toContain('out now');
    expect(text({ ...runningOut, paused: true }, 12)).toContain('out in 30s');
    // Looks that do not come are not passed over.
    expect(text(state, 12)).toContain('12 s old');
  });

  kernelTest('says that a port space is gone', () => {
    const s: WatchState = { ...state, page: 'space', selected: 'host/connect/10.0.0.1/10.0.0.2:80' };
    expect(picture(s, frame(80, 24, s), plain).lines.join('\n')).toContain('no port is held any more in host/connect/10.0.0.1/10.0.0.2:80');
  });

  kernelTest('is one line where lines are asked for', () => {
    expect(oneLine(seen)).toMatch(/^2026-11-20T10:15:03Z CRITICAL \S+; 10\.66\.0\.1 → 10\.66\.0\.1:80 97 % 97\/100; 4 port spaces$/);
    expect(oneLine({ ...seen, measured: [], diagnosis: { ...seen.diagnosis, verdict: 'ok', because: [], spaces: [], unlisted: 0 } })).toBe(
      '2026-11-20T10:15:03Z OK; no connection leaves this namespace',
    );
  });
});
