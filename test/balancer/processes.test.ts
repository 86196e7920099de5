/** The program itself, as processes on loopback: reload, workers and their deaths, control socket, users, memory. */
import { execFile, execFileSync, spawn, spawnSync } from 'node:child_process';
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { ask } from '../../src/balancer/control/client.ts';
import type { BalancerState } from '../../src/balancer/engine.ts';
import { kernelTest } from '../support/netns.ts';
import { until } from '../support/poll.ts';
import { bundled, Program } from './stories/program.ts';
import { freePort, Raw, rawServer, sourcePorts } from './support/balancer.ts';

let program = '';
let folder = '';
beforeAll(async () => {
  program = await bundled('src/cli/entry.ts');
  folder = mkdtempSync(join(tmpdir(), 'plimsoll-balance-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const stops: (() => unknown)[] = [];
afterEach(async () => {
  for (const stop of stops.splice(0).reverse()) await stop();
});

let counter = 0;
interface Started {
  readonly file: string;
  readonly socket: string;
  readonly process: Program;
  state(): Promise<BalancerState>;
  write(yaml: string): void;
}
const start = async (yaml: string, ...args: string[]): Promise<Started> => {
  const n = counter++;
  const file = join(folder, `${n}.yaml`);
  const socket = join(folder, `${n}.sock`);
  writeFileSync(file, yaml);
  const process_ = new Program(
    spawn('setpriv', ['--pdeathsig', 'TERM', process.execPath, program, 'balance', '-c', file, '--socket', socket, ...args]),
  );
  stops.push(() => {
    if ((process_.child.exitCode ?? 0) !== 0) console.error(process_.err.slice(-30).join('\n'));
    return process_.end();
  });
  await process_.said(/plimsoll balance: /);
  return { file, socket, process: process_, state: () => ask(socket, { request: 'state' }), write: (text) => writeFileSync(file, text) };
};
const cli = (...args: string[]): { readonly code: number; readonly out: string; readonly err: string } => {
  try {
    return {
      code: 0,
      out: execFileSync(process.execPath, [program, ...args], { encoding: 'utf8', timeout: 15_000, stdio: ['ignore', 'pipe', 'pipe'] }),
      err: '',
    };
  } catch (error) {
    const failed = error as { status: number; stdout: string; stderr: string };
    return { code: failed.status, out: failed.stdout, err: failed.stderr };
  }
};

/** `count` source ports, as the file names them. */
const sourceRange = async (count: number): Promise<string> => {
  const low = await sourcePorts(count);
  return `${low}-${low + count - 1}`;
};

/** An HTTP server that notes how often it saw each URL. */
const counted = async (
  delay: () => number = () => 0,
): Promise<{ readonly port: number; readonly server: Server; readonly seen: Map<string, number> }> => {
  const seen = new Map<string, number>();
  const server = createServer({ keepAliveTimeout: 0 }, (request, response) => {
    seen.set(request.url!, (seen.get(request.url!) ?? 0) + 1);
    const answer = (): void => void response.end(request.url);
    const wait = delay();
    if (wait > 0) setTimeout(answer, wait);
    else answer();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  stops.push(() => {
    server.closeAllConnections();
    server.close();
  });
  return { port: (server.address() as { port: number }).port, server, seen };
};

/** Clients that ask for one thing after the other, each with a number of its own, until told to stop. */
class Load {
  sent = 0;
  readonly answered: string[] = [];
  readonly failed: string[] = [];
  private running = true;
  private readonly clients: Promise<void>[] = [];

  constructor(port: number, count: number) {
    for (let i = 0; i < count; i++) this.clients.push(this.client(port, i));
  }

  private async client(port: number, id: number): Promise<void> {
    let raw: Raw | null = null;
    for (let n = 0; this.running; n++) {
      const url = `/${id}-${n}`;
      try {
        raw ??= await Raw.connect(port);
        this.sent++;
        const { status, head, body } = await raw.write(`GET ${url} HTTP/1.1\r\nHost: a\r\n\r\n`).response(10_000);
        if (status === 200 && body === url) this.answered.push(url);
        else this.failed.push(`${url} ${status} ${body}`);
        // A client that is told so closes, as a browser would.
        if (/connection: close/i.test(head)) {
          raw.destroy();
          raw = null;
        }
      } catch (error) {
        this.failed.push(`${url} ${(error as Error).message}`);
        raw?.destroy();
        raw = null;
      }
    }
    raw?.destroy();
  }

  async end(): Promise<void> {
    this.running = false;
    await Promise.all(this.clients);
  }
}

const service = (port: number, servers: readonly number[], more = '', pool = ''): string => `
version: 1
virtual_services: [{ name: web, listen: 127.0.0.1:${port}, application_profile: http, pool: web }]
application_profiles: [{ name: http, type: http }]
pools: [{ name: web, servers: [${servers.map((s, i) => `{ name: s${i}, address: 127.0.0.1:${s} }`).join(', ')}]${pool} }]
${more}`;

describe('under load, nothing is lost and nothing is asked twice', () => {
  test.each(['1', '2'])(
    'across 200 reloads, server flaps and changes of SNAT addresses, with %s workers',
    async (workers) => {
      const [port, a, b, ports] = [await freePort(), await counted(), await counted(), await sourceRange(64)];
      const yaml = (i: number): string =>
        service(
          port,
          i % 3 === 2 ? [a.port] : [a.port, b.port],
          `snat_pools: [{ name: egress, addresses: [127.0.0.${2 + (i % 5)}-127.0.0.${3 + (i % 5)}], ports: [${ports}], cooldown: { fin: 1s, rst: 1s, half_open: 1s } }]\nhealth_monitors: [{ name: tcp, type: tcp, send_interval: 500ms, receive_timeout: 400ms }]`,
          ', snat_pool: egress, health_monitors: [tcp]',
        );
      const balancer = await start(yaml(0), '--workers', workers);
      const load = new Load(port, 32);
      for (let i = 1; i <= 200; i++) {
        balancer.write(yaml(i));
        await ask(balancer.socket, { request: 'reload' });
        // A flap: the server closes every connection on which nothing is asked.
        if (i % 20 === 0) (i % 40 === 0 ? a : b).server.closeIdleConnections();
        // Drained until it leaves the file and comes back.
        if (i % 25 === 0 && i % 3 !== 2) await ask(balancer.socket, { request: 'administer', pool: 'web', server: 's1', to: 'draining' });
      }
      await load.end();
      expect(load.failed).toEqual([]);
      expect(load.answered.length).toBe(load.sent);
      expect(load.answered.length).toBeGreaterThan(1000);
      const twice = [...new Set([...a.seen.keys(), ...b.seen.keys()])].filter(
        (url) => (a.seen.get(url) ?? 0) + (b.seen.get(url) ?? 0) !== 1,
      );
      expect(twice).toEqual([]);
      const state = await balancer.state();
      expect(state.events.filter((e) => e.kind === 'reloaded').length).toBe(200);
      expect(state.events.filter((e) => e.kind === 'server_down')).toEqual([]);
    },
    60_000,
  );

  test('a worker killed with SIGKILL loses its own requests and nobody else’s', async () => {
    const [port, backend] = [await freePort(), await counted(() => 300)];
    const balancer = await start(service(port, [backend.port], '', ', connections: { max_per_server: 200 }'), '--workers', '2');
    const clients = await Promise.all(Array.from({ length: 60 }, () => Raw.connect(port)));
    stops.push(() => {
      for (const c of clients) c.destroy();
    });
    const asked = clients.map((raw, i) =>
      raw
        .write(`GET /${i} HTTP/1.1\r\nHost: a\r\n\r\n`)
        .response()
        .then(
          () => true,
          () => false,
        ),
    );
    const before = await until('all requests to be in flight', async () => {
      const state = await balancer.state();
      return state.virtual_services[0]!.open_requests === 60 && state;
    });
    const [victim, survivor] = before.workers;
    process.kill(victim!.pid, 'SIGKILL');
    const results = await Promise.all(clients.map((raw, i) => Promise.race([asked[i]!, raw.until((r) => r.closed).then(() => false)])));
    expect(results.filter((ok) => !ok).length).toBe(victim!.open_conns);
    expect(results.filter((ok) => ok).length).toBe(survivor!.open_conns);
    // A new one is there, and who connects meanwhile waits and is served.
    for (let i = 0; i < 20; i++) {
      const raw = await Raw.connect(port);
      expect((await raw.write('GET /later HTTP/1.1\r\nHost: a\r\n\r\n').response()).status).toBe(200);
      raw.destroy();
    }
    await until('the replacement', async () => (await balancer.state()).workers.length === 2);
  });

  test('two workers share one source port: it travels between them', async () => {
    const [port, backend, ports] = [await freePort(), await counted(() => 5), await sourceRange(1)];
    const balancer = await start(
      service(
        port,
        [backend.port],
        `snat_pools: [{ name: egress, addresses: [127.0.0.1], ports: [${ports}], monitor_ports: 0 }]`,
        ', snat_pool: egress',
      ),
      '--workers',
      '2',
    );
    const load = new Load(port, 16);
    await until('many answers', () => load.answered.length > 100, 20_000);
    await load.end();
    expect(load.failed).toEqual([]);
    const state = await balancer.state();
    expect(state.snat_pools[0]!.use).toMatchObject([{ capacity: 1, misses: expect.any(Number) }]);
    expect(state.workers.length).toBe(2);
  }, 30_000);

  test('SIGTERM lets requests finish and refuses new ones', async () => {
    const [port, backend] = [await freePort(), await counted(() => 400)];
    const balancer = await start(service(port, [backend.port]), '--workers', '2');
    const raw = await Raw.connect(port);
    raw.write('GET /x HTTP/1.1\r\nHost: a\r\n\r\n');
    await until('the request to arrive', () => backend.seen.size === 1);
    balancer.process.child.kill('SIGTERM');
    const { status, head } = await raw.response();
    expect(status).toBe(200);
    expect(head).toContain('Connection: close');
    await until('the end', () => balancer.process.child.exitCode !== null || balancer.process.child.signalCode !== null);
    await expect(Raw.connect(port)).rejects.toThrow();
  });
});

test('--check finds the example good and says what does not go with this host; a missing file is 66', () => {
  expect(cli('balance', '--check', '-c', 'examples/balance/plimsoll.yaml')).toMatchObject({ code: 0 });
  expect(cli('balance', '--check', '-c', join(folder, 'none.yaml'))).toMatchObject({ code: 66 });
  expect(cli('balance', '--workers', '0')).toMatchObject({ code: 64 });
  expect(cli('show', 'pool', '--socket', join(folder, 'nobody.sock'))).toMatchObject({ code: 69 });
});

describe('configuration while it runs', () => {
  test('a file with mistakes changes nothing, and every mistake is named', async () => {
    const [port, backend] = [await freePort(), await counted()];
    const balancer = await start(service(port, [backend.port]));
    balancer.write(service(port, [backend.port]).replace('pool: web', 'pool: wep').replace('type: http', 'type: htp'));
    const { code, err } = cli('reload', '--socket', balancer.socket);
    expect(code).toBe(78);
    expect(err).toMatch(/0?\.yaml:3:\d+: .*wep.*web/);
    expect(err).toMatch(/\.yaml:4:\d+: .*htp/);
    const raw = await Raw.connect(port);
    expect((await raw.write('GET / HTTP/1.1\r\nHost: a\r\n\r\n').response()).status).toBe(200);
    raw.destroy();
    const refused = (await balancer.state()).events.filter((e) => e.kind === 'reload_refused');
    expect(refused).toHaveLength(1);
    expect(refused[0]!.text).toContain('wep');
    // SIGHUP says the same where nobody asks.
    balancer.process.child.kill('SIGHUP');
    await balancer.process.said(/reload_refused balancer[\s\S]*wep/);
  });

  test('a listener that cannot be opened refuses the reload and keeps the others', async () => {
    const [port, taken, backend] = [await freePort(), await rawServer(() => {}), await counted()];
    stops.push(() => taken.stop());
    for (const workers of ['1', '2']) {
      const at = await freePort();
      void port;
      const balancer = await start(service(at, [backend.port]), '--workers', workers);
      balancer.write(
        service(at, [backend.port]).replace(
          'virtual_services: [',
          `virtual_services: [{ name: other, listen: 127.0.0.1:${taken.port}, application_profile: http, pool: web }, `,
        ),
      );
      const { code, err } = cli('reload', '--socket', balancer.socket);
      expect(code).toBe(69);
      expect(err).toContain('EADDRINUSE');
      const raw = await Raw.connect(at);
      expect((await raw.write('GET / HTTP/1.1\r\nHost: a\r\n\r\n').response()).status).toBe(200);
      raw.destroy();
      // A new address is opened and an old one closed.
      const next = await freePort();
      balancer.write(service(next, [backend.port]));
      expect(cli('reload', '--socket', balancer.socket).code).toBe(0);
      const moved = await Raw.connect(next);
      expect((await moved.write('GET / HTTP/1.1\r\nHost: a\r\n\r\n').response()).status).toBe(200);
      moved.destroy();
      await until('the old address to be closed', () =>
        Raw.connect(at).then(
          (r) => {
            r.destroy();
            return false;
          },
          () => true,
        ),
      );
    }
  });

  test('a second balancer does not take the socket of a running one; a stale file is replaced', async () => {
    const [port, backend] = [await freePort(), await counted()];
    const balancer = await start(service(port, [backend.port]));
    const again = cli('balance', '-c', balancer.file, '--socket', balancer.socket);
    expect(again.code).toBe(69);
    expect(again.err).toContain('another plimsoll balance answers');
    expect((await balancer.state()).pid).toBe(balancer.process.child.pid);
    balancer.process.child.kill('SIGKILL');
    await until('its end', () => balancer.process.child.signalCode !== null);
    const process_ = new Program(spawn(process.execPath, [program, 'balance', '-c', balancer.file, '--socket', balancer.socket]));
    stops.push(() => process_.end());
    await process_.said(/plimsoll balance: /);
    expect((await balancer.state()).pid).toBe(process_.child.pid);
  });

  kernelTest('listens as root, serves as the user, takes changes from neither strangers nor their groups', async () => {
    const backend = await counted();
    const port = await freePort();
    const balancer = await start(service(port, [backend.port]).replace('version: 1', 'version: 1\nuser: nobody'), '--workers', '2');
    const state = await balancer.state();
    for (const pid of [balancer.process.child.pid!, ...state.workers.map((w) => w.pid)]) {
      const status = readFileSync(`/proc/${pid}/status`, 'utf8');
      expect(status).toMatch(/^Uid:\t65534\t65534\t65534\t65534$/m);
      expect(status).toMatch(/^CapEff:\t0+$/m);
      expect(status).not.toMatch(/^Groups:\t.*\b0\b/m);
    }
    const as = (uid: string, gid: string) => {
      const run = spawn('setpriv', [
        '--reuid',
        uid,
        '--regid',
        gid,
        '--clear-groups',
        process.execPath,
        program,
        'reload',
        '--socket',
        balancer.socket,
      ]);
      return new Promise<number>((resolve) => run.on('exit', (code) => resolve(code ?? -1)));
    };
    execFileSync('chmod', ['755', folder]);
    expect(await as('1', '1')).toBe(77);
    // Of the socket's group, so that it may connect and look, but not change.
    const group = execFileSync('id', ['-g', 'nobody'], { encoding: 'utf8' }).trim();
    expect(await as('1', group)).toBe(77);
  });
});

describe('a key that only root may read', () => {
  kernelTest.each([['1'], ['2']])('is read at the start and kept over a reload, which says so, with %s workers', async (workers) => {
    const backend = await counted();
    const port = await freePort();
    const [cert, key] = [join(folder, `${port}.pem`), join(folder, `${port}.key`)];
    execFileSync('openssl', ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-keyout', key, '-out', cert, '-subj', '/CN=a'], {
      stdio: 'ignore',
    });
    chmodSync(folder, 0o755);
    chmodSync(key, 0o600);
    const yaml = service(port, [backend.port])
      .replace('version: 1', 'version: 1\nuser: nobody')
      .replace('pool: web }]', `pool: web, tls: { cert: ${cert}, key: ${key} } }]`);
    const balancer = await start(yaml, '--workers', workers);
    const get = async (): Promise<string> =>
      (await promisify(execFile)('curl', ['-sk', `https://127.0.0.1:${port}/x`], { encoding: 'utf8' })).stdout;
    expect(await get()).toBe('/x');
    balancer.write(yaml.replace('servers: [', 'algorithm: round_robin, servers: ['));
    const { warnings } = await ask(balancer.socket, { request: 'reload' });
    expect(warnings).toEqual([expect.stringMatching(/^web keeps the certificate that was read at the start: cannot read .*: EACCES$/)]);
    expect((await balancer.state()).pools[0]!.algorithm).toBe('round_robin');
    expect(await get()).toBe('/x');
    // Another key that cannot be read is a mistake as before.
    writeFileSync(`${key}.other`, readFileSync(key), { mode: 0o600 });
    balancer.write(yaml.replace(key, `${key}.other`));
    await expect(ask(balancer.socket, { request: 'reload' })).rejects.toThrow(/cannot read/);
  });
});

describe('a certificate that is none', () => {
  const pair = (name: string): readonly [cert: string, key: string] => {
    const [cert, key] = [join(folder, `${name}.pem`), join(folder, `${name}.key`)];
    execFileSync('openssl', ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-keyout', key, '-out', cert, '-subj', '/CN=a'], {
      stdio: 'ignore',
    });
    return [cert, key];
  };
  const secure = (port: number, backend: number, cert: string, key: string): string =>
    service(port, [backend]).replace('pool: web }]', `pool: web, tls: { cert: ${cert}, key: ${key} } }]`);

  test.each([[['--check']], [[]], [['--workers', '2']]])('is refused before anything is opened: balance %j', (args) => {
    const file = join(folder, `mismatch-${args.length}.yaml`);
    const [cert] = pair('one');
    const [, key] = pair('two');
    writeFileSync(file, secure(1, 1, cert, key));
    const line = [program, 'balance', '-c', file, '--socket', `${file}.sock`, ...args];
    const run = spawnSync(process.execPath, line, { encoding: 'utf8', timeout: 15_000, killSignal: 'SIGKILL' });
    expect(run).toMatchObject({ signal: null, status: 78, stderr: expect.stringMatching(/no TLS can be spoken .*KEY_VALUES_MISMATCH/) });
  });

  test.each([['1'], ['2']])('changes nothing on a reload, with %s workers', async (workers) => {
    const backend = await counted();
    const port = await freePort();
    const [cert, key] = pair(`good-${workers}`);
    const balancer = await start(secure(port, backend.port, cert, key), '--workers', workers);
    writeFileSync(key, readFileSync(pair(`other-${workers}`)[1]));
    await expect(ask(balancer.socket, { request: 'reload' })).rejects.toThrow(/no TLS can be spoken/);
    const { stdout } = await promisify(execFile)('curl', ['-sk', `https://127.0.0.1:${port}/x`], { encoding: 'utf8' });
    expect(stdout).toBe('/x');
    expect((await balancer.state()).events.filter((e) => e.kind === 'worker_died')).toEqual([]);
  });
});

describe('the access log', () => {
  const get = async (port: number): Promise<number> => (await fetch(`http://127.0.0.1:${port}/x`)).status;

  kernelTest.each([['1'], ['2']])('is opened as root and belongs to the user it runs as, with %s workers', async (workers) => {
    const backend = await counted();
    const port = await freePort();
    const log = join(folder, `${port}.log`);
    const yaml = service(port, [backend.port]).replace('version: 1', 'version: 1\nuser: nobody');
    execFileSync('chmod', ['755', folder]);
    const balancer = await start(yaml, '--workers', workers, '--access-log', log);
    expect(await get(port)).toBe(200);
    await until('a line in the log', () => /"target":"\/x"/.test(readFileSync(log, 'utf8')));
    expect((await balancer.state()).events.filter((e) => e.kind === 'worker_died')).toEqual([]);
  });

  kernelTest('that the user cannot write is refused at the start', async () => {
    const port = await freePort();
    const closed = mkdtempSync(join(folder, 'closed-'));
    await expect(
      start(service(port, [1]).replace('version: 1', 'version: 1\nuser: nobody'), '--access-log', join(closed, 'access.log')),
    ).rejects.toThrow(/cannot write .*access\.log: EACCES/);
  });

  test.each([['1'], ['2']])('on a full disk costs its lines and nothing else, with %s workers', async (workers) => {
    const backend = await counted();
    const port = await freePort();
    const balancer = await start(service(port, [backend.port]), '--workers', workers, '--access-log', '/dev/full');
    for (let i = 0; i < 10; i++) expect(await get(port)).toBe(200);
    await balancer.process.said(/access_log_failed balancer cause=local: cannot write the access log: ENOSPC/);
    expect(await get(port)).toBe(200);
    const { events } = await balancer.state();
    expect(events.filter((e) => e.kind === 'access_log_failed').length).toBeLessThanOrEqual(Number(workers));
    expect(events.filter((e) => e.kind === 'worker_died')).toEqual([]);
  });
});

kernelTest.each([['1'], ['2']])('ends when there is no such user, with %s workers', (workers) => {
  const file = join(folder, `stranger-${workers}.yaml`);
  writeFileSync(file, service(1, [1]).replace('version: 1', 'version: 1\nuser: no-such-user'));
  const args = [program, 'balance', '-c', file, '--socket', `${file}.sock`, '--workers', workers];
  const run = spawnSync(process.execPath, args, { encoding: 'utf8', timeout: 15_000, killSignal: 'SIGKILL' });
  expect(run).toMatchObject({ signal: null, status: 78, stderr: expect.stringContaining('no-such-user') });
});

describe('its own output', () => {
  test('standard output on a full disk is an error with a code, not a verdict', () => {
    const run = spawnSync('sh', ['-c', 'exec "$0" "$1" plan --rate 1/s > /dev/full', process.execPath, program], { encoding: 'utf8' });
    expect(run).toMatchObject({ status: 77, stderr: expect.stringMatching(/^plimsoll: cannot write standard output: ENOSPC\n {2}name/) });
  });

  test('goes on serving when nobody reads its events any more', async () => {
    const backend = await counted();
    const port = await freePort();
    const balancer = await start(service(port, [backend.port]));
    balancer.process.child.stderr!.destroy();
    for (let i = 0; i < 3; i++) await ask(balancer.socket, { request: 'reload' });
    expect((await fetch(`http://127.0.0.1:${port}/x`)).status).toBe(200);
  });
});

describe('memory', () => {
  test('200 MB bodies, both ways at once, keep it under 200 MB', async () => {
    const size = 200 * 1024 * 1024;
    const piece = Buffer.alloc(1 << 20, 'x');
    let received = 0;
    const server = createServer((request, response) => {
      if (request.method === 'POST') {
        request.on('data', (chunk: Buffer) => {
          received += chunk.length;
        });
        request.on('end', () => response.end('done'));
        return;
      }
      response.writeHead(200, { 'content-length': size });
      let left = size;
      const more = (): void => {
        while (left > 0) {
          left -= piece.length;
          if (!response.write(piece)) return void response.once('drain', more);
        }
        response.end();
      };
      more();
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    stops.push(() => {
      server.closeAllConnections();
      server.close();
    });
    const port = await freePort();
    const balancer = await start(service(port, [(server.address() as { port: number }).port]));
    const download = (args: readonly string[]): Promise<string> =>
      new Promise((resolve) => {
        const curl = spawn('sh', ['-c', `exec ${args.map((a) => `'${a}'`).join(' ')}`], { stdio: ['ignore', 'pipe', 'ignore'] });
        let out = '';
        curl.stdout.on('data', (chunk) => {
          out += chunk;
        });
        curl.on('close', () => resolve(out));
      });
    const url = `http://127.0.0.1:${port}/`;
    const zeros = join(folder, 'zeros');
    execFileSync('truncate', ['-s', String(size), zeros]);
    const [down, slow, up] = await Promise.all([
      download(['curl', '-s', '-o', '/dev/null', '-w', '%{size_download}', url]),
      // One that reads slowly: the server has to wait, not the memory to grow.
      download(['curl', '-s', '-o', '/dev/null', '-w', '%{size_download}', '--limit-rate', '40M', url]),
      download(['curl', '-s', '-w', '%{size_upload}', '-o', '/dev/null', '-X', 'POST', '-T', zeros, '-H', 'Expect:', url]),
    ]);
    expect([down, slow, up].map(Number)).toEqual([size, size, size]);
    expect(received).toBe(size);
    const peak = Number(/VmHWM:\s+(\d+) kB/.exec(readFileSync(`/proc/${balancer.process.child.pid}/status`, 'utf8'))![1]) * 1024;
    expect(peak).toBeLessThan(200e6);
  }, 60_000);
});
