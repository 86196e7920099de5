/** What a terminal must be sent so that it shows one screen instead of another: changed cells only. */
import { Look, type Row, type Screen } from './screen.ts';

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

/** The column after the last cell that is not blank. */
const endOf = ({ glyphs, looks }: Row): number => {
  let end = glyphs.length;
  while (end > 0 && glyphs[end - 1] === ' ' && looks[end - 1] === 0) end--;
  return end;
};

/** Writes rows one after the other and knows which look the terminal is in. */
class Pen {
  out = '';
  private look = 0;

  /** Turns row `number` of a terminal from `before` (null: blank) into `after`. */
  row(number: number, before: Row | null, { glyphs, looks }: Row, end: number): void {
    const same = (c: number): boolean =>
      before === null ? glyphs[c] === ' ' && looks[c] === 0 : glyphs[c] === before.glyphs[c] && looks[c] === before.looks[c];
    // The column the cursor is in; -1 where that is not sure.
    let cursor = -1;
    for (let c = 0; c < glyphs.length; c++) {
      if (same(c)) continue;
      const near = cursor >= 0 && c - cursor <= GAP && glyphs.slice(cursor, c).every(agreed);
      const from = near && c < end ? cursor : c;
      if (from !== cursor) this.out += `${ESC}${number + 1};${c + 1}H`;
      if (c >= end) {
        // Nothing but blanks from here on.
        this.wear(0);
        this.out += `${ESC}K`;
        return;
      }
      for (let i = from; i <= c; i++) {
        this.wear(looks[i]!);
        this.out += glyphs[i]!;
      }
      cursor = agreed(glyphs[c]!) ? c + 1 : -1;
      // The second half of a wide letter came with the first.
      if (glyphs[c + 1] === '') c++;
    }
  }

  wear(look: number): void {
    if (this.look === look) return;
    this.look = look;
    this.out += sgr(look);
  }
}

/**
 * The bytes that turn `before` (null: a screen of unknown content or size) into `after`; empty if nothing changed. They leave
 * colours plain and need no more of a terminal than cursor addressing, erasing and SGR (ECMA-48).
 */
export const changes = (before: Screen | null, after: Screen): string => {
  const old = before !== null && before.columns === after.columns && before.rows.length === after.rows.length ? before : null;
  const pen = new Pen();
  if (old === null) pen.out = `${ESC}m${ESC}2J`;
  for (const [number, row] of after.rows.entries()) {
    const earlier = old?.rows[number] ?? null;
    if (earlier !== row) pen.row(number, earlier, row, endOf(row));
  }
  pen.wear(0);
  return pen.out;
};
