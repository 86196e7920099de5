/** `npm start` and `npm test` as a stranger meets them: quick when nothing is to do, plain about what is missing, strict in CI. */
import { spawnSync } from 'node:child_process';
import { chmodSync, cpSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, expect, test } from 'vitest';
import { kernelTest, namespace } from './support/netns.ts';
import { until } from './support/poll.ts';

const root = fileURLToPath(new URL('..', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'plimsoll-scripts-'));
const removeFolder = (): void => rmSync(folder, { recursive: true, force: true });
afterAll(removeFolder);
process.on('exit', removeFolder);

const script = (name: string, args: readonly string[], env: NodeJS.ProcessEnv = {}) =>
  spawnSync(process.execPath, [join(root, 'scripts', name), ...args], { cwd: folder, encoding: 'utf8', env: { ...process.env, ...env } });

/** Every test of the file is skipped, because none has this name. */
const skipping = ['test/support/netns.test.ts', '-t', 'a name that no test has'];

test('npm start runs what it is given, within 3 s when nothing is to be installed or built', () => {
  expect(script('start.mjs', ['--version']).status).toBe(0);
  const begun = performance.now();
  const { status, stdout } = script('start.mjs', ['--version']);
  expect({ status, stdout }).toEqual({ status: 0, stdout: expect.stringMatching(/^\d+\.\d+\.\d+\n$/) });
  expect(performance.now() - begun).toBeLessThan(3000);
});

kernelTest(
  'npm start ends in the agent: its address within 3 s, the doctor’s verdict after it, and SIGTERM ends both with 0',
  async () => {
    const rehearsed = performance.now();
    script('start.mjs', ['--version']);
    // On a machine that others keep busy, ten times what the least command takes.
    const within = Math.max(3000, 10 * (performance.now() - rehearsed));
    const ns = namespace();
    const begun = performance.now();
    // A /run of its own: the socket of an agent that runs here stays untouched.
    const child = ns.spawn('unshare', [
      '--mount',
      'sh',
      '-c',
      'mount -t tmpfs tmpfs /run && exec "$@"',
      'sh',
      process.execPath,
      join(root, 'scripts/start.mjs'),
    ]);
    let out = '';
    let err = '';
    child.stdout!.setEncoding('utf8').on('data', (text: string) => {
      out += text;
    });
    child.stderr!.setEncoding('utf8').on('data', (text: string) => {
      err += text;
    });
    const ended = new Promise((resolve) => child.once('close', resolve));
    try {
      await until('the address', () => /http:\/\/127\.0\.0\.1:7575\/#token=\S{40}/.test(err), 60_000);
      expect(performance.now() - begun).toBeLessThan(within);
      await until('the verdict', () => /\bOK\b/.test(out), 60_000);
    } finally {
      // Not SIGKILL: that would leave the agent it started behind.
      child.kill('SIGTERM');
      await ended;
    }
    expect(await ended).toBe(0);
  },
  180_000,
);

test('npm start hands on the exit code of the command it was given', () => {
  expect(script('start.mjs', ['docter'])).toMatchObject({ status: 64, stdout: '' });
});

test('in CI a skipped test is a failure, by its name', () => {
  const { status, stdout, stderr } = script('test.mjs', skipping, { CI: 'true' });
  expect(status).toBe(1);
  expect(stdout.trimEnd().split('\n').at(-1)).toMatch(/^0 passed, 0 failed, [1-9]\d* skipped$/);
  expect(stderr).toMatch(/skipped tests count as failures in CI:\n {2}test\/support\/netns\.test\.ts: a range of twenty ports/);
});

test('elsewhere it is counted, and its file is named', () => {
  const { status, stdout, stderr } = script('test.mjs', skipping, { CI: 'false' });
  expect(status).toBe(0);
  expect(stdout.trimEnd().split('\n').at(-1)).toMatch(/^0 passed, 0 failed, [1-9]\d* skipped$/);
  expect(stderr).toMatch(/skipped:\n {2}test\/support\/netns\.test\.ts: [1-9]/);
});

test('a test file that does not exist is a failure', () => {
  expect(script('test.mjs', ['test/nothing-of-this-name.test.ts'], { CI: 'false' }).status).toBe(1);
});

kernelTest('without root it says which programs are missing, how to get them, and what is skipped', () => {
  mkdirSync(join(folder, 'scripts'));
  chmodSync(folder, 0o755);
  cpSync(join(root, 'scripts/prepare.mjs'), join(folder, 'scripts/prepare.mjs'));
  const { status, stderr } = spawnSync(
    'setpriv',
    [
      ...['--reuid', '65534', '--regid', '65534', '--clear-groups', 'env', 'PATH=/nowhere', process.execPath, '--input-type=module', '-e'],
      `import { installPeers } from ${JSON.stringify(join(folder, 'scripts/prepare.mjs'))}; installPeers();`,
    ],
    { encoding: 'utf8' },
  );
  expect(status).toBe(0);
  expect(stderr).toContain('not root: tests that make network namespaces are skipped');
  expect(stderr).toMatch(/not installed: [^\n]*tshark[^\n]*\(on Debian: apt-get install [^\n]*tshark/);
});
