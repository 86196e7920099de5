/**
 * What was seen of the port spaces before: the last hour by the second in memory, and in a file (if there is one) the same for
 * the next start and 30 days by the minute.
 *
 *   append ──▶ Recent (memory) ──▶ pending ──▶ Store (file)
 *
 * The file may fail and come back at any time. Until then what should be in it waits, up to a bound, and everything else goes on.
 */
import { join } from 'node:path';
import { PlimsollError } from '../../core/errors.ts';
import type { PastUse } from '../../core/trend.ts';
import type { HistoryDocument } from '../../wire/api.ts';
import type { Observation } from '../sampling/observer.ts';
import type { HistoryQuery, HistoryStatus } from '../view.ts';
import { Bucket } from './bucket.ts';
import { COLUMNS, type Row, rowsOf } from './columns.ts';
import { isDamage, loadDatabase, type OpenDatabase, sqliteCode } from './database.ts';
import { Recent, SECONDS_KEPT } from './recent.ts';
import { type Life, Store, setAside } from './store.ts';

export interface HistoryOptions {
  /** Tells whoever runs the agent, once for each change. */
  readonly say: (message: string) => void;
  /** Milliseconds since 1970. */
  readonly now?: () => number;
  /** Port spaces kept each by itself; the others are kept as one. */
  readonly top?: number;
  /** Milliseconds between two tries to write where writing failed. */
  readonly retryEvery?: number;
  readonly load?: typeof loadDatabase;
}

const TOP = 32;
const RETRY_EVERY = 5000;
/** Moments, minutes and lives that wait for a file that cannot be written: beyond it the oldest are lost, and counted. */
const MOST_WAITING = { seconds: 600, minutes: 4000, lives: 2000 } as const;
/** Files set aside in one run; a disk that damages them again and again must not be filled with them. */
const MOST_DAMAGED = 3;
/** Entries of a series at most, and about as many as are given when no step is asked for. */
const MOST_ENTRIES = 4000;
const USUAL_ENTRIES = 600;
const STEPS = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 21600, 86400];

const explain = (error: unknown): string => {
  const code = sqliteCode(error) || ((error as NodeJS.ErrnoException).code ?? '');
  if (/FULL|ENOSPC|EDQUOT/.test(code)) return 'the disk is full';
  if (/IOERR|EIO/.test(code)) return 'the disk reports errors';
  if (/READONLY|EROFS/.test(code)) return 'the file system is read-only';
  return (error as Error).message;
};

/** Opens the history in `folder` (made if need be); null: in memory. Throws data_unwritable, history_newer, history_foreign, history_busy. */
export const openHistory = async (folder: string | null, options: HistoryOptions): Promise<History> => {
  if (folder === null) return new History(null, null, options);
  const database = await (options.load ?? loadDatabase)();
  if (database.status !== 'ok') options.say(`history: ${database.hint}; ${folder} is not used`);
  return new History(join(folder, 'history.db'), database.status === 'ok' ? database.value : null, options);
};

export class History {
  private readonly path: string | null;
  private readonly open: OpenDatabase | null;
  private readonly options: HistoryOptions;
  private readonly recent = new Recent();
  private store: Store | null = null;
  private trouble: string | null = null;
  private retryAt = 0;
  private started = false;
  private damaged = 0;
  private lost = 0;
  private lastAt: number | null = null;
  private spacing = 1;
  private seconds: (readonly Row[])[] = [];
  private minutes: Row[] = [];
  private readonly waiting = new Map<string, Life>();

  constructor(path: string | null, open: OpenDatabase | null, options: HistoryOptions) {
    this.path = open === null ? null : path;
    this.open = open;
    this.options = options;
    if (this.path !== null) {
      this.attempt(() => this.reopen());
      this.replay();
    }
    this.started = true;
  }

  /** Keeps what was seen. */
  append(seen: Pick<Observation, 'takenAt' | 'measured' | 'failedSearches'>): void {
    const rows = rowsOf(seen, this.options.top ?? TOP);
    const at = Math.floor(seen.takenAt / 1000);
    if (this.lastAt !== null && at > this.lastAt) this.spacing = Math.min(60, at - this.lastAt);
    this.lastAt = at;
    const over = this.recent.append(rows);
    if (this.path === null) return;
    this.seconds.push(rows);
    this.minutes.push(...over);
    this.flush();
  }

  /** Keeps the life of a finding or an alert as it is now. */
  keep(life: Life): void {
    if (this.path === null) return;
    const key = `${life.kind} ${life.id}`;
    this.waiting.delete(key);
    this.waiting.set(key, life);
  }

  /** The lives that an earlier run kept of `kind`. */
  lives(kind: string): readonly Life[] {
    return this.reading((store) => store.lives(kind)) ?? [];
  }

  /**
   * A stretch of one port space's past. In each entry the space is as it was when it was fullest, the rates are means and the
   * failures a sum. What is asked for too finely comes as finely as it is kept.
   */
  series({ space, from, to, step }: HistoryQuery): HistoryDocument {
    const now = this.now() / 1000;
    const end = Math.min(Math.floor(to) + 1, Math.ceil(now) + 1);
    const start = Math.min(Math.floor(from), end);
    const wanted = step ?? STEPS.find((s) => s >= (end - start) / USUAL_ENTRIES && s >= this.spacing) ?? 86400;
    const bySecond = start >= now - SECONDS_KEPT - 60 && wanted < 60;
    const least = Math.max(wanted, (end - start) / MOST_ENTRIES);
    const each = bySecond ? Math.max(1, Math.ceil(least)) : Math.max(60, Math.ceil(least / 60) * 60);
    const first = Math.floor(start / each) * each;
    const buckets = Array.from({ length: Math.max(0, Math.ceil((end - first) / each)) }, () => new Bucket());
    const add = (at: number, values: ArrayLike<number>, offset = 0): void => buckets[Math.floor((at - first) / each)]?.add(values, offset);
    if (bySecond) this.recent.seconds(space, first, end, add);
    else {
      // What is not in the file yet is in memory.
      const written = this.store === null ? Number.NEGATIVE_INFINITY : (this.minutes[0]?.at ?? Math.floor((this.lastAt ?? now) / 60) * 60);
      for (const { at, values } of this.reading((store) => store.minutes(space, first, Math.min(end, written), each)) ?? [])
        add(at, values);
      this.recent.minutes(space, Math.max(first, written), end, add);
    }
    const column = (c: number): (number | null)[] =>
      buckets.map((b) => {
        const value = b.rows === 0 ? Number.NaN : b.value(c);
        return Number.isNaN(value) ? null : Number(value.toPrecision(6));
      });
    return {
      space,
      step: each,
      at: buckets.map((_, i) => first + i * each),
      columns: Object.fromEntries(COLUMNS.map((name, c) => [name, column(c)])) as HistoryDocument['columns'],
    };
  }

  /** How many live connections a space had, on the clock of `performance.now()` in seconds, for the trend of a new run. */
  remembered(space: string): readonly PastUse[] {
    const offset = (this.now() - performance.now()) / 1000;
    const now = this.now() / 1000;
    const [used, established, other] = (['used', 'established', 'other'] as const).map((name) => COLUMNS.indexOf(name)) as [
      number,
      number,
      number,
    ];
    const past: PastUse[] = [];
    const add = (at: number, values: ArrayLike<number>, shift = 0): void => {
      if (!Number.isNaN(values[shift + used]!)) past.push({ at: at - offset, live: values[shift + established]! + values[shift + other]! });
    };
    for (const { at, values } of this.reading((store) => store.minutes(space, now - 6 * 3600, now - SECONDS_KEPT, 60)) ?? [])
      add(at, values);
    this.recent.seconds(space, now - SECONDS_KEPT, now, add);
    return past;
  }

  status(): HistoryStatus {
    return {
      path: this.path,
      trouble: this.trouble,
      rows: this.store?.rows ?? this.recent.rows,
      bytes: this.store?.bytes ?? 0,
    };
  }

  /** Writes what waits and closes the file. */
  close(): void {
    this.retryAt = 0;
    if (this.path !== null) this.flush();
    try {
      this.store?.close();
    } catch {
      // What was written is written.
    }
    this.store = null;
  }

  /** Writes what waits, unless it is too early to try again. */
  flush(): void {
    if (this.path !== null && this.now() >= this.retryAt)
      this.attempt(() => {
        const store = this.store ?? this.reopen();
        store.write(this.seconds.flat(), this.minutes, [...this.waiting.values()]);
        this.seconds = [];
        this.minutes = [];
        this.waiting.clear();
        this.recovered();
        store.sweep(Math.floor(this.now() / 1000));
      });
    this.bound();
  }

  private recovered(): void {
    if (this.trouble === null) return;
    this.options.say(`history is written to ${this.path} again${this.lost > 0 ? `; ${this.lost} moments of the outage are lost` : ''}`);
    this.trouble = null;
    this.lost = 0;
  }

  private bound(): void {
    const tooMany = this.seconds.length - MOST_WAITING.seconds;
    if (tooMany > 0) {
      this.seconds.splice(0, tooMany);
      this.lost += tooMany;
    }
    this.minutes.splice(0, Math.max(0, this.minutes.length - MOST_WAITING.minutes));
    for (const key of this.waiting.keys()) {
      if (this.waiting.size <= MOST_WAITING.lives) break;
      this.waiting.delete(key);
    }
  }

  /** Does something to the file; what goes wrong is told and tried again later, but for what the user must mend before we start. */
  private attempt(work: () => void): void {
    try {
      work();
    } catch (error) {
      if (error instanceof PlimsollError && !this.started) throw error;
      if (isDamage(error) && this.damaged < MOST_DAMAGED) this.replace(error);
      else this.failed(error);
    }
  }

  private failed(error: unknown): void {
    const every = this.options.retryEvery ?? RETRY_EVERY;
    this.retryAt = this.now() + every;
    const reason = explain(error);
    if (this.trouble !== reason) {
      this.options.say(
        `history is not written to ${this.path}: ${reason} (${sqliteCode(error) || ((error as NodeJS.ErrnoException).code ?? 'error')}). The last hour is kept in memory and everything else goes on; it is tried again every ${every / 1000} s.`,
      );
    }
    this.trouble = reason;
  }

  /** A damaged file makes way for a new one, into which goes what memory still has. */
  private replace(cause: unknown): void {
    this.damaged++;
    try {
      this.store?.close();
    } catch {
      // Damaged as it is.
    }
    this.store = null;
    try {
      const aside = setAside(this.path!, new Date(this.now()));
      this.options.say(
        `the history ${this.path} is damaged (${(cause as Error).message.replace(/\s+/g, ' ')}): it was moved to ${aside}, and a new one is begun`,
      );
      this.store = Store.open(this.path!, this.open!);
    } catch (error) {
      this.failed(error);
    }
  }

  private reopen(): Store {
    this.store = Store.open(this.path!, this.open!);
    return this.store;
  }

  /** Takes the last hour of an earlier run into memory, and writes the minutes that ended unwritten. */
  private replay(): void {
    this.attempt(() => {
      if (this.store === null) return;
      const over: Row[] = [];
      for (const moment of this.store.moments()) {
        over.push(...this.recent.append(moment));
        this.lastAt = moment[0]!.at;
      }
      this.store.write([], over, [], true);
    });
  }

  private reading<T>(read: (store: Store) => T): T | null {
    let value: T | null = null;
    if (this.store !== null)
      this.attempt(() => {
        value = read(this.store!);
      });
    return value;
  }

  private now(): number {
    return (this.options.now ?? Date.now)();
  }
}
