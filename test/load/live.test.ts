/** What is shown while a run goes on: written over on a terminal, plain lines in a pipe. */
import { describe, expect, test } from 'vitest';
import { latency } from '../../src/cli/render/load.ts';
import { LiveLine } from '../../src/cli/render/load-live.ts';

const screen = (isTerminal: boolean, width: number): { readonly live: LiveLine; readonly text: () => string } => {
  const texts: string[] = [];
  return { live: new LiveLine({ write: (t) => void texts.push(t), isTerminal, width }), text: () => texts.join('') };
};

/** What a terminal shows after these bytes: carriage returns and "clear to the end of the line" are all that is used. */
const shown = (text: string): string[] => {
  const lines = [''];
  let column = 0;
  for (let i = 0; i < text.length; i++) {
    const at = lines.length - 1;
    if (text[i] === '\r') column = 0;
    else if (text[i] === '\n') {
      lines.push('');
      column = 0;
    } else if (text.startsWith('\u001b[K', i)) {
      lines[at] = lines[at]!.slice(0, column);
      i += 2;
    } else {
      lines[at] = lines[at]!.slice(0, column).padEnd(column) + text[i] + lines[at]!.slice(column + 1);
      column++;
    }
  }
  return lines;
};

describe('the live line', () => {
  test('is written over on a terminal, cut to its width, and gone at the end; what is said stays', () => {
    const { live, text } = screen(true, 30);
    live.say('Predicted: it lasts.\n');
    live.show('1 s  a long line that would not fit on it');
    live.show('2 s  short');
    expect(shown(text()).at(-1)).toBe('2 s  short');
    live.once('ran out\n');
    live.once('ran out\n');
    live.show(`3 s  ${'x'.repeat(60)}`);
    expect(shown(text()).at(-1)!.length).toBeLessThan(30);
    live.end();
    expect(shown(text())).toEqual(['Predicted: it lasts.', 'ran out', '']);
  });

  test('is a line each time in a pipe, without a control character', () => {
    const { live, text } = screen(false, 80);
    live.show('1 s  a');
    live.once('ran out\n');
    live.show('2 s  b');
    live.end();
    expect(text()).toBe('1 s  a\nran out\n2 s  b\n');
  });

  test('latencies keep three digits from a microsecond to a tenth of a second', () => {
    expect([0, 0.000001, 0.000264, 0.0009994, 0.00314159, 0.0999, 0.25, 2].map(latency)).toEqual([
      '0 µs',
      '1 µs',
      '264 µs',
      '999 µs',
      '3.14 ms',
      '99.9 ms',
      '250 ms',
      '2 s',
    ]);
    expect(latency(null)).toBe('-');
  });
});
