/** What the page knows, as signals: whatever shows one is drawn anew when it changes, and nothing else is. */
import { computed, signal } from '@preact/signals';
import type { BalancerEvent, FindingLife, SampleEvent, Session } from '../../wire/api.ts';
import type { ReportDocument } from '../../wire/report.ts';
import { api } from './api.ts';
import { follow } from './stream.ts';

export const session = signal<Session | null>(null);
/** The newest look. */
export const sample = signal<SampleEvent | null>(null);
/** The whole report, up to half a minute old: sensors and namespaces change seldom. */
export const report = signal<ReportDocument | null>(null);
export const findings = signal<ReadonlyMap<string, FindingLife>>(new Map());
export const balancer = signal<BalancerEvent | null>(null);
const tokens = signal(0);

/** Whether more than one network namespace is looked into: only then their names tell anything. */
export const severalNamespaces = computed(() => (report.value?.namespaces.length ?? 0) > 1);

const weight = { critical: 0, warning: 1, info: 2 } as const;

/** Open findings, the gravest first. */
export const openFindings = computed(() =>
  [...findings.value.values()]
    .filter((f) => f.closed_at === null)
    .sort((a, b) => weight[a.severity] - weight[b.severity] || a.opened_at.localeCompare(b.opened_at)),
);

/** Used ratios of the last looks by port space: seconds since 1970 and the ratio. */
export interface Trend {
  readonly at: readonly number[];
  readonly ratio: readonly number[];
}
const trends = new Map<string, { at: number[]; ratio: number[] }>();
/** Port spaces whose trend is kept, the fullest: those that are drawn, and some that may be next. */
const FOLLOWED = 12;
/** Five minutes at a look a second. */
const TREND = 300;
const none: Trend = { at: [], ratio: [] };

/** The trend of a port space, as far as this page or the history has seen it; drawn with each sample. */
export const trendOf = (id: string): Trend => trends.get(id) ?? none;

const keepTrend = (event: SampleEvent): void => {
  const at = Date.parse(event.at) / 1000;
  const listed = new Set<string>();
  for (const space of event.spaces.slice(0, FOLLOWED)) {
    listed.add(space.id);
    let trend = trends.get(space.id);
    if (trend === undefined) {
      trend = { at: [], ratio: [] };
      trends.set(space.id, trend);
      void seedTrend(space.id, at);
    }
    if (trend.at.length > 0 && at <= trend.at.at(-1)!) continue;
    trend.at.push(at);
    trend.ratio.push(space.used_ratio);
    while (trend.at[0]! < at - TREND) {
      trend.at.shift();
      trend.ratio.shift();
    }
  }
  // A host with short-lived port spaces must not fill the page's memory.
  if (trends.size > 4 * listed.size + 64) for (const id of trends.keys()) if (!listed.has(id)) trends.delete(id);
};

/** What the agent's history has of a space from before this page was opened. */
const seedTrend = async (id: string, now: number): Promise<void> => {
  const history = await api.history(id, now - TREND, now).catch(() => null);
  const trend = trends.get(id);
  if (history === null || trend === undefined) return;
  const first = trend.at[0] ?? now;
  const at: number[] = [];
  const ratio: number[] = [];
  history.at.forEach((t, i) => {
    const used = history.columns.used[i];
    const capacity = history.columns.capacity[i];
    if (t < first && used !== null && used !== undefined && capacity) {
      at.push(t);
      ratio.push(used / capacity);
    }
  });
  trend.at.unshift(...at);
  trend.ratio.unshift(...ratio);
};

const sampleOf = (r: ReportDocument): SampleEvent => ({
  at: r.taken_at,
  verdict: r.verdict,
  because: r.because,
  spaces: r.port_spaces,
  spaces_total: r.port_spaces.length + r.port_spaces_unlisted,
  interval: r.interval,
  slowed_to: null,
});

/** Milliseconds after which sensors and counts of the report are read anew. */
const REPORT_AGE = 30_000;
let reported = 0;

const renewReport = async (): Promise<void> => {
  if (Date.now() - reported < REPORT_AGE || document.visibilityState !== 'visible') return;
  reported = Date.now();
  report.value = await api.report().catch(() => report.value);
};

/** Reads everything that the events only change. */
const readAll = async (): Promise<void> => {
  session.value = await api.session();
  const [newest, open] = await Promise.all([api.report().catch(() => null), api.findings('open').catch(() => ({ items: [] }))]);
  if (newest !== null) {
    reported = Date.now();
    report.value = newest;
    if (sample.value === null || Date.parse(newest.taken_at) > Date.parse(sample.value.at)) {
      const first = sampleOf(newest);
      keepTrend(first);
      sample.value = first;
    }
  }
  findings.value = new Map(open.items.map((f) => [f.id, f]));
};

let renewing = false;

/** The numbers in a finding's words move on with every look; only its beginning, its gravity and its end are events. */
const renewFindings = async (): Promise<void> => {
  if (renewing || openFindings.value.length === 0 || document.visibilityState !== 'visible') return;
  renewing = true;
  const open = await api.findings('open').catch(() => null);
  renewing = false;
  if (open !== null) findings.value = new Map(open.items.map((f) => [f.id, f]));
};

/** Follows the agent from now on. */
export const start = (): void => {
  void follow(
    {
      connected: readAll,
      on: {
        sample: (data) => {
          keepTrend(data);
          sample.value = data;
          void renewFindings();
          void renewReport();
        },
        finding: (data) => {
          const next = new Map(findings.value);
          if (data.closed_at === null) next.set(data.id, data);
          else next.delete(data.id);
          findings.value = next;
        },
        balancer: (data) => {
          balancer.value = data;
        },
        reset: () => void readAll().catch(() => {}),
      },
    },
    tokens,
  );
};

/** Tries again with the token that is kept now, or without one. */
export const beginAnew = (): void => {
  session.value = null;
  tokens.value++;
};
