/** What examples/doctor and examples/plan show is run as shown. */
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { namespace, privileged } from '../support/netns.ts';
import { plimsoll } from '../support/shell.ts';
import { listen, openUntilFailure } from '../support/sockets.ts';

const examples = fileURLToPath(new URL('../../examples/doctor/', import.meta.url));
const read = (name: string): string => readFileSync(join(examples, name), 'utf8');
const hasJq = spawnSync('jq', ['--version']).status === 0;
const folder = mkdtempSync(join(tmpdir(), 'plimsoll-examples-'));
const removeFolder = (): void => rmSync(folder, { recursive: true, force: true });
afterAll(removeFolder);
process.on('exit', removeFolder);

describe.skipIf(!privileged || !hasJq)('on a report of a namespace whose ten ports are taken', () => {
  const report = join(folder, 'report.json');
  const space = (name: string): string => `${name}/connect/10.66.0.1/10.66.0.1:80`;
  let ns: ReturnType<typeof namespace>;
  let code: number;
  beforeAll(async () => {
    ns = namespace({ range: [40000, 40009], addresses: ['10.66.0.1'] });
    ns.run(() => {
      listen('10.66.0.1', 80);
      expect(openUntilFailure('10.66.0.1', 80).fds).toHaveLength(10);
    });
    const ran = await plimsoll(['doctor', '--netns', ns.name, '--interval', '0s', '--json']);
    code = ran.code;
    writeFileSync(report, ran.out);
  });

  test('lines.sh answers its questions', () => {
    const lines = execFileSync('sh', [join(examples, 'lines.sh'), report], { encoding: 'utf8' }).split('\n');
    expect(lines[0]).toBe('critical');
    expect(lines).toContain([space(ns.name), 10, 10, 1].join('\t'));
    expect(lines).toContain('0');
    expect(lines.some((line) => line.startsWith(`${space(ns.name)}: `))).toBe(true);
    expect(lines.some((line) => /^port searches: absent /.test(line))).toBe(true);
  });

  test('check_source_ports prints one line with performance data and keeps the exit code', () => {
    const program = join(folder, 'plimsoll');
    writeFileSync(program, `#!/bin/sh\ncat '${report}'\nexit ${code}\n`, { mode: 0o755 });
    const { status, stdout } = spawnSync(join(examples, 'check_source_ports'), {
      env: { ...process.env, PLIMSOLL: program },
      encoding: 'utf8',
    });
    expect(status).toBe(2);
    expect(stdout).toMatch(/^CRITICAL: [^\n|]+ \| used=10;8;10;0;10\n$/);
  });

  test('check_source_ports without a report is UNKNOWN', () => {
    const { status, stdout } = spawnSync(join(examples, 'check_source_ports'), {
      env: { ...process.env, PLIMSOLL: '/bin/false' },
      encoding: 'utf8',
    });
    expect({ status, stdout }).toEqual({ status: 3, stdout: 'UNKNOWN: plimsoll doctor gave no report (exit 1)\n' });
  });
});

test('the page shows the lines that are tested', () => {
  const tested = new Set([...read('lines.sh').matchAll(/^jq -r '(.*)' "\$report"$/gm)].map((m) => m[1]!));
  const shown = [...read('README.md').matchAll(/^\| [^|]+ \| `(.*)` \|$/gm)].map((m) => m[1]!.replaceAll('\\|', '|'));
  expect(shown.length).toBeGreaterThan(5);
  expect(shown.filter((line) => !tested.has(line))).toEqual([]);
});

test('crontab prints the page only when something is wrong', () => {
  const [, command] = /^\*\/5 \* \* \* \* {2}root {2}(.*)$/m.exec(read('crontab'))!;
  expect(read('README.md')).toContain(command!);
  for (const [code, expected] of [
    [0, ''],
    [2, 'the page\n'],
  ] as const) {
    writeFileSync(join(folder, 'plimsoll'), `#!/bin/sh\necho the page\nexit ${code}\n`, { mode: 0o755 });
    // crontab(5): what follows an unescaped % is no command, but its input.
    const [line] = command!.split(/(?<!\\)%/);
    const shown = spawnSync('sh', ['-c', line!], { env: { PATH: `${folder}:${process.env['PATH']}` }, encoding: 'utf8' });
    expect(shown.stdout).toBe(expected);
  }
});

describe('examples/plan', () => {
  const program = fileURLToPath(new URL('../../dist/plimsoll.cjs', import.meta.url));
  const plan = fileURLToPath(new URL('../../examples/plan/', import.meta.url));

  test.each([
    ['600/s', '4', 0, /^lasts: 1819\/s/],
    ['600/s', '1', 1, /^runs out after 47 s; what would hold: /],
    ['600', '1', 64, /^$/],
  ])('gate.sh %s %s exits %i and leaves nothing behind', (rate, servers, code, says) => {
    const bin = mkdtempSync(join(folder, 'bin-'));
    const here = mkdtempSync(join(folder, 'here-'));
    writeFileSync(join(bin, 'plimsoll'), `#!/bin/sh\nexec '${process.execPath}' '${program}' "$@"\n`, { mode: 0o755 });
    const env = { ...process.env, PATH: `${bin}:${process.env['PATH']}` };
    const { status, stdout } = spawnSync('sh', [join(plan, 'gate.sh'), rate, servers], { cwd: here, env, encoding: 'utf8' });
    expect({ status, left: readdirSync(here) }).toEqual({ status: code, left: [] });
    if (hasJq) expect(stdout).toMatch(says);
  });
});
