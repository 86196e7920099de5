/** A terminal small enough to be seen through: what ECMA-48 says of the few sequences that are sent, and nothing else. */
import { letterWidth } from '../../../src/cli/terminal.ts';

interface Cell {
  readonly glyph: string;
  readonly look: string;
}

const blank: Cell = { glyph: ' ', look: '' };

export class ModelTerminal {
  private readonly cells: Cell[];
  private row = 0;
  private column = 0;
  private look = '';
  readonly columns: number;
  readonly rows: number;

  /** Begins with whatever was there. */
  constructor(columns: number, rows: number, before = 'x') {
    this.columns = columns;
    this.rows = rows;
    this.cells = Array.from({ length: columns * rows }, () => ({ glyph: before, look: '5' }));
  }

  feed(bytes: string): void {
    // biome-ignore lint/suspicious/noControlCharactersInRegex: that is what is read
    const token = /\u001b\[([\d;]*)([A-Za-z])|([^\u0000-\u001f\u007f-\u009f])/gu;
    let at = 0;
    for (const match of bytes.matchAll(token)) {
      if (match.index !== at) throw new Error(`not understood: ${JSON.stringify(bytes.slice(at, match.index))}`);
      at = match.index + match[0].length;
      if (match[3] !== undefined) this.put(match[3]);
      else this.control(match[1]!, match[2]!);
    }
    if (at !== bytes.length) throw new Error(`not understood: ${JSON.stringify(bytes.slice(at))}`);
  }

  private control(parameters: string, final: string): void {
    const start = this.row * this.columns;
    if (final === 'H') {
      const [row = 1, column = 1] = parameters.split(';').map(Number);
      if (row < 1 || row > this.rows || column < 1 || column > this.columns) throw new Error(`cursor sent to ${parameters}`);
      this.row = row - 1;
      this.column = column - 1;
    } else if (final === 'K' && parameters === '') this.erase(start + this.column, start + this.columns);
    else if (final === 'J' && parameters === '2') this.erase(0, this.cells.length);
    else if (final === 'm') {
      for (const code of parameters === '' ? ['0'] : parameters.split(';'))
        this.look = code === '0' ? '' : [...this.look.split(',').filter(Boolean), code].join(',');
    } else throw new Error(`not understood: ${parameters}${final}`);
  }

  /** Erasing takes the colours of the moment: they have to be plain. */
  private erase(from: number, to: number): void {
    if (this.look !== '') throw new Error('erased in colour');
    for (let i = from; i < to; i++) this.cells[i] = blank;
  }

  private put(letter: string): void {
    const width = letterWidth(letter);
    const start = this.row * this.columns;
    if (width === 0) {
      const head = start + this.column - (this.cells[start + this.column - 1]!.glyph === '' ? 2 : 1);
      this.cells[head] = { ...this.cells[head]!, glyph: this.cells[head]!.glyph + letter };
      return;
    }
    if (this.column + width > this.columns) throw new Error('written beyond the right edge');
    for (let i = 0; i < width; i++) this.clobber(start + this.column + i);
    this.cells[start + this.column] = { glyph: letter, look: this.look };
    if (width === 2) this.cells[start + this.column + 1] = { glyph: '', look: this.look };
    this.column += width;
  }

  /** Half of a wide letter that is overwritten takes the other half with it. */
  private clobber(at: number): void {
    if (this.cells[at]!.glyph === '' && at % this.columns > 0) this.cells[at - 1] = blank;
    if ((at + 1) % this.columns !== 0 && this.cells[at + 1]!.glyph === '') this.cells[at + 1] = blank;
    this.cells[at] = blank;
  }

  /** Rows of cells, glyph and look. */
  picture(): readonly (readonly Cell[])[] {
    return Array.from({ length: this.rows }, (_, row) => this.cells.slice(row * this.columns, (row + 1) * this.columns));
  }

  /** Whether colours are plain, as whoever writes next expects. */
  get plain(): boolean {
    return this.look === '';
  }
}
