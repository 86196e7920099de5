/** The transaction: applied, undone, cut off at every step, met by others who change the same things. In a namespace and a folder. */
import { readFileSync, writeFileSync } from 'node:fs';
import { afterEach, describe, expect, test } from 'vitest';
import { type ErrorCode, PlimsollError } from '../../../src/core/errors.ts';
import { dropInText } from '../../../src/core/tune/output.ts';
import { readSysctl } from '../../../src/linux/apply/runtime.ts';
import { type Applied, applyChanges, finish, rollBack, type Undone } from '../../../src/linux/apply/transaction.ts';
import { kernelTest } from '../../support/netns.ts';
import { changes, initial } from './changes.ts';
import { Place, program, runProgram } from './place.ts';

const NOW = '2026-11-20T00:00:00Z';
const text = dropInText(
  null,
  changes.map((c) => ({ ...c, why: 'a test' })),
);
const OLD = '# somebody wrote this\nnet.ipv4.tcp_tw_reuse = 0\n';

const places: Place[] = [];
const place = (before: string | null = null): Place => {
  const made = new Place(before);
  places.push(made);
  return made;
};
afterEach(() => {
  for (const made of places.splice(0)) made.destroy();
});

const apply = (p: Place): Generator<string, Applied> => applyChanges(p.host, changes, text, NOW);
const value = (p: Place, name: string): string | null => p.ns.run(() => readSysctl('/proc', name));

/** Runs to the `n`th step and stops there as a crash does: nothing after it happens, not even tidying up (but the lock is let go). */
const cutOff = <T>(steps: Generator<string, T>, n: number): string | null => {
  let step = '';
  for (let i = 0; i < n; i++) {
    const next = steps.next();
    if (next.done === true) return null;
    step = next.value;
  }
  steps.return(undefined as never);
  return step;
};

const errorOf = (work: () => unknown): ErrorCode | null => {
  try {
    work();
    return null;
  } catch (error) {
    if (error instanceof PlimsollError) return error.code;
    throw error;
  }
};

const applied = (p: Place): void => {
  for (const change of changes) expect(value(p, change.name)).toBe(change.value);
  expect(readFileSync(p.dropIn, 'utf8')).toBe(text);
};

describe('a transaction', () => {
  kernelTest('sets every value, writes the drop-in with a reason per line, and keeps its journal to itself', () => {
    const p = place();
    const result = finish(apply(p));
    applied(p);
    expect(result.settings).toEqual(changes.map((c) => ({ name: c.name, before: initial[c.name], after: c.value })));
    expect(text.split('\n').filter((line) => line.startsWith('#')).length).toBe(changes.length + 1);
    expect([p.mode(p.journal), p.mode(p.state), p.mode(p.dropIn)]).toEqual([0o600, 0o700, 0o644]);
  });

  for (const before of [null, OLD]) {
    kernelTest(`is undone to the byte ${before === null ? 'where there was no drop-in' : 'where the drop-in was another'}`, () => {
      const p = place(before);
      const was = p.picture();
      finish(apply(p));
      const [undone] = finish(rollBack(p.host)) as readonly [Undone];
      expect(undone.left).toEqual([]);
      expect(undone.restored.map((r) => r.name)).toEqual([...changes].reverse().map((c) => c.name));
      expect(p.picture()).toEqual(was);
      expect(errorOf(() => finish(rollBack(p.host)))).toBe('nothing_to_undo');
    });
  }

  kernelTest('changes nothing the second time', () => {
    const p = place();
    finish(apply(p));
    const after = p.picture();
    expect(finish(apply(p))).toEqual({ settings: [], file: null, recovered: null });
    expect(p.picture()).toEqual(after);
  });

  kernelTest('on top of another is undone together with it', () => {
    const p = place();
    const was = p.picture();
    finish(applyChanges(p.host, changes.slice(0, 1), dropInText(null, [{ ...changes[0], why: 'first' }]), NOW));
    finish(apply(p));
    applied(p);
    expect(finish(rollBack(p.host))).toHaveLength(2);
    expect(p.picture()).toEqual(was);
  });

  kernelTest('sets without persisting where there is nothing to persist in', () => {
    const p = place();
    const { file } = finish(applyChanges(p.host, changes, null, NOW));
    expect(file).toBeNull();
    expect(Object.keys(p.picture()).filter((name) => name.startsWith('etc/'))).toEqual([]);
    expect(value(p, 'net.ipv4.tcp_tw_reuse')).toBe('1');
  });

  kernelTest('writes an empty list of ports as an empty list', () => {
    const p = place();
    finish(applyChanges(p.host, [{ name: 'net.ipv4.ip_local_reserved_ports', value: '' }], null, NOW));
    expect(value(p, 'net.ipv4.ip_local_reserved_ports')).toBe('');
    finish(rollBack(p.host));
    expect(value(p, 'net.ipv4.ip_local_reserved_ports')).toBe('5000-5003');
  });
});

describe('a transaction that is cut off', () => {
  kernelTest('after any step is undone by rollback, to the byte, and finished by another apply', () => {
    for (const before of [null, OLD]) {
      for (let n = 1; ; n++) {
        const p = new Place(before);
        const was = p.picture();
        const step = cutOff(apply(p), n);
        if (step === null) {
          p.destroy();
          expect(n).toBeGreaterThan(6);
          break;
        }
        const journalled = !['locked'].includes(step);
        if (journalled) finish(rollBack(p.host));
        expect(p.picture(), `rolled back after "${step}"`).toEqual(was);
        // The same again, but the user runs --apply instead.
        cutOff(apply(p), n);
        const again = finish(apply(p));
        applied(p);
        if (journalled && step !== 'committed') expect(again.recovered, `after "${step}"`).not.toBeNull();
        finish(rollBack(p.host));
        expect(p.picture(), `applied again after "${step}"`).toEqual(was);
        p.destroy();
      }
    }
  });

  kernelTest('while it is rolled back is rolled back by the next rollback', () => {
    for (let n = 1; ; n++) {
      const p = new Place(OLD);
      const was = p.picture();
      finish(apply(p));
      const step = cutOff(rollBack(p.host), n);
      const left = errorOf(() => finish(rollBack(p.host)));
      expect([null, 'nothing_to_undo']).toContain(left);
      expect(p.picture(), `after "${step}"`).toEqual(was);
      p.destroy();
      if (step === null) {
        expect(n).toBeGreaterThan(4);
        break;
      }
    }
  });

  /** System calls that change or read what the transaction touches; each is met by a signal or an error in its turn. */
  const calls = ['openat', 'read', 'write', 'fsync', 'close', 'rename', 'unlink', 'mkdir', 'flock', 'access'] as const;
  const touched = (p: Place): string[] =>
    [
      p.state,
      `${p.state}/tune.lock`,
      p.journal,
      `${p.journal}.new`,
      p.dropIn,
      `${p.dropIn}.new`,
      `${p.folder}/etc/sysctl.d`,
      ...changes.map((c) => `/proc/sys/${c.name.replaceAll('.', '/')}`),
    ].flatMap((path) => ['-P', path]);

  /** Runs `what` once for each system call it makes, with `fate` at that call; `judge` sees the place afterwards. Returns how many calls. */
  const atEveryCall = async (
    what: 'apply' | 'rollback',
    fate: string,
    calls: readonly string[],
    judge: (p: Place, was: Readonly<Record<string, string>>, at: string, said: string) => void,
  ): Promise<number> => {
    const path = await program();
    const p = place(OLD);
    const was = p.picture();
    let total = 0;
    for (const call of calls) {
      for (let n = 1; ; n++) {
        const tracer = ['strace', '-qq', '-o', '/dev/null', '-e', `trace=${call}`, ...touched(p), '-e', `inject=${call}:${fate}:when=${n}`];
        if (what === 'rollback') finish(apply(p));
        const ended = runProgram(p, path, what, tracer);
        if (ended.code === 0) {
          if (what === 'apply') finish(rollBack(p.host));
          expect(p.picture()).toEqual(was);
          break;
        }
        total++;
        judge(p, was, `${call} ${n}`, ended.said);
      }
    }
    return total;
  };

  for (const what of ['apply', 'rollback'] as const) {
    kernelTest(
      `by kill -9 at any system call of ${what} is undone by the next rollback, to the byte`,
      async () => {
        const total = await atEveryCall(what, 'signal=SIGKILL', calls, (p, was, at) => {
          // Before the journal was there, there is nothing to undo; after it was removed, everything is.
          const code = errorOf(() => finish(rollBack(p.host)));
          expect([null, 'nothing_to_undo'], at).toContain(code);
          expect(p.picture(), `killed at ${at}`).toEqual(was);
        });
        console.log(`${what} killed at ${total} system calls`);
        expect(total).toBeGreaterThan(40);
      },
      180_000,
    );
  }

  kernelTest(
    'by an error of any system call leaves everything as it was, and says so',
    async () => {
      // Node itself aborts when close() fails, which is the story above.
      const total = await atEveryCall(
        'apply',
        'error=EIO',
        calls.filter((c) => c !== 'close'),
        (p, was, at, said) => {
          expect(p.picture(), `EIO at ${at}: ${said}`).toEqual(was);
          expect(said, at).toMatch(/^(tune_failed|setting_denied|unwritable|journal_unusable|journal_denied|tune_busy)$/m);
        },
      );
      console.log(`failed at ${total} system calls`);
      expect(total).toBeGreaterThan(20);
    },
    180_000,
  );
});

describe('others who change the same things', () => {
  kernelTest('since: rollback leaves their value, says so, and restores the rest', () => {
    const p = place();
    finish(apply(p));
    p.ns.sysctl('net.ipv4.tcp_tw_reuse', 2);
    const [undone] = finish(rollBack(p.host)) as readonly [Undone];
    expect(undone.left).toEqual([{ name: 'net.ipv4.tcp_tw_reuse', ours: '1', found: '2' }]);
    expect(value(p, 'net.ipv4.tcp_tw_reuse')).toBe('2');
    expect(value(p, 'net.ipv4.ip_local_port_range')).toBe('40000 49999');
  });

  kernelTest('since, in the drop-in: rollback leaves the file and says so', () => {
    const p = place();
    finish(apply(p));
    writeFileSync(p.dropIn, `${text}# and one more line\n`);
    const [undone] = finish(rollBack(p.host)) as readonly [Undone];
    expect(undone.file).toBe('left');
    expect(readFileSync(p.dropIn, 'utf8')).toContain('one more line');
  });

  kernelTest('in the meantime: the transaction undoes itself and leaves theirs', () => {
    const p = place();
    const steps = apply(p);
    while (steps.next().value !== 'wrote the drop-in');
    p.ns.sysctl('net.ipv4.ip_local_port_range', '30000 30999');
    expect(errorOf(() => finish(steps))).toBe('tune_failed');
    expect(value(p, 'net.ipv4.ip_local_port_range')).toBe('30000 30999');
    expect(value(p, 'net.ipv4.ip_local_reserved_ports')).toBe('5000-5003');
    expect(Object.keys(p.picture()).filter((name) => name.includes('/'))).toEqual([]);
  });

  kernelTest('at the same time with plimsoll: the second is told to wait', () => {
    const p = place();
    const first = apply(p);
    first.next();
    expect(errorOf(() => finish(apply(p)))).toBe('tune_busy');
    expect(errorOf(() => finish(rollBack(p.host)))).toBe('tune_busy');
    finish(first);
    applied(p);
  });
});

describe('a transaction that cannot be', () => {
  kernelTest('because the kernel refuses a value is undone as a whole', () => {
    const p = place(OLD);
    const was = p.picture();
    const bad = [...changes, { name: 'net.ipv4.tcp_timestamps', value: 'nonsense' }];
    expect(errorOf(() => finish(applyChanges(p.host, bad, text, NOW)))).toBe('tune_failed');
    expect(p.picture()).toEqual(was);
  });

  kernelTest('because a setting is not there touches nothing', () => {
    const p = place();
    const was = p.picture();
    const bad = [...changes, { name: 'net.ipv4.tcp_tw_recycle', value: '1' }];
    expect(errorOf(() => finish(applyChanges(p.host, bad, text, NOW)))).toBe('setting_denied');
    expect(p.picture()).toEqual(was);
  });

  kernelTest('because the journal is nonsense touches nothing', () => {
    const p = place();
    finish(apply(p));
    for (const nonsense of ['', '{}', '{"version":1,"transactions":[{}]}', '{"version":2,"transactions":[]}', '\u0000\u0001', '[1,2']) {
      writeFileSync(p.journal, nonsense);
      const was = p.picture();
      expect(
        errorOf(() => finish(rollBack(p.host))),
        nonsense,
      ).toBe('journal_unusable');
      expect(
        errorOf(() => finish(apply(p))),
        nonsense,
      ).toBe('journal_unusable');
      expect(p.picture()).toEqual(was);
    }
  });

  test('without the C library is refused: there would be no lock', () => {
    const host = {
      c: { status: 'unsupported', hint: 'none' } as const,
      proc: '/proc',
      root: '',
      state: `${process.cwd()}/build/apply-state`,
      namespace: 'x',
      inside: <T>(work: () => T): T => work(),
    };
    expect(errorOf(() => finish(applyChanges(host, changes, null, NOW)))).toBe('tune_unavailable');
  });
});
