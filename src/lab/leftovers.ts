/** What dead runs left behind (kill -9, a crash, --keep): found by name, removed with the processes still inside. */
import { execFile } from 'node:child_process';
import { readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { isAlive, runOf } from './run-identity.ts';

const run = promisify(execFile);
const NETNS = '/run/netns';

export interface Leftovers {
  readonly namespaces: readonly string[];
  readonly folders: readonly string[];
}

const namesIn = (folder: string): readonly string[] => {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
};

/** What runs that are over left behind; what was kept on purpose only `withKept`. */
export const findLeftovers = (withKept: boolean): Leftovers => {
  const dead = (name: string): boolean => {
    const maker = runOf(name);
    return maker !== null && (withKept || !maker.kept) && !isAlive(maker);
  };
  return {
    namespaces: namesIn(NETNS).filter(dead),
    folders: namesIn(tmpdir())
      .filter(dead)
      .map((name) => join(tmpdir(), name)),
  };
};

/** Ends every process inside namespace `name`. */
export const endProcessesIn = async (name: string): Promise<void> => {
  const { stdout } = await run('ip', ['netns', 'pids', name]);
  for (const pid of stdout.split('\n').filter((line) => line !== '')) {
    try {
      process.kill(Number(pid), 'SIGKILL');
    } catch {
      // It ended meanwhile.
    }
  }
};

/** Removes one namespace and what runs in it. One that is gone already is no error. */
export const removeNamespace = async (name: string): Promise<void> => {
  try {
    await endProcessesIn(name);
    await run('ip', ['netns', 'delete', name]);
  } catch (error) {
    if (namesIn(NETNS).includes(name)) throw error;
  }
};

export const removeLeftovers = async (found: Leftovers): Promise<void> => {
  await Promise.all(found.namespaces.map(removeNamespace));
  for (const folder of found.folders) rmSync(folder, { recursive: true, force: true });
};
