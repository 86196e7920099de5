/**
 * A terminal's screen as cells. Pages are lines of text as every command renders them; the colours of `painter` inside them
 * become each cell's look, and what a terminal could take differently than we count never gets in.
 */
import { letterWidth } from '../terminal.ts';

/** How a cell looks: bits of Look, and the colour's number (31 to 36, less 30) above them; 0 is plain. */
export const Look = { bold: 1, dim: 2, inverse: 4, colour: 3 } as const;

/** Combining marks beyond these only make a cell slow to draw. */
const MARKS = 2;

// biome-ignore lint/suspicious/noControlCharactersInRegex: colours begin with one
const colour = /\u001b\[(\d+)m/y;
const variation = /[\ufe00-\ufe0f]/;
const mark = /^[\p{Mn}\p{Me}]$/u;

const turned = (look: number, code: number): number => {
  if (code === 1) return look | Look.bold;
  if (code === 2) return look | Look.dim;
  if (code === 22) return look & ~(Look.bold | Look.dim);
  if (code === 7) return look | Look.inverse;
  if (code === 27) return look & ~Look.inverse;
  if (code >= 31 && code <= 36) return (look & 7) | ((code - 30) << Look.colour);
  if (code === 39) return look & 7;
  return 0;
};

/** One line as cells. */
export interface Row {
  readonly line: string;
  /** A wide glyph is followed by an empty one; every other cell holds one column. */
  readonly glyphs: readonly string[];
  readonly looks: Uint8Array;
}

/** Rows of cells, all of one width. */
export interface Screen {
  readonly columns: number;
  readonly rows: readonly Row[];
}

const rowOf = (line: string, columns: number): Row => {
  const glyphs = new Array<string>(columns).fill(' ');
  const looks = new Uint8Array(columns);
  let at = 0;
  let look = 0;
  let marks = 0;
  for (let i = 0; i < line.length; ) {
    const code = line.codePointAt(i)!;
    if (code === 0x1b) {
      colour.lastIndex = i;
      const match = colour.exec(line);
      look = match === null ? look : turned(look, Number(match[1]));
      i += match === null ? 1 : match[0].length;
      continue;
    }
    const letter = code < 0x80 ? line[i]! : String.fromCodePoint(code);
    i += letter.length;
    // Control characters and lone surrogates: `safe` makes them visible before; here they would move the cursor.
    if (code < 0x20 || (code >= 0x7f && code < 0xa0) || (code >= 0xd800 && code <= 0xdfff)) continue;
    const width = code < 0x7f ? 1 : letterWidth(letter);
    if (width === 0) {
      // A mark joins the letter before it; joiners and variation selectors change widths, each terminal in its own way.
      if (at > 0 && marks < MARKS && mark.test(letter) && !variation.test(letter)) {
        glyphs[glyphs[at - 1] === '' ? at - 2 : at - 1] += letter;
        marks++;
      }
      continue;
    }
    if (at + width > columns) break;
    marks = 0;
    glyphs[at] = letter;
    looks[at] = look;
    if (width === 2) {
      glyphs[at + 1] = '';
      looks[at + 1] = look;
    }
    at += width;
  }
  return { line, glyphs, looks };
};

/** The screen that shows `lines` from its first row on; what does not fit is cut off. Rows whose line is that of `before` are its rows. */
export const screenOf = (lines: readonly string[], columns: number, rows: number, before: Screen | null = null): Screen => ({
  columns,
  rows: Array.from({ length: rows }, (_, row) => {
    const line = lines[row] ?? '';
    const same = before?.columns === columns && before.rows[row]?.line === line;
    return same ? before.rows[row]! : rowOf(line, columns);
  }),
});
