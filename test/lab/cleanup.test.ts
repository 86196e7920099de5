/** Whatever ends a run, what it made is gone: at once, or with the next run and `lab clean` after kill -9. Nobody else's is touched. */
import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import fc from 'fast-check';
import { afterAll, describe, expect, test } from 'vitest';
import { isAlive, nameFor, runOf, startOf, thisRun } from '../../src/lab/run-identity.ts';
import { kernelTest, namespace } from '../support/netns.ts';
import { until } from '../support/poll.ts';
import { lab, leftBy, namespacesOf, type Running, start } from './lab.ts';

const scenario = ['lab', 'run', 'close-wait-leak', '--fast'];
const started: Running[] = [];
afterAll(async () => {
  for (const { child } of started) child.kill('SIGKILL');
  await Promise.all(started.map((r) => r.ended));
  if (started.some((r) => leftBy(r.child.pid!).length > 0)) await lab(['clean']);
});

/** A run in the middle of its story: its namespaces are there, and so are its programs. */
const running = async (...flags: readonly string[]): Promise<Running> => {
  const run = await start([...scenario, ...flags]);
  started.push(run);
  await until('the story to begin', () => run.err().includes('before: '), 90_000);
  expect(namespacesOf(run.child.pid!)).toHaveLength(2);
  return run;
};

/** Processes that have `text` in their command line. */
const processesWith = (text: string): readonly string[] =>
  readdirSync('/proc').filter((pid) => {
    try {
      return /^\d+$/.test(pid) && readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes(text);
    } catch {
      return false;
    }
  });

describe('a run that is interrupted', () => {
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    kernelTest(
      `by ${signal} ends with it, and removes what it made`,
      async () => {
        const run = await running();
        run.child.kill(signal);
        const ended = await run.ended;
        expect({ signal: ended.signal, out: ended.out }).toEqual({ signal, out: '' });
        expect(ended.err).toContain('everything it made is removed');
        expect(leftBy(run.child.pid!)).toEqual([]);
      },
      180_000,
    );
  }

  kernelTest(
    'by kill -9 leaves namespaces behind that `lab clean` removes, but not those of a run that goes on, nor anybody else’s',
    async () => {
      const other = namespace();
      const [victim, live] = await Promise.all([running(), running()]);
      victim.child.kill('SIGKILL');
      await victim.ended;
      expect(namespacesOf(victim.child.pid!)).toHaveLength(2);
      const before = leftBy(live.child.pid!);
      const clean = await lab(['clean']);
      expect(clean.code, clean.err).toBe(0);
      expect(clean.out).toContain(`removed plimsoll-lab-${victim.child.pid}-`);
      expect(leftBy(victim.child.pid!)).toEqual([]);
      expect(leftBy(live.child.pid!)).toEqual(before);
      expect(existsSync(`/run/netns/${other.name}`)).toBe(true);
      // The kernel ended the programs of the killed run with it.
      await until('the programs of the killed run to be gone', () => processesWith(`plimsoll-lab-${victim.child.pid}-`).length === 0);
      live.child.kill('SIGTERM');
      const ended = await live.ended;
      expect(ended.signal, ended.err).toBe('SIGTERM');
      expect(leftBy(live.child.pid!)).toEqual([]);
    },
    180_000,
  );

  kernelTest(
    'by kill -9 is cleaned up after by the next run',
    async () => {
      const victim = await running();
      victim.child.kill('SIGKILL');
      await victim.ended;
      const next = await running();
      expect(leftBy(victim.child.pid!)).toEqual([]);
      next.child.kill('SIGINT');
      await next.ended;
    },
    180_000,
  );
});

kernelTest(
  'a run that fails says while doing what, exits 69, and removes what it made',
  async () => {
    // An nft that refuses everything, for this run alone.
    const broken = ['unshare', '-m', 'sh', '-c', `mount --bind /bin/false $(command -v nft) && exec "$@"`, 'sh'];
    const run = await start(['lab', 'run', 'conntrack-snat', '--fast'], broken);
    const { code, err, out } = await run.ended;
    expect({ code, out }).toEqual({ code: 69, out: '' });
    expect(err).toMatch(/conntrack-snat could not be carried out, while .*: .*nft/);
    expect(err).toContain('--keep');
    expect(leftBy(run.child.pid!)).toEqual([]);
  },
  180_000,
);

kernelTest(
  '--keep leaves the namespaces and files, names them, and only `lab clean` removes them',
  async () => {
    const run = await start(['lab', 'run', 'shared-bind', '--fast', '--keep']);
    started.push(run);
    const { code, out } = await run.ended;
    expect(code).toBe(0);
    const kept = namespacesOf(run.child.pid!);
    expect(kept).toHaveLength(2);
    for (const name of kept) expect(out).toContain(`ip netns exec ${name} plimsoll doctor`);
    expect(execFileSync('ip', ['netns', 'pids', kept[0]!], { encoding: 'utf8' })).toBe('');
    const next = await start(['lab', 'run', 'shared-bind', '--fast', '--json']);
    expect((await next.ended).code).toBe(0);
    expect(namespacesOf(run.child.pid!)).toEqual(kept);
    const clean = await lab(['clean']);
    for (const name of kept) expect(clean.out).toContain(`removed ${name}`);
    expect(leftBy(run.child.pid!)).toEqual([]);
  },
  180_000,
);

describe('a name', () => {
  test('tells whose it is, whatever the pid, the start and the role', () => {
    fc.assert(
      fc.property(fc.nat(), fc.nat(), fc.boolean(), fc.stringMatching(/^[a-z][a-z0-9-]{0,20}$/), (pid, begun, kept, role) => {
        const run = { pid, start: String(begun), kept };
        expect(runOf(nameFor(run, role))).toEqual(run);
        expect(runOf(nameFor(run))).toEqual(run);
      }),
    );
  });

  test.each(['plimsoll-t12-0', 'plimsoll-lab-12', 'plimsoll-lab-x-1-a', 'lab-1-2-a', 'plimsoll-lab-1-2-a/b', 'plimsoll-stories-1-2'])(
    '%s is nobody’s of the lab',
    (name) => expect(runOf(name)).toBeNull(),
  );

  test('is alive as long as that very process: not another with its pid, not one that has ended', () => {
    const mine = thisRun(false);
    expect(isAlive(mine)).toBe(true);
    expect(isAlive({ ...mine, start: String(Number(mine.start) - 1) })).toBe(false);
    expect(startOf(2 ** 22 + 1)).toBeNull();
    // The clock ticks since boot, read another way.
    const begun = Number(mine.start) / 100;
    const uptime = Number(readFileSync('/proc/uptime', 'utf8').split(' ')[0]);
    expect(Math.abs(uptime - begun - process.uptime())).toBeLessThan(2);
  });
});
