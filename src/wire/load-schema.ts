/** The schema of `plimsoll.load/1`, for whoever reads a result from outside. Loaded only by those: zod costs 40 ms. */
import { z } from 'zod';
import { LOAD_SCHEMA, type LoadDocument } from './load.ts';

const count = z.int().nonnegative();
const seconds = z.number().nonnegative();

/** Validates a result. `satisfies` keeps it equal to what `loadDocument` writes. */
export const loadSchema = z.strictObject({
  schema: z.literal(LOAD_SCHEMA),
  target: z.string(),
  started_at: z.iso.datetime(),
  seconds,
  interrupted: z.boolean(),
  scheduled: count,
  sent: count,
  ok: count,
  missed: count,
  missed_because: z.strictObject({ busy: count, no_port: count, late: count }),
  rate: seconds,
  latency: z.strictObject({
    p50: seconds.nullable(),
    p90: seconds.nullable(),
    p99: seconds.nullable(),
    p999: seconds.nullable(),
    max: seconds.nullable(),
  }),
  scheduler_lateness: z.strictObject({
    p50: seconds.nullable(),
    p99: seconds.nullable(),
    p999: seconds.nullable(),
    max: seconds.nullable(),
  }),
  ports: z.strictObject({
    chosen_by: z.enum(['connect', 'bind', 'ledger']),
    capacity: count,
    used_before: count,
    peak_used: count,
    sources: z.array(
      z.strictObject({
        address: z.string(),
        capacity: count,
        used: count,
        free: count,
        cooling: count,
        held_by_others: count,
        early_reuses: count,
      }),
    ),
  }),
  errors: z.strictObject({
    local_port: count,
    local_other: count,
    refused: count,
    reset: count,
    timeout: count,
    status: count,
    other: count,
  }),
  error_codes: z.array(z.strictObject({ code: z.string(), call: z.string(), count })),
  connections: z.strictObject({
    opened: count,
    closed_by_client: count,
    closed_by_server: count,
    broken: count,
    open_at_end: count,
  }),
  bytes_received: count,
  prediction: z.strictObject({ exhausts_after: seconds.nullable(), sustainable_rate: seconds.nullable(), lasts: z.boolean().nullable() }),
  exhausted_after: seconds.nullable(),
  exhausted_by: z.strictObject({ code: z.string(), call: z.string() }).nullable(),
  thresholds: z.array(z.strictObject({ expression: z.string(), value: z.number().nullable(), ok: z.boolean() })),
  limit: z
    .strictObject({
      rate: seconds.nullable(),
      fails_at: seconds.nullable(),
      cause: z.string().nullable(),
      probes: z.array(z.strictObject({ rate: seconds, ok: z.boolean(), cause: z.string().nullable() })),
    })
    .nullable(),
}) satisfies z.ZodType<LoadDocument>;
