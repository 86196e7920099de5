/** What a restart is told of ports: whatever is written is read again, and whatever else stands in the file is nothing. */
import { linkSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, describe, expect, test } from 'vitest';
import { openPortMemory, type PortKnowledge, readKnowledge, writeKnowledge } from '../../src/balancer/processes/port-memory.ts';

const folder = mkdtempSync(join(tmpdir(), 'plimsoll-memory-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
let counter = 0;
const path = (): string => join(folder, `${counter++}.ports`);

const anySpace = fc
  .record({
    address: fc.string(),
    server: fc.string(),
    rows: fc.array(fc.tuple(fc.nat(65535), fc.constantFrom(1, 2, 3, 5), fc.nat(0xffffffff))),
  })
  .map(({ address, server, rows }) => ({
    address,
    server,
    ports: Uint16Array.from(rows, (row) => row[0]),
    queues: Uint8Array.from(rows, (row) => row[1]),
    rested: Uint32Array.from(rows, (row) => row[2]),
  }));
const anyKnowledge: fc.Arbitrary<PortKnowledge> = fc
  .dictionary(fc.string(), fc.array(anySpace, { minLength: 1, maxLength: 4 }), { noNullPrototype: true })
  .map((d) => new Map(Object.entries(d)));
const fileOf = (knowledge: PortKnowledge, at: number): Buffer => Buffer.concat(writeKnowledge(knowledge, at));

describe('the file', () => {
  test('is read as it was written', () => {
    fc.assert(
      fc.property(anyKnowledge, fc.integer({ min: 0, max: 2 ** 52 }), (knowledge, at) => {
        expect(readKnowledge(fileOf(knowledge, at))).toEqual({ knowledge, at });
      }),
    );
  });

  test('says nothing if it is cut short, too long, or not one at all', () => {
    fc.assert(
      fc.property(anyKnowledge, fc.nat(), fc.uint8Array(), (knowledge, cut, noise) => {
        const whole = fileOf(knowledge, 5);
        expect(readKnowledge(whole.subarray(0, cut % whole.length))).toBeNull();
        if (noise.length > 0) expect(readKnowledge(Buffer.concat([whole, noise]))).toBeNull();
        expect(readKnowledge(Buffer.from(noise))).toBeNull();
      }),
    );
  });

  test('with bytes changed says nothing, or something of the right shape', () => {
    fc.assert(
      fc.property(anyKnowledge, fc.array(fc.tuple(fc.nat(), fc.nat(255)), { minLength: 1, maxLength: 5 }), (knowledge, changes) => {
        const bytes = fileOf(knowledge, 5);
        for (const [at, byte] of changes) bytes[at % bytes.length] = byte;
        for (const space of [...(readKnowledge(bytes)?.knowledge.values() ?? [])].flat()) {
          expect(space.queues).toHaveLength(space.ports.length);
          expect(space.rested).toHaveLength(space.ports.length);
          for (const queue of space.queues) expect([0, 1, 2, 3, 5]).toContain(queue);
        }
      }),
    );
  });
});

describe('the memory', () => {
  const knowledge: PortKnowledge = new Map([
    [
      'egress',
      [
        {
          address: '10.0.0.5',
          server: '10.0.1.11:80',
          ports: Uint16Array.of(7, 9),
          queues: Uint8Array.of(1, 5),
          rested: Uint32Array.of(1, 2),
        },
      ],
    ],
  ]);

  test('is there for the next process, shorter or longer than before, and closed to others', () => {
    const at = path();
    const first = openPortMemory(at, null);
    expect(first.earlier).toBeNull();
    first.save(knowledge);
    first.save(new Map());
    first.save(knowledge);
    first.close();
    const second = openPortMemory(at, null);
    expect(second.earlier?.knowledge).toEqual(knowledge);
    expect(second.earlier!.since).toBeLessThan(60);
    expect(statSync(at).mode & 0o777).toBe(0o600);
    second.save(new Map());
    second.close();
    expect(openPortMemory(at, null).earlier?.knowledge).toEqual(new Map());
  });

  test('was written in the future, after the clock was set back: nothing has rested since', () => {
    const at = path();
    writeFileSync(at, fileOf(knowledge, Date.now() + 3_600_000));
    expect(openPortMemory(at, null).earlier?.since).toBe(0);
  });

  test('that is a link, a folder, or has a second name is left alone, and that is said', () => {
    const target = path();
    writeFileSync(target, 'precious');
    const soft = path();
    symlinkSync(target, soft);
    const hard = path();
    linkSync(target, hard);
    const folderPath = path();
    mkdirSync(folderPath);
    for (const at of [soft, hard, folderPath, join(folder, 'missing', 'x')]) {
      const memory = openPortMemory(at, null);
      memory.save(knowledge);
      memory.close();
      expect(memory.trouble, at).not.toBeNull();
      expect(memory.earlier).toBeNull();
    }
    expect(readFileSync(target, 'utf8')).toBe('precious');
  });

  test.skipIf(process.getuid?.() !== 0)('belongs to the user that is dropped to; a third user’s file is left alone', () => {
    const at = path();
    openPortMemory(at, { uid: 12345, gid: 12346 }).close();
    expect([statSync(at).uid, statSync(at).gid]).toEqual([12345, 12346]);
    expect(openPortMemory(at, { uid: 12345, gid: 12346 }).trouble).toBeNull();
    expect(openPortMemory(at, { uid: 54321, gid: 54321 }).trouble).toMatch(/somebody else/);
  });
});
