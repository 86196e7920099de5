/** Pages for terminals whose locale has no UTF-8: each letter outside ASCII by one that resembles it. */
import type { Shell } from '../shell.ts';

const alike: Readonly<Record<string, string>> = {
  '█': '#',
  '▉': '#',
  '▊': '#',
  '▋': '#',
  '▌': '#',
  '▍': '=',
  '▎': '=',
  '▏': '=',
  '▓': '%',
  '▒': '+',
  '░': '.',
  '┊': '|',
  '╎': '|',
  '│': '|',
  '─': '-',
  '▸': '>',
  '→': '>',
  '←': '<',
  '↑': '^',
  '↓': 'v',
  '·': '.',
  '•': '*',
  '✖': 'x',
  '▲': '!',
  '…': '~',
  '–': '-',
  '’': "'",
  '“': '"',
  '”': '"',
  '▁': '.',
  '▂': '.',
  '▃': '-',
  '▄': '-',
  '▅': '=',
  '▆': '=',
  '▇': '#',
};

export const toAscii = (text: string): string => text.replace(/[\u0080-\u{10ffff}]/gu, (letter) => alike[letter] ?? '?');

/** Whether the locale names another character set than UTF-8. Without a locale UTF-8 is assumed: containers have none. */
export const asciiOnly = (env: Shell['env']): boolean => {
  const locale = env['LC_ALL'] || env['LC_CTYPE'] || env['LANG'] || '';
  return locale !== '' && !/utf-?8/i.test(locale);
};
