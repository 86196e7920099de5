/** Lines of a page: made to fit, beside one another, one under the other. */
import { width as columnsOf, type Paint, pad } from '../terminal.ts';

// biome-ignore lint/suspicious/noControlCharactersInRegex: colours begin with one
const colours = /\u001b\[(\d+)m/g;

/** Texts of several lines as single lines, each with the colours that were open where it begins. */
export const split = (texts: readonly string[]): string[] => {
  const lines: string[] = [];
  for (const text of texts) {
    let open = '';
    for (const line of text.split('\n')) {
      lines.push(open + line);
      for (const [code, number] of line.matchAll(colours)) {
        const turnsOn = Number(number) < 10 || (Number(number) > 30 && Number(number) < 38);
        open = turnsOn ? open + code : '';
      }
    }
  }
  return lines;
};

/** `left` and `right` at the two ends of a line; the left gives way. */
export const ends = (left: string, right: string, columns: number): string => {
  const room = columns - columnsOf(right) - 1;
  if (room < 1) return left;
  const gap = columns - columnsOf(left) - columnsOf(right);
  return gap >= 1 ? `${left}${' '.repeat(gap)}${right}` : `${pad(left, room)} ${right}`;
};

/** `text` in exactly `columns`; what is too long loses its beginning, for the end of a port space's name tells one from another. */
export const fitEnd = (text: string, columns: number): string => {
  if (columnsOf(text) <= columns) return pad(text, columns);
  const letters = Array.from(text);
  while (letters.length > 0 && columnsOf(letters.join('')) > columns - 1) letters.shift();
  return pad(`…${letters.join('')}`, columns);
};

/** A line across the page with a title in it. */
export const rule = (title: string, columns: number, paint: Paint): string => {
  const cut = columnsOf(title) > columns - 6 ? fitEnd(title, Math.max(1, columns - 6)) : title;
  return `${paint('dim', '──')} ${paint('bold', cut)} ${paint('dim', '─'.repeat(Math.max(0, columns - columnsOf(cut) - 4)))}`;
};

/** `values` as a row of bars, the newest at the right; `full` is a whole bar. At least one eighth for anything above nothing. */
export const sparkline = (values: readonly number[], full: number, columns: number): string =>
  values
    .slice(-columns)
    .map((v) => (v <= 0 || full <= 0 ? ' ' : '▁▂▃▄▅▆▇█'[Math.min(7, Math.max(0, Math.ceil((v / full) * 8) - 1))]!))
    .join('');
