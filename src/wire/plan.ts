/** `plimsoll.plan/1`: a capacity plan as a document. Field names are contract; see docs/reference/plan.md. */
import type { Figures } from '../core/plan/figures.ts';
import type { Plan, Question } from '../core/plan/plan.ts';

export const PLAN_SCHEMA = 'plimsoll.plan/1';

/** Six significant digits: the rest is noise of the arithmetic. Null for "without limit". */
const round = (value: number): number => Number(value.toPrecision(6));
const limit = (value: number): number | null => (Number.isFinite(value) ? round(value) : null);
const orNull = (value: number | null): number | null => (value === null ? null : round(value));

const figuresDocument = (f: Figures) => ({
  capacity: round(f.capacity),
  sustainable_rate: limit(f.sustainableRate),
  mean_rate: limit(f.meanRate),
  plateau: {
    used: round(f.plateau.used),
    used_ratio: round(f.plateau.usedRatio),
    time_wait: round(f.plateau.timeWait),
    established: round(f.plateau.established),
  },
  exhausts_after: orNull(f.exhaustsAfter),
  search_wall_at: orNull(f.searchWallAt),
  search_wall_after: orNull(f.searchWallAfter),
  search_seconds: round(f.search.perConnection),
  search_cores: round(f.search.cores),
  rate_after_exhaustion: round(f.rateAfterExhaustion),
});

/** The document of `plan`; `solution` is the answer to `--solve`, if that was asked. */
export const planDocument = (
  plan: Plan,
  solution: { readonly question: Question; readonly value: number | null; readonly unit: string } | null,
) => {
  const w = plan.workload;
  return {
    schema: PLAN_SCHEMA as typeof PLAN_SCHEMA,
    /** What the figures at the top level are of: one port space. */
    per: 'space' as const,
    kind: plan.tightest.kind,
    spaces: plan.tightest.spaces,
    lasts: plan.lasts,
    lasts_with_margin: plan.lastsWithMargin,
    ...figuresDocument(plan.space),
    total: figuresDocument(plan.total),
    what_if: plan.whatIfs.map((i) => ({
      remedy: i.remedy,
      title: i.title,
      holds: i.holds,
      capacity: round(i.total.capacity),
      sustainable_rate: limit(i.total.sustainableRate),
      used_ratio: round(i.total.plateau.usedRatio),
      exhausts_after: orNull(i.total.exhaustsAfter),
      search_cores: round(i.total.search.cores),
    })),
    cheapest: plan.cheapest?.remedies.map((r) => r.remedy) ?? null,
    cheapest_titles: plan.cheapest?.remedies.map((r) => r.title) ?? null,
    solution: solution === null ? null : { ...solution, value: orNull(solution.value) },
    workload: {
      rate: round(w.rate),
      requests_per_connection: w.requestsPerConnection,
      upstream_latency: w.upstreamLatency,
      server_time: w.serverTime,
      duration: round(w.duration),
      closer: w.closer,
      sources: w.sources,
      destinations: w.destinations,
      range: { low: w.range.low, high: w.range.high },
      blocked: w.blocked,
      time_wait: w.timeWait,
      tick: w.tick,
      tcp_tw_reuse: w.twReuse,
      tcp_tw_reuse_delay: w.twReuseDelay,
      timestamps: w.timestamps,
      loopback: w.loopback,
      port_choice: w.portChoice,
      snat:
        w.snat === null
          ? null
          : {
              range: { low: w.snat.range.low, high: w.snat.range.high },
              addresses: w.snat.addresses,
              time_wait: w.snat.timeWait,
              after_reset: w.snat.afterReset,
            },
      margin: round(plan.target - 1),
    },
    assumptions: [...plan.assumptions],
  };
};

export type PlanDocument = ReturnType<typeof planDocument>;
