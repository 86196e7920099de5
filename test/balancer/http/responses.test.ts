/** What a server may send: the framings of a response, what breaks them, and what becomes of both connections then. */
import type { Socket } from 'node:net';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { balancer, file, Raw, type Running, rawServer } from '../support/balancer.ts';

let running: Running;
let backend: Awaited<ReturnType<typeof rawServer>>;
/** What the server does with each request head. */
let answer: (socket: Socket, head: string) => void = () => {};

beforeAll(async () => {
  backend = await rawServer((socket) => {
    let text = '';
    socket.on('data', (chunk) => {
      text += chunk.toString('latin1');
      for (let end = text.indexOf('\r\n\r\n'); end >= 0; end = text.indexOf('\r\n\r\n')) {
        const head = text.slice(0, end + 4);
        text = text.slice(end + 4 + Number(/content-length: *(\d+)/i.exec(head)?.[1] ?? 0));
        answer(socket, head);
      }
    });
    socket.on('end', () => socket.end());
  });
  running = await balancer((port) =>
    file(port, [backend.port], { profile: 'client_idle_timeout: 5s, server_timeout: 1s', pool: 'connections: { max_per_server: 1 }' }),
  );
});
afterAll(async () => {
  await running.stop();
  await backend.stop();
});
beforeEach(() => {
  answer = (socket) => socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok');
});

const ask = async (request = 'GET / HTTP/1.1\r\nHost: a\r\n\r\n'): Promise<Raw> => (await Raw.connect(running.port)).write(request);
const says = (text: string, close = false): void => {
  answer = (socket) => {
    socket.write(text, 'latin1');
    if (close) socket.end();
  };
};
/** The connection to the server that answered is used for the next request too. */
const reused = async (): Promise<boolean> => {
  const before = backend.connections;
  answer = (socket) => socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok');
  const raw = await ask();
  expect((await raw.response()).body).toBe('ok');
  raw.destroy();
  return backend.connections === before;
};

const broken: readonly (readonly [string, string])[] = [
  ['no HTTP at all', 'hello\r\n\r\n............'],
  ['another version', 'HTTP/2.0 200 OK\r\n\r\n'],
  ['a status of two digits', 'HTTP/1.1 20 OK\r\n\r\n'],
  ['a bare LF', 'HTTP/1.1 200 OK\nContent-Length: 0\r\n\r\n'],
  ['a bare CR in a value', 'HTTP/1.1 200 OK\r\nX-A: b\rc\r\nContent-Length: 0\r\n\r\n'],
  ['NUL in a value', 'HTTP/1.1 200 OK\r\nX-A: \0\r\nContent-Length: 0\r\n\r\n'],
  ['a folded line', 'HTTP/1.1 200 OK\r\nX-A: b\r\n c\r\nContent-Length: 0\r\n\r\n'],
  ['two Content-Lengths', 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nokk'],
  ['Content-Length and Transfer-Encoding', 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n'],
  ['a coding other than chunked', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n'],
  ['chunks in HTTP/1.0', 'HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n'],
  ['a space before the colon', 'HTTP/1.1 200 OK\r\nContent-Length : 2\r\n\r\nok'],
  ['an endless head', `HTTP/1.1 200 OK\r\n${'X-A: b\r\n'.repeat(5000)}`],
  ['101 that nobody asked for', 'HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n'],
  ['interim responses without end', 'HTTP/1.1 102 Processing\r\n\r\n'.repeat(50)],
];

describe('a response that breaks its framing is not passed on', () => {
  test.each(broken)('%s', async (_name, text) => {
    says(text);
    const raw = await ask();
    const { status } = text.includes('102') ? { status: 502 } : await raw.response();
    if (text.includes('102')) await raw.until(() => raw.text.includes('502 Bad Gateway'));
    expect(status).toBe(502);
    raw.destroy();
    expect(await reused()).toBe(false);
  });

  test('a malformed chunk ends the client connection instead of looking complete', async () => {
    says('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\nzz\r\n');
    const raw = await ask();
    await raw.end();
    expect(raw.text).not.toContain('0\r\n\r\n');
    expect(await reused()).toBe(false);
  });

  test('a response cut short by FIN ends the client connection', async () => {
    says('HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort', true);
    const raw = await ask();
    await raw.end();
    expect(raw.text).toMatch(/short$/);
  });

  test('what comes after a complete response is thrown away with its connection', async () => {
    says('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil');
    const raw = await ask();
    expect((await raw.response()).body).toBe('ok');
    expect(await reused()).toBe(false);
    expect(raw.text).toBe('');
    raw.destroy();
  });

  test('what a server says unasked is nobody’s answer', async () => {
    let server: Socket | null = null;
    answer = (socket) => {
      server = socket;
      socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok');
    };
    const raw = await ask();
    await raw.response();
    raw.destroy();
    server!.write('HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil');
    await new Promise((next) => setTimeout(next, 30));
    expect(await reused()).toBe(false);
  });
});

describe('every framing of a response arrives as it was meant', () => {
  test('sized', async () => {
    const raw = await ask();
    expect(await raw.response()).toMatchObject({ status: 200, body: 'ok' });
    raw.destroy();
    expect(await reused()).toBe(true);
  });

  test('chunked, with extensions and trailers', async () => {
    says('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n2;a=b\r\nok\r\n0\r\nX-Sum: 1\r\n\r\n');
    const raw = await ask();
    await raw.until(() => raw.text.endsWith('2;a=b\r\nok\r\n0\r\nX-Sum: 1\r\n\r\n'));
    raw.destroy();
    expect(await reused()).toBe(true);
  });

  test('until close', async () => {
    says('HTTP/1.1 200 OK\r\n\r\nall of it', true);
    const raw = await ask();
    await raw.end();
    expect(raw.text).toMatch(/^HTTP\/1\.1 200 OK\r\nConnection: close\r\n\r\nall of it$/);
  });

  test('HTTP/1.0 with keep-alive', async () => {
    says('HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok');
    const raw = await ask();
    expect(await raw.response()).toMatchObject({ status: 200, body: 'ok', head: 'HTTP/1.1 200 OK\r\nContent-Length: 2' });
    raw.destroy();
    expect(await reused()).toBe(true);
  });

  test('Connection: close closes the connection to the server and not the one to the client', async () => {
    says('HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok', true);
    const raw = await ask();
    expect((await raw.response()).head).not.toMatch(/connection/i);
    raw.write('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
    expect((await raw.response()).body).toBe('ok');
    raw.destroy();
    expect(await reused()).toBe(false);
  });

  test.each([204, 304])('%i has no body, whatever it claims', async (status) => {
    says(`HTTP/1.1 ${status} X\r\n\r\n`);
    const raw = await ask();
    await raw.until(() => raw.text.includes('\r\n\r\n'));
    raw.destroy();
    expect(await reused()).toBe(true);
  });

  test('HEAD has no body, though it has its length', async () => {
    says('HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n');
    const raw = await ask('HEAD / HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n');
    await raw.until(() => raw.text.includes('1000\r\n\r\nHTTP/1.1 200'));
    raw.destroy();
  });

  test('interim responses are passed on, but not to HTTP/1.0', async () => {
    says('HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok');
    const raw = await ask();
    await raw.until(() => raw.text.endsWith('ok'));
    expect(raw.text).toMatch(/^HTTP\/1\.1 103 Early Hints\r\nLink: <\/a>\r\n\r\nHTTP\/1\.1 200 OK\r\n/);
    raw.destroy();
    const old = await ask('GET / HTTP/1.0\r\n\r\n');
    await old.end();
    expect(old.text).toMatch(/^HTTP\/1\.1 200 OK\r\n/);
  });

  test('an HTTP/1.0 client gets a chunked response bare, until close', async () => {
    says('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nal\r\n5\r\nl of \r\n2\r\nit\r\n0\r\n\r\n');
    const raw = await ask('GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n');
    await raw.end();
    expect(raw.text).toBe('HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nall of it');
  });

  test('an HTTP/1.0 client that asks for it is kept alive', async () => {
    const raw = await ask('GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n');
    expect((await raw.response()).head).toContain('Connection: keep-alive');
    raw.write('GET / HTTP/1.0\r\n\r\n');
    expect((await raw.response()).head).toContain('Connection: close');
    await raw.end();
  });

  test.each(['GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n', 'GET / HTTP/1.0\r\n\r\n'])(
    'a client that says it will close is closed: %j',
    async (request) => {
      const raw = await ask(request);
      expect((await raw.response()).head).toContain('Connection: close');
      await raw.end();
      expect(await reused()).toBe(true);
    },
  );

  test('hop-by-hop fields of the server are dropped', async () => {
    says(
      'HTTP/1.1 200 OK\r\nKeep-Alive: timeout=5\r\nConnection: X-Hop, keep-alive\r\nX-Hop: 1\r\nProxy-Connection: a\r\nUpgrade: h2\r\nContent-Length: 0\r\n\r\n',
    );
    const raw = await ask();
    expect((await raw.response()).head).toBe('HTTP/1.1 200 OK\r\nContent-Length: 0');
    raw.destroy();
  });

  test('a response one byte at a time', async () => {
    answer = (socket) => {
      const bytes = 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n';
      let at = 0;
      const next = (): void => {
        if (at < bytes.length) socket.write(bytes[at++]!, () => setImmediate(next));
      };
      next();
    };
    const raw = await ask();
    await raw.until(() => raw.text.endsWith('2\r\nok\r\n0\r\n\r\n'));
    raw.destroy();
    expect(await reused()).toBe(true);
  });
});

describe('requests with a body', () => {
  test('Expect: 100-continue is the server’s to grant', async () => {
    answer = (socket, head) => {
      expect(head).toMatch(/Expect: 100-continue/);
      socket.write('HTTP/1.1 100 Continue\r\n\r\n');
      setTimeout(() => socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'), 20);
    };
    const raw = await ask('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n');
    await raw.until(() => raw.text.startsWith('HTTP/1.1 100 Continue\r\n\r\n'));
    raw.write('abcd');
    await raw.until(() => raw.text.endsWith('ok'));
    raw.destroy();
  });

  test('a server that answers before the body is complete: the answer arrives, and both connections close', async () => {
    answer = (socket) => socket.write('HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\n\r\n');
    const raw = await ask('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\nabc');
    await raw.end();
    expect(raw.text).toMatch(/^HTTP\/1\.1 413 [\s\S]*Connection: close/);
    raw.destroy();
    expect(await reused()).toBe(false);
  });

  test('a client that leaves in the middle of its body takes the server connection with it', async () => {
    answer = () => {};
    const raw = await ask('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\nabc');
    await raw.until(() => running.engine.openRequests === 1);
    raw.destroy();
    await raw.until(() => running.engine.openRequests === 0);
    expect(await reused()).toBe(false);
  });
});

describe('clients and servers that leave', () => {
  test('a client that leaves before a small answer is complete costs no connection', async () => {
    answer = (socket) => {
      socket.write('HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nab');
      setTimeout(() => socket.write('cd'), 100);
    };
    const raw = await ask();
    await raw.until(() => raw.text.endsWith('ab'));
    raw.destroy();
    await raw.until(() => running.engine.openRequests === 0);
    expect(await reused()).toBe(true);
  });

  test('an idempotent request on a connection that the server closes meanwhile is asked again; another is not', async () => {
    const seen: string[] = [];
    let close = true;
    answer = (socket, head) => {
      seen.push(head.split(' ')[0]!);
      if (close) socket.destroy();
      else socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok');
      close = false;
    };
    const raw = await ask();
    expect((await raw.response()).status).toBe(200);
    expect(seen).toEqual(['GET', 'GET']);
    close = true;
    raw.write('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx');
    expect((await raw.response()).status).toBe(502);
    expect(seen).toEqual(['GET', 'GET', 'POST']);
    raw.destroy();
  });

  test('a server that never answers: 504', async () => {
    answer = () => {};
    const raw = await ask();
    expect((await raw.response()).status).toBe(504);
    raw.destroy();
    expect(await reused()).toBe(false);
  });

  test('a client that half-closes after its request still gets the answer', async () => {
    answer = (socket) => setTimeout(() => socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'), 50);
    const raw = await ask();
    raw.socket.end();
    await raw.end();
    expect(raw.text).toMatch(/ok$/);
  });
});
