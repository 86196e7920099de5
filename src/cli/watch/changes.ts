/** What a terminal must be sent so that it shows one screen instead of another: changed cells only. */
import { Look, type Screen } from './screen.ts';

const ESC = '\u001b[';

/** Unchanged cells between two changed ones that are sent again rather than jumped over: a jump takes as many bytes. */
const GAP = 6;

const sgr = (look: number): string => {
  if (look === 0) return `${ESC}m`;
  const codes = ['0'];
  if (look & Look.bold) codes.push('1');
  if (look & Look.dim) codes.push('2');
  if (look & Look.inverse) codes.push('7');
  if (look >> Look.colour > 0) codes.push(String(30 + (look >> Look.colour)));
  return `${ESC}${codes.join(';')}m`;
};

/** Letters whose width terminals agree on: Latin, Greek, Cyrillic; arrows, boxes, blocks and the like. */
const agreed = (glyph: string): boolean => {
  if (glyph.length !== 1) return false;
  const code = glyph.charCodeAt(0);
  return code < 0x530 || (code >= 0x2010 && code < 0x2670);
};

/** The column after the last cell of a row that is not blank. */
const endOfRow = (screen: Screen, start: number): number => {
  let end = screen.columns;
  while (end > 0 && screen.glyphs[start + end - 1] === ' ' && screen.looks[start + end - 1] === 0) end--;
  return end;
};

/**
 * The bytes that turn `before` (null: a screen of unknown content or size) into `after`; empty if nothing changed. They leave
 * colours plain and need no more of a terminal than cursor addressing, erasing and SGR (ECMA-48).
 */
export const changes = (before: Screen | null, after: Screen): string => {
  const { columns, rows, glyphs, looks } = after;
  const old = before !== null && before.columns === columns && before.rows === rows ? before : null;
  let out = old === null ? `${ESC}m${ESC}2J` : '';
  let look = 0;
  for (let row = 0; row < rows; row++) {
    const start = row * columns;
    const same = (c: number): boolean =>
      old === null
        ? glyphs[start + c] === ' ' && looks[start + c] === 0
        : glyphs[start + c] === old.glyphs[start + c] && looks[start + c] === old.looks[start + c];
    const end = endOfRow(after, start);
    // The column the cursor is in; -1 where that is not sure.
    let cursor = -1;
    for (let c = 0; c < columns; c++) {
      if (same(c)) continue;
      const near = cursor >= 0 && c - cursor <= GAP && glyphs.slice(start + cursor, start + c).every(agreed);
      const from = near && c < end ? cursor : c;
      if (from !== cursor) out += `${ESC}${row + 1};${c + 1}H`;
      if (c >= end) {
        // Nothing but blanks from here on.
        out += look === 0 ? `${ESC}K` : `${sgr(0)}${ESC}K`;
        look = 0;
        break;
      }
      for (let i = start + from; i <= start + c; i++) {
        if (looks[i] !== look) {
          look = looks[i]!;
          out += sgr(look);
        }
        out += glyphs[i]!;
      }
      cursor = agreed(glyphs[start + c]!) ? c + 1 : -1;
      // The second half of a wide letter came with the first.
      if (c + 1 < columns && glyphs[start + c + 1] === '') c++;
    }
  }
  return look === 0 ? out : out + sgr(0);
};
