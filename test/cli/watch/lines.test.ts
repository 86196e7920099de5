/** `plimsoll watch` where nothing can be drawn: pipes, logs, `head`; and what it refuses. */
import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { describe, expect, test } from 'vitest';
import { reportSchema } from '../../../src/wire/report-schema.ts';
import { kernelTest, namespace } from '../../support/netns.ts';
import { until } from '../../support/poll.ts';
import { plimsoll } from '../../support/shell.ts';
import { listen, open } from '../../support/sockets.ts';
import { command } from './pane.ts';

const A = '10.66.0.1';

const held = () => {
  const ns = namespace({ range: [40000, 40099], addresses: [A] });
  ns.run(() => {
    listen(A, 80);
    for (let i = 0; i < 85; i++) open(A, 80);
  });
  return ns;
};

describe.concurrent('plimsoll watch into a pipe', { timeout: 60_000 }, () => {
  kernelTest('writes a line for each look, and nothing else', async () => {
    const ns = held();
    const child = ns.spawn(process.execPath, [command, 'watch', '--interval', '200ms']);
    let out = '';
    let err = '';
    child.stdout!.on('data', (d: Buffer) => {
      out += d.toString();
    });
    child.stderr!.on('data', (d: Buffer) => {
      err += d.toString();
    });
    await until('three lines', () => out.split('\n').length > 3, 30_000);
    child.kill('SIGTERM');
    expect(await once(child, 'close')).toEqual([null, 'SIGTERM']);
    expect(err).toBe('');
    for (const line of out.trimEnd().split('\n'))
      expect(line).toMatch(/^20\d\d-\d\d-\d\dT\S+Z \w+ \S+; 10\.66\.0\.1 → 10\.66\.0\.1:80 85 % 85\/100/);
  });

  kernelTest('writes a whole report a line with --json, in a terminal too', async () => {
    const ns = held();
    const child = ns.spawn(process.execPath, [command, 'watch', '--interval', '200ms', '--json']);
    let out = '';
    child.stdout!.on('data', (d: Buffer) => {
      out += d.toString();
    });
    await until('three documents', () => out.split('\n').length > 3, 30_000);
    child.kill('SIGTERM');
    await once(child, 'close');
    const documents = out
      .trimEnd()
      .split('\n')
      .map((line) => reportSchema.parse(JSON.parse(line)));
    expect(documents[0]!.port_spaces[0]).toMatchObject({ used: 85, capacity: 100, open_rate: null });
    expect(documents[1]!.port_spaces[0]).toMatchObject({ used: 85, open_rate: 0 });
    expect(documents.at(-1)!.interval).toBeGreaterThan(0.15);
  });

  kernelTest('ends when its reader does, and is interrupted as others are', async () => {
    const ns = held();
    const piped = ns.exec('bash', '-c', `${process.execPath} ${command} watch --interval 100ms | head -1; echo "$\{PIPESTATUS[0]}"`);
    expect(piped).toMatch(/^20.*\n0\n$/);
    const child = ns.spawn(process.execPath, [command, 'watch', '--interval', '100ms']);
    await once(child.stdout!, 'data');
    child.kill('SIGINT');
    expect(await once(child, 'close')).toEqual([null, 'SIGINT']);
  });

  test.each([
    ['an interval of nothing', ['--interval', '0s'], 'at least 100ms'],
    ['an interval too short', ['--interval', '10ms'], 'at least 100ms'],
    ['no duration', ['--for', 'ever'], '--for'],
    ['an argument', ['now'], 'watch does not take "now"'],
    ['an unknown namespace', ['--netns', 'name:no-such-namespace'], 'no network namespace'],
  ])('refuses %s', async (_name, args, said) => {
    const { code, out, err } = await plimsoll(['watch', ...args]);
    expect(code).toBeGreaterThanOrEqual(64);
    expect(out).toBe('');
    expect(err).toContain(said);
  });

  test('draws nothing where stdin is no terminal, and ends by itself when its time is over', () => {
    const { stdout, status } = spawnSync(process.execPath, [command, 'watch', '--interval', '100ms', '--for', '500ms'], {
      input: '',
      encoding: 'utf8',
    });
    expect(status).toBe(0);
    expect(stdout).toMatch(/^20/);
    expect(stdout).not.toContain('\u001b');
  });
});
