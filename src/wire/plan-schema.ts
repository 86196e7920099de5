/** The schema of `plimsoll.plan/1`, for whoever reads a plan from outside. Loaded only by those: zod costs 40 ms. */
import { z } from 'zod';
import { remedyCodes } from '../core/remedy/codes.ts';
import { PLAN_SCHEMA, type PlanDocument } from './plan.ts';

const number = z.number().nonnegative();
const figures = z.strictObject({
  capacity: number,
  /** Null: nothing here limits the rate. */
  sustainable_rate: number.nullable(),
  mean_rate: number.nullable(),
  plateau: z.strictObject({ used: number, used_ratio: number, time_wait: number, established: number }),
  exhausts_after: number.nullable(),
  search_wall_at: number.nullable(),
  search_wall_after: number.nullable(),
  search_seconds: number,
  search_cores: number,
  rate_after_exhaustion: number,
});
const remedy = z.enum(remedyCodes);
const portRange = z.strictObject({ low: z.int().min(1), high: z.int().max(65535) });

/** Validates a plan. `satisfies` keeps it equal to what `planDocument` writes. */
export const planSchema = z.strictObject({
  schema: z.literal(PLAN_SCHEMA),
  per: z.literal('space'),
  kind: z.enum(['connect', 'bind', 'ledger', 'snat']),
  spaces: z.int().positive(),
  lasts: z.boolean(),
  lasts_with_margin: z.boolean(),
  ...figures.shape,
  total: figures,
  what_if: z.array(
    z.strictObject({
      remedy,
      title: z.string(),
      holds: z.boolean(),
      capacity: number,
      sustainable_rate: number.nullable(),
      used_ratio: number,
      exhausts_after: number.nullable(),
      search_cores: number,
    }),
  ),
  cheapest: z.array(remedy).nullable(),
  cheapest_titles: z.array(z.string()).nullable(),
  solution: z
    .strictObject({ question: z.enum(['addresses', 'rate', 'connections']), value: number.nullable(), unit: z.string() })
    .nullable(),
  workload: z.strictObject({
    rate: number,
    requests_per_connection: number,
    upstream_latency: number.nullable(),
    server_time: number.nullable(),
    duration: number,
    closer: z.enum(['client', 'server', 'reset']),
    sources: z.int().positive(),
    destinations: z.int().positive(),
    range: portRange,
    blocked: z.int().nonnegative(),
    time_wait: number,
    tick: number,
    tcp_tw_reuse: z.union([z.literal(0), z.literal(1), z.literal(2)]),
    tcp_tw_reuse_delay: number,
    timestamps: z.boolean(),
    loopback: z.boolean(),
    port_choice: z.enum(['connect', 'bind', 'explicit']),
    snat: z.strictObject({ range: portRange, addresses: z.int().positive(), time_wait: number, after_reset: number }).nullable(),
    margin: number,
  }),
  assumptions: z.array(z.string()),
}) satisfies z.ZodType<PlanDocument>;
