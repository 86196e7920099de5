/** What a client may send, byte by byte: the cases of request smuggling, and those that only look like them. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { balancer, file, Raw, type Running, rawServer } from '../support/balancer.ts';

let running: Running;
let seen = '';
let backend: Awaited<ReturnType<typeof rawServer>>;

beforeAll(async () => {
  backend = await rawServer((socket) => {
    let text = '';
    socket.on('data', (chunk) => {
      seen += chunk.toString('latin1');
      text += chunk.toString('latin1');
      // Answers as soon as a head is there: what else arrives is only recorded.
      for (let end = text.indexOf('\r\n\r\n'); end >= 0; end = text.indexOf('\r\n\r\n')) {
        const head = text.slice(0, end + 4);
        const length = Number(/content-length: *(\d+)/i.exec(head)?.[1] ?? 0);
        const chunked = /transfer-encoding: *chunked/i.test(head);
        const last = chunked ? /(?:^|\r\n)0\r\n(?:[^\r\n]+\r\n)*\r\n/.exec(text.slice(end + 4)) : null;
        if (chunked && last === null) return;
        const bodyEnd = end + 4 + (last === null ? length : last.index + last[0].length);
        if (text.length < bodyEnd) return;
        text = text.slice(bodyEnd);
        socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok');
      }
    });
  });
  running = await balancer((port) => file(port, [backend.port]));
});
afterAll(async () => {
  await running.stop();
  await backend.stop();
});

const get = (lines: string, body = ''): string => `GET / HTTP/1.1\r\nHost: a\r\n${lines}\r\n${body}`;
const post = (lines: string, body = ''): string => `POST / HTTP/1.1\r\nHost: a\r\n${lines}\r\n${body}`;

/** Everything that must be refused: name, bytes, status. */
const refused: readonly (readonly [string, string, number])[] = [
  ['Content-Length and Transfer-Encoding', post('Content-Length: 4\r\nTransfer-Encoding: chunked\r\n', '0\r\n\r\n'), 400],
  [
    'Transfer-Encoding and Content-Length, the other way round',
    post('Transfer-Encoding: chunked\r\nContent-Length: 4\r\n', '0\r\n\r\n'),
    400,
  ],
  ['two different Content-Lengths', post('Content-Length: 4\r\nContent-Length: 5\r\n', 'abcde'), 400],
  ['two equal Content-Lengths', post('Content-Length: 4\r\nContent-Length: 4\r\n', 'abcd'), 400],
  ['a list of Content-Lengths', post('Content-Length: 4, 4\r\n', 'abcd'), 400],
  ['a signed Content-Length', post('Content-Length: +4\r\n', 'abcd'), 400],
  ['a negative Content-Length', post('Content-Length: -4\r\n', 'abcd'), 400],
  ['a hexadecimal Content-Length', post('Content-Length: 0x4\r\n', 'abcd'), 400],
  ['an empty Content-Length', post('Content-Length: \r\n', 'abcd'), 400],
  ['a Content-Length beyond every number', post(`Content-Length: ${'9'.repeat(30)}\r\n`), 400],
  ['a Content-Length with a space inside', post('Content-Length: 1 2\r\n', 'abcd'), 400],
  ['two Transfer-Encodings', post('Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n', '0\r\n\r\n'), 400],
  ['Transfer-Encoding: identity beside chunked', post('Transfer-Encoding: identity, chunked\r\n', '0\r\n\r\n'), 501],
  ['Transfer-Encoding: gzip, chunked', post('Transfer-Encoding: gzip, chunked\r\n', '0\r\n\r\n'), 501],
  ['Transfer-Encoding: xchunked', post('Transfer-Encoding: xchunked\r\n', '0\r\n\r\n'), 501],
  ['Transfer-Encoding: chunked, identity', post('Transfer-Encoding: chunked, identity\r\n', '0\r\n\r\n'), 501],
  ['Transfer-Encoding with a vertical tab', post('Transfer-Encoding:\x0bchunked\r\n', '0\r\n\r\n'), 400],
  ['an empty Transfer-Encoding', post('Transfer-Encoding:\r\n', '0\r\n\r\n'), 400],
  ['Transfer-Encoding : chunked, a space before the colon', post('Transfer-Encoding : chunked\r\n', '0\r\n\r\n'), 400],
  ['Transfer-Encoding in HTTP/1.0', 'POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n', 400],
  ['a folded field line', get('X-A: b\r\n c\r\n'), 400],
  ['a folded field line with a tab', get('X-A: b\r\n\tc\r\n'), 400],
  ['a folded Transfer-Encoding', post('Transfer-Encoding:\r\n chunked\r\n', '0\r\n\r\n'), 400],
  ['space before the first field line', 'GET / HTTP/1.1\r\n Host: a\r\n\r\n', 400],
  ['a bare LF after the request line', 'GET / HTTP/1.1\nHost: a\r\n\r\n', 400],
  ['a bare LF after a field line', 'GET / HTTP/1.1\r\nHost: a\nX-B: c\r\n\r\n', 400],
  ['bare LFs throughout', 'GET / HTTP/1.1\nHost: a\n\n', 400],
  ['a bare CR in a field value', get('X-A: b\rX-C: d\r\n'), 400],
  ['a bare CR at the end of the head', 'GET / HTTP/1.1\r\nHost: a\r\n\rX', 400],
  ['NUL in a field value', get('X-A: b\0c\r\n'), 400],
  ['NUL in a field name', get('X\0A: b\r\n'), 400],
  ['DEL in a field value', get('X-A: b\x7fc\r\n'), 400],
  ['a control character in a field value', get('X-A: b\x01c\r\n'), 400],
  ['a field line without a colon', get('nonsense\r\n'), 400],
  ['a field line without a name', get(': value\r\n'), 400],
  ['a field name with a space', get('X A: b\r\n'), 400],
  ['a field name with a bracket', get('X(A): b\r\n'), 400],
  ['no Host', 'GET / HTTP/1.1\r\nX-A: b\r\n\r\n', 400],
  ['two Hosts', 'GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n', 400],
  ['a Host with a slash', 'GET / HTTP/1.1\r\nHost: a/b\r\n\r\n', 400],
  ['a Host with a user', 'GET / HTTP/1.1\r\nHost: u@a\r\n\r\n', 400],
  ['a Host with a space', 'GET / HTTP/1.1\r\nHost: a b\r\n\r\n', 400],
  ['Connection: Content-Length', post('Content-Length: 2\r\nConnection: Content-Length\r\n', 'ab'), 400],
  ['Connection: Host', get('Connection: close, Host\r\n'), 400],
  ['Connection: Transfer-Encoding', post('Transfer-Encoding: chunked\r\nConnection: transfer-encoding\r\n', '0\r\n\r\n'), 400],
  ['Connection: X-Forwarded-For', get('Connection: x-forwarded-for\r\n'), 400],
  ['Connection with no token', get('Connection: cl;ose\r\n'), 400],
  ['an unknown expectation', post('Content-Length: 2\r\nExpect: 200-maybe\r\n', 'ab'), 417],
  ['a lower-case version', 'GET / http/1.1\r\nHost: a\r\n\r\n', 400],
  ['HTTP/2.0', 'GET / HTTP/2.0\r\nHost: a\r\n\r\n', 505],
  ['HTTP/1.2', 'GET / HTTP/1.2\r\nHost: a\r\n\r\n', 505],
  ['the preface of HTTP/2', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 505],
  ['HTTP/0.9', 'GET /\r\n\r\n', 400],
  ['two spaces before the target', 'GET  / HTTP/1.1\r\nHost: a\r\n\r\n', 400],
  ['two spaces before the version', 'GET /  HTTP/1.1\r\nHost: a\r\n\r\n', 400],
  ['a space at the end of the request line', 'GET / HTTP/1.1 \r\nHost: a\r\n\r\n', 400],
  ['a tab in the request line', 'GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n', 400],
  ['a control character in the target', 'GET /\x01 HTTP/1.1\r\nHost: a\r\n\r\n', 400],
  ['a raw byte above 127 in the target', 'GET /\xe4 HTTP/1.1\r\nHost: a\r\n\r\n', 400],
  ['a target that is no path', 'GET a/b HTTP/1.1\r\nHost: a\r\n\r\n', 400],
  ['an absolute target with a user', 'GET http://u@b/ HTTP/1.1\r\nHost: a\r\n\r\n', 400],
  ['an asterisk that is not OPTIONS', 'GET * HTTP/1.1\r\nHost: a\r\n\r\n', 400],
  ['a method with a bracket', 'G(T / HTTP/1.1\r\nHost: a\r\n\r\n', 400],
  ['an endless method', `${'G'.repeat(100)} / HTTP/1.1\r\nHost: a\r\n\r\n`, 400],
  ['CONNECT', 'CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n', 501],
  ['bytes of TLS', '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03', 400],
  ['an oversized target', `GET /${'a'.repeat(9000)} HTTP/1.1\r\nHost: a\r\n\r\n`, 414],
  ['an oversized field line', get(`X-A: ${'b'.repeat(9000)}\r\n`), 431],
  ['a flood of field lines', get('X-A: b\r\n'.repeat(200)), 431],
  [
    'a head that never ends',
    `GET / HTTP/1.1\r\nHost: a\r\n${Array.from({ length: 8 }, (_, i) => `X-${i}: ${'b'.repeat(8000)}\r\n`).join('')}`,
    431,
  ],
];

describe('a request that could be read in two ways is refused and not passed on', () => {
  test.each(refused)('%s', async (_name, bytes, status) => {
    seen = '';
    const raw = await Raw.connect(running.port);
    // A second request behind it: whoever finds it has been smuggled.
    raw.write(bytes).write('GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n');
    await raw.end();
    expect(raw.text).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `));
    expect(raw.text).toContain('Connection: close\r\n');
    expect(raw.text.match(/HTTP\/1\.1 \d/g)).toHaveLength(1);
    expect(seen).toBe('');
    raw.destroy();
  });

  test.each(refused.filter(([, bytes]) => bytes.length < 400))('%s, one byte at a time', async (_name, bytes, status) => {
    seen = '';
    const raw = await Raw.connect(running.port);
    for (const byte of bytes) {
      raw.write(byte);
      await new Promise((next) => setImmediate(next));
      if (raw.ended) break;
    }
    if (!/\r\n\r\n/.test(bytes)) raw.write('\r\n\r\n');
    await raw.end();
    expect(raw.text).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `));
    expect(seen).toBe('');
    raw.destroy();
  });
});

/** Chunked bodies: the head is good and has been passed on before the body shows what it is. */
const badChunks: readonly (readonly [string, string])[] = [
  ['a chunk size that is no number', 'zz\r\nab\r\n0\r\n\r\n'],
  ['a negative chunk size', '-1\r\nab\r\n0\r\n\r\n'],
  ['a chunk size with 0x', '0x2\r\nab\r\n0\r\n\r\n'],
  ['an empty chunk size', '\r\nab\r\n0\r\n\r\n'],
  ['a chunk size with a space', '2 \r\nab\r\n0\r\n\r\n'],
  ['a chunk size beyond every number', `${'f'.repeat(20)}\r\nab\r\n0\r\n\r\n`],
  ['a bare LF after the chunk size', '2\nab\r\n0\r\n\r\n'],
  ['a bare CR after the chunk size', '2\rab\r\n0\r\n\r\n'],
  ['a chunk longer than its size', '2\r\nabc\r\n0\r\n\r\n'],
  ['a bare LF after the data', '2\r\nab\n0\r\n\r\n'],
  ['a bare LF in an extension', '2;a\nb\r\nab\r\n0\r\n\r\n'],
  ['NUL in an extension', '2;a\0\r\nab\r\n0\r\n\r\n'],
  ['an endless extension', `2;${'a'.repeat(1000)}\r\nab\r\n0\r\n\r\n`],
  ['a bare LF at the end of the trailer', '0\r\n\n'],
  ['a folded trailer', '0\r\nA: b\r\n c\r\n\r\n'],
  ['Content-Length in the trailer', '0\r\nContent-Length: 5\r\n\r\n'],
  ['Transfer-Encoding in the trailer', '0\r\nTransfer-Encoding: chunked\r\n\r\n'],
  ['Host in the trailer', '0\r\nHost: b\r\n\r\n'],
  ['a flood of trailers', `0\r\n${'A: b\r\n'.repeat(3000)}\r\n`],
];

describe('a chunked body that breaks its framing ends the request and both connections', () => {
  test.each(badChunks)('%s', async (_name, body) => {
    seen = '';
    const raw = await Raw.connect(running.port);
    raw.write(post('Transfer-Encoding: chunked\r\n'));
    await new Promise((next) => setTimeout(next, 5));
    raw.write(`${body}GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n`);
    await raw.end();
    expect(raw.text).toMatch(/^HTTP\/1\.1 400 /);
    expect(seen).not.toContain('smuggled');
    raw.destroy();
  });
});

/** What must be passed on, and how it looks then. */
const accepted: readonly (readonly [string, string, RegExp])[] = [
  ['an empty line before the request line', '\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n', /^GET \/ HTTP\/1\.1\r\nHost: a\r\n/],
  ['white space around a value', get('X-A: \t b \t\r\n'), /\r\nX-A: \t b \t\r\n/],
  ['an empty value', get('X-A:\r\n'), /\r\nX-A:\r\n/],
  ['bytes above 127 in a value', get('X-A: \xfc\xff\r\n'), /\r\nX-A: \xfc\xff\r\n/],
  ['chunked in capitals', post('Transfer-Encoding: CHUNKED\r\n', '2\r\nab\r\n0\r\n\r\n'), /CHUNKED[\s\S]*\r\n\r\n2\r\nab\r\n0\r\n\r\n$/],
  ['chunk extensions', post('Transfer-Encoding: chunked\r\n', '2;a=b\r\nab\r\n0\r\n\r\n'), /2;a=b\r\nab\r\n0\r\n\r\n$/],
  ['trailers', post('Transfer-Encoding: chunked\r\n', '0\r\nX-Sum: 1\r\n\r\n'), /0\r\nX-Sum: 1\r\n\r\n$/],
  ['Content-Length: 0', post('Content-Length: 0\r\n'), /Content-Length: 0\r\n/],
  ['a body in the same packet', post('Content-Length: 4\r\n', 'abcd'), /\r\n\r\nabcd$/],
  [
    'Connection options are dropped with the fields they name',
    get('Connection: keep-alive, X-Hop\r\nX-Hop: 1\r\nX-End: 2\r\n'),
    /^(?![\s\S]*x-hop)(?![\s\S]*connection)[\s\S]*X-End: 2/i,
  ],
  [
    'Keep-Alive, Proxy-Connection and TE are dropped',
    get('Keep-Alive: 5\r\nProxy-Connection: x\r\nTE: trailers\r\n'),
    /^(?![\s\S]*(keep-alive|proxy-connection|\r\nte:))/i,
  ],
  [
    'an upgrade to h2c is not passed on',
    get('Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AA\r\n'),
    /^(?![\s\S]*(upgrade|http2-settings))/i,
  ],
  [
    'X-Forwarded-For is ours',
    get('X-Forwarded-For: 1.2.3.4\r\nX-Forwarded-Proto: gopher\r\n'),
    /^(?![\s\S]*1\.2\.3\.4)[\s\S]*X-Forwarded-For: 127\.0\.0\.1\r\nX-Forwarded-Proto: http\r\n\r\n$/,
  ],
  [
    'an absolute target becomes a path, and its authority the Host',
    'GET http://b:81/x?y HTTP/1.1\r\nHost: a\r\n\r\n',
    /^GET \/x\?y HTTP\/1\.1\r\nHost: b:81\r\n(?![\s\S]*Host: a)/,
  ],
  ['an absolute target without a path', 'GET http://b?y HTTP/1.1\r\nHost: a\r\n\r\n', /^GET \/\?y HTTP\/1\.1\r\nHost: b\r\n/],
  ['OPTIONS *', 'OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n', /^OPTIONS \* HTTP\/1\.1\r\n/],
  ['HTTP/1.0 is passed on as HTTP/1.1', 'GET / HTTP/1.0\r\nHost: a\r\n\r\n', /^GET \/ HTTP\/1\.1\r\nHost: a\r\n/],
  ['a method of its own', 'PURGE /x HTTP/1.1\r\nHost: a\r\n\r\n', /^PURGE \/x HTTP\/1\.1\r\n/],
];

describe('a request that can be read in one way only is passed on', () => {
  test.each(accepted)('%s', async (_name, bytes, expected) => {
    seen = '';
    const raw = await Raw.connect(running.port);
    raw.write(bytes);
    const { status } = await raw.response();
    expect(status).toBe(200);
    expect(seen).toMatch(expected);
    raw.destroy();
  });

  test.each(accepted)('%s, one byte at a time', async (_name, bytes, expected) => {
    seen = '';
    const raw = await Raw.connect(running.port);
    for (const byte of bytes) {
      raw.write(byte);
      await new Promise((next) => setImmediate(next));
    }
    expect((await raw.response()).status).toBe(200);
    expect(seen).toMatch(expected);
    raw.destroy();
  });

  test('a hundred pipelined requests are answered in order', async () => {
    const raw = await Raw.connect(running.port);
    raw.write(Array.from({ length: 100 }, (_, i) => `GET /${i} HTTP/1.1\r\nHost: a\r\n\r\n`).join(''));
    seen = '';
    for (let i = 0; i < 100; i++) expect((await raw.response()).body).toBe('ok');
    expect([...seen.matchAll(/GET \/(\d+) /g)].map((m) => Number(m[1]))).toEqual(Array.from({ length: 100 }, (_, i) => i));
    raw.destroy();
  });
});

test('no byte of a client ends a log line or forges a field', async () => {
  const raw = await Raw.connect(running.port);
  const target = '/%0a"},{"status":200,"forged":true}\\u2028';
  raw.write(`GET ${target.replace(/[{}"\\]/g, (c) => c)} HTTP/1.1\r\nHost: a\r\n\r\n`);
  await raw.response();
  raw.destroy();
  await new Promise((next) => setTimeout(next, 10));
  const last = running.log.at(-1)!;
  // biome-ignore lint/suspicious/noControlCharactersInRegex: their absence is the point
  expect(last).not.toMatch(/[\u0000-\u001f\u007f-\u009f\u2028\u2029]/);
  expect(JSON.parse(last)).toMatchObject({ target, status: 200, service: 'web' });
  expect(JSON.parse(last)).not.toHaveProperty('forged');
});
