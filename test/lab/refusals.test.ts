/** What the lab refuses, and what it says then. */
import { chmodSync, copyFileSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { missingCapabilities } from '../../src/lab/requirements.ts';
import { kernelTest } from '../support/netns.ts';
import { plimsoll } from '../support/shell.ts';
import { lab, leftBy, start } from './lab.ts';

describe('a mistyped command line', () => {
  test.each([
    [['run', 'time-wait-chrun'], 66, 'did you mean "time-wait-churn"?'],
    [['run', 'zzz'], 66, 'there is: idle-one-to-one, handshake-collision'],
    [['run'], 64, 'a scenario'],
    [['rnu', 'shared-bind'], 64, 'did you mean "run"?'],
    [[], 64, 'list | run NAME | clean'],
    [['list', 'shared-bind'], 64, 'does not take "shared-bind"'],
    [['list', '--fast'], 64, 'it belongs to plimsoll lab run'],
    [['run', 'shared-bind', '--fats'], 64, 'did you mean "--fast"?'],
  ] as const)('%j exits %i and says %j', async (words, code, hint) => {
    const ran = await plimsoll(['lab', ...words]);
    expect(ran).toMatchObject({ code, out: '' });
    expect(ran.err).toContain(hint);
  });
});

test('lab list tells each story, how long it takes and what it needs, without privileges', async () => {
  const { code, out } = await plimsoll(['lab', 'list']);
  expect(code).toBe(0);
  for (const name of [
    'idle-one-to-one',
    'handshake-collision',
    'single-snat-address',
    'time-wait-churn',
    'shared-bind',
    'conntrack-snat',
    'close-wait-leak',
  ])
    expect(out).toMatch(new RegExp(`^${name} .* with --fast \\d+ s`, 'm'));
  expect(out).toContain('needs haproxy');
});

describe('missing privileges', () => {
  test('are named one by one', () => {
    expect(missingCapabilities('CapEff:\t000001ffffffffff')).toEqual([]);
    expect(missingCapabilities('CapEff:\t0000000000001000')).toEqual(['CAP_NET_RAW', 'CAP_SYS_ADMIN']);
    expect(missingCapabilities('')).toEqual(['CAP_NET_ADMIN', 'CAP_NET_RAW', 'CAP_SYS_ADMIN']);
  });

  kernelTest('exit 77 with the sudo line, and nothing is made', async () => {
    const run = await start(['lab', 'run', 'shared-bind', '--fast'], ['setpriv', '--bounding-set', '-all', '--inh-caps', '-all', 'env']);
    const { code, out, err } = await run.ended;
    expect({ code, out }).toEqual({ code: 77, out: '' });
    expect(err).toContain('lacks CAP_NET_ADMIN, CAP_NET_RAW, CAP_SYS_ADMIN');
    expect(err).toContain('sudo env "PATH=$PATH" plimsoll lab run shared-bind --fast');
    expect(leftBy(run.child.pid!)).toEqual([]);
  });
});

kernelTest('a program that is not installed: exits 69, names it and its package', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'plimsoll-refusals-'));
  try {
    // As if these were not there: over each a file that nobody may execute, in a mount namespace of this run alone.
    const empty = join(folder, 'empty');
    copyFileSync('/dev/null', empty);
    chmodSync(empty, 0o644);
    const hide = `for p in haproxy nginx; do mount --bind ${empty} "$(command -v $p)" || exit 1; done; exec "$@"`;
    const { code, err } = await lab(['run', 'single-snat-address', '--fast'], ['unshare', '-m', 'sh', '-c', hide, 'sh']);
    expect(code, err).toBe(69);
    expect(err).toContain('needs haproxy, nginx, which this host does not have');
    expect(err).toContain('apt install haproxy nginx');
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});
