/** The events of a stream come out the same however the network cuts it. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { backoff } from '../../src/web/live/backoff.ts';
import { EventReader, type ServerEvent } from '../../src/web/live/sse.ts';

const read = (pieces: readonly string[]): readonly ServerEvent[] => {
  const reader = new EventReader();
  return pieces.flatMap((piece) => reader.push(piece));
};

describe('the event reader', () => {
  test('reads type, id and data, several lines of data as one, and passes over comments and unknown fields', () => {
    const text = ': here\n\nretry: 2000\n\nid: 7\nevent: sample\ndata: {"a":\ndata: 1}\nwhatever: x\n\ndata: bare\n\n';
    expect(read([text])).toEqual([
      { type: 'sample', id: '7', data: '{"a":\n1}' },
      { type: 'message', id: '7', data: 'bare' },
    ]);
  });

  test('takes LF, CRLF and CR alike, also where a piece ends between CR and LF', () => {
    const wanted = [{ type: 'a', id: '1', data: 'x' }];
    for (const end of ['\n', '\r\n', '\r']) {
      const text = ['id: 1', 'event: a', 'data: x', '', ': more', ''].join(end);
      expect(read([text])).toEqual(wanted);
      expect(read([...text])).toEqual(wanted);
    }
  });

  test('gives the same events wherever the stream is cut', () => {
    const line = fc.string({ unit: fc.constantFrom('a', 'ü', '🚢', ' ', ':', '{', '"') });
    const event = fc.record({
      id: fc.nat(),
      type: fc.constantFrom('sample', 'finding'),
      data: fc.array(line, { minLength: 1, maxLength: 3 }),
    });
    fc.assert(
      fc.property(fc.array(event, { maxLength: 5 }), fc.array(fc.nat(200), { maxLength: 12 }), (events, cuts) => {
        const text = events.map((e) => `id: ${e.id}\nevent: ${e.type}\n${e.data.map((d) => `data: ${d}\n`).join('')}\n`).join('');
        const at = [0, ...cuts.map((c) => Math.min(c, text.length)).sort((a, b) => a - b), text.length];
        const pieces = at.slice(1).map((end, i) => text.slice(at[i], end));
        expect(read(pieces)).toEqual(events.map((e) => ({ type: e.type, id: String(e.id), data: e.data.join('\n') })));
      }),
    );
  });

  test('keeps the last id over events without one, and gives no event for a cut-off end', () => {
    const reader = new EventReader();
    reader.push('id: 41\ndata: x\n\ndata: half');
    expect(reader.lastId).toBe('41');
    expect(reader.push('')).toEqual([]);
  });

  test('does not take an id with a NUL, which no header could carry back', () => {
    const reader = new EventReader();
    reader.push('id: 1\ndata: x\n\nid: a\0b\ndata: y\n\n');
    expect(reader.lastId).toBe('1');
  });
});

test('the wait between attempts grows to ten seconds and never is less than half of its longest', () => {
  fc.assert(
    fc.property(fc.nat(40), fc.double({ min: 0, max: 1, noNaN: true }), (attempt, chance) => {
      const longest = Math.min(10_000, 500 * 2 ** attempt);
      const wait = backoff(attempt, chance);
      expect(wait).toBeGreaterThanOrEqual(longest / 2);
      expect(wait).toBeLessThanOrEqual(longest);
    }),
  );
});
