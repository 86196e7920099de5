/** The agent on a host whose ports run out: what it says while they do, what it still knows after kill -9, how it starts and ends. */
import { execFileSync, spawnSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { errorEntry } from '../../../src/core/errors.ts';
import { kernelTest } from '../../support/netns.ts';
import { until } from '../../support/poll.ts';
import { Filling } from '../support/filling.ts';
import { ask, EventReader, program, scratch, serve, start } from '../support/serve.ts';

/** Runs it to its end: it cannot start. */
const refused = async (...args: readonly string[]): Promise<{ readonly code: number | string; readonly err: string }> => {
  const { said, exited } = start(process.execPath, [program, 'serve', '--listen', '127.0.0.1:0', '--socket', scratch('s.sock'), ...args]);
  return { code: await exited, err: said.err };
};
const mode = (path: string): string => (statSync(path).mode & 0o777).toString(8);

kernelTest(
  'a namespace that fills: the samples count it to the port, the finding opens and the alert is raised while it happens, and closes after',
  async () => {
    const filling = new Filling(100);
    const agent = await serve(['--netns', `name:${filling.namespace.name}`]);
    const reader = await EventReader.open(agent);
    const used = (): number | undefined =>
      reader
        .of('sample')
        .at(-1)
        ?.data.spaces.find((s: { id: string }) => s.id === filling.space)?.used;
    for (const wanted of [10, 50, 79]) {
      filling.open(wanted - (used() ?? 0));
      await until(`${wanted} used`, () => used() === wanted, 30_000);
    }
    filling.open(100);
    await until('exhaustion in a sample', () => used() === 100, 30_000);
    expect(reader.of('sample').at(-1)!.data.verdict).toBe('critical');
    const exhausted = reader
      .of('sample')
      .at(-1)!
      .data.spaces.find((s: { id: string }) => s.id === filling.space);
    expect(exhausted).toMatchObject({ used: 100, capacity: 100, free: 0, forecast: { kind: 'exhausted' } });
    // What the kernel says: no port is left.
    expect(filling.open(1)).toBe(0);
    await until('a finding', () => reader.of('finding').some((e) => e.data.subject === filling.space && e.data.closed_at === null), 30_000);
    await until(
      'an alert',
      () => reader.of('alert').some((e) => e.data.subject === filling.space && e.data.severity === 'critical'),
      60_000,
    );
    const map = (await ask(agent, `/api/v1/port-spaces/${encodeURIComponent(filling.space)}/port-map`)).json;
    const states = Buffer.from(map.states, 'base64');
    expect([states.length, states.filter((s) => s === 1).length, states[39_999], states[40_000], states[40_099], states[40_100]]).toEqual([
      65_536, 100, 16, 1, 1, 16,
    ]);
    filling.empty();
    await until('room again', () => reader.of('sample').at(-1)!.data.verdict === 'ok', 60_000);
    await until(
      'the finding is over',
      () => reader.of('finding').some((e) => e.data.subject === filling.space && e.data.closed_at !== null),
      90_000,
    );
    const past = (await ask(agent, `/api/v1/history?space=${encodeURIComponent(filling.space)}&from=-120&step=1`)).json;
    expect(Math.max(...past.columns.used)).toBe(100);
    reader.close();
    filling.destroy();
  },
  240_000,
);

kernelTest(
  'kill -9 and a restart: history is there but for the last seconds, the finding goes on with its own life, and nothing is left locked',
  async () => {
    const filling = new Filling(50);
    filling.open(49);
    const data = scratch('data');
    const socket = scratch('agent.sock');
    const args = ['--netns', `name:${filling.namespace.name}`, '--data', data, '--socket', socket];
    const first = await serve(args);
    const seen = async (to: typeof first): Promise<number> =>
      (await ask(to, `/api/v1/history?space=${encodeURIComponent(filling.space)}&from=-300&step=1`)).json.columns.used.filter(
        (v: number | null) => v !== null,
      ).length;
    await until('ten seconds of history', async () => (await seen(first)) >= 10, 60_000);
    const finding = (await ask(first, '/api/v1/findings')).json.items[0];
    const before = await seen(first);
    first.child.kill('SIGKILL');
    expect(await first.exited).toBe('SIGKILL');
    expect(existsSync(socket)).toBe(true);
    const second = await serve(args);
    expect(await seen(second)).toBeGreaterThanOrEqual(before - 5);
    expect((await ask(second, '/api/v1/findings')).json.items.find((f: { id: string }) => f.id === finding.id)).toMatchObject({
      opened_at: finding.opened_at,
    });
    for (const name of ['history.db', 'history.db-wal'])
      if (existsSync(join(data, name))) expect([name, mode(join(data, name))]).toEqual([name, '600']);
    second.child.kill('SIGTERM');
    expect(await second.exited).toBe(0);
    expect(existsSync(socket)).toBe(false);
    filling.destroy();
  },
  180_000,
);

test('the socket is mode 0660, answers as the address does, and takes changes from its own user without a token', async () => {
  const agent = await serve();
  expect(mode(agent.socket)).toBe('660');
  expect((await ask(agent, '/api/v1/session', { socket: true, headers: { Host: 'anything' } })).json).toMatchObject({
    authenticated: true,
    writes: true,
  });
  expect((await ask(agent, '/api/v1/report', { socket: true })).json.schema).toBe('plimsoll.report/1');
  const path = '/api/v1/pools/web/servers/a/drain';
  expect(await ask(agent, path, { socket: true, method: 'POST' })).toMatchObject({ status: 403, json: { code: 'http_write_header' } });
  expect(await ask(agent, path, { socket: true, method: 'POST', headers: { 'X-Plimsoll': '1' } })).toMatchObject({
    status: 503,
    json: { code: 'not_running' },
  });
  const second = await refused('--socket', agent.socket);
  expect(second).toMatchObject({ code: 69, err: expect.stringContaining(`another plimsoll serve answers at ${agent.socket}`) });
  agent.child.kill();
});

kernelTest('another user who may use the socket may read, without names, and change nothing', async () => {
  const agent = await serve();
  execFileSync('chmod', ['711', join(agent.socket, '..')]);
  execFileSync('chown', ['0:65534', agent.socket]);
  const asNobody = (...args: string[]): string =>
    execFileSync(
      'setpriv',
      ['--reuid', '65534', '--regid', '65534', '--clear-groups', 'curl', '-s', '--unix-socket', agent.socket, ...args],
      { encoding: 'utf8' },
    );
  expect(JSON.parse(asNobody('http://agent/api/v1/session'))).toMatchObject({ authenticated: false, writes: false });
  expect(JSON.parse(asNobody('-X', 'POST', '-H', 'X-Plimsoll: 1', 'http://agent/api/v1/pools/web/servers/a/drain'))).toMatchObject({
    code: 'http_token_missing',
  });
  agent.child.kill();
});

test('a taken port is told with the program that has it, and what to do', async () => {
  const other = createServer();
  await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve));
  const { port } = other.address() as { port: number };
  const { code, err } = await refused('--listen', `127.0.0.1:${port}`);
  expect(code).toBe(69);
  expect(err).toContain(`127.0.0.1:${port}: ${readFileSync('/proc/self/comm', 'utf8').trim()} (pid ${process.pid}) listens there already`);
  expect(err).toContain(`--listen 127.0.0.1:${port + 1}`);
  other.close();
  expect(await refused('--listen', '192.0.2.1:7575', '--token-file', scratch('token'))).toMatchObject({
    code: 69,
    err: expect.stringContaining('EADDRNOTAVAIL'),
  });
});

test('options that make no sense are told, each with its exit code', async () => {
  const cases: readonly (readonly [args: readonly string[], code: number, told: string])[] = [
    [['--listen', '0.0.0.0:7575'], 64, '--token-file'],
    [['--listen', '[::]:0'], 64, '--token-file'],
    [['--listen', 'example.org:80'], 64, 'is not an address and a port'],
    [['--listen', '127.0.0.1:70000'], 64, 'is not an address and a port'],
    [['--listen', '127.0.0.1'], 64, 'for example --listen 127.0.0.1:7575'],
    [['--interval', '10ms'], 64, 'from 200ms to 60s'],
    [['--top', '0'], 64, '1 to 1000'],
    [['--tls-cert', 'x.pem'], 64, '--tls-key'],
    [['--netns', 'name:none-such'], 66, 'no network namespace'],
    [['--config', '/nowhere.yaml'], 66, '/nowhere.yaml'],
    [['--tls-cert', '/nowhere', '--tls-key', '/nowhere'], 65, 'cannot use /nowhere for TLS'],
    [['--socket', '/proc/nowhere/agent.sock'], 77, 'cannot write'],
    [['--intervall', '1s'], 64, '--interval'],
  ];
  const answers = await Promise.all(cases.map(([args]) => refused(...args)));
  for (const [i, [args, code, told]] of cases.entries()) {
    expect([args, answers[i]!.code]).toEqual([args, code]);
    expect(answers[i]!.err).toContain(told);
  }
}, 60_000);

test('a token file is made for us alone, used again, and refused where others could read it', async () => {
  const made = scratch('token');
  const first = await serve(['--token-file', made]);
  expect(mode(made)).toBe('600');
  const token = readFileSync(made, 'utf8').trim();
  expect(token).toMatch(/^[\w-]{43}$/);
  expect(first.said.err).not.toContain(token);
  expect((await ask({ ...first, token }, '/api/v1/session', { token: true })).json.authenticated).toBe(true);
  first.child.kill();

  const long = 'a'.repeat(40);
  const write = (name: string, text: string, permissions: number): string => {
    const path = scratch(name);
    writeFileSync(path, text);
    chmodSync(path, permissions);
    return path;
  };
  const link = scratch('link');
  symlinkSync(write('target', long, 0o600), link);
  const folder = scratch('folder');
  mkdirSync(folder);
  for (const [path, told] of [
    [write('wide', long, 0o644), 'its mode is 0644'],
    [write('group', long, 0o640), 'its mode is 0640'],
    [write('short', 'secret', 0o600), 'holds no token'],
    [write('empty', '', 0o600), 'holds no token'],
    [write('lines', `${long}\n${long}\n`, 0o600), 'holds no token'],
    [link, 'symbolic link'],
    [folder, 'no plain file'],
    ['/nowhere/token', 'ENOENT'],
  ] as const) {
    const { code, err } = await refused('--token-file', path);
    expect([path, code]).toEqual([path, errorEntry('token_unusable').exit]);
    expect(err).toContain(told);
    expect(err).not.toContain(long);
  }
}, 60_000);

test('with a certificate it speaks TLS, and nothing else', async () => {
  const [key, cert] = [scratch('key.pem'), scratch('cert.pem')];
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
      '-keyout',
      key,
      '-out',
      cert,
      '-days',
      '2',
      '-subj',
      '/CN=plimsoll',
    ],
    { stdio: 'ignore' },
  );
  const token = scratch('token');
  const agent = await serve(['--listen', '0.0.0.0:0', '--token-file', token, '--tls-cert', cert, '--tls-key', key]);
  expect(agent.url).toMatch(/^https:/);
  expect(agent.said.err).not.toContain('unencrypted');
  const known = { ...agent, token: readFileSync(token, 'utf8').trim() };
  expect((await ask(known, '/api/v1/report', { token: true })).json.schema).toBe('plimsoll.report/1');
  const origin = `https://127.0.0.1:${agent.port}`;
  expect((await ask(known, '/api/v1/session', { token: true, headers: { Origin: origin } })).status).toBe(200);
  expect((await ask(known, '/api/v1/session', { token: true, headers: { Origin: origin.replace('https', 'http') } })).status).toBe(403);
  await expect(ask({ ...known, url: 'http://x' }, '/healthz')).rejects.toThrow();
  expect(spawnSync('curl', ['-sk', '--max-time', '10', '--tls-max', '1.1', `${origin}/healthz`], { encoding: 'utf8' }).stdout).toBe('');
  expect(spawnSync('curl', ['-sk', '--max-time', '10', `${origin}/healthz`], { encoding: 'utf8' }).stdout).toBe('{"status":"ok"}');
  agent.child.kill();
  const other = scratch('other.pem');
  execFileSync('openssl', ['genpkey', '-algorithm', 'ed25519', '-out', other], { stdio: 'ignore' });
  expect(await refused('--tls-cert', cert, '--tls-key', other)).toMatchObject({ code: 65, err: expect.stringContaining('cannot use') });
}, 60_000);

test('SIGINT ends it with 0 and removes its socket; a second agent can have both at once', async () => {
  const first = await serve();
  first.child.kill('SIGINT');
  expect(await first.exited).toBe(0);
  expect(existsSync(first.socket)).toBe(false);
  const second = await serve(['--listen', `127.0.0.1:${first.port}`, '--socket', first.socket]);
  expect(second.port).toBe(first.port);
  second.child.kill();
});
