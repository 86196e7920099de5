/** The schema of `plimsoll.tune/1`, for whoever reads one from outside. Loaded only by those: zod costs 40 ms. */
import { z } from 'zod';
import { roles } from '../core/tune/facts.ts';
import { TUNE_SCHEMA, type TuneDocument } from './tune.ts';

const source = z.strictObject({ file: z.string(), line: z.int().positive(), value: z.string() });
const figures = z.strictObject({ capacity: z.number(), used_ratio: z.number() });

/** Validates one. `satisfies` keeps it equal to what `tuneDocument` writes. */
export const tuneSchema = z.strictObject({
  schema: z.literal(TUNE_SCHEMA),
  namespace: z.string(),
  role: z.enum(roles),
  persistent: z.boolean(),
  settings: z.array(
    z.strictObject({
      name: z.string(),
      scope: z.enum(['namespace', 'host', 'process']),
      current: z.string().nullable(),
      recommended: z.string().nullable(),
      why: z.string(),
      cannot: z.string(),
      risk: z.enum(['none', 'low', 'medium', 'high']),
      set_by: source.nullable(),
      contradicted_by: z.array(source),
      only_procps: source.nullable(),
    }),
  ),
  promised: z.array(z.strictObject({ space: z.string(), capacity: z.number(), used_ratio: z.number() })),
  snippets: z.array(z.strictObject({ product: z.string(), text: z.string() })),
  applied: z
    .strictObject({
      settings: z.array(z.strictObject({ name: z.string(), from: z.string(), to: z.string() })),
      file: z.string().nullable(),
      left: z.array(z.strictObject({ name: z.string(), ours: z.string(), found: z.string() })),
    })
    .nullable(),
  outcomes: z.array(
    z.strictObject({ space: z.string(), promised: figures, before: figures, after: figures.nullable(), came: z.boolean() }),
  ),
}) satisfies z.ZodType<TuneDocument>;
