/** The history file: rows by the second for an hour, by the minute for 30 days, and the lives of findings and alerts. */
import { chmodSync, closeSync, existsSync, mkdirSync, openSync, readSync, renameSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { PlimsollError } from '../../core/errors.ts';
import { COLUMNS, FAILED, OPEN_RATE, type Row, WIDTH } from './columns.ts';
import { type Database, type OpenDatabase, type Statement, sqliteCode } from './database.ts';
import { APPLICATION_ID, migrate, VERSION, versionOf } from './layout.ts';
import { SECONDS_KEPT } from './recent.ts';

export const MINUTES_KEPT = 30 * 86400;

/** What lives from one moment to another and is told about: a finding, an alert. */
export interface Life {
  readonly kind: string;
  readonly id: string;
  /** Seconds since 1970. */
  readonly openedAt: number;
  readonly closedAt: number | null;
  /** JSON. */
  readonly document: string;
}

/** Lives that are read back, the open ones first. */
const LIVES_READ = 1500;

/**
 * Text is read as bytes, and columns are named here: the package ends the whole process where either is no UTF-8, as it may be in
 * a damaged file.
 */
const text = (bytes: unknown): string => (bytes instanceof Uint8Array ? Buffer.from(bytes).toString('utf8') : String(bytes));

/**
 * Makes a folder and those above it. Not by mkdirSync's `recursive`: where a file system takes no folders and says ENOENT, as /proc
 * does, Node 20 tries for ever.
 */
const makeFolder = (path: string): void => {
  if (existsSync(path)) return;
  const above = dirname(path);
  if (above !== path) makeFolder(above);
  mkdirSync(path, { mode: 0o700 });
};

/** The first 100 bytes of an SQLite file, as far as they say whose it is. Null: no file yet, or an empty one, or no SQLite. */
const readHeader = (path: string): { readonly version: number; readonly application: number } | null => {
  if (!existsSync(path)) return null;
  const header = Buffer.alloc(100);
  const fd = openSync(path, 'r');
  try {
    if (readSync(fd, header, 0, 100, 0) < 100 || header.toString('latin1', 0, 15) !== 'SQLite format 3') return null;
  } finally {
    closeSync(fd);
  }
  return { version: header.readUInt32BE(60), application: header.readUInt32BE(68) };
};

/** Moves a damaged file out of the way, with what belongs to it; the new name. */
export const setAside = (path: string, now: Date): string => {
  const stamp = now
    .toISOString()
    .replace(/\.\d+Z$/, 'Z')
    .replaceAll(':', '-');
  let name = `${path}.damaged-${stamp}`;
  for (let n = 2; existsSync(name); n++) name = `${path}.damaged-${stamp}-${n}`;
  renameSync(path, name);
  for (const part of ['-wal', '-shm']) if (existsSync(path + part)) renameSync(path + part, name + part);
  return name;
};

const marks = Array.from({ length: WIDTH + 2 }, () => '?').join(', ');
/** A number whatever a damaged file says it is. */
const real = (expression: string, name = expression): string => `CAST(${expression} AS REAL) AS ${name}`;
const whole = (expression: string, name: string): string => `CAST(${expression} AS INTEGER) AS ${name}`;
const numbers = COLUMNS.map((c) => real(c)).join(', ');
const aggregates = COLUMNS.map((c, i) =>
  i === 0 ? `max(${c}) AS ${c}` : i < OPEN_RATE ? c : i === FAILED ? `sum(${c}) AS ${c}` : `avg(${c}) AS ${c}`,
).join(', ');

export class Store {
  readonly path: string;
  rows: number;
  private readonly database: Database;
  private readonly statements = new Map<string, Statement>();
  private readonly ids = new Map<string, number>();
  private sweepAt = 0;

  private constructor(path: string, database: Database) {
    this.path = path;
    this.database = database;
    this.rows = Number(this.all('SELECT (SELECT count(*) FROM seconds) + (SELECT count(*) FROM minutes) AS a')[0]![0]);
    for (const [id, name] of this.all(`SELECT ${whole('id', 'a')}, CAST(name AS BLOB) AS b FROM spaces`))
      this.ids.set(text(name), Number(id));
  }

  /**
   * Opens or makes the file. Throws history_newer and history_foreign, which leave it untouched; history_busy; data_unwritable;
   * and what SQLite throws for a file that is damaged (isDamage) or a disk that is full.
   */
  static open(path: string, open: OpenDatabase): Store {
    try {
      makeFolder(dirname(path));
      const header = readHeader(path);
      if (header !== null && header.application !== APPLICATION_ID && header.application + header.version !== 0)
        throw new PlimsollError('history_foreign', { path });
      if (header !== null && header.version > VERSION) throw newer(path, header.version);
      closeSync(openSync(path, 'a', 0o600));
      // Also of a file that somebody copied here; SQLite gives its other files the same.
      chmodSync(path, 0o600);
    } catch (cause) {
      const reason = (cause as NodeJS.ErrnoException).code;
      if (cause instanceof PlimsollError || reason === 'ENOSPC' || reason === 'EDQUOT' || reason === 'EIO') throw cause;
      throw new PlimsollError('data_unwritable', { path: dirname(path), reason: reason ?? String(cause) }, { cause });
    }
    let database: Database | null = null;
    try {
      database = open(path);
      // One process writes, and no other file is shared with it: a second agent is refused instead of mixing with us.
      database.exec('PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL');
      const version = versionOf(database);
      if (version > VERSION) throw newer(path, version);
      const [check] = database.prepare('SELECT CAST(quick_check AS BLOB) AS a FROM pragma_quick_check(1)').raw().all();
      if (text(check?.[0]) !== 'ok') throw Object.assign(new Error(text(check?.[0])), { code: 'SQLITE_CORRUPT' });
      if (version < VERSION) {
        migrate(database);
        // Whose file it is stands in its first page, not in the log alone.
        database.exec('PRAGMA wal_checkpoint(TRUNCATE)');
      }
      return new Store(path, database);
    } catch (cause) {
      if (database !== null) letGo(database);
      if (sqliteCode(cause).startsWith('SQLITE_BUSY')) throw new PlimsollError('history_busy', { path }, { cause });
      throw cause;
    }
  }

  /** Writes all of it, or nothing. `replayed` minutes do not take the place of what is there. */
  write(seconds: readonly Row[], minutes: readonly Row[], lives: readonly Life[], replayed = false): void {
    this.transaction(() => {
      for (const row of seconds) this.insert('INSERT OR REPLACE INTO seconds', row, true);
      for (const row of minutes) this.insert(replayed ? 'INSERT OR IGNORE INTO minutes' : 'INSERT OR REPLACE INTO minutes', row, false);
      for (const l of lives)
        this.run(
          'INSERT OR REPLACE INTO lives VALUES (?, ?, ?, ?, ?)',
          l.kind,
          l.id,
          Math.floor(l.openedAt),
          l.closedAt === null ? null : Math.floor(l.closedAt),
          l.document,
        );
    });
  }

  /** One small step of forgetting what is too old; `now` is seconds since 1970. */
  sweep(now: number): void {
    const oldest = this.all(`SELECT ${whole('min(at)', 'a')} FROM seconds`)[0]![0];
    if (oldest !== null) {
      const before = Math.min(now - SECONDS_KEPT, Number(oldest) + 10);
      this.rows -= this.run('DELETE FROM seconds WHERE at < ?', before);
    }
    const names = [...this.ids];
    const next = names[this.sweepAt++ % Math.max(1, names.length)];
    if (next === undefined) return;
    const [name, id] = next;
    const [first] = this.all(`SELECT ${whole('min(at)', 'a')} FROM minutes WHERE space = ?`, id);
    const before = Math.min(now - MINUTES_KEPT, Number(first![0] ?? 0) + 86400);
    this.rows -= this.run('DELETE FROM minutes WHERE space = ? AND at < ?', id, before);
    const gone = first![0] === null && this.all('SELECT 1 AS a FROM seconds WHERE space = ? LIMIT 1', id).length === 0;
    if (gone) {
      this.run('DELETE FROM spaces WHERE id = ?', id);
      this.ids.delete(name);
    }
    this.run('DELETE FROM lives WHERE closed_at < ?', now - MINUTES_KEPT);
  }

  /** Every row by the second, moment by moment. */
  *moments(): Generator<readonly Row[]> {
    const names = new Map([...this.ids].map(([name, id]) => [id, name]));
    let moment: Row[] = [];
    for (const [at, space, ...values] of this.all(
      `SELECT ${whole('at', 'a')}, ${whole('space', 'b')}, ${numbers} FROM seconds ORDER BY 1`,
    )) {
      if (moment[0] !== undefined && moment[0].at !== at) {
        yield moment;
        moment = [];
      }
      const name = names.get(Number(space));
      if (name !== undefined)
        moment.push({ at: Number(at), space: name, values: values.map((v) => (v === null ? Number.NaN : Number(v))) });
    }
    if (moment.length > 0) yield moment;
  }

  /** Minutes of a space from `from` up to, not including, `to`, as one row for each `step` seconds. */
  minutes(space: string, from: number, to: number, step: number): readonly { readonly at: number; readonly values: readonly number[] }[] {
    const id = this.ids.get(space);
    if (id === undefined) return [];
    // SQLite takes the bare columns from the row that has the maximum.
    const inner = `SELECT ${whole('at', 'at')}, ${numbers} FROM minutes WHERE space = ? AND at >= ? AND at < ?`;
    const sql = `SELECT at / ${step} * ${step} AS slot, ${aggregates} FROM (${inner}) GROUP BY slot ORDER BY slot`;
    return this.all(sql, id, from, to).map(([at, ...values]) => ({
      at: Number(at),
      values: values.map((v) => (v === null ? Number.NaN : Number(v))),
    }));
  }

  /** The lives of a kind: all that are open, and the closed ones that ended last. */
  lives(kind: string): readonly Life[] {
    return this.all(
      `SELECT CAST(id AS BLOB) AS a, ${whole('opened_at', 'b')}, ${whole('closed_at', 'c')}, CAST(document AS BLOB) AS d FROM lives
       WHERE kind = ? ORDER BY closed_at IS NOT NULL, closed_at DESC LIMIT ?`,
      kind,
      LIVES_READ,
    ).map(([id, opened, closed, document]) => ({
      kind,
      id: text(id),
      openedAt: Number(opened),
      closedAt: closed === null ? null : Number(closed),
      document: text(document),
    }));
  }

  /** Bytes on disk. */
  get bytes(): number {
    return ['', '-wal'].reduce((sum, part) => sum + (statSync(this.path + part, { throwIfNoEntry: false })?.size ?? 0), 0);
  }

  close(): void {
    letGo(this.database);
  }

  private insert(into: string, { at, space, values }: Row, timeFirst: boolean): void {
    const id = this.idOf(space);
    const numbers = Array.from(values, (v) => (Number.isNaN(v) ? null : v));
    this.rows += this.run(`${into} VALUES (${marks})`, ...(timeFirst ? [at, id] : [id, at]), ...numbers);
  }

  private idOf(name: string): number {
    const known = this.ids.get(name);
    if (known !== undefined) return known;
    this.run('INSERT OR IGNORE INTO spaces (name) VALUES (?)', name);
    const id = Number(this.all(`SELECT ${whole('id', 'a')} FROM spaces WHERE name = ?`, name)[0]![0]);
    this.ids.set(name, id);
    return id;
  }

  private transaction(work: () => void): void {
    const rows = this.rows;
    const known = new Set(this.ids.keys());
    this.database.exec('BEGIN');
    try {
      work();
      this.database.exec('COMMIT');
    } catch (error) {
      this.rows = rows;
      for (const name of this.ids.keys()) if (!known.has(name)) this.ids.delete(name);
      try {
        if (this.database.inTransaction) this.database.exec('ROLLBACK');
      } catch {
        // A full disk may have rolled it back already.
      }
      throw error;
    }
  }

  private statement(sql: string): Statement {
    const known = this.statements.get(sql);
    if (known !== undefined) return known;
    const made = this.database.prepare(sql);
    // Steps of history queries make a few; a reader who asks for every step must not fill the memory.
    if (this.statements.size > 64) this.statements.clear();
    this.statements.set(sql, made);
    return made;
  }

  private run(sql: string, ...values: readonly unknown[]): number {
    return this.statement(sql).run(...values).changes;
  }

  private all(sql: string, ...values: readonly unknown[]): readonly unknown[][] {
    return this.statement(sql)
      .raw()
      .all(...values);
  }
}

/**
 * Closes a database as far as it can be. The package keeps the file open, and with it our lock, until its statements are collected
 * as garbage; leaving the log mode lets go of the lock at once, and leaves one file with everything in it.
 */
const letGo = (database: Database): void => {
  try {
    database.exec('PRAGMA journal_mode = DELETE; PRAGMA locking_mode = NORMAL; SELECT count(*) AS a FROM sqlite_master');
  } catch {
    // Damaged, or on a full disk: then the log stays, and the next start reads it.
  }
  try {
    database.close();
  } catch {
    // It was not open.
  }
};

const newer = (path: string, found: number): PlimsollError => new PlimsollError('history_newer', { path, found, known: VERSION });
