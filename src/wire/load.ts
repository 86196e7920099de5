/** `plimsoll.load/1`: the result of a load run as a document. Field names are contract; see docs/reference/load.md. */
export const LOAD_SCHEMA = 'plimsoll.load/1';

/** What a run tells of itself; times in seconds, rates per second. */
export interface LoadRun {
  readonly target: string;
  readonly startedAt: number;
  readonly seconds: number;
  readonly interrupted: boolean;
  readonly scheduled: number;
  readonly sent: number;
  readonly ok: number;
  readonly missedBusy: number;
  readonly missedNoPort: number;
  readonly missedLate: number;
  readonly latency: Quantiles;
  readonly lateness: Quantiles;
  readonly errors: Readonly<Record<'local_port' | 'local_other' | 'refused' | 'reset' | 'timeout' | 'status' | 'other', number>>;
  readonly details: ReadonlyMap<string, number>;
  readonly connections: {
    readonly opened: number;
    readonly closed_by_client: number;
    readonly closed_by_server: number;
    readonly broken: number;
    readonly open_at_end: number;
  };
  readonly bytesReceived: number;
  readonly sourcePorts: {
    readonly chosenBy: 'connect' | 'bind' | 'ledger';
    readonly capacity: number;
    readonly usedBefore: number;
    readonly peakUsed: number;
    readonly sources: readonly {
      readonly address: string;
      readonly capacity: number;
      readonly used: number;
      readonly free: number;
      readonly cooling: number;
      readonly held_by_others: number;
      readonly early_reuses: number;
    }[];
  };
  readonly prediction: { readonly exhaustsAfter: number | null; readonly sustainableRate: number | null; readonly lasts: boolean | null };
  readonly shortage: { readonly at: number; readonly code: string; readonly call: string } | null;
  readonly thresholds: readonly { readonly expression: string; readonly value: number | null; readonly ok: boolean }[];
  readonly limit: LimitFound | null;
}

export interface Quantiles {
  readonly max: number | null;
  quantile(q: number): number | null;
}

/** What --find-limit found. */
export interface LimitFound {
  /** The highest rate without a failure, and the lowest with one; null where there was none. */
  readonly rate: number | null;
  readonly failsAt: number | null;
  readonly cause: string | null;
  readonly probes: readonly { readonly rate: number; readonly cause: string | null }[];
}

/** Six significant digits: the rest is noise. */
const round = (value: number): number => Number(value.toPrecision(6));
const orNull = (value: number | null): number | null => (value === null ? null : round(value));

export const loadDocument = (run: LoadRun) => ({
  schema: LOAD_SCHEMA as typeof LOAD_SCHEMA,
  target: run.target,
  started_at: new Date(run.startedAt).toISOString(),
  seconds: round(run.seconds),
  interrupted: run.interrupted,
  scheduled: run.scheduled,
  sent: run.sent,
  ok: run.ok,
  missed: run.missedBusy + run.missedNoPort + run.missedLate,
  missed_because: { busy: run.missedBusy, no_port: run.missedNoPort, late: run.missedLate },
  /** Answered well per second. */
  rate: run.seconds > 0 ? round(run.ok / run.seconds) : 0,
  latency: {
    p50: orNull(run.latency.quantile(0.5)),
    p90: orNull(run.latency.quantile(0.9)),
    p99: orNull(run.latency.quantile(0.99)),
    p999: orNull(run.latency.quantile(0.999)),
    max: orNull(run.latency.max),
  },
  scheduler_lateness: {
    p50: orNull(run.lateness.quantile(0.5)),
    p99: orNull(run.lateness.quantile(0.99)),
    p999: orNull(run.lateness.quantile(0.999)),
    max: orNull(run.lateness.max),
  },
  ports: {
    chosen_by: run.sourcePorts.chosenBy,
    capacity: run.sourcePorts.capacity,
    used_before: run.sourcePorts.usedBefore,
    peak_used: run.sourcePorts.peakUsed,
    sources: run.sourcePorts.sources.map((s) => ({ ...s })),
  },
  errors: { ...run.errors },
  /** Each error by its code and what was being attempted. */
  error_codes: [...run.details].map(([name, count]) => ({ code: name.split(' ')[0]!, call: name.split(' ')[1]!, count })),
  connections: { ...run.connections },
  bytes_received: run.bytesReceived,
  prediction: {
    exhausts_after: orNull(run.prediction.exhaustsAfter),
    sustainable_rate: orNull(run.prediction.sustainableRate),
    lasts: run.prediction.lasts,
  },
  /** Seconds until the first request that found no port; null if all did. */
  exhausted_after: orNull(run.shortage?.at ?? null),
  exhausted_by: run.shortage === null ? null : { code: run.shortage.code, call: run.shortage.call },
  thresholds: run.thresholds.map((t) => ({ expression: t.expression, value: orNull(t.value), ok: t.ok })),
  limit:
    run.limit === null
      ? null
      : {
          rate: orNull(run.limit.rate),
          fails_at: orNull(run.limit.failsAt),
          cause: run.limit.cause,
          probes: run.limit.probes.map((p) => ({ rate: round(p.rate), ok: p.cause === null, cause: p.cause })),
        },
});

export type LoadDocument = ReturnType<typeof loadDocument>;
