/** /metrics as Prometheus reads it: held against promtool, against the report, and against names that try to break out of their labels. */
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { exposition } from '../../../src/agent/http/exposition.ts';
import { kernelTest, privileged } from '../../support/netns.ts';
import { ask } from '../support/serve.ts';
import { type Whole, wholeAgent } from '../support/whole.ts';

let whole: Whole;
beforeAll(async () => {
  if (privileged) whole = await wholeAgent();
}, 120_000);
afterAll(() => whole?.stop());

const promtool = (text: string): { readonly status: number | null; readonly said: string } => {
  const { status, stdout, stderr } = spawnSync('promtool', ['check', 'metrics'], { input: text, encoding: 'utf8' });
  return { status, said: stdout + stderr };
};
const metrics = async (): Promise<string> => (await ask(whole.agent, '/metrics')).text;

interface Line {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}
const lines = (text: string): readonly Line[] =>
  [...text.matchAll(/^(\w+)(?:\{(.*)\})? (\S+)$/gm)].map(([, name, list, value]) => ({
    name: name!,
    labels: Object.fromEntries([...(list ?? '').matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g)].map((m) => [m[1]!, m[2]!])),
    value: value === '+Inf' ? Number.POSITIVE_INFINITY : Number(value),
  }));

kernelTest('passes promtool check metrics, lints included', async () => {
  const text = await metrics();
  expect(promtool(text)).toEqual({ status: 0, said: '' });
  expect((await ask(whole.agent, '/metrics')).headers['content-type']).toBe('text/plain; version=0.0.4; charset=utf-8');
  expect(text.split('\n').length).toBeGreaterThan(150);
});

kernelTest('says of port spaces what the report says', async () => {
  const [report, text] = [(await ask(whole.agent, '/api/v1/report')).json, await metrics()];
  const space = report.port_spaces.find((s: { id: string }) => s.id === whole.filling.space);
  const mine = lines(text).filter((l) => l.labels['kind'] === 'connect' && l.labels['destination'] === '127.0.0.1:9000');
  const value = (name: string): number | undefined => mine.find((l) => l.name === name)?.value;
  expect(value('plimsoll_port_space_used_ports')).toBe(space.used);
  expect(value('plimsoll_port_space_capacity_ports')).toBe(space.capacity);
  expect(value('plimsoll_port_space_used_ratio')).toBeCloseTo(space.used_ratio, 4);
  const sockets = mine.filter((l) => l.name === 'plimsoll_port_space_sockets');
  expect(Object.fromEntries(sockets.map((l) => [l.labels['state'], l.value]))).toEqual(space.by_state);
  expect(lines(text).find((l) => l.name === 'plimsoll_verdict' && l.value === 1)?.labels['verdict']).toBe(report.verdict);
});

kernelTest('no label is a port, a pid or a process, and no source port is in any', async () => {
  const text = await metrics();
  const names = new Set(lines(text).flatMap((l) => Object.keys(l.labels)));
  for (const forbidden of ['port', 'source_port', 'local_port', 'pid', 'process', 'command', 'owner', 'container', 'user'])
    expect(names).not.toContain(forbidden);
  for (const { labels } of lines(text)) for (const value of Object.values(labels)) expect(value).not.toMatch(/:40\d\d\d\b/);
  expect(text).not.toContain(process.title);
});

kernelTest('docs/reference/metrics.md lists exactly what is exposed, with its type and its labels', async () => {
  const text = await metrics();
  const page = readFileSync(new URL('../../../docs/reference/metrics.md', import.meta.url), 'utf8');
  const told = new Map([...page.matchAll(/^\| `(\w+)` \| (\w+) \| ([^|]*) \|/gm)].map((m) => [m[1]!, { type: m[2]!, labels: m[3]! }]));
  const types = new Map([...text.matchAll(/^# TYPE (\w+) (\w+)$/gm)].map((m) => [m[1]!, m[2]!]));
  expect([...types.keys()].sort()).toEqual([...told.keys()].sort());
  for (const [name, type] of types) {
    expect([name, told.get(name)!.type]).toEqual([name, type]);
    const ofSpace = ['namespace', 'kind', 'source', 'destination', 'name'];
    const said = [
      ...(told.get(name)!.labels.includes('those of a port space') ? ofSpace : []),
      ...[...told.get(name)!.labels.matchAll(/`(\w+)`/g)].map((m) => m[1]!),
    ];
    expect([name, Object.keys(lines(text).find((l) => l.name === name)!.labels).sort()]).toEqual([name, said.sort()]);
  }
});

kernelTest('counters only ever grow', async () => {
  const before = new Map(
    lines(await metrics())
      .filter((l) => l.name.endsWith('_total'))
      .map((l) => [`${l.name} ${JSON.stringify(l.labels)}`, l.value]),
  );
  await ask(whole.agent, '/nothing');
  const after = lines(await metrics()).filter((l) => l.name.endsWith('_total'));
  for (const l of after) expect(l.value).toBeGreaterThanOrEqual(before.get(`${l.name} ${JSON.stringify(l.labels)}`) ?? 0);
  expect(after.find((l) => l.name === 'plimsoll_http_responses_total' && l.labels['class'] === '4xx')!.value).toBeGreaterThan(0);
});

test('label values that try to break out are escaped: promtool takes them, and no line is forged', () => {
  const hostile = [
    '"',
    '\\',
    '\n',
    'a"} 1\nforged_metric 1',
    '\\"',
    '\\n',
    '\r\n',
    '\u2028',
    '\ud800',
    '{}',
    '# HELP x y',
    '',
    'ä→😀',
    '\u0000',
  ];
  const text = exposition([
    {
      name: 'plimsoll_hostile',
      type: 'gauge',
      help: 'A "help" with \\ and\na second line.',
      samples: hostile.map((label, i) => ({ labels: { name: label, n: String(i) }, value: i })),
    },
  ]);
  expect(promtool(text)).toEqual({ status: 0, said: '' });
  expect(text.split('\n').length).toBe(2 + hostile.length + 1);
  expect(text).not.toMatch(/^forged_metric/m);
});

test('whatever the labels are, every sample stays one line that reads back as it was', () => {
  fc.assert(
    fc.property(fc.array(fc.string({ unit: 'binary' }), { minLength: 1, maxLength: 8 }), (values) => {
      const text = exposition([
        { name: 'x', type: 'gauge', help: 'h', samples: values.map((value, i) => ({ labels: { a: value, i: String(i) }, value: i })) },
      ]);
      const samples = text.split('\n').slice(2, -1);
      expect(samples.length).toBe(values.length);
      const back = samples.map((line) =>
        /^x\{a="((?:[^"\\]|\\.)*)",i="\d+"\} \d+$/s.exec(line)![1]!.replace(/\\(.)/gs, (_, c: string) => (c === 'n' ? '\n' : c)),
      );
      expect(back).toEqual(values);
    }),
    { numRuns: 300 },
  );
});

test('numbers are written as Prometheus reads them, and a family without samples not at all', () => {
  const family = (value: number) => exposition([{ name: 'plimsoll_x', type: 'gauge', help: 'h', samples: [{ labels: {}, value }] }]);
  for (const [value, text] of [
    [Number.POSITIVE_INFINITY, '+Inf'],
    [Number.NEGATIVE_INFINITY, '-Inf'],
    [Number.NaN, 'NaN'],
    [1e21, '1e+21'],
    [0.1, '0.1'],
    [-0, '0'],
  ] as const) {
    expect(family(value)).toContain(`\nplimsoll_x ${text}\n`);
    expect(promtool(family(value)).status).toBe(0);
  }
  expect(exposition([{ name: 'plimsoll_none', type: 'gauge', help: 'h', samples: [] }])).toBe('\n');
});
