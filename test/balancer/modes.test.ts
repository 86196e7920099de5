/** Who owns a server connection, for how long, and what a client that is slow, silent or gone may hold. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect as netConnect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect as tlsConnect } from 'node:tls';
import { afterEach, describe, expect, test } from 'vitest';
import { until } from '../support/poll.ts';
import { balancer, file, freePort, Raw, type Running, rawServer, sourcePorts } from './support/balancer.ts';

const stops: (() => unknown)[] = [];
afterEach(async () => {
  for (const stop of stops.splice(0).reverse()) await stop();
});

const start = async (yaml: (port: number) => string): Promise<Running> => {
  const running = await balancer(yaml);
  stops.push(() => running.stop());
  return running;
};
type Backend = Awaited<ReturnType<typeof rawServer>>;
const serve = async (handle: (socket: Socket, n: number) => void): Promise<Backend> => {
  const backend = await rawServer(handle);
  stops.push(() => backend.stop());
  return backend;
};
/** Answers every head with the number of its connection. */
const counting = (): Promise<Backend> =>
  serve((socket, n) => {
    let text = '';
    socket.on('data', (chunk) => {
      text += chunk.toString('latin1');
      for (let end = text.indexOf('\r\n\r\n'); end >= 0; end = text.indexOf('\r\n\r\n')) {
        text = text.slice(end + 4);
        socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${String(n).length}\r\n\r\n${n}`);
      }
    });
    socket.on('end', () => socket.end());
  });
const client = async (running: Running): Promise<Raw> => {
  const raw = await Raw.connect(running.port);
  stops.push(() => raw.destroy());
  return raw;
};
const get = 'GET / HTTP/1.1\r\nHost: a\r\n\r\n';
const server = (running: Running, pool = 'web') => running.engine.state().pools.find((p) => p.name === pool)!.servers[0]!;

describe('one-to-one', () => {
  const oneToOne = { profile: 'connection_multiplexing: false' };

  test('every client connection owns a server connection, and they close together', async () => {
    const backend = await counting();
    const running = await start((port) => file(port, [backend.port], oneToOne));
    const [a, b] = [await client(running), await client(running)];
    for (let i = 0; i < 3; i++) expect((await a.write(get).response()).body).toBe('0');
    for (let i = 0; i < 3; i++) expect((await b.write(get).response()).body).toBe('1');
    expect((await a.write(get).response()).body).toBe('0');
    expect(server(running)).toMatchObject({ open_conns: 2, bound_conns: 2 });
    a.destroy();
    await until('the server connection to close', () => server(running).open_conns === 1);
  });

  test('when the server closes, its client is closed', async () => {
    let upstream: Socket | null = null;
    const backend = await serve((socket) => {
      upstream = socket;
      socket.on('data', () => socket.write('HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n'));
    });
    const running = await start((port) => file(port, [backend.port], oneToOne));
    const raw = await client(running);
    await raw.write(get).response();
    upstream!.end();
    await raw.end();
  });

  test('switching multiplexing on and off takes effect with the next request, on connections that are open', async () => {
    const backend = await counting();
    const running = await start((port) => file(port, [backend.port], oneToOne));
    const clients = await Promise.all(Array.from({ length: 20 }, () => client(running)));
    for (const raw of clients) await raw.write(get).response();
    expect(server(running).bound_conns).toBe(20);
    running.engine.setMultiplexing('web', true);
    const used = new Set<string>();
    for (const raw of clients) used.add((await raw.write(get).response()).body);
    expect(used.size).toBe(1);
    expect(server(running)).toMatchObject({ bound_conns: 0, idle_conns: 20 });
    running.engine.setMultiplexing('web', false);
    const owned = new Set<string>();
    for (const raw of clients) owned.add((await raw.write(get).response()).body);
    expect(owned.size).toBe(20);
    expect(backend.connections).toBe(20);
  });

  test('an answer in pieces is not held back by Nagle’s algorithm', async () => {
    const backend = await serve((socket) => {
      socket.on('data', () => {
        socket.write('HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\na');
        setTimeout(() => socket.write('b'), 5);
        setTimeout(() => socket.write('c'), 10);
      });
    });
    const running = await start((port) => file(port, [backend.port], oneToOne));
    const raw = await client(running);
    const took: number[] = [];
    for (let i = 0; i < 20; i++) {
      const started = performance.now();
      await raw.write(get).response();
      took.push(performance.now() - started);
    }
    // A delayed acknowledgement takes 40 ms.
    expect(took.sort((a, b) => a - b)[10]).toBeLessThan(35);
  });

  test('an idle connection is evicted for a client that asks, when ports are short', async () => {
    const backend = await counting();
    const ports = await sourcePorts(2);
    const running = await start((port) =>
      file(port, [backend.port], {
        ...oneToOne,
        pool: 'snat_pool: s',
        rest: `snat_pools: [{ name: s, addresses: [127.0.0.1], ports: [${ports}-${ports + 1}], monitor_ports: 0 }]`,
      }),
    );
    const clients = await Promise.all(Array.from({ length: 4 }, () => client(running)));
    for (const raw of clients) expect((await raw.write(get).response()).status).toBe(200);
    // The oldest idle ones had to go, and took their clients with them.
    await clients[0]!.end();
    await clients[1]!.end();
    expect(server(running)).toMatchObject({ open_conns: 2, evicted: 2 });
    expect((await clients[3]!.write(get).response()).status).toBe(200);
  });
});

test('ports that another program on this host holds are skipped, counted and spoken of once', async () => {
  const backend = await counting();
  const holder = await rawServer(() => {});
  stops.push(() => holder.stop());
  const running = await start((port) =>
    file(port, [backend.port], {
      profile: 'connection_multiplexing: false',
      pool: 'snat_pool: s',
      rest: `snat_pools: [{ name: s, addresses: [127.0.0.1], ports: [${holder.port}-${holder.port + 3}], monitor_ports: 0 }]`,
    }),
  );
  for (let i = 0; i < 3; i++) expect((await (await client(running)).write(get).response()).status).toBe(200);
  expect(running.engine.state().snat_pools[0]!.use[0]!.held_by_others).toBeGreaterThanOrEqual(1);
  expect(running.events.filter((e) => e.kind === 'ports_warning')).toHaveLength(1);
  expect(server(running).failures.remote).toBe(0);
});

describe('multiplexing', () => {
  test('many idle clients share one connection, many busy ones no more than the limit', async () => {
    const backend = await serve((socket) => {
      socket.on('data', () => setTimeout(() => socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'), 20));
    });
    const running = await start((port) => file(port, [backend.port], { pool: 'connections: { max_per_server: 4 }' }));
    const clients = await Promise.all(Array.from({ length: 50 }, () => client(running)));
    for (const raw of clients) raw.write(get);
    for (const raw of clients) expect((await raw.response()).body).toBe('ok');
    expect(backend.connections).toBe(4);
    expect(running.engine.state().pools[0]!.queue).toMatchObject({ waiting: 0, timed_out: 0 });
  });

  test('the queue is served oldest first, and a client that leaves frees its place', async () => {
    const order: string[] = [];
    let release: (() => void) | null = null;
    const backend = await serve((socket) => {
      socket.on('data', (chunk) => {
        order.push(/GET (\S+)/.exec(chunk.toString())![1]!);
        release = () => socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok');
      });
    });
    const running = await start((port) => file(port, [backend.port], { pool: 'connections: { max_per_server: 1 }' }));
    const clients: Raw[] = [];
    for (let i = 0; i < 5; i++) {
      const raw = await client(running);
      raw.write(`GET /${i} HTTP/1.1\r\nHost: a\r\n\r\n`);
      clients.push(raw);
      await until('its place', () => (i === 0 ? order.length === 1 : running.engine.state().pools[0]!.queue.waiting === i));
    }
    clients[2]!.destroy();
    await until('the place to be free', () => running.engine.state().pools[0]!.queue.waiting === 3);
    for (const i of [0, 1, 3, 4]) {
      await until('the request', () => order.at(-1) === `/${i}`);
      release!();
      expect((await clients[i]!.response()).body).toBe('ok');
    }
    expect(order).toEqual(['/0', '/1', '/3', '/4']);
    expect(running.engine.state().pools[0]!.queue.left).toBe(1);
  });

  test('a full queue and a wait that is too long are answered 503 with Retry-After and the reason', async () => {
    const backend = await serve(() => {});
    const running = await start((port) =>
      file(port, [backend.port], { pool: 'connections: { max_per_server: 1 }, queue: { depth: 1, timeout: 200ms }' }),
    );
    const [, waiting, refused] = [await client(running), await client(running), await client(running)].map((raw) => raw.write(get));
    const full = await refused!.response();
    expect(full).toMatchObject({ status: 503 });
    expect(full.head).toMatch(/Retry-After: \d+/);
    expect(full.body).toContain('the queue is full');
    const late = await waiting!.response();
    expect(late.status).toBe(503);
    expect(late.body).toContain('no server connection became free in time');
    expect(running.engine.state().pools[0]!.queue).toMatchObject({ timed_out: 1, refused_full: 1 });
  });

  test.each(['NTLM', 'Negotiate'])('a client that authenticates its connection (%s) has it for itself', async (scheme) => {
    const backend = await counting();
    const running = await start((port) => file(port, [backend.port]));
    const [a, b] = [await client(running), await client(running)];
    const own = (await a.write(`GET / HTTP/1.1\r\nHost: a\r\nAuthorization: ${scheme} TlRMTVNTUAAB\r\n\r\n`).response()).body;
    for (let i = 0; i < 3; i++) {
      expect((await b.write(get).response()).body).not.toBe(own);
      expect((await a.write(get).response()).body).toBe(own);
    }
    a.destroy();
    await until('the connection to go with its client', () => server(running).open_conns === 1);
  });

  test('a challenge of the server pins the connection too', async () => {
    const backend = await serve((socket, n) => {
      socket.on('data', (chunk) => {
        const authorized = /authorization/i.test(chunk.toString());
        socket.write(
          `HTTP/1.1 ${authorized ? 200 : 401} X\r\n${authorized ? '' : 'WWW-Authenticate: NTLM\r\n'}Content-Length: 1\r\n\r\n${n}`,
        );
      });
    });
    const running = await start((port) => file(port, [backend.port]));
    const [a, b] = [await client(running), await client(running)];
    const first = await a.write(get).response();
    const other = await b.write(get).response();
    expect(other.body).not.toBe(first.body);
    expect(await a.write('GET / HTTP/1.1\r\nHost: a\r\nAuthorization: NTLM x\r\n\r\n').response()).toMatchObject({
      status: 200,
      body: first.body,
    });
  });

  test('a connection is used max_reuse times more and then closed; an idle one is closed after idle_timeout', async () => {
    const backend = await counting();
    const running = await start((port) => file(port, [backend.port], { pool: 'connections: { max_reuse: 2, idle_timeout: 300ms }' }));
    const raw = await client(running);
    const used: string[] = [];
    for (let i = 0; i < 7; i++) used.push((await raw.write(get).response()).body);
    expect(used).toEqual(['0', '0', '0', '1', '1', '1', '2']);
    await until('the idle connection to close', () => server(running).open_conns === 0);
  });
});

describe('selection', () => {
  test.each(['round_robin', 'least_connections'])('%s goes by weight', async (algorithm) => {
    const hits = [0, 0];
    const backends = await Promise.all(
      [0, 1].map((i) =>
        serve((socket) => {
          socket.on('data', () => {
            hits[i]!++;
            setTimeout(() => socket.write('HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n'), 10);
          });
        }),
      ),
    );
    const running = await start((port) =>
      file(port, [backends[0]!.port], { pool: `algorithm: ${algorithm}` }).replace(
        /servers: \[.*?\]/,
        `servers: [{ name: a, address: 127.0.0.1:${backends[0]!.port} }, { name: b, address: 127.0.0.1:${backends[1]!.port}, weight: 3 }]`,
      ),
    );
    const clients = await Promise.all(Array.from({ length: 8 }, () => client(running)));
    for (let round = 0; round < 10; round++) {
      for (const raw of clients) raw.write(get);
      for (const raw of clients) await raw.response();
    }
    expect(hits[0]! + hits[1]!).toBe(80);
    expect(hits[1]! / hits[0]!).toBeGreaterThan(2.5);
    expect(hits[1]! / hits[0]!).toBeLessThan(3.5);
  });

  test('a drained server gets no new work and keeps what it has; enabled it is used again', async () => {
    const backend = await counting();
    const other = await counting();
    const running = await start((port) =>
      file(port, [backend.port, other.port], { profile: 'connection_multiplexing: false', pool: 'algorithm: round_robin' }),
    );
    const clients = await Promise.all([client(running), client(running)]);
    for (const raw of clients) await raw.write(get).response();
    running.engine.administer('web', 's0', 'draining');
    for (const raw of clients) expect((await raw.write(get).response()).status).toBe(200);
    const before = backend.connections;
    for (let i = 0; i < 4; i++) await (await client(running)).write(get).response();
    expect(backend.connections).toBe(before);
    running.engine.administer('web', 's0', 'disabled');
    await until('the client that idles on it to be closed', () => clients.some((raw) => raw.ended));
    running.engine.administer('web', 's0', 'enabled');
    for (let i = 0; i < 2; i++) await (await client(running)).write(get).response();
    expect(backend.connections).toBe(before + 1);
  });

  test('with no server left the answer is 503 at once', async () => {
    const backend = await counting();
    const running = await start((port) => file(port, [backend.port]));
    running.engine.administer('web', 's0', 'disabled');
    expect(await (await client(running)).write(get).response()).toMatchObject({
      status: 503,
      body: expect.stringContaining('no server of the pool is up'),
    });
  });

  test('a refused connection goes to another server, and only the other one is asked', async () => {
    const dead = await freePort();
    const backend = await counting();
    const running = await start((port) => file(port, [dead, backend.port]));
    for (let i = 0; i < 10; i++) expect((await (await client(running)).write(get).response()).status).toBe(200);
    expect(running.engine.state().pools[0]!.servers[0]!.failures.remote).toBeGreaterThan(0);
  });
});

describe('nobody holds a port for ever', () => {
  const impatient =
    'client_header_timeout: 300ms, client_body_timeout: 300ms, client_idle_timeout: 400ms, server_timeout: 300ms, tunnel_idle_timeout: 400ms, half_closed_timeout: 300ms';

  test('a head that does not come to its end: 408', async () => {
    const backend = await counting();
    const running = await start((port) => file(port, [backend.port], { profile: impatient }));
    const raw = await client(running);
    const drip = setInterval(() => raw.write('X-A: b\r\n'), 50);
    stops.push(() => clearInterval(drip));
    raw.write('GET / HTTP/1.1\r\nHost: a\r\n');
    await raw.end();
    expect(raw.text).toMatch(/^HTTP\/1\.1 408 /);
    expect(backend.connections).toBe(0);
  });

  test('a body that does not come: 408, and the server connection is given up', async () => {
    const backend = await serve(() => {});
    const running = await start((port) => file(port, [backend.port], { profile: impatient }));
    const raw = await client(running);
    raw.write('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\nabc');
    await raw.end();
    expect(raw.text).toMatch(/^HTTP\/1\.1 408 /);
    await until('the server connection to close', () => server(running).open_conns === 0);
  });

  test('a body that stops while the server already answers is the client’s fault, not the server’s', async () => {
    const backend = await serve((socket) => {
      socket.once('data', () => socket.write('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n'));
    });
    const running = await start((port) => file(port, [backend.port], { profile: impatient }));
    const raw = await client(running);
    raw.write('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\nabc');
    await raw.end();
    expect(raw.text).toMatch(/^HTTP\/1\.1 200 /);
    await until('the server connection to close', () => server(running).open_conns === 0);
    expect(server(running).failures).toMatchObject({ remote: 0 });
    expect(running.engine.state().virtual_services[0]!.failures).toMatchObject({ remote: 0, client: 1 });
  });

  test('a client that says nothing is closed, before its first request and after', async () => {
    const backend = await counting();
    const running = await start((port) => file(port, [backend.port], { profile: impatient }));
    const silent = await client(running);
    const asked = await client(running);
    await asked.write(get).response();
    await silent.end();
    await asked.end();
    expect(silent.text).toBe('');
  });

  test('a client that does not read its answer is dropped, and no more of it is held than one read and one write', async () => {
    const size = 64 * 1024 * 1024;
    let written = 0;
    const backend = await serve((socket) => {
      socket.once('data', () => {
        socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${size}\r\n\r\n`);
        const piece = Buffer.alloc(65536);
        const more = (): void => {
          while (written < size && socket.write(piece)) written += piece.length;
        };
        socket.on('drain', more);
        more();
      });
    });
    const running = await start((port) => file(port, [backend.port], { profile: impatient }));
    const socket = netConnect({ port: running.port, host: '127.0.0.1' });
    stops.push(() => socket.destroy());
    socket.pause();
    socket.on('error', () => {});
    socket.write(get);
    await until('the answer to begin', () => written > 0);
    const relayed = () => running.engine.state().virtual_services[0]!.bytes_to_clients;
    let last = -1;
    await until('the flow to stop', () => {
      const now = relayed();
      const still = now === last && now > 0;
      last = now;
      return still;
    });
    // What went to the kernel's buffers is gone from here; what is held here is bounded by one read (64 KiB) and the socket's own mark.
    const [session] = [...running.engine.services.get('web')!.sessions] as unknown as { socket: Socket }[];
    expect(session!.socket.writableLength).toBeLessThanOrEqual(128 * 1024);
    await until('the client to be dropped', () => running.engine.openConnections === 0);
    await until('the server connection to close', () => server(running).open_conns === 0);
    expect(running.engine.state().virtual_services[0]!.connections_dropped).toBe(1);
  });
});

describe('tunnels', () => {
  const echo = (): Promise<Backend> =>
    serve((socket) => {
      let open = false;
      socket.on('data', (chunk) => {
        if (open) {
          socket.write(chunk);
          return;
        }
        open = true;
        const text = chunk.toString('latin1');
        expect(text).toMatch(/\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n/);
        expect(text).toMatch(/\r\nSec-WebSocket-Key: abc\r\n/);
        socket.write(
          `HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nhello${text.slice(text.indexOf('\r\n\r\n') + 4)}`,
        );
      });
      socket.on('end', () => socket.end('bye'));
    });
  const upgrade = 'GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: abc\r\n\r\n';

  test('an Upgrade becomes a tunnel with a connection of its own, bytes of both sides already under way included', async () => {
    const backend = await echo();
    const running = await start((port) => file(port, [backend.port]));
    const raw = await client(running);
    raw.write(upgrade);
    await raw.until(() => raw.text.endsWith('hello'));
    expect(raw.text).toMatch(/^HTTP\/1\.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nhello$/);
    raw.write('\x81\x00binary\xff');
    await raw.until(() => raw.text.endsWith('binary\xff'));
    expect(running.engine.state().virtual_services[0]).toMatchObject({ tunnels: 1, open_conns: 1 });
    expect(server(running).bound_conns).toBe(1);
    raw.socket.end();
    await raw.until(() => raw.text.endsWith('bye'));
    await until('the tunnel to end', () => running.engine.state().virtual_services[0]!.tunnels === 0 && server(running).open_conns === 0);
  });

  test('a server that declines an Upgrade answers like any other', async () => {
    const backend = await counting();
    const running = await start((port) => file(port, [backend.port]));
    const raw = await client(running);
    expect((await raw.write(upgrade).response()).status).toBe(200);
    expect((await raw.write(get).response()).status).toBe(200);
  });

  test('tcp: FIN travels through, each way by itself', async () => {
    const backend = await serve((socket) => {
      let all = '';
      socket.on('data', (chunk) => {
        all += chunk.toString('latin1');
      });
      socket.on('end', () => {
        socket.write(`got ${all}`);
        setTimeout(() => socket.end(', late'), 50);
      });
    });
    const running = await start((port) => file(port, [backend.port], { type: 'tcp' }));
    const raw = await client(running);
    raw.write('one ').write('two');
    raw.socket.end();
    await raw.end();
    expect(raw.text).toBe('got one two, late');
    await until('both connections to be gone', () => running.engine.openConnections === 0 && server(running).open_conns === 0);
  });

  test('tcp: a server that finishes first can still be told something', async () => {
    let told = '';
    const backend = await serve((socket) => {
      socket.end('hello');
      socket.on('data', (chunk) => {
        told += chunk.toString();
      });
    });
    const running = await start((port) => file(port, [backend.port], { type: 'tcp' }));
    const raw = await client(running);
    await raw.end();
    expect(raw.text).toBe('hello');
    raw.write('still here');
    await until('the words to arrive', () => told === 'still here');
    raw.socket.end();
    await until('both connections to be gone', () => running.engine.openConnections === 0);
  });

  test('tcp: a reset of one side resets the other', async () => {
    const backend = await serve((socket) => void setTimeout(() => socket.resetAndDestroy(), 50));
    const running = await start((port) => file(port, [backend.port], { type: 'tcp' }));
    const raw = await client(running);
    raw.write('x');
    await raw.until(() => raw.closed);
    expect(raw.error).toBe('ECONNRESET');
    expect(running.engine.state().virtual_services[0]!.failures.remote).toBe(1);
  });

  test('a tunnel without a byte is closed, and so is a half of one', async () => {
    const backend = await serve(() => {});
    const running = await start((port) =>
      file(port, [backend.port], { type: 'tcp', profile: 'tunnel_idle_timeout: 300ms, half_closed_timeout: 200ms' }),
    );
    const [idle, half] = [await client(running), await client(running)];
    half.write('x').socket.end();
    await idle.until(() => idle.closed || idle.ended);
    await half.until(() => half.closed || half.ended);
    await until('the server connections to close', () => server(running).open_conns === 0);
  });
});

describe('TLS', () => {
  test('ends here: requests arrive in the clear, with X-Forwarded-Proto https, and several on one connection', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'plimsoll-tls-'));
    stops.push(() => rmSync(folder, { recursive: true }));
    execFileSync(
      'openssl',
      [
        'req',
        '-x509',
        '-newkey',
        'ec',
        '-pkeyopt',
        'ec_paramgen_curve:prime256v1',
        '-nodes',
        '-days',
        '2',
        '-subj',
        '/CN=a',
        '-keyout',
        `${folder}/key.pem`,
        '-out',
        `${folder}/cert.pem`,
      ],
      { stdio: 'ignore' },
    );
    let seen = '';
    const body = 'x'.repeat(300_000);
    const backend = await serve((socket) => {
      socket.on('data', (chunk) => {
        seen += chunk.toString('latin1');
        if (seen.endsWith('\r\n\r\n') || seen.endsWith('end'))
          socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\n\r\n${body}`);
      });
    });
    const running = await start((port) =>
      file(port, [backend.port]).replace('pool: web }', `pool: web, tls: { cert: ${folder}/cert.pem, key: ${folder}/key.pem } }`),
    );
    const socket = tlsConnect({ port: running.port, host: '127.0.0.1', rejectUnauthorized: false });
    stops.push(() => socket.destroy());
    let received = '';
    socket.setEncoding('latin1');
    socket.on('data', (text) => {
      received += text;
    });
    socket.write(get);
    await until('the answer', () => received.endsWith(body) && received.length > body.length);
    expect(seen).toMatch(/X-Forwarded-Proto: https/);
    received = '';
    socket.write(`POST / HTTP/1.1\r\nHost: a\r\nContent-Length: ${body.length + 3}\r\nConnection: close\r\n\r\n${body}end`);
    let ended = false;
    socket.on('end', () => {
      ended = true;
    });
    await until('the second answer and the end', () => received.endsWith(body) && ended);
    expect(backend.connections).toBe(1);
  });
});
