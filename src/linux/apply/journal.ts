/**
 * What was changed and what was there before: written before anything is touched, so that whatever kills us leaves enough to go
 * back. One journal per network namespace, mode 0600; a stack of transactions, the last one first to be undone.
 */
import { mkdirSync } from 'node:fs';
import { PlimsollError } from '../../core/errors.ts';
import { readIfThere, removeFile, replaceFile } from './file.ts';

export interface SettingStep {
  readonly name: string;
  /** Normalised values as the kernel gave them. */
  readonly before: string;
  readonly after: string;
}

export interface FileStep {
  readonly path: string;
  /** The whole text; null where there was no file. */
  readonly before: string | null;
  readonly after: string;
}

/** One apply, as far as it came: enough to undo it after a crash at any step. */
export interface Transaction {
  /** RFC 3339. */
  readonly startedAt: string;
  /** False until every step was read back. */
  readonly committed: boolean;
  readonly file: FileStep | null;
  /** In the order in which they are applied. */
  readonly settings: readonly SettingStep[];
}

interface Document {
  readonly version: 1;
  readonly transactions: readonly Transaction[];
}

const isText = (value: unknown): value is string => typeof value === 'string';
const isTransaction = (value: unknown): value is Transaction => {
  const t = value as Transaction | null;
  return (
    typeof t === 'object' &&
    t !== null &&
    isText(t.startedAt) &&
    typeof t.committed === 'boolean' &&
    Array.isArray(t.settings) &&
    t.settings.every((s) => isText(s?.name) && isText(s?.before) && isText(s?.after)) &&
    (t.file === null || (isText(t.file?.path) && isText(t.file?.after) && (t.file.before === null || isText(t.file.before))))
  );
};

/** The file of transactions, written before each step is taken. */
export class Journal {
  readonly path: string;

  constructor(state: string, namespace: string | null) {
    this.path = `${state}/tune${namespace === null ? '' : `-netns-${namespace}`}.json`;
  }

  /** The transactions that can be undone, oldest first. Throws journal_unusable. */
  read(): readonly Transaction[] {
    let text: string | null;
    try {
      text = readIfThere(this.path);
    } catch (cause) {
      throw new PlimsollError(
        'journal_unusable',
        { path: this.path, reason: (cause as NodeJS.ErrnoException).code ?? 'unreadable' },
        { cause },
      );
    }
    if (text === null) return [];
    try {
      const document = JSON.parse(text) as Document;
      if (document.version !== 1 || !Array.isArray(document.transactions) || !document.transactions.every(isTransaction))
        throw new Error('it is not of this version');
      return document.transactions;
    } catch (cause) {
      throw new PlimsollError('journal_unusable', { path: this.path, reason: (cause as Error).message }, { cause });
    }
  }

  write(transactions: readonly Transaction[]): void {
    if (transactions.length === 0) removeFile(this.path);
    else replaceFile(this.path, `${JSON.stringify({ version: 1, transactions } satisfies Document, null, 2)}\n`, 0o600);
  }
}

/** Makes the state folder, mode 0700. Throws journal_denied. */
export const makeState = (state: string): void => {
  try {
    mkdirSync(state, { recursive: true, mode: 0o700 });
  } catch (cause) {
    throw new PlimsollError('journal_denied', { path: state, reason: (cause as NodeJS.ErrnoException).code ?? 'unknown' }, { cause });
  }
};
