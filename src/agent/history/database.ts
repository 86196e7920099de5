/** SQLite, through a package whose binary comes inside npm. Optional: loaded when it is needed, and not being there is an answer. */
import { createRequire } from 'node:module';
import type { Reading } from '../../core/host-sample.ts';

/** The calls of better-sqlite3 that are used here; libsql has the same. */
export interface Database {
  exec(sql: string): void;
  prepare(sql: string): Statement;
  close(): void;
  readonly inTransaction: boolean;
}
export interface Statement {
  run(...values: readonly unknown[]): { readonly changes: number; readonly lastInsertRowid: number | bigint };
  /** Rows as arrays. */
  raw(): { all(...values: readonly unknown[]): readonly unknown[][] };
}
export type OpenDatabase = (path: string) => Database;

/** How databases are opened here, or why they cannot be. */
export const loadDatabase = async (): Promise<Reading<OpenDatabase>> => {
  try {
    // Types of its own it has none; what is used of it is above.
    const Libsql = createRequire(import.meta.url)('libsql') as new (path: string) => Database;
    return { status: 'ok', value: (path) => new Libsql(path) };
  } catch (error) {
    const reason = ((error as Error).message ?? String(error)).split('\n')[0];
    return { status: 'absent', hint: `the optional package libsql does not load here (${reason}): history is kept in memory only` };
  }
};

/** SQLite's name of what went wrong (`SQLITE_FULL`), or ''. */
export const sqliteCode = (error: unknown): string => {
  const { code, message } = error as { readonly code?: unknown; readonly message?: unknown };
  if (typeof code === 'string' && code.startsWith('SQLITE')) return code;
  // Opening fails without a code: "Unable to open connection to local database PATH: 14".
  const number = /database .*: (\d+)$/.exec(String(message))?.[1];
  return (
    (
      { '10': 'SQLITE_IOERR', '11': 'SQLITE_CORRUPT', '13': 'SQLITE_FULL', '14': 'SQLITE_CANTOPEN', '26': 'SQLITE_NOTADB' } as Record<
        string,
        string
      >
    )[number ?? ''] ?? ''
  );
};

/** Whether the file itself is broken, so that trying again is no use. A plain error to a statement of ours means a damaged schema. */
export const isDamage = (error: unknown): boolean => /^SQLITE_(CORRUPT|NOTADB|ERROR$)/.test(sqliteCode(error));
