/** The schema of `plimsoll.report/1`, for whoever reads a report from outside. Loaded only by those: zod costs 40 ms. */
import { z } from 'zod';
import { captureFindingCodes, hostFindingCodes } from '../core/finding/codes.ts';
import { remedyCodes } from '../core/remedy/codes.ts';
import { REPORT_SCHEMA, type ReportDocument } from './report.ts';

const port = z.int().min(0).max(65535);
const count = z.int().min(0);
const range = z.object({ low: port, high: port });
const forecast = z.object({
  kind: z.enum(['stable', 'plateau', 'exhausts', 'exhausted', 'unknown']),
  seconds: z.number().nullable(),
  seconds_low: z.number().nullable(),
  seconds_high: z.number().nullable(),
  plateau_used: z.number().nullable(),
});
const owner = z.object({ pid: count, command: z.string(), container: z.string().nullable(), sockets: count, opens: z.number().nullable() });
const byState = z.object({
  syn_sent: count,
  established: count,
  fin_wait_1: count,
  fin_wait_2: count,
  time_wait: count,
  close_wait: count,
  last_ack: count,
  closing: count,
  bound: count,
});

/** One entry of `port_spaces`. */
export const portSpaceSchema = z.object({
  id: z.string(),
  kind: z.enum(['connect', 'bind', 'ledger', 'snat']),
  namespace: z.string(),
  label: z.string().nullable(),
  source: z.string(),
  destination: z.string().nullable(),
  destination_port: port.nullable(),
  range,
  capacity: count,
  blocked: count,
  held: count,
  reusable: count,
  used: count,
  free: z.int(),
  free_low: z.int(),
  free_high: z.int(),
  used_ratio: z.number(),
  search_wall: z.object({ at: count, passed: z.boolean() }),
  by_state: byState,
  idle_connections: count.nullable(),
  shared: z.array(z.object({ destination: z.string(), destination_port: port, held: count })),
  open_rate: z.number().nullable(),
  close_rate: z.number().nullable(),
  time_wait_rate: z.number(),
  failed_searches: count.nullable(),
  forecast,
  owners: z.array(owner),
});

export const findingCodeSchema = z.enum([...hostFindingCodes, ...captureFindingCodes]);
export const verdictSchema = z.enum(['ok', 'warning', 'critical', 'unknown']);

/** One entry of `findings`. */
export const findingSchema = z.object({
  code: findingCodeSchema,
  severity: z.enum(['info', 'warning', 'critical']),
  title: z.string(),
  text: z.string(),
  subject: z.string(),
  evidence: z.array(z.object({ name: z.string(), value: z.union([z.number(), z.string()]), unit: z.string(), source: z.string() })),
  remedies: z.array(z.enum(remedyCodes)),
});

/** One entry of `remedies`. */
export const remedySchema = z.object({
  code: z.enum(remedyCodes),
  subject: z.string(),
  title: z.string(),
  text: z.string(),
  effect: z.object({ capacity: z.number(), used_ratio: z.number(), forecast }).nullable(),
  risk: z.enum(['none', 'low', 'medium', 'high']),
  reversible: z.boolean(),
  commands: z.array(z.string()),
  settings: z.array(z.object({ name: z.string(), from: z.string(), to: z.string() })),
  snippets: z.array(z.object({ product: z.string(), text: z.string() })),
});

const namespace = z.object({
  id: z.string(),
  name: z.string(),
  port_range: range,
  reserved: z.array(z.tuple([port, port])),
  tcp_tw_reuse: z.union([z.literal(0), z.literal(1), z.literal(2)]),
  tcp_tw_reuse_delay: z.number(),
  tcp_timestamps: z.boolean(),
  tcp_fin_timeout: z.number(),
  tcp_max_tw_buckets: z.number(),
  sockets: count,
  conntrack: z.object({ count, max: count }).nullable(),
});

/** Validates a report. `satisfies` keeps it equal to what `reportDocument` writes. */
export const reportSchema = z.object({
  schema: z.literal(REPORT_SCHEMA),
  taken_at: z.iso.datetime({ offset: true }),
  interval: z.number().min(0),
  host: z.object({ name: z.string(), kernel: z.string(), tick_hz: z.number().nullable() }),
  namespaces: z.array(namespace),
  verdict: verdictSchema,
  because: z.array(findingCodeSchema),
  port_spaces: z.array(portSpaceSchema),
  port_spaces_unlisted: count,
  inbound: z.array(
    z.object({ namespace: z.string(), listener: z.string(), source: z.string(), used: count, limit: count, used_ratio: z.number() }),
  ),
  findings: z.array(findingSchema),
  remedies: z.array(remedySchema),
  ruled_out: z.array(z.string()),
  sensors: z.array(
    z.object({ name: z.string(), status: z.enum(['ok', 'absent', 'denied', 'unsupported']), duration_ms: z.number(), hint: z.string() }),
  ),
}) satisfies z.ZodType<ReportDocument>;
