/**
 * A process that keeps history, for the tests that need one to kill, to starve of disk or to run as another user. Commands on
 * standard input, one line of JSON each; answers on standard output.
 */
import { execFileSync } from 'node:child_process';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { type History, openHistory } from '../../../src/agent/history/history.ts';
import { PlimsollError } from '../../../src/core/errors.ts';
import { idOf, observation } from '../support/observation.ts';

export type Command =
  | { readonly do: 'open'; readonly folder: string; readonly tmpfs?: string; readonly retryEvery?: number }
  /** Appends a row of each of `spaces` spaces, at each second of `from` to `to`. */
  | { readonly do: 'append'; readonly from: number; readonly to: number; readonly spaces: number }
  /** Appends now and every 50 ms, writing the second of each after it was kept. */
  | { readonly do: 'go on' }
  | { readonly do: 'fill' | 'free' }
  | { readonly do: 'series'; readonly from: number; readonly to: number; readonly now: number }
  | { readonly do: 'status' };

let history: History | null = null;
let folder = '';
let now = Date.now();
const said: string[] = [];

const run = async (c: Command): Promise<unknown> => {
  switch (c.do) {
    case 'open':
      folder = c.folder;
      if (c.tmpfs !== undefined) {
        mkdirSync(folder, { recursive: true });
        execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${c.tmpfs}`, 'tmpfs', folder]);
      }
      history = await openHistory(folder, { say: (m) => said.push(m), now: () => now, retryEvery: c.retryEvery ?? 0 });
      return history.status();
    case 'append':
      for (let s = c.from; s <= c.to; s++) {
        now = s * 1000;
        history!.append(
          observation(
            s,
            Array.from({ length: c.spaces }, (_, i) => ({ port: i + 1, used: (s % 1000) + i })),
          ),
        );
      }
      return history!.status();
    case 'go on':
      setInterval(() => {
        now = Date.now();
        history!.append(observation(now / 1000, [{ port: 1, used: Math.floor(now / 1000) % 1000 }]));
        console.log(JSON.stringify({ kept: Math.floor(now / 1000) }));
      }, 50);
      return null;
    case 'fill':
      // To the last block, so that not even a page fits.
      for (let size = 1 << 20, n = 0; size >= 1; n++) {
        try {
          writeFileSync(join(folder, `filler-${n}`), Buffer.alloc(size));
        } catch {
          size = Math.floor(size / 2);
        }
      }
      return null;
    case 'free':
      execFileSync('sh', ['-c', 'rm -f "$0"/filler-*', folder]);
      rmSync(join(folder, 'filler'), { force: true });
      return null;
    case 'series':
      now = c.now * 1000;
      return history!.series({ space: idOf(1), from: c.from, to: c.to, step: 1 });
    case 'status':
      return { ...history!.status(), said };
  }
};

for await (const line of createInterface({ input: process.stdin })) {
  try {
    console.log(JSON.stringify({ answer: await run(JSON.parse(line) as Command) }));
  } catch (error) {
    console.log(
      JSON.stringify(
        error instanceof PlimsollError ? { code: error.code, message: error.message } : { crash: String((error as Error).stack) },
      ),
    );
  }
}
