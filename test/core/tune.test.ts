/** What tune writes and how it judges its own promise. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, describe, expect, test } from 'vitest';
import type { PortSpace } from '../../src/core/port-space.ts';
import { compareWithPromise } from '../../src/core/tune/effects.ts';
import { diffText, dropInText, type Wanted } from '../../src/core/tune/output.ts';
import { SysctlFiles } from '../../src/linux/apply/sysctl-files.ts';

const root = mkdtempSync(join(tmpdir(), 'plimsoll-tune-core-'));
mkdirSync(join(root, 'etc/sysctl.d'), { recursive: true });
afterAll(() => rmSync(root, { recursive: true, force: true }));

const names = ['net.ipv4.tcp_tw_reuse', 'net.ipv4.ip_local_port_range', 'net.ipv4.ip_local_reserved_ports', 'net.core.somaxconn'] as const;
const wanted = fc.uniqueArray(
  fc.record<Wanted>({
    name: fc.constantFrom(...names),
    value: fc.constantFrom('1', '1024 65535', '8080,9000-9010'),
    why: fc.string({ unit: 'grapheme', maxLength: 40 }),
  }),
  { selector: (w) => w.name, minLength: 1 },
);

describe('a drop-in', () => {
  test('says what was wanted, keeps what an earlier one said, and is the same when written again', () => {
    fc.assert(
      fc.property(wanted, wanted, (first, second) => {
        const one = dropInText(null, first);
        const both = dropInText(one, second);
        expect(dropInText(both, second)).toBe(both);
        writeFileSync(join(root, 'etc/sysctl.d/zz-plimsoll.conf'), both);
        const files = new SysctlFiles(root);
        for (const { name, value } of [...first.filter((f) => !second.some((s) => s.name === f.name)), ...second])
          expect(files.about(name)).toMatchObject({ wins: { value }, contradicted: [] });
        // Every assignment has its reason above it, on one line.
        expect(both.split('\n').filter((line) => line.startsWith('#'))).toHaveLength(
          1 + new Set([...first, ...second].map((w) => w.name)).size,
        );
      }),
      { numRuns: 300 },
    );
  });

  test('differs from the one before by the lines that changed', () => {
    const before = dropInText(null, [{ name: 'net.ipv4.tcp_tw_reuse', value: '0', why: 'a' }]);
    const after = dropInText(before, [{ name: 'net.ipv4.tcp_tw_reuse', value: '1', why: 'a' }]);
    expect(
      diffText('/x', before, after)
        .split('\n')
        .filter((line) => /^[+-][^+-]/.test(line)),
    ).toEqual(['-net.ipv4.tcp_tw_reuse = 0', '+net.ipv4.tcp_tw_reuse = 1']);
  });
});

describe('a promise', () => {
  const space = (capacity: number, used: number): PortSpace => ({ id: 's', capacity, used, usedRatio: used / capacity }) as PortSpace;
  const promised = [
    { space: 's', changes: [], effect: { capacity: 64510, usedRatio: 0.3, forecast: { kind: 'stable', plateauUsed: 19000 } as const } },
  ];
  const came = (after: readonly PortSpace[]): boolean | undefined => compareWithPromise(promised, [space(28232, 19000)], after)[0]?.came;

  test('has come when the ports are there and the load fits as it should', () => {
    expect(came([space(64510, 19000)])).toBe(true);
    expect(came([space(64400, 20000)])).toBe(true);
    expect(came([])).toBe(true);
  });

  test('has not come when the ports are not there, or they are as full as before', () => {
    expect(came([space(28232, 19000)])).toBe(false);
    expect(came([space(64510, 40000)])).toBe(false);
  });
});
