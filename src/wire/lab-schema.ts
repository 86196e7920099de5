/** The schema of `plimsoll.lab/1`, for whoever reads a run from outside. Loaded only by those: zod costs 40 ms. */
import { z } from 'zod';
import { LAB_SCHEMA, type LabDocument } from './lab.ts';

const number = z.number().nonnegative();

/** Validates a run. `satisfies` keeps it equal to what `labDocument` writes. */
export const labSchema = z.strictObject({
  schema: z.literal(LAB_SCHEMA),
  scenario: z.string(),
  title: z.string(),
  fast: z.boolean(),
  started_at: z.iso.datetime(),
  seconds: z.strictObject({ expected: number, taken: number }),
  host: z.strictObject({ kernel: z.string(), cpus: z.int().positive(), node: z.string() }),
  predictions: z.array(
    z.strictObject({
      key: z.string().regex(/^[a-z_]+$/),
      subject: z.string(),
      unit: z.string(),
      from: z.string(),
      predicted: number,
      measured: number,
      difference: number,
      runs: z.array(number).min(1),
      spread: number,
    }),
  ),
  comparison: z.strictObject({
    settings: z.array(z.string()).min(2),
    rows: z.array(z.strictObject({ what: z.string(), unit: z.string(), values: z.array(z.union([z.number(), z.string(), z.null()])) })),
  }),
  told: z.array(
    z.strictObject({
      where: z.string(),
      when: z.string(),
      command: z.string(),
      findings: z.array(z.strictObject({ code: z.string(), severity: z.string(), title: z.string(), text: z.string() })),
      remedies: z.array(z.string()),
    }),
  ),
  lessons: z.array(z.string()),
  next: z.array(z.strictObject({ text: z.string(), command: z.string() })),
  kept: z.strictObject({ namespaces: z.array(z.string()), folder: z.string() }).nullable(),
}) satisfies z.ZodType<LabDocument>;
