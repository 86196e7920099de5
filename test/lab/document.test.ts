/** The document's page and its schema say the same. */
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { z } from 'zod';
import { differenceOf, spreadOf } from '../../src/core/experiment.ts';
import { labSchema } from '../../src/wire/lab-schema.ts';

interface Schema {
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly items?: Schema | boolean;
  readonly anyOf?: readonly Schema[];
}

const fieldsOf = (s: Schema, path: string): string[] => [
  ...Object.entries(s.properties ?? {}).flatMap(([name, field]) => {
    const own = path === '' ? name : `${path}.${name}`;
    return [own, ...fieldsOf(field, own)];
  }),
  ...(typeof s.items === 'object' ? fieldsOf(s.items, `${path}[]`) : []),
  ...(s.anyOf ?? []).flatMap((alternative) => fieldsOf(alternative, path)),
];

test('docs/reference/lab.md has a row for every field of the schema, and no other', () => {
  const rows = readFileSync('docs/reference/lab.md', 'utf8')
    .split('\n')
    .filter((line) => line.startsWith('| `'));
  const fields = fieldsOf(z.toJSONSchema(labSchema, { reused: 'inline' }) as Schema, '');
  expect(rows.map((row) => /^\| `([^`]+)`/.exec(row)![1]).sort()).toEqual([...fields].sort());
});

test('a difference is a share of what was predicted; nothing predicted and nothing measured is none', () => {
  expect(differenceOf({ predicted: 100, measured: 95 })).toBeCloseTo(0.05);
  expect(differenceOf({ predicted: 0, measured: 0 })).toBe(0);
  expect(differenceOf({ predicted: 0, measured: 1 })).toBe(1);
  expect(spreadOf([948, 966, 965])).toBe(18);
});
