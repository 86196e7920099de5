/** Loads on real servers: nginx, TLS, servers that stall, lie and hang up; and ends by signal. Nothing is left behind. */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer as createTls } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect } from 'vitest';
import { kernelTest, type Namespace, namespace } from '../support/netns.ts';
import { until } from '../support/poll.ts';
import { listen } from '../support/sockets.ts';
import { held, load, serveHttp, serveTcp, start, unaccounted } from './support.ts';

const server = '10.66.0.1';
const folder = mkdtempSync(join(tmpdir(), 'plimsoll-load-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const place = (): Namespace => namespace({ addresses: [server] });

/** nginx in `ns`; its access log. */
const nginx = async (ns: Namespace, locations: string): Promise<string> => {
  const log = join(folder, `${ns.name}.log`);
  const temp = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((p) => `${p}_temp_path ${folder};`).join(' ');
  const path = join(folder, `${ns.name}.conf`);
  writeFileSync(
    path,
    `daemon off; master_process off; pid ${folder}/${ns.name}.pid; error_log stderr crit; events { worker_connections 4000; }
http { ${temp} log_format it '$request_method $uri $http_x_test $request_length $connection_requests'; access_log ${log} it;
  keepalive_requests 50; server { listen ${server}:80; listen [::1]:80; ${locations} } }\n`,
  );
  ns.spawn('nginx', ['-c', path, '-e', 'stderr']);
  await until('nginx to listen', () => ns.exec('ss', '-Hltn', 'src', `${server}:80`).trim() !== '');
  return log;
};
const lines = (path: string): string[] => (existsSync(path) ? readFileSync(path, 'utf8').split('\n').slice(0, -1) : []);

describe('plimsoll load and nginx', () => {
  kernelTest('answers of every framing, kept connections, and what nginx says it received', async () => {
    const ns = place();
    const log = await nginx(ns, `location / { return 200 "hello"; } location /none { return 204; } location /old { return 304; }`);
    for (const [line, code] of [
      [`http://${server}/ --rate 200/s --duration 1s`, 200],
      [`http://${server}/none --connections 2 --duration 0.3s`, 204],
      [`http://${server}/old --connections 2 --duration 0.3s`, 304],
      [`http://${server}/ --method HEAD --connections 2 --duration 0.3s`, 200],
      [`http://[::1]/ --connections 2 --duration 0.3s`, 200],
    ] as const) {
      const before = lines(log).length;
      const { document: d } = await load(ns, line);
      expect([line, Object.values(d.errors).reduce((a, b) => a + b), d.ok > 20]).toEqual([line, 0, true]);
      // nginx closes after 50 requests and says so: then a connection is opened anew, and no request is lost.
      expect(d.connections.opened).toBeGreaterThanOrEqual(Math.floor(d.ok / 50));
      expect([code, (await until('the log', () => lines(log).length - before >= d.ok && lines(log))).length - before]).toEqual([
        code,
        d.ok,
      ]);
      expect(unaccounted(d)).toEqual([0, 0]);
    }
  });

  kernelTest('method, fields, body and requests for each connection arrive as given', async () => {
    const ns = place();
    const log = await nginx(ns, `location / { return 200 "hello"; }`);
    const body = join(folder, 'body');
    writeFileSync(body, Buffer.from([0, 255, 13, 10, 65]));
    const line = `http://${server}/a?b=c --connections 1 --duration 0.5s --method POST --header X-Test:yes --body @${body} --requests-per-connection 3`;
    const { document: d } = await load(ns, line);
    // One after the other: every third request opens a connection.
    expect([d.ok > 3, d.connections.opened]).toEqual([true, Math.ceil(d.ok / 3)]);
    const seen = (await until('the log', () => lines(log).length >= d.ok && lines(log))).map((l) => l.split(' '));
    expect(new Set(seen.map((l) => l.slice(0, 3).join(' ')))).toEqual(new Set(['POST /a yes']));
    const last = seen.filter((l) => l[4] === '3').length;
    expect([Math.max(...seen.map((l) => Number(l[4]))), d.connections.closed_by_client]).toEqual([3, last]);
    // Nobody reads the body here, so nginx counts the request line and the fields.
    const request = `POST /a?b=c HTTP/1.1\r\nHost: ${server}\r\nUser-Agent: plimsoll-load\r\nAccept: */*\r\nX-Test: yes\r\nContent-Length: 5\r\n\r\n`;
    expect(new Set(seen.map((l) => Number(l[3])))).toEqual(new Set([request.length]));
  });

  kernelTest('a body arrives byte for byte', async () => {
    const ns = place();
    const bodies = new Set<string>();
    serveHttp(ns, server, 80, (q, a) => {
      const parts: Buffer[] = [];
      q.on('data', (b: Buffer) => parts.push(b)).on('end', () => {
        bodies.add(Buffer.concat(parts).toString('hex'));
        a.end();
      });
    });
    const body = join(folder, 'bytes');
    const bytes = Buffer.from(Array.from({ length: 70_000 }, (_, i) => i % 256));
    writeFileSync(body, bytes);
    const { document: d } = await load(ns, `http://${server}/ --rate 20/s --duration 0.5s --method PUT --body @${body}`);
    expect([d.ok, [...bodies]]).toEqual([10, [bytes.toString('hex')]]);
  });

  kernelTest('thresholds decide the exit status, and 4xx count as errors', async () => {
    const ns = place();
    await nginx(ns, `location / { return 200 "hello"; } location /gone { return 410; }`);
    const good = await load(
      ns,
      `http://${server}/ --rate 50/s --duration 0.5s --threshold p99<5s --threshold errors<0.1% --threshold rate>=10/s`,
    );
    expect([good.code, good.document.thresholds.map((t) => t.ok)]).toEqual([0, [true, true, true]]);
    const bad = await load(ns, `http://${server}/gone --rate 50/s --duration 0.5s --threshold p99<5s --threshold errors<0.1%`);
    expect([bad.code, bad.document.thresholds.map((t) => [t.ok, t.expression])]).toEqual([
      1,
      [
        [true, 'p99<5s'],
        [false, 'errors<0.1%'],
      ],
    ]);
    expect([bad.document.errors.status, bad.document.error_codes]).toEqual([25, [{ code: '410', call: 'response', count: 25 }]]);
  });
});

describe('plimsoll load and TLS', () => {
  kernelTest('asks the server by name, takes a bad certificate only when told to', async () => {
    const ns = place();
    const key = join(folder, 'key.pem');
    const cert = join(folder, 'cert.pem');
    const subject = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost'];
    execFileSync(
      'openssl',
      [
        'req',
        '-x509',
        '-newkey',
        'ec',
        '-pkeyopt',
        'ec_paramgen_curve:P-256',
        '-nodes',
        '-days',
        '2',
        '-keyout',
        key,
        '-out',
        cert,
        ...subject,
      ],
      {
        stdio: 'ignore',
      },
    );
    const names = new Set<string | false | undefined>();
    const fd = ns.run(() => listen('127.0.0.1', 443));
    const https = createTls({ key: readFileSync(key), cert: readFileSync(cert) }, (_q, a) => a.end('x'.repeat(20_000)));
    https.on('secureConnection', (s) => names.add((s as unknown as { servername?: string | false }).servername)).listen({ fd });
    try {
      const refused = start(ns, 'https://localhost/ --rate 5/s');
      expect((await refused.ended).code).toBe(69);
      expect(refused.err()).toMatch(/no TLS with 127\.0\.0\.1:443: DEPTH_ZERO_SELF_SIGNED_CERT.*\n.*--insecure/);
      const { document: d } = await load(ns, 'https://localhost/ --connections 1 --duration 1s --requests-per-connection 2 --insecure');
      expect([d.ok > 2, d.connections.opened, d.errors.other]).toEqual([true, Math.ceil(d.ok / 2), 0]);
      expect(d.bytes_received).toBeGreaterThan(d.ok * 20_000);
      expect(names.has('localhost')).toBe(true);
      const ledger = await load(
        ns,
        'https://localhost/ --connections 1 --duration 1s --requests-per-connection 1 --insecure --ports 2000-2009',
      );
      expect([ledger.document.ok > 2, ledger.document.errors.local_port]).toEqual([true, 0]);
    } finally {
      https.closeAllConnections();
      https.close();
    }
  });
});

describe('plimsoll load and servers that behave badly', () => {
  kernelTest('a server that stalls shows in the latency of everything that was due meanwhile', async () => {
    const ns = place();
    // Between half a second and a second and a half after the first request nobody is answered.
    let began: number | null = null;
    serveHttp(ns, server, 80, (_q, a) => {
      began ??= Date.now();
      const since = Date.now() - began;
      if (since > 500 && since < 1500) setTimeout(() => a.end('late'), 1500 - since);
      else a.end('now');
    });
    const { document: d } = await load(ns, `http://${server}/ --rate 100/s --duration 2s`);
    expect([d.ok, d.missed, unaccounted(d)]).toEqual([200, 0, [0, 0]]);
    // A hundred of two hundred waited, evenly from a second down to nothing: by arithmetic the longest is 1 s, one in four waited
    // 0.5 s or more. A generator that waits for answers would have sent one and hidden the rest.
    expect(d.latency.p90!).toBeGreaterThan(0.7);
    expect(d.latency.p50!).toBeLessThan(0.5);
    expect(d.latency.max!).toBeGreaterThan(0.9);
    expect(d.connections.opened).toBeGreaterThanOrEqual(90);
  });

  kernelTest('what may be under way is bounded: the rest is missed, and counted', async () => {
    const ns = place();
    serveHttp(ns, server, 80, () => {});
    const { document: d } = await load(ns, `http://${server}/ --rate 100/s --duration 1s --connections 10 --timeout 400ms`);
    expect([d.scheduled, d.sent + d.missed_because.busy, d.errors.timeout]).toEqual([100, 100, d.sent]);
    // Ten at a time, each for 0.4 s.
    expect(d.sent).toBeGreaterThanOrEqual(20);
    expect(d.sent).toBeLessThanOrEqual(40);
    expect(unaccounted(d)).toEqual([0, 0]);
  });

  kernelTest('no answer, half an answer, something else, a reset: each by its cause', async () => {
    const ns = place();
    const said = new Map([
      [81, ''],
      [82, 'HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf'],
      [83, 'SSH-2.0-OpenSSH_9.2p1\r\n'],
    ]);
    for (const [port, text] of said) serveTcp(ns, server, port, (s) => void s.once('data', () => s.end(text)));
    serveTcp(ns, server, 84, (s) => void s.once('data', () => s.resetAndDestroy()));
    const causes = async (port: number): Promise<unknown> => {
      const { document: d } = await load(ns, `http://${server}:${port}/ --rate 20/s --duration 0.5s`);
      expect([d.ok, unaccounted(d)]).toEqual([0, [0, 0]]);
      return d.error_codes;
    };
    expect(await causes(81)).toEqual([{ code: 'CLOSED', call: 'response', count: 10 }]);
    expect(await causes(82)).toEqual([{ code: 'CLOSED', call: 'response', count: 10 }]);
    expect(await causes(83)).toEqual([{ code: 'MALFORMED', call: 'response', count: 10 }]);
    expect(await causes(84)).toEqual([{ code: 'ECONNRESET', call: 'read', count: 10 }]);
  });

  kernelTest('a server that goes away during the run: refused, and the run ends on time', async () => {
    const ns = place();
    const tcp = serveTcp(ns, server, 81);
    const run = start(ns, `tcp://${server}:81 --rate 50/s --duration 2s --interval 200ms --json`);
    await until('the first connections', () => /\n {2}1 s/.test(run.err()));
    tcp.close();
    expect((await run.ended).code).toBe(0);
    const d = JSON.parse(run.out());
    expect(d.errors.refused).toBeGreaterThan(5);
    expect(d.ok + d.errors.refused).toBe(100);
  });
});

describe('plimsoll load and idle connections', () => {
  kernelTest('are opened, held, counted when the server gives up on some, and leave nothing', async () => {
    const ns = place();
    const sockets: { destroy(): void }[] = [];
    // The look before the run is closed by RST; mostly it cannot be asked any more where it came from.
    serveTcp(ns, server, 81, (s) => void (s.remotePort !== undefined && sockets.push(s)));
    const run = start(ns, `tcp://${server}:81 --idle 300 --processes 2 --duration 4s --json`);
    await until('all of them', () => sockets.length >= 300 && held(ns, 'established', 81) === 300);
    for (const s of sockets.slice(1, 51)) s.destroy();
    expect((await run.ended).code).toBe(0);
    const d = JSON.parse(run.out());
    expect([d.ok, d.connections.opened, d.connections.closed_by_server, d.connections.open_at_end]).toEqual([300, 300, 50, 250]);
    expect([held(ns, 'established', 81), held(ns, 'time-wait', 81)]).toEqual([0, 0]);
  });

  kernelTest('over http each asks once, then stays', async () => {
    const ns = place();
    let asked = 0;
    serveHttp(ns, server, 80, (_q, a) => {
      asked++;
      a.end('hello');
    });
    const { document: d } = await load(ns, `http://${server}/ --idle 100 --rate 200/s --duration 0.2s`);
    expect([asked, d.ok, d.connections.open_at_end]).toEqual([100, 100, 100]);
    // The last is due half a second after the first.
    expect(d.seconds).toBeGreaterThan(0.65);
  });
});

describe('plimsoll load ends', () => {
  const children = (pid: number): string[] =>
    readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8')
      .split(' ')
      .filter((p) => p !== '');

  kernelTest('at Ctrl-C with the summary, as interrupted, with nothing open', async () => {
    const ns = place();
    serveHttp(ns, server, 80, (_q, a) => a.end('hello'));
    for (const workers of [1, 2]) {
      const run = start(ns, `http://${server}/ --rate 200/s --duration 60s --workers ${workers} --interval 200ms`);
      await until('a second of it', () => /\n {2}1 s/.test(run.err()));
      const mine = children(run.pid);
      expect(mine).toHaveLength(workers === 1 ? 0 : 2);
      run.kill('SIGINT');
      expect(await run.ended).toEqual({ code: null, signal: 'SIGINT' });
      expect(run.out()).toMatch(/answered {6}[\d,]+ of [\d,]+ in .*; interrupted/);
      expect(held(ns, 'established', 80)).toBe(0);
      expect(mine.filter((pid) => existsSync(`/proc/${pid}`))).toEqual([]);
    }
  });

  kernelTest('with kill -9: its processes go too', async () => {
    const ns = place();
    serveHttp(ns, server, 80, (_q, a) => a.end('hello'));
    const run = start(ns, `http://${server}/ --rate 200/s --duration 60s --workers 2 --interval 200ms`);
    await until('a second of it', () => /\n {2}1 s/.test(run.err()));
    const mine = children(run.pid);
    run.kill('SIGKILL');
    await run.ended;
    await until('its processes to end', () => mine.every((pid) => !existsSync(`/proc/${pid}`)));
    await until('its connections to end', () => held(ns, 'established', 80) === 0);
  });
});
