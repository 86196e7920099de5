/**
 * Differential fuzzing: the same bytes go to Node's own HTTP server directly, and through the balancer to another one. What
 * arrives through the balancer must be what arrives directly, or less of it: whatever both of them read, they must read alike.
 */
import { createServer, type Server } from 'node:http';
import { connect } from 'node:net';
import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ChunkReader } from '../../../src/core/http/chunks.ts';
import { Head, INCOMPLETE, REFUSED } from '../../../src/core/http/head.ts';
import { balancer, file, type Running } from '../support/balancer.ts';

const budget = 6000;

interface Seen {
  readonly method: string;
  readonly url: string;
  readonly body: string;
  readonly fields: readonly string[];
}

/** A server that writes down what it understood; `X-Case` tells the cases apart. */
const recorder = async (): Promise<{ readonly server: Server; readonly port: number; readonly seen: Seen[] }> => {
  const seen: Seen[] = [];
  const server = createServer({ keepAliveTimeout: 0 }, (request, response) => {
    const parts: Buffer[] = [];
    const entry = (): Seen => ({
      method: request.method!,
      url: request.url!,
      body: Buffer.concat(parts).toString('latin1'),
      fields: Object.entries(request.headers)
        .filter(([name]) => name.startsWith('x-f'))
        .filter(([name]) => !name.startsWith('x-forwarded'))
        .map(([name, value]) => `${name}: ${value}`)
        .sort(),
    });
    request.on('data', (chunk: Buffer) => parts.push(chunk));
    request.on('error', () => {});
    request.on('end', () => {
      seen.push(entry());
      // Without a stated length Node closes after an HTTP/1.0 request that asked to stay, and reads the next only if it is there already.
      response.writeHead(200, { 'Content-Length': 2 }).end('ok');
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return { server, port: (server.address() as { port: number }).port, seen };
};

let direct: Awaited<ReturnType<typeof recorder>>;
let behind: Awaited<ReturnType<typeof recorder>>;
let running: Running;
beforeAll(async () => {
  direct = await recorder();
  behind = await recorder();
  running = await balancer((port) => file(port, [behind.port]));
});
afterAll(async () => {
  await running.stop();
  for (const { server } of [direct, behind]) {
    server.closeAllConnections();
    server.close();
  }
});

/** Sends `bytes` in these pieces, half-closes, and waits until the other side has closed too. */
const send = (port: number, pieces: readonly Buffer[]): Promise<void> =>
  new Promise((resolve) => {
    const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true, noDelay: true });
    const timer = setTimeout(() => socket.destroy(), 500);
    socket.on('error', () => {});
    socket.on('data', () => {});
    socket.on('end', () => socket.destroy());
    socket.on('close', () => {
      clearTimeout(timer);
      resolve();
    });
    socket.on('connect', async () => {
      for (const piece of pieces) {
        if (socket.destroyed) return;
        socket.write(piece);
        if (pieces.length > 1) await new Promise((next) => setImmediate(next));
      }
      socket.end();
    });
  });

const method = fc.constantFrom('GET', 'POST', 'PUT', 'DELETE', 'OPTIONS', 'PATCH');
const fieldLine = fc.constantFrom(
  'Content-Length: 5',
  'Content-Length: 0',
  'Content-Length: 5, 5',
  'Content-Length: 05',
  'content-length:\t5',
  'Content-Length: 4294967301',
  'Transfer-Encoding: chunked',
  'Transfer-Encoding: Chunked',
  'Transfer-Encoding: chunked ',
  'Transfer-Encoding: identity',
  'Transfer-Encoding: chunked, chunked',
  'Transfer-Encoding: \x0bchunked',
  'Transfer-Encoding : chunked',
  'Connection: close',
  'Connection: keep-alive',
  'Connection: x-f2',
  'X-F1: one',
  'X-F2: two \t',
  'X-F3:',
  'X-F1: more',
  'X-F4: \xe4\xff',
  'X-F5: a\tb',
  ' X-F6: folded',
  'X F7: space',
  'Expect: nothing',
  'Host: other',
);
const body = fc.constantFrom(
  '',
  'abcde',
  '5\r\nabcde\r\n0\r\n\r\n',
  '5;x=y\r\nabcde\r\n0\r\n\r\n',
  '0\r\n\r\n',
  '0\r\nX-T: 1\r\n\r\n',
  '05\r\nabcde\r\n0\r\n\r\n',
  '5\r\nabcde\r\n',
  'GET /in HTTP/1.1\r\nHost: a\r\n\r\n',
  '5\nabcde\n0\n\n',
);
const version = fc.constantFrom('HTTP/1.1', 'HTTP/1.1', 'HTTP/1.1', 'HTTP/1.0', 'HTTP/1.2', 'HTTP/11');
const request = fc
  .tuple(method, fc.constantFrom('/', '/a?b=c', '/%00', '//x', '/a b', '*'), version, fc.array(fieldLine, { maxLength: 4 }), body)
  .map(([m, target, v, lines, content]) => `${m} ${target} ${v}\r\nHost: a\r\n${lines.map((l) => `${l}\r\n`).join('')}\r\n${content}`);

/** Requests one behind the other, with a few bytes changed, cut into pieces. */
const stream = fc
  .tuple(
    fc.array(request, { minLength: 1, maxLength: 3 }),
    fc.array(fc.tuple(fc.nat(400), fc.constantFrom('\r', '\n', '\0', ' ', '\t', ':', ',', '0', '5', ';', '\x7f', '\xff', 'x', '')), {
      maxLength: 2,
    }),
    fc.array(fc.nat(400), { maxLength: 3 }),
  )
  .map(([requests, changes, cuts]) => {
    let text = requests.join('');
    for (const [at, what] of changes) if (at < text.length) text = text.slice(0, at) + what + text.slice(at + 1);
    const places = [...new Set(cuts.filter((c) => c > 0 && c < text.length))].sort((a, b) => a - b);
    return { text, pieces: [0, ...places].map((from, i) => Buffer.from(text.slice(from, places[i]), 'latin1')) };
  });

test('what passes the balancer is what Node reads from the same bytes, or less', async () => {
  let passed = 0;
  let cases = 0;
  await fc.assert(
    fc.asyncProperty(stream, async ({ pieces }) => {
      direct.seen.length = 0;
      behind.seen.length = 0;
      cases++;
      await Promise.all([send(direct.port, pieces), send(running.port, pieces)]);
      passed += behind.seen.length;
      expect(behind.seen.length).toBeLessThanOrEqual(direct.seen.length);
      for (const [i, mine] of behind.seen.entries()) {
        const theirs = direct.seen[i]!;
        // A field that Connection names does not travel.
        const dropped = (f: string): boolean => f.startsWith('x-f2');
        expect({ ...mine, fields: mine.fields.filter((f) => !dropped(f)) }).toEqual({
          ...theirs,
          fields: theirs.fields.filter((f) => !dropped(f)),
        });
      }
    }),
    { numRuns: 1_000_000, interruptAfterTimeLimit: budget, markInterruptAsFailure: false },
  );
  // Not a test that compares nothing with nothing.
  expect(cases).toBeGreaterThan(200);
  expect(passed).toBeGreaterThan(cases / 10);
}, 30_000);

const zeroed = (bytes: Buffer): Buffer => Buffer.concat([bytes, Buffer.alloc(1)]);

test('a head reads the same whole and in pieces, and never beyond what has arrived', () => {
  const head = new Head();
  fc.assert(
    fc.property(stream, fc.nat(500), ({ text }, cut) => {
      const bytes = Buffer.from(text, 'latin1');
      const whole = head.scanRequest(zeroed(bytes), 0, bytes.length, true);
      expect(whole).toBeLessThanOrEqual(bytes.length);
      const kept = head.text;
      const part = bytes.subarray(0, Math.min(cut, bytes.length));
      // Stale bytes behind the end must make no difference.
      const stale = Buffer.concat([part, Buffer.from('\0Host: b\r\nContent-Length: 9\r\n\r\n')]);
      const partly = head.scanRequest(stale, 0, part.length, true);
      expect(partly).toBeLessThanOrEqual(part.length);
      if (partly === REFUSED) expect(whole).toBe(REFUSED);
      if (partly > 0) {
        expect(partly).toBe(whole);
        expect(head.text).toBe(kept);
      }
      if (whole > 0 && part.length < whole) expect(partly).toBe(INCOMPLETE);
      // What is passed on is a head that reads as itself.
      if (whole > 0) {
        const again = zeroed(Buffer.from(`${kept}\r\n`, 'latin1'));
        expect(head.scanRequest(again, 0, again.length - 1, false)).toBe(again.length - 1);
      }
    }),
    { numRuns: 1_000_000, interruptAfterTimeLimit: 3000, markInterruptAsFailure: false },
  );
}, 20_000);

test('a chunked body ends at the same byte, whole and in pieces, and its data are what was put in', () => {
  fc.assert(
    fc.property(
      fc.array(fc.uint8Array({ minLength: 1, maxLength: 300 }), { maxLength: 5 }),
      fc.array(fc.nat(2000), { maxLength: 6 }),
      (chunks, cuts) => {
        const framed = Buffer.concat([
          ...chunks.flatMap((c) => [Buffer.from(`${c.length.toString(16)}\r\n`), Buffer.from(c), Buffer.from('\r\n')]),
          Buffer.from('0\r\n\r\n'),
        ]);
        const bytes = Buffer.concat([framed, Buffer.from('GET / HTTP/1.1\r\n')]);
        const reader = new ChunkReader();
        const data: Buffer[] = [];
        let at = 0;
        for (const cut of [...cuts, bytes.length].sort((a, b) => a - b)) {
          const end = Math.min(cut, bytes.length);
          if (end <= at || reader.done) continue;
          at = reader.read(bytes, at, end, (from, to) => data.push(Buffer.from(bytes.subarray(from, to))));
          expect(at).toBeGreaterThan(0);
        }
        expect(reader.done).toBe(true);
        expect(at).toBe(framed.length);
        expect(Buffer.concat(data)).toEqual(Buffer.concat(chunks.map((c) => Buffer.from(c))));
      },
    ),
    { numRuns: 2000, interruptAfterTimeLimit: 3000 },
  );
});
