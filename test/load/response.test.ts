/** The response reader: what ends where, however the bytes arrive; and that no bytes make it wait, throw or run past its end. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { MALFORMED, MORE, ResponseReader } from '../../src/load/response.ts';

/** Feeds `text` in pieces that end at `cuts`; where the response ended counted from the beginning, or what was answered last. */
const feed = (text: string, cuts: readonly number[], noBody = false): { readonly answer: number; readonly reader: ResponseReader } => {
  const reader = new ResponseReader();
  reader.begin(noBody);
  const bytes = Buffer.from(text, 'latin1');
  const memory = Buffer.alloc(bytes.length + 1);
  const ends = [...new Set([...cuts.map((c) => Math.min(c, bytes.length)), bytes.length])].sort((a, b) => a - b).filter((c) => c > 0);
  let from = 0;
  for (const end of ends) {
    // The shared buffer is left full of what an earlier read brought.
    memory.fill(0x41);
    bytes.copy(memory, 0, from, end);
    memory[end - from] = 0;
    const answer = reader.read(memory, end - from);
    if (answer !== MORE) return { answer: answer < 0 ? answer : from + answer, reader };
    from = end;
  }
  return { answer: MORE, reader };
};

const statuses = fc.constantFrom(200, 201, 204, 301, 304, 404, 500, 503);
const bodyText = fc.string({ maxLength: 60 }).map((s) => Buffer.from(s).toString('latin1'));
const fields = fc.array(fc.constantFrom('Server: x\r\n', 'date: Fri\r\n', 'X-Long: '.padEnd(300, 'y').concat('\r\n'), 'Vary:\r\n'), {
  maxLength: 4,
});

interface Whole {
  readonly status: number;
  readonly head: string;
  readonly body: string;
  readonly ends: 'length' | 'chunked' | 'close' | 'none';
}
const whole: fc.Arbitrary<Whole> = fc
  .record({
    status: statuses,
    interim: fc.boolean(),
    fields,
    body: bodyText,
    framing: fc.constantFrom('length', 'chunked', 'close'),
    sizes: fc.array(fc.integer({ min: 1, max: 9 }), { maxLength: 8 }),
  })
  .map(({ status, interim, fields: extra, body, framing, sizes }) => {
    const before = interim ? 'HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n' : '';
    const none = status === 204 || status === 304;
    const head = (field: string): string => `${before}HTTP/1.1 ${status} Any Reason\r\n${extra.join('')}${field}\r\n`;
    if (none) return { status, head: head('Content-Length: 12\r\n'), body: '', ends: 'none' as const };
    if (framing === 'length') return { status, head: head(`content-LENGTH: ${body.length}\r\n`), body, ends: 'length' as const };
    if (framing === 'close') return { status, head: head(''), body, ends: 'close' as const };
    let rest = body;
    let coded = '';
    for (const size of [...sizes, 1000]) {
      const part = rest.slice(0, size);
      rest = rest.slice(size);
      if (part !== '') coded += `${part.length.toString(16)};x=1\r\n${part}\r\n`;
    }
    return { status, head: head('Transfer-Encoding: chunked\r\n'), body: `${coded}0\r\nX-Sum: t\r\n\r\n`, ends: 'chunked' as const };
  });

describe('the response reader', () => {
  test('finds the end of every whole response, however it is cut, and nothing beyond', () => {
    fc.assert(
      fc.property(
        whole,
        fc.array(fc.integer({ min: 1, max: 900 }), { maxLength: 12 }),
        fc.constantFrom('', 'HTTP/1.1 200 OK\r\n'),
        (r, cuts, after) => {
          const text = r.head + r.body;
          const { answer, reader } = feed(r.ends === 'close' ? text : text + after, cuts);
          expect(reader.status).toBe(r.status);
          if (r.ends === 'close') expect([answer, reader.ends(), reader.keepAlive]).toEqual([MORE, true, false]);
          else expect([answer, reader.keepAlive]).toEqual([text.length, true]);
        },
      ),
      { numRuns: 500 },
    );
  });

  test('waits for the rest of what is not whole', () => {
    fc.assert(
      fc.property(whole, fc.double({ min: 0, max: 0.999, noNaN: true }), (r, part) => {
        const text = r.head + r.body;
        const { answer, reader } = feed(text.slice(0, Math.floor(part * text.length)), []);
        expect(answer).toBe(MORE);
        if (r.ends !== 'close') expect(reader.ends()).toBe(false);
      }),
      { numRuns: 300 },
    );
  });

  test('a response to HEAD ends with its head, whatever that says', () => {
    for (const field of ['Content-Length: 500\r\n', 'Transfer-Encoding: chunked\r\n', '']) {
      const head = `HTTP/1.1 200 OK\r\n${field}\r\n`;
      expect(feed(head, [], true).answer).toBe(head.length);
    }
  });

  test('keeps the connection as RFC 9112 9.3 says', () => {
    const keeps = (first: string, field: string): boolean => feed(`${first}\r\n${field}Content-Length: 0\r\n\r\n`, []).reader.keepAlive;
    expect(keeps('HTTP/1.1 200 OK', '')).toBe(true);
    expect(keeps('HTTP/1.1 200 OK', 'Connection: close\r\n')).toBe(false);
    expect(keeps('HTTP/1.1 200 OK', 'connection: x, Close\r\n')).toBe(false);
    expect(keeps('HTTP/1.0 200 OK', '')).toBe(false);
    expect(keeps('HTTP/1.0 200 OK', 'Connection: keep-alive\r\n')).toBe(true);
  });

  test('takes nothing for an answer that is none', () => {
    const bad = [
      'HTTP/2 200\r\n\r\n',
      'SSH-2.0-OpenSSH_9.2p1\r\n',
      'HTTP/1.1 20 OK\r\n\r\n',
      'HTTP/1.1 200 OK\nContent-Length: 1\n\nx',
      'HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx',
      'HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n',
      'HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n',
      'HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n',
      'HTTP/1.1 200 OK\r\n folded\r\n\r\n',
      'HTTP/1.1 200 OK\r\nBad Name: x\r\n\r\n',
      'HTTP/1.1 200 OK\r\nX: \u0000\r\n\r\n',
      'HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n',
      'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n',
      'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n',
      `HTTP/1.1 200 OK\r\nX: ${'y'.repeat(40_000)}\r\n\r\n`,
    ];
    for (const text of bad) expect([text.slice(0, 60), feed(text, []).answer]).toEqual([text.slice(0, 60), MALFORMED]);
  });

  test('whatever bytes come, it says where it is and never beyond them', () => {
    const damaged = fc
      .tuple(
        whole,
        fc.array(fc.tuple(fc.double({ min: 0, max: 0.999, noNaN: true }), fc.integer({ min: 0, max: 255 })), {
          minLength: 1,
          maxLength: 4,
        }),
      )
      .map(([r, changes]) => {
        const bytes = Buffer.from(r.head + r.body, 'latin1');
        for (const [where, value] of changes) bytes[Math.floor(where * bytes.length)] = value;
        return bytes.toString('latin1');
      });
    fc.assert(
      fc.property(
        fc.oneof(damaged, fc.string({ unit: 'binary', maxLength: 200 })),
        fc.array(fc.integer({ min: 1, max: 400 }), { maxLength: 6 }),
        (text, cuts) => {
          const length = Buffer.byteLength(text, 'latin1');
          const inOne = feed(text, []);
          const inPieces = feed(text, cuts);
          expect(inOne.answer === MORE || inOne.answer === MALFORMED || (inOne.answer > 0 && inOne.answer <= length)).toBe(true);
          // Where it ends does not depend on how it arrives; that it is bad may be seen sooner.
          if (inOne.answer >= 0) expect(inPieces.answer).toBe(inOne.answer);
          else expect(inPieces.answer).toBeLessThan(0);
        },
      ),
      { numRuns: 1500 },
    );
  });
});
