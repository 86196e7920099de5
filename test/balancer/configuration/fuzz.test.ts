/** Whatever stands in the file: a configuration whose promises hold, or mistakes with places inside the file; never an exception. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { type Configuration, parseConfiguration } from '../../../src/balancer/configuration/index.ts';
import { rangeSize } from '../../../src/core/port-range.ts';
import { example } from './example.ts';

const timeBox = { interruptAfterTimeLimit: 2500, markInterruptAsFailure: false, numRuns: 100_000 };

const holds = (c: Configuration): void => {
  const names = (items: readonly { readonly name: string }[]): string[] => items.map((i) => i.name);
  for (const section of [c.virtual_services, c.application_profiles, c.pools, c.snat_pools, c.health_monitors])
    expect(new Set(names(section)).size).toBe(section.length);
  for (const v of c.virtual_services) {
    expect(names(c.pools)).toContain(v.pool);
    expect(names(c.application_profiles)).toContain(v.application_profile);
    expect(v.listen.port >= 1 && v.listen.port <= 65535).toBe(true);
  }
  for (const p of c.pools) {
    expect(p.servers.length).toBeGreaterThan(0);
    for (const m of p.health_monitors) expect(names(c.health_monitors)).toContain(m);
    if (p.snat_pool !== null) expect(names(c.snat_pools)).toContain(p.snat_pool);
  }
  for (const s of c.snat_pools) {
    for (const r of s.ports) expect(r.low >= 1 && r.low <= r.high && r.high <= 65535).toBe(true);
    expect(s.monitor_ports).toBeLessThan(s.ports.reduce((sum, r) => sum + rangeSize(r), 0));
    expect(new Set(s.addresses).size).toBe(s.addresses.length);
  }
};

const check = (text: string): void => {
  const { configuration, mistakes, warnings } = parseConfiguration(text);
  expect(configuration === null).toBe(mistakes.length > 0);
  const lines = text.split(/\r\n|\r|\n/);
  for (const mistake of [...mistakes, ...warnings]) {
    expect(mistake.line >= 1 && mistake.line <= lines.length && mistake.column >= 1, JSON.stringify(mistake)).toBe(true);
    expect(`${mistake.path}${mistake.message}`).not.toMatch(/[\n\r]/);
  }
  if (configuration !== null) holds(configuration);
};

const edit = fc.record({
  at: fc.nat(example.length),
  cut: fc.nat(12),
  put: fc.oneof(
    fc.string({ maxLength: 6 }),
    fc.constantFrom('\n', '  ', '- ', ': ', '[', '}', '&a ', '*a', '"', '0', '-', '65536', 'null', '!!str ', '\t', '\0'),
  ),
});
const edited = fc
  .array(edit, { minLength: 1, maxLength: 5 })
  .map((edits) => edits.reduce((text, e) => text.slice(0, e.at) + e.put + text.slice(e.at + e.cut), example));

test('an example with anything changed in it is read, or refused with places', () => {
  fc.assert(fc.property(edited, check), timeBox);
});

test('lines in any order, repeated or missing, are read or refused with places', () => {
  const shuffled = fc
    .array(fc.nat(example.split('\n').length - 1), { maxLength: 30 })
    .map((order) => order.map((i) => example.split('\n')[i]).join('\n'));
  fc.assert(fc.property(shuffled, check), timeBox);
});

test('any value at all is refused with places', () => {
  fc.assert(fc.property(fc.oneof(fc.string(), fc.string({ unit: 'binary' }), fc.json()), check), timeBox);
});

test('nesting deeper than a stack is refused', () => {
  for (const open of ['[', '{a: ', '- ']) check(open.repeat(50_000));
});
