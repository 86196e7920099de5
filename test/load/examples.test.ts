/** What examples/load shows is run as shown. */
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect } from 'vitest';
import { kernelTest, type Namespace, namespace } from '../support/netns.ts';
import { program, serveHttp } from './support.ts';

const examples = fileURLToPath(new URL('../../examples/load/', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'plimsoll-load-examples-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
symlinkSync(program, join(folder, 'plimsoll'));

/** Runs a script in `ns` with this plimsoll in its path; what it printed, and its exit status. */
const script = (ns: Namespace, name: string, ...args: string[]): Promise<{ readonly status: number | null; readonly out: string }> =>
  new Promise((resolve) => {
    const env = { ...process.env, PATH: `${folder}:${process.env['PATH']}`, DURATION: '1s' };
    const child = ns.spawn('sh', ['-c', 'cd "$0" && exec sh "$@"', folder, join(examples, name), ...args], env);
    const out: string[] = [];
    child.stdout!.on('data', (b: Buffer) => out.push(b.toString()));
    child.once('close', (status) => resolve({ status, out: out.join('') }));
  });

const hasJq = spawnSync('jq', ['--version']).status === 0;

describe.skipIf(!hasJq)('examples/load', () => {
  kernelTest('the gate opens for a rate that holds, and says why it does not', async () => {
    const ns = namespace({ addresses: ['10.66.0.1'], range: [40000, 40029] });
    serveHttp(ns, '10.66.0.1', 80, (_q, a) => a.end('hello'));
    serveHttp(ns, '10.66.0.1', 81, (_q, a) => {
      a.statusCode = 503;
      a.end();
    });
    const open = await script(ns, 'gate.sh', 'http://10.66.0.1/', '20/s');
    expect(open.out).toMatch(/^20 of 20 answered, p99 \d+ ms\n/);
    const shut = await script(ns, 'gate.sh', 'http://10.66.0.1:81/', '20/s');
    expect([shut.status, shut.out.includes('does not hold: errors<0.1% (1)')]).toEqual([1, true]);
    execFileSync('test', ['-s', join(folder, 'load.json')]);
  });

  kernelTest('the limit is printed in one line', async () => {
    const ns = namespace({ addresses: ['10.66.0.1'] });
    serveHttp(ns, '10.66.0.1', 80, (_q, a) => a.end('hello'));
    const { out, status } = await script(ns, 'limit.sh', 'http://10.66.0.1/', '--rate', '100/s');
    expect([status, out]).toEqual([0, '100 holds: no limit found\n']);
  });
});
