/** docs/reference/capture.md and the schema say the same. */
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { z } from 'zod';
import { captureSchema } from '../../src/wire/capture-schema.ts';

interface Schema {
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly items?: Schema;
  readonly anyOf?: readonly Schema[];
}

const fieldsOf = (s: Schema, path: string): string[] => [
  ...Object.entries(s.properties ?? {}).flatMap(([name, field]) => {
    const own = path === '' ? name : `${path}.${name}`;
    return [own, ...fieldsOf(field, own)];
  }),
  ...(s.items === undefined ? [] : fieldsOf(s.items, `${path}[]`)),
  ...(s.anyOf ?? []).flatMap((alternative) => fieldsOf(alternative, path)),
];

test('docs/reference/capture.md has a row for every field of the document, and no other', () => {
  const page = readFileSync(new URL('../../docs/reference/capture.md', import.meta.url), 'utf8');
  const documented = [...page.matchAll(/^\| `([\w.[\]]+)` \|/gm)].map((m) => m[1]!);
  // What a packet is made of is said once; `ports_over_time` has its fields under the port spaces.
  const once = /\.(opened|last|closing)\.(file|number|time)$/;
  const fields = fieldsOf(z.toJSONSchema(captureSchema, { reused: 'inline' }) as Schema, '').filter((f) => !once.test(f));
  expect(documented.filter((f) => !fields.includes(f))).toEqual([]);
  expect(fields.filter((f) => !documented.includes(f))).toEqual([]);
});
