/** tcpdump in a namespace, and what `plimsoll explain` makes of what it wrote. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll } from 'vitest';
import { Analysis } from '../../src/capture/analysis.ts';
import type { CaptureResult } from '../../src/capture/explain/result.ts';
import { parseFilter } from '../../src/capture/filter.ts';
import { CaptureStream } from '../../src/capture/format/stream.ts';
import type { Namespace } from './netns.ts';
import { until } from './poll.ts';

const folder = mkdtempSync(join(tmpdir(), 'plimsoll-capture-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
let counter = 0;

/** `tcpdump: 12 packets captured, 12 packets received by filter, 0 packets dropped by kernel`. */
const stand = /(\d+) packets? captured, (\d+) packets? received by filter, (\d+) packets? dropped by kernel/g;

/** A path for a file that is gone when the test file ends. */
export const scratch = (name: string): string => join(folder, name);

export interface Capture {
  readonly path: string;
  /** Waits until everything that happened is in the file, and ends tcpdump. */
  stop(): Promise<string>;
}

/** Captures TCP on `device` of `ns` from now on. */
export const capture = async (ns: Namespace, device = 'eth0', filter = 'tcp'): Promise<Capture> => {
  const path = scratch(`${counter++}.pcap`);
  const child = ns.spawn('tcpdump', ['-i', device, '-Z', 'root', '-s', '160', '-B', '65536', '--immediate-mode', '-U', '-w', path, filter]);
  let said = '';
  child.stderr!.on('data', (chunk: Buffer) => {
    said += chunk.toString();
  });
  await until(`tcpdump to listen (${said})`, () => said.includes('listening on'));
  return {
    path,
    stop: async () => {
      // Asked by SIGUSR1, tcpdump says how many packets the kernel has for it and how many of them it has written.
      await until(
        'the capture to be whole',
        () => {
          const [, written, received, lost] = [...said.matchAll(stand)].at(-1)?.map(Number) ?? [];
          if (written !== undefined && written + lost! >= received!) return true;
          child.kill('SIGUSR1');
          return false;
        },
        30_000,
      );
      const gone = new Promise((done) => child.once('exit', done));
      child.kill('SIGINT');
      await gone;
      const lost = Number(/(\d+) packets? dropped by kernel/.exec(said)?.[1] ?? 0);
      if (lost > 0) throw new Error(`tcpdump lost ${lost} packets: this machine is too busy for the test`);
      return path;
    },
  };
};

/** Explains whole files held in memory, fed in pieces of `piece` bytes; `whenRead` is called while all that is remembered still is. */
export const explainBytes = (
  files: readonly Uint8Array[],
  options: { readonly filter?: string; readonly keep?: number; readonly piece?: number; readonly whenRead?: () => void } = {},
): CaptureResult => {
  const streams = files.map((_, i) => new CaptureStream(`file ${i}`));
  const at = files.map(() => 0);
  const analysis = new Analysis(streams, {
    filter: options.filter === undefined ? null : parseFilter(options.filter),
    keep: options.keep ?? 10,
    size: files.reduce((sum, f) => sum + f.length, 0),
    seed: 42,
  });
  for (let f = analysis.advance(); f >= 0; f = analysis.advance()) {
    const stream = streams[f]!;
    const room = stream.room();
    const piece = files[f]!.subarray(at[f]!, at[f]! + Math.min(room.length, options.piece ?? room.length));
    if (piece.length === 0) stream.finish();
    room.set(piece);
    stream.wrote(piece.length);
    at[f]! += piece.length;
  }
  options.whenRead?.();
  return analysis.finish();
};

export const explainFiles = (...paths: readonly string[]): CaptureResult => explainBytes(paths.map((p) => readFileSync(p)));
