/**
 * What reaches a terminal: text from outside made harmless, colours where they are wanted, bars and tables.
 */
import { eastAsianWidth } from 'get-east-asian-width';
import type { Output, Shell } from './shell.ts';

/** Control characters, line and paragraph separators, and bidirectional overrides, which could forge or reorder lines. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: finding them is the point
const unsafe = /[\u0000-\u001f\u007f-\u009f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]/g;

/** Text from outside (process names, paths, headers, packets) with everything that could move a cursor made visible. */
export const safe = (text: string): string => text.replace(unsafe, (c) => `\\x${c.charCodeAt(0).toString(16).padStart(2, '0')}`);

export type Style = 'bold' | 'dim' | 'red' | 'yellow' | 'green' | 'cyan' | 'blue' | 'inverse';
const codes: Readonly<Record<Style, readonly [number, number]>> = {
  bold: [1, 22],
  dim: [2, 22],
  inverse: [7, 27],
  red: [31, 39],
  green: [32, 39],
  yellow: [33, 39],
  blue: [34, 39],
  cyan: [36, 39],
};
export type Paint = (style: Style, text: string) => string;

/** Colours for `output`: off for NO_COLOR (any value), TERM=dumb and pipes; on for FORCE_COLOR or a terminal. */
export const painter = (output: Output, env: Shell['env']): Paint => {
  const forced = env['FORCE_COLOR'] !== undefined && env['FORCE_COLOR'] !== '0';
  const on = !env['NO_COLOR'] && env['TERM'] !== 'dumb' && (forced || output.isTerminal);
  return on ? (style, text) => `\u001b[${codes[style][0]}m${text}\u001b[${codes[style][1]}m` : (_style, text) => text;
};

// biome-ignore lint/suspicious/noControlCharactersInRegex: colours begin with one
const colours = /\u001b\[\d+m/g;
const onlyAscii = /^[ -~]*$/;
const takesNoColumn = /^[\p{Mn}\p{Me}\p{Cf}]$/u;

/** Columns that one letter (a code point) takes: 0 for combining marks, 2 for wide ones. */
export const letterWidth = (letter: string): number => {
  const code = letter.codePointAt(0)!;
  // What is drawn most: ASCII, boxes, blocks.
  return code < 0x7f || (code >= 0x2500 && code < 0x25a0) ? 1 : takesNoColumn.test(letter) ? 0 : eastAsianWidth(code);
};

/** Columns that `text` takes on a terminal; colours and combining marks take none. */
export const width = (text: string): number => {
  if (onlyAscii.test(text)) return text.length;
  let columns = 0;
  for (const letter of text.replace(colours, '')) columns += letterWidth(letter);
  return columns;
};

/** `text` padded (or cut, with an ellipsis) to exactly `columns`. Colours inside `text` are only safe when it fits. */
export const pad = (text: string, columns: number, align: 'left' | 'right' = 'left'): string => {
  let cut = text;
  if (width(text) > columns) {
    const letters = Array.from(text);
    while (letters.length > 0 && width(letters.join('')) > columns - 1) letters.pop();
    cut = `${letters.join('')}…`;
  }
  const padding = ' '.repeat(Math.max(0, columns - width(cut)));
  return align === 'left' ? cut + padding : padding + cut;
};

/** A number and its unit belong on one line. */
const glued = /(\d) (?=(?:%|ms|s|min|h|days|of)(?:[^\w]|$))/g;

/** `text` broken at spaces into lines of at most `columns`, each after the first indented by `indent`. */
export const wrap = (text: string, columns: number, indent = ''): string => {
  const lines: string[] = [];
  let line = '';
  for (const word of text.replace(glued, '$1\u00a0').split(' ')) {
    const candidate = line === '' ? word : `${line} ${word}`;
    if (line !== '' && width(candidate) > columns - (lines.length === 0 ? 0 : indent.length)) {
      lines.push(line);
      line = word;
    } else line = candidate;
  }
  lines.push(line);
  return lines.join(`\n${indent}`).replaceAll('\u00a0', ' ');
};

/** `text` broken to stand in a column that begins after `indent` columns of a page of `columns`; only what follows is indented. */
export const hang = (text: string, columns: number, indent: number): string =>
  wrap(text, columns - indent).replaceAll('\n', `\n${' '.repeat(indent)}`);
