/** What a stranger, a hostile page or a broken client can get out of the agent: nothing, and it goes on. */
import { connect } from 'node:net';
import { hostname } from 'node:os';
import fc from 'fast-check';
import { beforeAll, expect, test } from 'vitest';
import { Buckets } from '../../../src/agent/http/buckets.ts';
import { agentServer, closeServer, defaultLimits, listenOn } from '../../../src/agent/http/server.ts';
import { errorCodes } from '../../../src/core/errors.ts';
import { until } from '../../support/poll.ts';
import { ask, type Serving, scratch, sendRaw, serve } from '../support/serve.ts';

let agent: Serving;
beforeAll(async () => {
  agent = await serve();
}, 60_000);

const get = (host: string, path = '/api/v1/report', more = ''): string =>
  `GET ${path} HTTP/1.1\r\nHost: ${host}\r\n${more}Connection: close\r\n\r\n`;
const status = (text: string): number => Number(/^HTTP\/1\.1 (\d+)/.exec(text)?.[1] ?? 0);
const problem = (text: string): { code: string; title: string; hint: string } => JSON.parse(text.slice(text.indexOf('\r\n\r\n') + 4));

test('addresses and known names are answered; any other name is refused, whatever its port', async () => {
  const known = [`127.0.0.1:${agent.port}`, 'localhost', 'LOCALHOST:80', '[::1]:9', '10.0.0.7', hostname(), `${hostname()}.`];
  for (const host of known) expect([host, status((await sendRaw(agent.port, get(host))).text)]).toEqual([host, 200]);
  const strange = [
    'evil.example',
    'evil.example:7575',
    'localhost.evil.example',
    '127.0.0.1.nip.io',
    'a b',
    '',
    'x'.repeat(300),
    '[::1',
    '127.0.0.1@evil.example',
  ];
  for (const host of strange) {
    const { text } = await sendRaw(agent.port, get(host));
    expect([host, [400, 421].includes(status(text))]).toEqual([host, true]);
    expect(text).not.toContain('plimsoll.report/1');
  }
  expect(problem((await sendRaw(agent.port, get('evil.example'))).text)).toMatchObject({
    code: 'http_host',
    title: expect.stringContaining('evil.example'),
  });
});

test('the dashboard’s files are guarded by the same check: a rebound name does not get the page either', async () => {
  expect(status((await sendRaw(agent.port, get('evil.example', '/'))).text)).toBe(421);
});

test('a request without a Host, or with two, is refused', async () => {
  expect(status((await sendRaw(agent.port, 'GET /healthz HTTP/1.1\r\nConnection: close\r\n\r\n')).text)).toBe(400);
  const twice = await sendRaw(agent.port, 'GET /healthz HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\nConnection: close\r\n\r\n');
  expect([400, 421]).toContain(status(twice.text));
});

test('a page of another origin gets nothing, the agent’s own page does', async () => {
  const own = `127.0.0.1:${agent.port}`;
  const from = async (headers: Record<string, string>) =>
    (await ask(agent, '/api/v1/report', { headers: { Host: own, ...headers } })).status;
  expect(await from({ Origin: `http://${own}` })).toBe(200);
  expect(await from({ 'Sec-Fetch-Site': 'same-origin' })).toBe(200);
  expect(await from({ 'Sec-Fetch-Site': 'none' })).toBe(200);
  for (const origin of [
    'http://evil.example',
    'null',
    `https://${own}`,
    'http://127.0.0.1:1',
    `http://${own}.evil.example`,
    `http://localhost:${agent.port}`,
  ])
    expect([origin, await from({ Origin: origin })]).toEqual([origin, 403]);
  expect(await from({ 'Sec-Fetch-Site': 'cross-site' })).toBe(403);
  expect(await from({ 'Sec-Fetch-Site': 'same-site' })).toBe(403);
});

test('a link on another site opens the dashboard, and nothing else', async () => {
  const follow = async (path: string, dest: string) =>
    (await ask(agent, path, { headers: { 'Sec-Fetch-Site': 'cross-site', 'Sec-Fetch-Mode': 'navigate', 'Sec-Fetch-Dest': dest } })).status;
  expect(await follow('/', 'document')).toBe(200);
  expect(await follow('/', 'iframe')).toBe(403);
  expect(await follow('/api/v1/report', 'document')).toBe(403);
  expect(await follow('/metrics', 'document')).toBe(403);
});

test('no answer allows another origin to read it, and preflights fail', async () => {
  const preflight = await ask(agent, '/api/v1/report', {
    method: 'OPTIONS',
    headers: { Origin: 'http://evil.example', 'Access-Control-Request-Method': 'GET' },
  });
  expect(preflight.status).toBe(403);
  const plain = await ask(agent, '/api/v1/report');
  for (const answer of [preflight, plain])
    expect(Object.keys(answer.headers).filter((name) => name.startsWith('access-control'))).toEqual([]);
});

test('every answer carries the same strict headers: pages, data, errors and events', async () => {
  const paths = ['/', '/api/v1/report', '/nothing', '/metrics', '/openapi.json', '/healthz'];
  const answers = await Promise.all(paths.map((path) => ask(agent, path)));
  const events = await sendRaw(agent.port, get('localhost', '/api/v1/events'), 500);
  const lines = events.text.toLowerCase();
  expect(lines).toContain('content-type: text/event-stream');
  for (const [name, value] of Object.entries({
    'content-security-policy':
      /^default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self';.*frame-ancestors 'none'$/,
    'x-content-type-options': /^nosniff$/,
    'x-frame-options': /^DENY$/,
    'referrer-policy': /^no-referrer$/,
    'cross-origin-resource-policy': /^same-origin$/,
    'cross-origin-opener-policy': /^same-origin$/,
  })) {
    for (const [i, answer] of answers.entries())
      expect([paths[i], name, String(answer.headers[name])]).toEqual([paths[i], name, expect.stringMatching(value)]);
    expect(lines).toContain(`\r\n${name}: `);
  }
  for (const answer of answers) expect(String(answer.headers['content-security-policy'])).not.toMatch(/unsafe|\*|http:/);
});

test('changes need the token and the header, and say which is missing', async () => {
  const path = '/api/v1/virtual-services/web';
  const send = (headers: Record<string, string>, token: boolean) =>
    ask(agent, path, { method: 'PATCH', body: { connection_multiplexing: true }, headers, token });
  expect(await send({}, false)).toMatchObject({ status: 401, json: { code: 'http_token_missing' } });
  expect(await send({ 'X-Plimsoll': '1' }, false)).toMatchObject({ status: 401, json: { code: 'http_token_missing' } });
  expect(await send({}, true)).toMatchObject({ status: 403, json: { code: 'http_write_header' } });
  expect(await send({ 'X-Plimsoll': 'yes' }, true)).toMatchObject({ status: 403, json: { code: 'http_write_header' } });
  // With both it gets as far as the balancer, which does not run here.
  expect(await send({ 'X-Plimsoll': '1' }, true)).toMatchObject({ status: 503, json: { code: 'not_running' } });
});

test('a wrong token is refused even where none is needed, and the tenth is slowed down; the right one still works', async () => {
  const other = await serve();
  const wrong = (token: string) => ask(other, '/api/v1/session', { headers: { Authorization: token } });
  for (const token of [
    `Bearer ${other.token}x`,
    `Bearer ${other.token.slice(1)}`,
    'Bearer',
    'Basic Zm9vOmJhcg==',
    `bearer  x${other.token}`,
  ])
    expect([token, (await wrong(token)).status]).toEqual([token, 401]);
  expect((await wrong('Bearer wrong')).headers['www-authenticate']).toContain('Bearer');
  const last = await until('being slowed down', async () => {
    const answer = await wrong('Bearer wrong');
    return answer.status === 429 ? answer : null;
  });
  expect(last).toMatchObject({ json: { code: 'http_too_many' }, headers: { 'retry-after': expect.stringMatching(/^\d+$/) } });
  expect((await ask(other, '/api/v1/session', { token: true })).json).toMatchObject({ authenticated: true, writes: true });
  other.child.kill();
});

test('the token never comes back in an answer or in the log beyond the line that tells it', async () => {
  const answers = await Promise.all(['/', '/metrics', '/openapi.json', '/api/v1/session'].map((path) => ask(agent, path, { token: true })));
  for (const { text } of answers) expect(text).not.toContain(agent.token);
  expect(agent.said.err.split(agent.token)).toHaveLength(2);
});

test('a body that is no JSON, of another type, of the wrong shape or too long is told apart', async () => {
  const path = '/api/v1/virtual-services/web';
  const send = (body: string, type = 'application/json') =>
    ask(agent, path, { method: 'PATCH', token: true, body, headers: { 'X-Plimsoll': '1', 'Content-Type': type } });
  expect(await send('{"connection_multiplexing": tru')).toMatchObject({ status: 400, json: { code: 'http_bad_json' } });
  expect(await send('')).toMatchObject({ status: 400, json: { code: 'http_bad_json' } });
  expect(await send('{}', 'text/plain')).toMatchObject({ status: 415, json: { code: 'http_media_type' } });
  expect(await send('{"connection_multiplexing": 1}')).toMatchObject({
    status: 400,
    json: { code: 'http_bad_value', title: expect.stringContaining('connection_multiplexing') },
  });
  expect(await send('{"connection_multiplexing": true, "__proto__": {"x": 1}, "more": 1}')).toMatchObject({
    status: 400,
    json: { code: 'http_bad_value' },
  });
  expect(await send('null')).toMatchObject({ status: 400 });
  expect(await send(`{"x": "${'a'.repeat(5000)}"}`)).toMatchObject({ status: 413, json: { code: 'http_too_large' } });
});

test('a body that grows beyond the bound without having said so is cut off', async () => {
  const head = `PATCH /api/v1/virtual-services/web HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ${agent.token}\r\nX-Plimsoll: 1\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n`;
  const chunk = `400\r\n${'a'.repeat(1024)}\r\n`;
  const { text, closed } = await sendRaw(agent.port, head + chunk.repeat(64));
  expect([status(text), closed]).toEqual([413, true]);
});

test('a length that is announced too long is refused before a byte of it is read', async () => {
  const { text } = await sendRaw(agent.port, get('localhost', '/api/v1/report', 'Content-Length: 1000000000\r\n'));
  expect(status(text)).toBe(413);
});

test('a header that is too long is refused', async () => {
  const { text, closed } = await sendRaw(agent.port, get('localhost', '/healthz', `X-Long: ${'a'.repeat(20_000)}\r\n`));
  expect([status(text), closed]).toEqual([431, true]);
  expect(problem(text)).toMatchObject({ code: 'http_headers_too_large' });
});

test('two requests in one are not smuggled past: both lengths, or a bad one, end the connection', async () => {
  const attempts = [
    'Content-Length: 5\r\nTransfer-Encoding: chunked\r\n',
    'Content-Length: 5\r\nContent-Length: 6\r\n',
    'Content-Length: -1\r\n',
    'Transfer-Encoding: chunked, gzip\r\n',
    'Content-Length : 5\r\n',
  ];
  for (const header of attempts) {
    const { text, closed } = await sendRaw(
      agent.port,
      `POST /healthz HTTP/1.1\r\nHost: localhost\r\n${header}\r\n0\r\n\r\nGET /api/v1/report HTTP/1.1\r\nHost: localhost\r\n\r\n`,
      3000,
    );
    expect([header, status(text), closed]).toEqual([header, 400, true]);
    expect(text).not.toContain('plimsoll.report/1');
  }
});

test('a client that sends its header a byte at a time, or nothing at all, is closed within the bound', async () => {
  const open = (): Promise<{ readonly closedAfter: number; readonly text: string }> =>
    new Promise((resolve) => {
      const started = performance.now();
      let text = '';
      const socket = connect(agent.port, '127.0.0.1');
      socket.setEncoding('latin1').on('data', (chunk: string) => {
        text += chunk;
      });
      socket.on('error', () => {});
      socket.on('close', () => resolve({ closedAfter: (performance.now() - started) / 1000, text }));
      socket.write('GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-Slow: ');
      const slow = setInterval(() => socket.write('X'), 500);
      socket.on('close', () => clearInterval(slow));
    });
  const silent = (): Promise<number> =>
    new Promise((resolve) => {
      const started = performance.now();
      const socket = connect(agent.port, '127.0.0.1');
      socket.on('error', () => {});
      socket.on('close', () => resolve((performance.now() - started) / 1000));
      socket.resume();
    });
  const [dripping, nothing] = await Promise.all([open(), silent()]);
  expect(dripping.closedAfter).toBeGreaterThan(5);
  expect(dripping.closedAfter).toBeLessThan(40);
  expect(status(dripping.text)).toBe(408);
  expect(nothing).toBeLessThan(60);
}, 90_000);

test('unknown routes, methods and paths that climb are told what is there', async () => {
  expect(await ask(agent, '/api/v1/nothing')).toMatchObject({ status: 404, json: { code: 'http_not_found' } });
  expect(await ask(agent, '/api/v2/report')).toMatchObject({ status: 404 });
  for (const path of [
    '/../../etc/passwd',
    '/%2e%2e/%2e%2e/etc/passwd',
    '/assets/../../package.json',
    '/assets/..%2f..%2fpackage.json',
    '//etc/passwd',
    '/\\..\\x',
    '/.git/config',
    '/%00',
  ]) {
    const { text } = await sendRaw(agent.port, get('localhost', path));
    expect([path, [400, 404].includes(status(text))]).toEqual([path, true]);
    expect(text).not.toContain('root:');
  }
  expect(await ask(agent, '/api/v1/report', { method: 'DELETE' })).toMatchObject({
    status: 405,
    json: { code: 'http_method' },
    headers: { allow: expect.stringContaining('GET') },
  });
  expect(await ask(agent, '/api/v1/pools/a/servers/b/drain')).toMatchObject({ status: 405, headers: { allow: 'POST' } });
  expect(await ask(agent, '/api/v1/report', { method: 'HEAD' })).toMatchObject({ status: 200, text: '' });
});

test('values out of bounds are named', async () => {
  for (const query of ['limit=0', 'limit=1e9', 'limit=x', 'offset=-1', 'sort=nothing', `q=${'x'.repeat(300)}`])
    expect([query, await ask(agent, `/api/v1/port-spaces?${query}`)]).toEqual([
      query,
      expect.objectContaining({
        status: 400,
        json: expect.objectContaining({ code: 'http_bad_value', title: expect.stringContaining(query.split('=')[0]!) }),
      }),
    ]);
  expect(await ask(agent, '/api/v1/history')).toMatchObject({ status: 400 });
  expect(await ask(agent, '/api/v1/history?space=x&from=10&to=5')).toMatchObject({ status: 400, json: { code: 'http_bad_value' } });
  expect(await ask(agent, '/api/v1/history?space=x&step=0')).toMatchObject({ status: 400 });
  expect(await ask(agent, '/api/v1/port-spaces/none%2Fsuch')).toMatchObject({ status: 404, json: { code: 'space_not_found' } });
  expect(await ask(agent, '/api/v1/port-spaces/%E0%A4%A')).toMatchObject({ status: expect.toBeOneOf([400, 404]) });
});

test('an allowance is spent at once or little by little, grows back in time, and is one for each address', () => {
  let now = 0;
  const buckets = new Buckets({ burst: 3, every: 2 }, () => now);
  const take = (address: string, times: number): readonly boolean[] => Array.from({ length: times }, () => buckets.take(address));
  expect(take('a', 4)).toEqual([true, true, true, false]);
  expect(take('b', 1)).toEqual([true]);
  now = 1.9;
  expect(take('a', 1)).toEqual([false]);
  now = 4.1;
  expect(take('a', 3)).toEqual([true, true, false]);
  now = 1000;
  expect(take('a', 4)).toEqual([true, true, true, false]);
  // Who is forgotten for want of room begins with a full allowance, which is all that anybody gains by it.
  for (let i = 0; i < 5000; i++) buckets.take(`x${i}`);
  expect(take('a', 4)).toEqual([true, true, true, false]);
});

test('who asks too much too fast is slowed down; who has the token has an allowance of its own', async () => {
  const other = await serve();
  const one = get('localhost', '/healthz');
  // So many that even a busy machine answers them faster than the allowance grows.
  const burst = one.replace('Connection: close\r\n', '').repeat(4000) + one;
  const { text } = await sendRaw(other.port, burst, 100_000);
  const answers = text.match(/HTTP\/1\.1 \d+/g)!.map((line) => line.slice(-3));
  expect(answers.filter((s) => s === '200').length).toBeGreaterThanOrEqual(400);
  expect(answers).toContain('429');
  expect((await ask(other, '/api/v1/session', { token: true })).status).toBe(200);
  other.child.kill();
}, 150_000);

test('beyond the bound of connections a further one is closed at once and counted; one that ends makes room', async () => {
  const traffic = { refusedConnections: 0, malformed: 0 };
  const server = agentServer(() => new Response('hello'), { ...defaultLimits, connections: 2 }, null, traffic);
  const port = await listenOn(server, '127.0.0.1', 0);
  const open = () => {
    const socket = connect(port, '127.0.0.1');
    const state = { socket, closed: false, text: '' };
    socket.on('error', () => {});
    socket.on('data', (chunk) => {
      state.text += chunk.toString();
    });
    socket.on('close', () => {
      state.closed = true;
    });
    socket.write('GET / HTTP/1.1\r\nHost: localhost\r\n\r\n');
    return state;
  };
  const first = [open(), open()];
  await until('two answers', () => first.every((s) => s.text.includes('hello')), 30_000);
  const third = open();
  await until('the third closed', () => third.closed, 30_000);
  expect([third.text, traffic.refusedConnections, first.some((s) => s.closed)]).toEqual(['', 1, false]);
  first[0]!.socket.destroy();
  await until('room', () => {
    const next = open();
    return new Promise<boolean>((resolve) => {
      next.socket.once('data', () => resolve(true));
      next.socket.once('close', () => resolve(false));
    });
  });
  await closeServer(server, 0);
}, 90_000);

test('whatever bytes arrive, it answers with the catalogue or closes, and goes on', async () => {
  const methods = fc.constantFrom('GET', 'POST', 'PATCH', 'TRACE', 'CONNECT', 'OPTIONS', 'G\u0000T', 'get', 'PRI', 'VERSION-CONTROL', '');
  const piece = fc.oneof(
    fc.webPath(),
    fc.string({ maxLength: 40 }),
    fc.constantFrom('*', '/', '/api/v1/port-spaces/%', 'http://evil.example/', '/metrics', 'localhost:80'),
  );
  const header = fc.oneof(
    fc.string({ maxLength: 60 }),
    fc.constantFrom(
      'Host: localhost',
      'Content-Length: 3',
      'Transfer-Encoding: chunked',
      'Expect: 100-continue',
      'Upgrade: websocket',
      'Connection: upgrade',
      'Range: bytes=0-1',
      'Content-Encoding: gzip',
      'If-None-Match: "x"',
    ),
  );
  const request = fc.oneof(
    fc
      .tuple(methods, piece, fc.array(header, { maxLength: 5 }), fc.string({ maxLength: 30 }))
      .map(([m, p, h, b]) => Buffer.from(`${m} ${p} HTTP/1.1\r\nHost: localhost\r\n${h.join('\r\n')}\r\n\r\n${b}`)),
    fc.uint8Array({ maxLength: 200 }).map((bytes) => Buffer.from(bytes)),
  );
  await fc.assert(
    fc.asyncProperty(request, async (bytes) => {
      const { text } = await sendRaw(agent.port, bytes, 60);
      const body = text.slice(text.indexOf('\r\n\r\n') + 4);
      if (/^HTTP\/1\.1 [45]/.test(text) && body.startsWith('{') && body.endsWith('}') && !body.includes('HTTP/1.1')) {
        const { code, status: told } = JSON.parse(body);
        expect(errorCodes).toContain(code);
        expect(code).not.toBe('internal');
        expect(told).toBe(status(text));
      }
    }),
    { numRuns: 400, interruptAfterTimeLimit: 8000, endOnFailure: true },
  );
  expect(
    (
      await until('its allowance', async () => {
        const answer = await ask(agent, '/api/v1/report');
        return answer.status === 200 ? answer : null;
      })
    ).json.schema,
  ).toBe('plimsoll.report/1');
  expect(agent.said.err).not.toContain('something in plimsoll broke');
}, 60_000);

test('beyond this host everything needs the token, files of the dashboard and probes aside', async () => {
  const file = scratch('token');
  const wide = await serve(['--listen', '0.0.0.0:0', '--token-file', file]);
  for (const path of ['/api/v1/report', '/api/v1/session', '/api/v1/events', '/metrics', '/openapi.json', '/api/v1/port-spaces/x/port-map'])
    expect([path, (await ask(wide, path)).json?.code]).toEqual([path, 'http_token_missing']);
  expect((await ask(wide, '/healthz')).json).toEqual({ status: 'ok' });
  expect((await ask(wide, '/readyz')).status).toBe(200);
  expect((await ask(wide, '/')).status).not.toBe(401);
  expect(wide.said.err).toContain('unencrypted');
  wide.child.kill();
});
