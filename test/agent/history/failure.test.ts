/** History when things go wrong: kill -9, a full disk, a damaged file, an old or newer one, no rights. */
import { type ChildProcess, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { build } from 'esbuild';
import fc from 'fast-check';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { loadDatabase, type OpenDatabase } from '../../../src/agent/history/database.ts';
import { type History, openHistory } from '../../../src/agent/history/history.ts';
import { APPLICATION_ID, MIGRATIONS, VERSION } from '../../../src/agent/history/layout.ts';
import type { HistoryDocument } from '../../../src/wire/api.ts';
import { kernelTest } from '../../support/netns.ts';
import { until } from '../../support/poll.ts';
import { idOf, observation } from '../support/observation.ts';
import type { Command } from './writer.ts';

const root = new URL('../../..', import.meta.url).pathname;
const writer = join(root, 'build', `history-writer-${process.pid}.mjs`);
const folders: string[] = [];
const children = new Set<ChildProcess>();
const histories: History[] = [];
let database: OpenDatabase;

beforeAll(async () => {
  // In build/, so that packages resolve; run by plain Node, so that it can be killed like a real one.
  await build({
    entryPoints: [join(root, 'test/agent/history/writer.ts')],
    outfile: writer,
    bundle: true,
    platform: 'node',
    format: 'esm',
    target: 'node20.19',
    packages: 'external',
    logLevel: 'warning',
  });
  const loaded = await loadDatabase();
  if (loaded.status !== 'ok') throw new Error(loaded.hint);
  database = loaded.value;
});
afterEach(() => {
  for (const child of children) child.kill('SIGKILL');
  for (const history of histories.splice(0)) history.close();
});
afterAll(() => {
  rmSync(writer, { force: true });
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
});

const folder = (): string => {
  const made = mkdtempSync(join(tmpdir(), 'plimsoll-history-'));
  folders.push(made);
  return made;
};

const start = (...before: readonly string[]) => {
  const [program, ...args] = [...before, process.execPath, writer];
  const child = spawn(program!, args, { stdio: ['pipe', 'pipe', 'inherit'] });
  children.add(child);
  const lines: Record<string, unknown>[] = [];
  createInterface({ input: child.stdout }).on('line', (line) => lines.push(JSON.parse(line)));
  let answered = 0;
  return {
    child,
    lines,
    ask: async (command: Command): Promise<Record<string, unknown>> => {
      child.stdin.write(`${JSON.stringify(command)}\n`);
      const answers = () => lines.filter((l) => !('kept' in l));
      const wanted = ++answered;
      await until('an answer', () => answers().length >= wanted || child.exitCode !== null);
      const line = answers()[wanted - 1];
      if (line === undefined || 'crash' in line) throw new Error(`the writer crashed: ${JSON.stringify(line)}`);
      return ('answer' in line ? line['answer'] : line) as Record<string, unknown>;
    },
  };
};

const opened = async (path: string, said: string[] = [], now: () => number = Date.now): Promise<History> => {
  const history = await openHistory(path, { say: (m) => said.push(m), now, retryEvery: 0 });
  histories.push(history);
  return history;
};

const NOW = 1_800_000_000;
const used = (series: HistoryDocument): (number | null)[] => series.columns.used;

/** A folder with a history of two minutes, properly closed. */
const filled = async (): Promise<string> => {
  const path = folder();
  let now = NOW;
  const history = await opened(path, [], () => now * 1000);
  for (let s = 0; s < 150; s++) {
    now = NOW + s;
    history.append(observation(now, [{ port: 1, used: s }]));
  }
  history.keep({ kind: 'finding', id: 'f1', openedAt: NOW, closedAt: null, document: '{"id":"f1"}' });
  history.close();
  return path;
};

describe('history after kill -9', () => {
  test('has lost less than five seconds', async () => {
    const path = folder();
    const { child, lines, ask } = start();
    await ask({ do: 'open', folder: path });
    await ask({ do: 'go on' });
    await until('half a hundred looks', () => lines.length > 50);
    child.kill('SIGKILL');
    await once(child, 'close');
    const last = lines.findLast((l) => 'kept' in l)!['kept'] as number;
    const history = await opened(path);
    const series = history.series({ space: idOf(1), from: last - 10, to: last, step: 1 });
    const kept = series.at.filter((_, i) => used(series)[i] !== null);
    expect(kept.at(-1)).toBeGreaterThanOrEqual(last - 5);
    // In fact nothing that it said it had kept.
    expect(kept).toContain(last);
    expect(used(series)[series.at.indexOf(last)]).toBe(last % 1000);
  });
});

describe('history on a full disk', () => {
  kernelTest(
    'goes on without crashing, says so once, keeps what it can in memory, and writes again when there is room',
    async () => {
      const path = folder();
      // The file system is in a mount namespace of the writer: it is gone with it.
      const { child, ask } = start('unshare', '--mount', '--propagation', 'private');
      await ask({ do: 'open', folder: path, tmpfs: '2m' });
      expect(await ask({ do: 'append', from: NOW, to: NOW + 30, spaces: 10 })).toMatchObject({ trouble: null });
      await ask({ do: 'fill' });
      expect(await ask({ do: 'append', from: NOW + 31, to: NOW + 90, spaces: 10 })).toMatchObject({ trouble: 'the disk is full' });
      const during = (await ask({ do: 'series', from: NOW, to: NOW + 90, now: NOW + 90 })) as unknown as HistoryDocument;
      expect(used(during).filter((v) => v !== null)).toHaveLength(91);
      await ask({ do: 'free' });
      expect(await ask({ do: 'append', from: NOW + 91, to: NOW + 95, spaces: 10 })).toMatchObject({ trouble: null });
      const { said, rows } = (await ask({ do: 'status' })) as { said: string[]; rows: number };
      expect(said).toHaveLength(2);
      expect(said[0]).toMatch(
        /^history is not written to .+history\.db: the disk is full \(SQLITE_FULL\)\. The last hour is kept in memory and everything else goes on; it is tried again every 0 s\.$/,
      );
      expect(said[1]).toMatch(/^history is written to .+history\.db again$/);
      // What waited was written: every moment is there, and the minute that ended meanwhile.
      expect(rows).toBeGreaterThanOrEqual(96 * 10 + 10);
      child.kill('SIGTERM');
      await once(child, 'close');
    },
    60_000,
  );

  kernelTest(
    'that is full from the start keeps history in memory and begins the file when there is room',
    async () => {
      const path = folder();
      const { ask } = start(
        'unshare',
        '--mount',
        '--propagation',
        'private',
        'sh',
        '-c',
        'mount -t tmpfs -o size=64k tmpfs "$0" && head -c 65536 /dev/zero > "$0/filler-x"; exec "$@"',
        path,
      );
      expect(await ask({ do: 'open', folder: path })).toMatchObject({ trouble: 'the disk is full' });
      expect(await ask({ do: 'append', from: NOW, to: NOW + 5, spaces: 1 })).toMatchObject({ trouble: 'the disk is full' });
      await ask({ do: 'free' });
      expect(await ask({ do: 'append', from: NOW + 6, to: NOW + 6, spaces: 1 })).toMatchObject({ trouble: null });
    },
    60_000,
  );
});

describe('a damaged history file', () => {
  const damage: Readonly<Record<string, (file: string) => void>> = {
    'that is no database': (file) => writeFileSync(file, 'this was a database once '.repeat(500)),
    'that is cut in the middle': (file) => truncateSync(file, Math.floor(statSync(file).size / 2 / 4096) * 4096 + 100),
    'with pages overwritten': (file) => {
      const bytes = readFileSync(file);
      bytes.fill(0xa5, 4096, Math.min(bytes.length, 5 * 4096));
      writeFileSync(file, bytes);
    },
  };
  for (const [what, hurt] of Object.entries(damage)) {
    test(`${what} is set aside, told, and a new one is begun`, async () => {
      const path = await filled();
      const file = join(path, 'history.db');
      hurt(file);
      const before = readFileSync(file);
      const said: string[] = [];
      const history = await opened(path, said);
      const aside = readdirSync(path).filter((f) => /^history\.db\.damaged-[\dTZ-]+$/.test(f));
      expect(aside).toHaveLength(1);
      // SQLite counts how often it was opened in the first 100 bytes.
      expect(readFileSync(join(path, aside[0]!)).subarray(100)).toEqual(before.subarray(100));
      expect(said).toHaveLength(1);
      expect(said[0]).toMatch(/^the history .+history\.db is damaged \(.+\): it was moved to .+damaged-.+, and a new one is begun$/);
      const now = Math.floor(Date.now() / 1000);
      history.append(observation(now, [{ port: 1, used: 7 }]));
      expect(history.status().trouble).toBeNull();
      history.close();
      const again = await opened(path, said);
      expect(said).toHaveLength(1);
      expect(used(again.series({ space: idOf(1), from: now, to: now, step: 1 }))[0]).toBe(7);
    });
  }

  test('whatever bytes are wrong: it opens, set aside or not, or says whose it is; it never throws anything else', async () => {
    const path = await filled();
    const whole = readFileSync(join(path, 'history.db'));
    const change = fc.tuple(fc.nat({ max: whole.length - 1 }), fc.integer({ min: 0, max: 255 }));
    await fc.assert(
      fc.asyncProperty(fc.array(change, { minLength: 1, maxLength: 40 }), async (changes) => {
        const hurt = Buffer.from(whole);
        for (const [at, value] of changes) hurt[at] = value;
        const here = folder();
        writeFileSync(join(here, 'history.db'), hurt);
        try {
          const history = await openHistory(here, { say: () => {}, retryEvery: 0 });
          history.append(observation(Date.now() / 1000, [{ port: 1, used: 1 }]));
          history.series({ space: idOf(1), from: NOW - 100, to: NOW + 100, step: 60 });
          history.close();
        } catch (error) {
          expect((error as { code?: string }).code).toMatch(/^history_(newer|foreign)$/);
        }
        rmSync(here, { recursive: true });
      }),
      { numRuns: 60 },
    );
  });
});

describe('the version of the file', () => {
  test('an older one is brought up to date with what is in it', async () => {
    const path = folder();
    const file = join(path, 'history.db');
    const old = database(file);
    old.exec(`${MIGRATIONS[0]}; PRAGMA user_version = 1; PRAGMA application_id = ${APPLICATION_ID}`);
    old.exec(`INSERT INTO spaces VALUES (1, '${idOf(1)}')`);
    const at = Math.floor(Date.now() / 60_000) * 60 - 7200;
    old.exec(`INSERT INTO minutes VALUES (1, ${at}, 42, 28232, 2, 40, 0, 1, 1, 0)`);
    old.close();
    const history = await opened(path);
    expect(used(history.series({ space: idOf(1), from: at, to: at + 59, step: 60 }))).toEqual([42]);
    history.keep({ kind: 'finding', id: 'x', openedAt: 1, closedAt: null, document: '{}' });
    history.flush();
    expect(history.lives('finding')).toHaveLength(1);
    history.close();
    expect(readFileSync(file).readUInt32BE(60)).toBe(VERSION);
  });

  for (const [what, version, application, code] of [
    ['a newer one', VERSION + 1, APPLICATION_ID, 'history_newer'],
    ['another program’s database', 7, 0x12345678, 'history_foreign'],
  ] as const) {
    test(`${what} is refused and left as it is`, async () => {
      const path = folder();
      const file = join(path, 'history.db');
      const other = database(file);
      other.exec(
        `CREATE TABLE theirs (x); INSERT INTO theirs VALUES (1); PRAGMA user_version = ${version}; PRAGMA application_id = ${application}`,
      );
      other.close();
      const hash = (): string => createHash('sha256').update(readFileSync(file)).digest('hex');
      const before = hash();
      await expect(opened(path)).rejects.toMatchObject({ code });
      expect(hash()).toBe(before);
      expect(readdirSync(path)).toEqual(['history.db']);
    });
  }
});

describe('the folder of the history', () => {
  test('is made if need be, and its files are for its owner alone, also one that was not', async () => {
    const path = join(folder(), 'a', 'b');
    const history = await opened(path);
    history.append(observation(Date.now() / 1000, [{ port: 1, used: 1 }]));
    const modes = (): string[] => readdirSync(path).map((f) => (statSync(join(path, f)).mode & 0o777).toString(8));
    expect(modes()).toEqual(modes().map(() => '600'));
    expect(statSync(path).mode & 0o777).toBe(0o700);
    history.close();
    chmodSync(join(path, 'history.db'), 0o644);
    await opened(path);
    expect(modes()).toEqual(modes().map(() => '600'));
  });

  test('that cannot be one is a catalogued error', async () => {
    const file = join(folder(), 'file');
    writeFileSync(file, '');
    await expect(opened(join(file, 'data'))).rejects.toMatchObject({ code: 'data_unwritable', exit: 77 });
    await expect(opened('/proc/nowhere/data')).rejects.toMatchObject({ code: 'data_unwritable', exit: 77 });
  });

  kernelTest('that this user may not write to is a catalogued error', async () => {
    const path = join(folder(), 'roots');
    mkdirSync(path, { mode: 0o755 });
    chmodSync(join(path, '..'), 0o755);
    const { ask } = start('setpriv', '--reuid', '65534', '--regid', '65534', '--clear-groups');
    expect(await ask({ do: 'open', folder: path })).toMatchObject({ code: 'data_unwritable', message: expect.stringContaining('EACCES') });
    expect(existsSync(join(path, 'history.db'))).toBe(false);
  });

  test('is one agent’s alone', async () => {
    const path = folder();
    await opened(path);
    await expect(opened(path)).rejects.toMatchObject({ code: 'history_busy', exit: 69 });
  });

  test('is not used without the optional package, and that is said', async () => {
    const path = join(folder(), 'data');
    const said: string[] = [];
    const history = await openHistory(path, {
      say: (m) => said.push(m),
      load: async () => ({ status: 'absent', hint: 'the optional package libsql does not load here' }),
    });
    const now = Math.floor(Date.now() / 1000);
    history.append(observation(now, [{ port: 1, used: 5 }]));
    expect(used(history.series({ space: idOf(1), from: now, to: now, step: 1 }))[0]).toBe(5);
    expect(said).toEqual([`history: the optional package libsql does not load here; ${path} is not used`]);
    expect(existsSync(path)).toBe(false);
    expect(history.status().path).toBeNull();
  });
});
