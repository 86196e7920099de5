/**
 * The schemas of the agent's HTTP API: what requests are checked with, and what /openapi.json is generated from. Loaded only by
 * the agent: zod costs 40 ms. Whoever only needs the shapes imports `api.ts`.
 */
import { z } from 'zod';
import { balancerSchema } from './balancer-schema.ts';
import { findingCodeSchema, findingSchema, portSpaceSchema, remedySchema, verdictSchema } from './report-schema.ts';

const count = z.int().min(0);
const port = z.int().min(0).max(65535);
const timestamp = z.iso.datetime({ offset: true });
const severity = z.enum(['info', 'warning', 'critical']);
const base64 = z.base64();

/** What every error is answered with (RFC 9457, application/problem+json). `code` is the catalogue's. */
export const problemSchema = z.object({
  type: z.string().describe('about:blank; code tells what happened'),
  status: z.int(),
  code: z.string().describe('a code of docs/errors.md'),
  title: z.string(),
  hint: z.string(),
});

export const sessionSchema = z.object({
  authenticated: z.boolean(),
  writes: z.boolean().describe('whether this request could change the balancer'),
  version: z.string(),
  host: z.string(),
});

export const spacesPageSchema = z.object({ at: timestamp, total: count, items: z.array(portSpaceSchema) });

/**
 * What plan and effect() need to go on from a space as it is. TIME_WAITs come as counts in equal slices of the life they have at
 * most, as the forecast counts them.
 */
export const startSchema = z.object({
  id: z.string(),
  kind: z.enum(['connect', 'bind', 'ledger', 'snat']),
  source: z.string(),
  destination: z.string().nullable(),
  destinations: z.int().min(1),
  range: z.object({ low: port, high: port }),
  blocked: count,
  capacity: count,
  load: z.object({
    live: z.number(),
    live_slope: z.number(),
    time_wait_rate: z.number(),
    time_waits: z.object({ slice: z.number(), counts: z.array(count) }),
    time_wait_life: z.number(),
    tick: z.number(),
    events: z.number(),
  }),
  open_rate: z.number().nullable(),
  tcp_tw_reuse: z.union([z.literal(0), z.literal(1), z.literal(2)]),
  tcp_tw_reuse_delay: z.number(),
  timestamps: z.boolean(),
});

export const spaceDetailSchema = z.object({
  at: timestamp,
  space: portSpaceSchema,
  findings: z.array(findingSchema),
  remedies: z.array(remedySchema),
  start: startSchema,
});

export const portMapSchema = z.object({
  at: timestamp,
  id: z.string(),
  range: z.object({ low: port, high: port }),
  states: base64.describe(
    '65,536 bytes, one a port: 0 free, TCP states 1 to 12 as the kernel numbers them, 13 bound only, 14 blocked, 15 reserved, 16 outside the range',
  ),
  time_left: base64.describe('65,536 bytes, one a port: seconds until its TIME_WAIT ends, 255 where that is not known'),
});

/** A column of null-able numbers, as long as `at`. Null: nothing was sampled then. */
const column = z.array(z.number().nullable());

export const historySchema = z.object({
  space: z.string(),
  step: z.number().describe('seconds between two entries'),
  at: z.array(z.number()).describe('seconds since 1970, ascending'),
  columns: z.object({
    used: column,
    capacity: column,
    time_wait: column,
    established: column,
    other: column.describe('live sockets in every other state'),
    open_rate: column,
    close_rate: column,
    failed_searches: column,
  }),
});

/** A finding with its life: it was opened when first seen, and closed when it had not been seen for a while. */
export const findingLifeSchema = z.object({
  id: z.string(),
  code: findingCodeSchema,
  subject: z.string(),
  severity,
  title: z.string(),
  text: z.string(),
  opened_at: timestamp,
  changed_at: timestamp,
  closed_at: timestamp.nullable(),
  evidence: findingSchema.shape.evidence,
  remedies: findingSchema.shape.remedies,
});
export const findingsPageSchema = z.object({ items: z.array(findingLifeSchema) });

/** A threshold that has been passed for as long as its hold time asks. */
export const alertSchema = z.object({
  id: z.string(),
  rule: z.string(),
  subject: z.string(),
  severity,
  title: z.string(),
  text: z.string(),
  value: z.number().nullable(),
  threshold: z.number().nullable(),
  raised_at: timestamp,
  cleared_at: timestamp.nullable(),
});
export const alertsPageSchema = z.object({ items: z.array(alertSchema) });

export const balancersPageSchema = z.object({
  items: z.array(z.object({ socket: z.string(), state: balancerSchema })),
});

export const multiplexingChangeSchema = z.strictObject({ connection_multiplexing: z.boolean() });
export const snatAddressSchema = z.strictObject({
  address: z.union([z.ipv4(), z.ipv6()]).describe('one address of this host; every pool that uses the SNAT pool gets its ports'),
});
/** What a change is answered with: the state after it, so that nobody has to ask again. */
export const changedSchema = z.object({ changed: z.literal(true), state: balancerSchema });

/** `event: sample` */
export const sampleEventSchema = z.object({
  at: timestamp,
  verdict: verdictSchema,
  because: z.array(findingCodeSchema),
  spaces: z.array(portSpaceSchema),
  spaces_total: count,
  interval: z.number().describe('seconds between the two looks'),
  slowed_to: z.number().nullable().describe('seconds, where looking took so long that the agent looks less often'),
});
/** `event: balancer`: what the first screen shows; the rest is at /api/v1/balancers. */
export const balancerEventSchema = z.object({
  socket: z.string(),
  reachable: z.boolean(),
  virtual_services: z.array(
    z.object({
      name: z.string(),
      state: z.string(),
      connection_multiplexing: z.boolean(),
      open_conns: count,
      open_requests: count,
      total_requests: count,
      connections_dropped: count,
    }),
  ),
  pools: z.array(z.object({ name: z.string(), state: z.string(), servers_up: count, servers: count, open_conns: count, waiting: count })),
});
/** `event: reset`: what happened since the id asked for is not known any more; read everything anew. */
export const resetEventSchema = z.object({ reason: z.string() });

export const readinessSchema = z.object({ ready: z.boolean(), reasons: z.array(z.string()) });
