/** Before and after a whole run: namespaces and folders whose maker is gone (killed, crashed, Ctrl-C) are removed. */
import { readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { sweepNamespaces } from './namespace.ts';

/** Whether process `pid` is over, or one of ours: at the end of a run its workers linger with nothing to do. */
const finished = (pid: string): boolean => {
  try {
    return (
      readFileSync(`/proc/${pid}/stat`, 'utf8')
        .replace(/^.*\) . /s, '')
        .split(' ')[0] === String(process.pid)
    );
  } catch {
    return true;
  }
};

const sweep = (): void => {
  sweepNamespaces();
  for (const name of readdirSync(tmpdir())) {
    const maker = /^plimsoll-stories-(\d+)-/.exec(name)?.[1];
    if (maker !== undefined && finished(maker)) rmSync(join(tmpdir(), name), { recursive: true, force: true });
  }
};

export const setup = sweep;
export const teardown = sweep;
