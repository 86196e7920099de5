/** What users get: the packed tarball, installed into an empty folder as npm would, and run from there. */
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { reportSchema } from '../src/wire/report-schema.ts';
import { until } from './support/poll.ts';

const root = fileURLToPath(new URL('..', import.meta.url));
const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
  readonly version: string;
  readonly files: readonly string[];
  readonly dependencies: Readonly<Record<string, string>>;
};
const folder = mkdtempSync(join(tmpdir(), 'plimsoll-package-'));
const home = join(folder, 'a home');
const removeFolder = (): void => rmSync(folder, { recursive: true, force: true });
afterAll(removeFolder);
process.on('exit', removeFolder);

/** A host without a compiler: only what an ordinary Debian with Node has, and none of its build tools. */
const env = (): NodeJS.ProcessEnv => {
  const bare = join(folder, 'bin');
  return {
    ...process.env,
    PATH: bare,
    CC: '/bin/false',
    CXX: '/bin/false',
    npm_config_update_notifier: 'false',
    npm_config_loglevel: 'error',
  };
};

let files: readonly string[];
beforeAll(() => {
  const bin = join(folder, 'bin');
  mkdirSync(bin);
  mkdirSync(home);
  for (const program of ['node', 'npm', 'npx', 'sh', 'env']) {
    const path = execFileSync('sh', ['-c', `command -v ${program}`], { encoding: 'utf8' }).trim();
    writeFileSync(join(bin, program), `#!/bin/sh\nexec ${path} "$@"\n`, { mode: 0o755 });
  }
  const packed = execFileSync('npm', ['pack', '--json', '--loglevel=error', '--pack-destination', folder], { cwd: root, encoding: 'utf8' });
  const description = JSON.parse(packed.slice(packed.indexOf('[\n'))) as [{ filename: string; files: { path: string }[] }];
  files = description[0].files.map((f) => f.path);
  writeFileSync(join(home, 'package.json'), '{ "private": true }\n');
  execFileSync(
    'npm',
    ['install', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error', join(folder, description[0].filename)],
    {
      cwd: home,
      env: env(),
      stdio: ['ignore', 'ignore', 'inherit'],
    },
  );
}, 120_000);

const npx = (...args: string[]) => spawnSync('npx', ['--no-install', 'plimsoll', ...args], { cwd: home, env: env(), encoding: 'utf8' });

describe('the tarball', () => {
  test('holds only what `files` names, and what npm always adds', () => {
    const always = ['package.json', 'README.md', 'LICENSE'];
    const named = (path: string): boolean => [...always, ...manifest.files].some((name) => path === name || path.startsWith(`${name}/`));
    expect(files.filter((path) => !named(path))).toEqual([]);
    for (const path of [...always, ...manifest.files]) expect(files.some((f) => f === path || f.startsWith(`${path}/`))).toBe(true);
  });

  test('holds the program, its code cache and the dashboard', () => {
    expect(files).toContain('dist/web/index.html');
    const built = files.filter((path) => path.startsWith('dist/') && !path.startsWith('dist/web/'));
    expect(built.sort()).toEqual(['dist/plimsoll.cjs', 'dist/program.cache', 'dist/program.cjs']);
  });
});

describe('installed into an empty folder, without a compiler and without install scripts,', () => {
  test('it brings nothing but its runtime dependencies', () => {
    const packages = readdirSync(join(home, 'node_modules')).filter((name) => !name.startsWith('.'));
    // koffi's and libsql's binaries for this platform come as scoped packages of their own; libsql chooses its by detect-libc.
    const wanted = ['plimsoll', ...Object.keys(manifest.dependencies), 'libsql', 'detect-libc'];
    expect(packages.filter((name) => !name.startsWith('@')).sort()).toEqual(wanted.filter((name) => !name.startsWith('@')).sort());
    expect(existsSync(join(home, 'node_modules/koffi/build'))).toBe(false);
  });

  test('npx plimsoll --version prints the version of the package', () => {
    expect(npx('--version')).toMatchObject({ status: 0, stdout: `${manifest.version}\n`, stderr: '' });
  });

  test('npx plimsoll doctor --json --interval 0s prints a report, read through sock_diag', () => {
    const { status, stdout, stderr } = npx('doctor', '--json', '--interval', '0s');
    expect(stderr).toBe('');
    const report = reportSchema.parse(JSON.parse(stdout));
    expect(status).toBe({ ok: 0, warning: 1, critical: 2, unknown: 3 }[report.verdict]);
    expect(report.sensors.find((s) => s.name === 'sockets')).toMatchObject({ status: 'ok', hint: '' });
  });

  test('without its native part it still answers, and says what it reads instead', () => {
    const { stdout } = spawnSync('npx', ['--no-install', 'plimsoll', 'doctor', '--json', '--interval', '0s'], {
      cwd: home,
      env: { ...env(), PLIMSOLL_FFI: 'off' },
      encoding: 'utf8',
    });
    const report = reportSchema.parse(JSON.parse(stdout));
    expect(report.sensors.find((s) => s.name === 'sockets')).toMatchObject({ status: 'unsupported' });
    expect(report.sensors.find((s) => s.name === 'sockets')!.hint).toContain('/proc');
  });

  test.each([
    ['a mistyped command', ['docter'], 64, 'did you mean "doctor"?'],
    ['an unknown namespace', ['doctor', '--netns', 'nowhere'], 66, 'no network namespace "nowhere"'],
  ])('the exit code of %s reaches the shell', (_what, argv, code, words) => {
    const { status, stderr, stdout } = npx(...argv);
    expect({ status, stdout }).toEqual({ status: code, stdout: '' });
    expect(stderr).toContain(words);
  });

  const program = (): string => join(home, 'node_modules/.bin/plimsoll');

  test.each(['SIGINT', 'SIGTERM'] as const)('%s ends it at once, with the signal as its cause', async (signal) => {
    const child = spawn(program(), ['doctor', '--interval', '1h'], { stdio: 'ignore' });
    // It has loaded its native part: that is after it began to listen to signals, and before it waits.
    await until('it to look', () => readFileSync(`/proc/${child.pid}/maps`, 'utf8').includes('koffi'));
    child.kill(signal);
    expect(await once(child, 'exit')).toEqual([null, signal]);
  });

  test('a reader that goes away, as `| head -1` does, is no error', () => {
    const { status, stdout, stderr } = spawnSync('sh', ['-c', `"${program()}" doctor --json --interval 0s | head -c 10`], {
      encoding: 'utf8',
    });
    expect({ status, stdout, stderr }).toEqual({ status: 0, stdout: '{"schema":', stderr: '' });
  });
});
