/** The tables of the history file and how they came to be: each step of `MIGRATIONS` leads from one version to the next. */
import { COLUMNS } from './columns.ts';
import type { Database } from './database.ts';

/** "plim", so that the file says whose it is. */
export const APPLICATION_ID = 0x706c696d;

const numbers = COLUMNS.map((c) => `${c} REAL`).join(', ');

/**
 * Seconds are only ever appended and removed at the other end, so their key begins with the time: a look writes one page. Minutes
 * are read one space at a time and written once a minute: theirs begins with the space.
 */
export const MIGRATIONS: readonly string[] = [
  `CREATE TABLE spaces (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
   CREATE TABLE seconds (at INTEGER NOT NULL, space INTEGER NOT NULL, ${numbers}, PRIMARY KEY (at, space)) WITHOUT ROWID;
   CREATE TABLE minutes (space INTEGER NOT NULL, at INTEGER NOT NULL, ${numbers}, PRIMARY KEY (space, at)) WITHOUT ROWID;`,
  `CREATE TABLE lives (kind TEXT NOT NULL, id TEXT NOT NULL, opened_at INTEGER NOT NULL, closed_at INTEGER, document TEXT NOT NULL, PRIMARY KEY (kind, id)) WITHOUT ROWID;
   CREATE INDEX lives_closed ON lives (kind, closed_at);`,
];

export const VERSION = MIGRATIONS.length;

export const versionOf = (database: Database): number => Number(database.prepare('PRAGMA user_version').raw().all()[0]![0]);

/** Brings it to the newest version, one step after the other, each whole or not at all. */
export const migrate = (database: Database): void => {
  for (let version = versionOf(database); version < VERSION; version++) {
    database.exec('BEGIN IMMEDIATE');
    try {
      database.exec(MIGRATIONS[version]!);
      database.exec(`PRAGMA application_id = ${APPLICATION_ID}; PRAGMA user_version = ${version + 1}`);
      database.exec('COMMIT');
    } catch (error) {
      if (database.inTransaction) database.exec('ROLLBACK');
      throw error;
    }
  }
};
