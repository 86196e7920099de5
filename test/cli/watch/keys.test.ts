/** Keys out of what terminals send. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type Key, readKeys } from '../../../src/cli/watch/keys.ts';

const letter = (l: string): Key => ({ letter: l });

describe('reading keys', () => {
  test.each<readonly [string, readonly Key[]]>([
    ['q', [letter('q')]],
    ['\u001b[A\u001b[B', ['up', 'down']],
    ['\u001bOA\u001bOB', ['up', 'down']],
    ['\u001b[5~\u001b[6~', ['page-up', 'page-down']],
    ['\u001b[H\u001b[F\u001b[1~\u001b[4~', ['home', 'end', 'home', 'end']],
    ['\u001b[1;5A', ['up']],
    ['\r\n\u007f\b', ['enter', 'enter', 'backspace', 'backspace']],
    ['\u0003\u001a\u000c\u0015', ['ctrl-c', 'ctrl-z', 'ctrl-l', 'ctrl-u']],
    ['é世😀', [letter('é'), letter('世'), letter('😀')]],
    // A mouse report, a focus report, a function key, a device's answer: nothing of them is a key.
    ['\u001b[<0;10;20Mq', [letter('q')]],
    ['\u001b[Iq\u001b[Oq', [letter('q'), letter('q')]],
    ['\u001b[15~q', [letter('q')]],
    ['\u001b[?62;22cq', [letter('q')]],
    ['\u0000\u0001\u009b', []],
  ])('%j', (typed, keys) => {
    expect(readKeys(typed)).toEqual({ keys, rest: '' });
  });

  test('an escape is the key only when nothing follows', () => {
    expect(readKeys('\u001b')).toEqual({ keys: [], rest: '\u001b' });
    expect(readKeys('\u001b', true)).toEqual({ keys: ['escape'], rest: '' });
    expect(readKeys('\u001bq')).toEqual({ keys: ['escape', letter('q')], rest: '' });
    expect(readKeys('\u001b\u001b[A')).toEqual({ keys: ['escape', 'up'], rest: '' });
  });

  test('it does not matter where what is sent was cut', () => {
    const pieces = fc.constantFrom('q', '世', '\u001b[A', '\u001b[5~', '\u001bOH', '\r', '\u001b[1;5C', '\u001b[?62;22c', '/', '\u0003');
    fc.assert(
      fc.property(fc.array(pieces, { maxLength: 12 }), fc.nat(), (typed, at) => {
        const text = typed.join('');
        const letters = Array.from(text);
        const cut = letters.slice(0, at % (letters.length + 1)).join('');
        const first = readKeys(cut);
        const second = readKeys(first.rest + text.slice(cut.length));
        expect([...first.keys, ...second.keys]).toEqual(readKeys(text).keys);
      }),
    );
  });

  test('anything at all is read to its end', () => {
    const bytes = fc.array(fc.oneof(fc.constantFrom('\u001b', '[', 'O', ';', '1', '~', 'A', ' '), fc.string({ unit: 'binary' })), {
      maxLength: 40,
    });
    fc.assert(
      fc.property(bytes, (parts) => {
        const { keys, rest } = readKeys(parts.join(''), true);
        expect(rest).toBe('');
        for (const key of keys) if (typeof key === 'object') expect(key.letter).toMatch(/^[^\p{Cc}\ud800-\udfff]$/u);
      }),
    );
  });
});
