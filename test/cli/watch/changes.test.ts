/** Drawing: the bytes sent make any screen out of any other, in a model of a terminal and in a real one. */

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { painter, type Style } from '../../../src/cli/terminal.ts';
import { changes } from '../../../src/cli/watch/changes.ts';
import { Look, type Screen, screenOf } from '../../../src/cli/watch/screen.ts';
import { kernelTest } from '../../support/netns.ts';
import { until } from '../../support/poll.ts';
import { ModelTerminal } from './model.ts';
import { folder, Pane } from './pane.ts';

const paint = painter({ write: () => {}, isTerminal: true, width: 80 }, {});
const styles: readonly Style[] = ['bold', 'dim', 'inverse', 'red', 'yellow', 'green', 'cyan', 'blue'];

/** Pieces of lines: letters of one and two columns, marks, blanks, colours around them, and what has to be kept out. */
const letters = fc.constantFrom('a', 'b', ' ', ' ', '   ', '─', '█', '→', 'é', '世', '界', '한', 'e\u0301', '世\u0301', '😀');
const harmless = fc.array(
  fc.oneof(
    letters,
    letters,
    fc.tuple(fc.constantFrom(...styles), letters).map(([s, t]) => paint(s, t)),
  ),
  {
    maxLength: 30,
  },
);
const hostile = fc.constantFrom(
  '\u001b[2J',
  '\u001b]0;owned\u0007',
  '\r',
  '\n',
  '\t',
  '\u009b1m',
  '\u200d',
  '\ufe0f',
  '\ud800',
  '\u202e',
  '\u0301',
);
const line = fc.oneof(harmless, fc.array(fc.oneof(letters, hostile), { maxLength: 20 })).map((parts) => parts.join(''));
const page = fc.array(line, { maxLength: 7 });
const size = fc.record({ columns: fc.integer({ min: 1, max: 24 }), rows: fc.integer({ min: 1, max: 6 }) });

const lookOf = (look: number): string => {
  const codes = [look & Look.bold ? '1' : '', look & Look.dim ? '2' : '', look & Look.inverse ? '7' : ''];
  return [...codes, look >> Look.colour > 0 ? String(30 + (look >> Look.colour)) : ''].filter(Boolean).join(',');
};
const wanted = (screen: Screen): unknown =>
  screen.rows.map((row) => row.glyphs.map((glyph, column) => ({ glyph, look: lookOf(row.looks[column]!) })));

describe('drawing only what changed', () => {
  test('makes a terminal show exactly the screen wanted, whatever was there before', () => {
    fc.assert(
      fc.property(size, fc.array(page, { minLength: 1, maxLength: 5 }), ({ columns, rows }, pages) => {
        const terminal = new ModelTerminal(columns, rows);
        let before: Screen | null = null;
        for (const lines of pages) {
          const after = screenOf(lines, columns, rows, before);
          terminal.feed(changes(before, after));
          expect(terminal.picture()).toEqual(wanted(after));
          expect(terminal.plain).toBe(true);
          before = after;
        }
      }),
      { numRuns: 1500 },
    );
  });

  test('draws everything anew where the size is another', () => {
    const before = screenOf(['abc'], 10, 2);
    const after = screenOf(['abc'], 12, 3);
    const terminal = new ModelTerminal(12, 3);
    terminal.feed(changes(before, after));
    expect(terminal.picture()).toEqual(wanted(after));
  });

  test('sends nothing when nothing changed, and little when little did', () => {
    const text = Array.from({ length: 24 }, (_, i) => `${paint('green', '█'.repeat(14))} ${i} 10.0.0.5 → 10.0.0.9:443   455/s`);
    const before = screenOf(text, 80, 24);
    expect(changes(before, screenOf(text, 80, 24))).toBe('');
    const next = text.with(7, text[7]!.replace('455', '456'));
    expect(changes(before, screenOf(next, 80, 24)).length).toBeLessThan(20);
  });

  test('puts the cursor where it belongs after a letter whose width terminals do not agree on', () => {
    const bytes = changes(null, screenOf(['😀ab'], 10, 1));
    expect(bytes).toContain('😀\u001b[1;3Hab');
  });

  test('never lets through what a page has no business to contain', () => {
    fc.assert(
      fc.property(size, page, ({ columns, rows }, lines) => {
        const bytes = changes(null, screenOf(lines, columns, rows));
        // biome-ignore lint/suspicious/noControlCharactersInRegex: what is sent on purpose
        expect(bytes.replace(/\u001b\[(?:[\d;]*[Hm]|K|2J)/g, '')).not.toMatch(/[\p{Cc}\p{Cs}\u202e]|\u200d|\ufe0f/u);
      }),
    );
  });

  kernelTest('makes tmux show exactly the screen wanted', async () => {
    const columns = 40;
    const rows = 8;
    const pane = await Pane.open({ columns, rows });
    try {
      const samples = fc.sample(
        fc.array(
          harmless.map((parts) => parts.join('')),
          { minLength: rows, maxLength: rows },
        ),
        { numRuns: 25, seed: 7 },
      );
      let before: Screen | null = null;
      // No line editor, no echo: nothing but the frames is drawn.
      await pane.run(`stty -echo; tput smcup; tput rmam; while read -r frame; do cat "$frame"; done`);
      await until('the alternate screen', async () => (await pane.fact('alternate_on')) === '1');
      for (const [i, sample] of samples.entries()) {
        // tmux keeps no more than one mark on a wide letter's second half: compared without them.
        const after = screenOf(
          sample.map((l) => l.replaceAll('世\u0301', '世')),
          columns,
          rows - 1,
        );
        writeFileSync(join(folder, 'frame'), `${changes(before, after)}\u001b[${rows};1H\u001b[K[${i}]`);
        await pane.type(join(folder, 'frame'));
        await pane.press('Enter');
        const shown = await until(`frame ${i}`, async () => {
          const lines = await pane.lines();
          return (lines[rows - 1] ?? '').startsWith(`[${i}]`) && lines;
        });
        expect(shown.slice(0, rows - 1).map((l) => l.trimEnd())).toEqual(after.rows.map((row) => row.glyphs.join('').trimEnd()));
        before = after;
      }
    } finally {
      pane.close();
    }
  });
});
