/**
 * The only code that changes a host. A change is one transaction: everything is checked, then journalled, then done, then read
 * back; if a step fails all are undone. The functions are generators that yield after every step that outlives a crash, so that
 * tests can stop the world between any two of them; callers simply run them to the end.
 */
import { dirname } from 'node:path';
import { PlimsollError } from '../../core/errors.ts';
import type { Reading } from '../../core/host-sample.ts';
import type { Ffi } from '../ffi.ts';
import { discardRest, readIfThere, removeFile, replaceFile } from './file.ts';
import { type FileStep, Journal, makeState, type SettingStep, type Transaction } from './journal.ts';
import { lockState } from './lock.ts';
import { normalised, readSysctl, sysctlPath, whyNotWritable, writeSysctl } from './runtime.ts';

/** The host to change, as parameters: tests change a namespace and a folder instead. */
export interface ApplyHost {
  readonly c: Reading<Ffi>;
  readonly proc: string;
  /** Before the path of the drop-in; empty on the running host. */
  readonly root: string;
  /** Folder of journal and lock. */
  readonly state: string;
  /** Inode of a namespace other than the host's; null for the host's. */
  readonly namespace: string | null;
  /** Runs synchronous work in the namespace. */
  inside<T>(work: () => T): T;
}

/** Sorts after the drop-ins of distributions, which stop at 99. */
export const DROP_IN = '/etc/sysctl.d/zz-plimsoll.conf';

export interface Change {
  readonly name: string;
  readonly value: string;
}

export interface Applied {
  readonly settings: readonly SettingStep[];
  readonly file: FileStep | null;
  /** What an earlier run that was killed had left, undone first; null if none had. */
  readonly recovered: Undone | null;
}

export interface Undone {
  readonly restored: readonly { readonly name: string; readonly value: string }[];
  /** Changed by somebody since, and so left alone. */
  readonly left: readonly { readonly name: string; readonly ours: string; readonly found: string }[];
  /** The drop-in: put back as it was (or removed), left because it was edited since, or not touched by us. */
  readonly file: 'restored' | 'removed' | 'left' | 'none';
}

/** Runs a generator of steps to its end. */
export const finish = <T>(steps: Generator<string, T>): T => {
  for (;;) {
    const step = steps.next();
    if (step.done === true) return step.value;
  }
};

const reasonOf = (error: unknown): string => (error as Error).message;

/** Undoing did not go through: the journal stays, and --rollback can try again. */
const half = (journal: Journal, reason: string, again: unknown): PlimsollError =>
  new PlimsollError('tune_half', { reason, again: reasonOf(again), path: journal.path }, { cause: again });

const write = (host: ApplyHost, name: string, value: string): void => {
  host.inside(() => writeSysctl(host.proc, name, value));
  const found = host.inside(() => readSysctl(host.proc, name));
  if (found !== normalised(value)) throw new PlimsollError('setting_refused', { name, value, found: found ?? 'nothing' });
};

/** Puts back what `transaction` changed, newest step first. Whatever is neither as we left it nor as it was belongs to somebody else. */
function* undo(host: ApplyHost, transaction: Transaction): Generator<string, Undone> {
  const restored: { name: string; value: string }[] = [];
  const left: { name: string; ours: string; found: string }[] = [];
  for (const step of [...transaction.settings].reverse()) {
    const found = host.inside(() => readSysctl(host.proc, step.name));
    if (found === step.after) {
      write(host, step.name, step.before);
      restored.push({ name: step.name, value: step.before });
      yield `undid ${step.name}`;
    } else if (found !== step.before) left.push({ name: step.name, ours: step.after, found: found ?? 'nothing' });
  }
  let file: Undone['file'] = 'none';
  if (transaction.file !== null) {
    const { path, before, after } = transaction.file;
    discardRest(path);
    const found = readIfThere(path);
    if (found === before) file = before === null ? 'removed' : 'restored';
    else if (found !== after) file = 'left';
    else if (before === null) {
      removeFile(path);
      file = 'removed';
    } else {
      replaceFile(path, before, 0o644);
      file = 'restored';
    }
    yield 'undid the drop-in';
  }
  return { restored, left, file };
}

/** Refuses before anything is touched: settings that are not there or cannot be set, a drop-in that cannot be written. */
const check = (host: ApplyHost, steps: readonly SettingStep[], file: FileStep | null): void => {
  for (const { name } of steps) {
    const reason = host.inside(() => whyNotWritable(sysctlPath(host.proc, name)));
    if (reason !== null)
      throw new PlimsollError(reason === 'EROFS' ? 'proc_read_only' : 'setting_denied', { name, reason, proc: host.proc });
  }
  if (file === null) return;
  const reason = whyNotWritable(dirname(file.path)) ?? (file.before === null ? null : whyNotWritable(file.path));
  if (reason !== null) throw new PlimsollError('unwritable', { path: dirname(file.path), reason });
};

/**
 * Applies `changes` in their order and writes `dropIn` (null: nothing is persisted). Nothing happens where everything is so already.
 * Throws tune_busy, tune_unavailable, setting_denied, proc_read_only, unwritable before anything is touched, and tune_failed
 * after everything was undone.
 */
export function* applyChanges(host: ApplyHost, changes: readonly Change[], dropIn: string | null, now: string): Generator<string, Applied> {
  makeState(host.state);
  const unlock = lockState(host.c, host.state);
  try {
    const journal = new Journal(host.state, host.namespace);
    let transactions = journal.read();
    yield 'locked';
    let recovered: Undone | null = null;
    const pending = transactions.at(-1);
    if (pending !== undefined && !pending.committed) {
      try {
        recovered = yield* undo(host, pending);
        transactions = transactions.slice(0, -1);
        journal.write(transactions);
      } catch (again) {
        throw half(journal, 'an earlier run was cut off in the middle', again);
      }
      yield 'recovered';
    }
    const settings = changes.flatMap((change): SettingStep[] => {
      const before = host.inside(() => readSysctl(host.proc, change.name));
      if (before === null)
        throw new PlimsollError('setting_denied', { name: change.name, reason: 'the kernel does not show it', proc: host.proc });
      const after = normalised(change.value);
      return before === after ? [] : [{ name: change.name, before, after }];
    });
    const path = `${host.root}${DROP_IN}`;
    const text = dropIn === null ? null : readIfThere(path);
    const file = dropIn === null || text === dropIn ? null : { path, before: text, after: dropIn };
    if (settings.length === 0 && file === null) return { settings, file, recovered };
    check(host, settings, file);

    const transaction: Transaction = { startedAt: now, committed: false, file, settings };
    try {
      journal.write([...transactions, transaction]);
      yield 'journalled';
      if (file !== null) {
        replaceFile(file.path, file.after, 0o644);
        yield 'wrote the drop-in';
      }
      for (const step of settings) {
        const found = host.inside(() => readSysctl(host.proc, step.name));
        if (found !== step.before)
          throw new PlimsollError('setting_moved', { name: step.name, before: step.before, found: found ?? 'nothing' });
        write(host, step.name, step.after);
        yield `set ${step.name}`;
      }
      journal.write([...transactions, { ...transaction, committed: true }]);
      yield 'committed';
    } catch (cause) {
      const reason = reasonOf(cause);
      try {
        finish(undo(host, transaction));
        journal.write(transactions);
      } catch (again) {
        throw half(journal, reason, again);
      }
      throw new PlimsollError('tune_failed', { reason }, { cause });
    }
    return { settings, file, recovered };
  } catch (cause) {
    // Nothing was touched yet, or all of it was put back.
    if (cause instanceof PlimsollError) throw cause;
    throw new PlimsollError('tune_failed', { reason: reasonOf(cause) }, { cause });
  } finally {
    unlock();
  }
}

/** Undoes every transaction of the journal, the last one first. Throws nothing_to_undo, tune_busy, journal_unusable. */
export function* rollBack(host: ApplyHost): Generator<string, readonly Undone[]> {
  makeState(host.state);
  const unlock = lockState(host.c, host.state);
  try {
    const journal = new Journal(host.state, host.namespace);
    let transactions = journal.read();
    discardRest(journal.path);
    if (transactions.length === 0) throw new PlimsollError('nothing_to_undo', { path: journal.path });
    const undone: Undone[] = [];
    while (transactions.length > 0) {
      const last = transactions.at(-1)!;
      const reason = last.settings
        .map((s) => host.inside(() => whyNotWritable(sysctlPath(host.proc, s.name))))
        .find((r) => r !== null && r !== 'ENOENT');
      if (reason !== undefined && reason !== null)
        throw new PlimsollError(reason === 'EROFS' ? 'proc_read_only' : 'setting_denied', {
          name: last.settings[0]!.name,
          reason,
          proc: host.proc,
        });
      try {
        undone.push(yield* undo(host, last));
        transactions = transactions.slice(0, -1);
        journal.write(transactions);
      } catch (again) {
        throw half(journal, 'rolling back', again);
      }
      yield 'forgot a transaction';
    }
    return undone;
  } finally {
    unlock();
  }
}
