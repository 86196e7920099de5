/** `plimsoll.report/1`: the doctor's verdict as a document. Field names are contract; see docs/reference/report.md. */
import type { Diagnosis } from '../core/diagnosis.ts';
import type { Forecast } from '../core/forecast.ts';
import type { PortRange } from '../core/port-range.ts';
import type { PortSpace } from '../core/port-space.ts';
import type { NamespaceView } from '../core/port-spaces.ts';
import type { Remedy } from '../core/remedy/remedy.ts';

export const REPORT_SCHEMA = 'plimsoll.report/1';

/** Rates and ratios to six significant digits: the rest is noise, and it would make every report differ. */
const rounded = (value: number): number => (Number.isFinite(value) ? Number(value.toPrecision(6)) : value);
const roundedOrNull = (value: number | null): number | null => (value === null ? null : rounded(value));

const forecastDocument = (f: Forecast) => ({
  kind: f.kind,
  seconds: f.kind === 'exhausts' || f.kind === 'plateau' ? rounded(f.seconds) : f.kind === 'exhausted' ? 0 : null,
  seconds_low: f.kind === 'exhausts' ? rounded(f.secondsLow) : null,
  seconds_high: f.kind === 'exhausts' ? roundedOrNull(f.secondsHigh) : null,
  plateau_used: f.kind === 'stable' || f.kind === 'plateau' || f.kind === 'exhausts' ? roundedOrNull(f.plateauUsed) : null,
});

const rangePair = (r: PortRange): [number, number] => [r.low, r.high];

/** One entry of `port_spaces`. */
export const spaceDocument = (s: PortSpace) => ({
  id: s.id,
  kind: s.kind,
  namespace: s.namespace,
  label: s.label,
  source: s.source,
  destination: s.destination,
  destination_port: s.destinationPort,
  range: { low: s.range.low, high: s.range.high },
  capacity: s.capacity,
  blocked: s.blocked,
  held: s.held,
  reusable: s.reusable,
  used: s.used,
  free: s.free,
  free_low: s.freeLow,
  free_high: s.freeHigh,
  used_ratio: rounded(s.usedRatio),
  search_wall: { at: s.searchWall.at, passed: s.searchWall.passed },
  by_state: { ...s.byState },
  idle_connections: s.idleConnections,
  shared: s.shared.map((d) => ({ destination: d.destination, destination_port: d.destinationPort, held: d.held })),
  open_rate: roundedOrNull(s.openRate),
  close_rate: roundedOrNull(s.closeRate),
  time_wait_rate: rounded(s.load.timeWaitRate),
  failed_searches: s.failedSearches,
  forecast: forecastDocument(s.forecast),
  owners: s.owners.map((o) => ({
    pid: o.pid,
    command: o.command,
    container: o.container,
    sockets: o.sockets,
    opens: roundedOrNull(o.opens),
  })),
});

const namespaceDocument = (view: NamespaceView) => {
  const { id, name, settings, conntrack } = view.sample;
  return {
    id,
    name,
    port_range: { low: settings.portRange.low, high: settings.portRange.high },
    reserved: settings.reserved.map(rangePair),
    tcp_tw_reuse: settings.twReuse,
    tcp_tw_reuse_delay: settings.twReuseDelay,
    tcp_timestamps: settings.timestamps,
    tcp_fin_timeout: settings.finTimeout,
    tcp_max_tw_buckets: settings.maxTwBuckets,
    sockets: view.groups.table.count,
    conntrack: conntrack === null ? null : { count: conntrack.count, max: conntrack.max },
  };
};

/** One entry of `remedies`. */
export const remedyDocument = (r: Remedy) => ({
  code: r.code,
  subject: r.subject,
  title: r.title,
  text: r.text,
  effect:
    r.effect === null
      ? null
      : { capacity: rounded(r.effect.capacity), used_ratio: rounded(r.effect.usedRatio), forecast: forecastDocument(r.effect.forecast) },
  risk: r.risk,
  reversible: r.reversible,
  commands: [...r.commands],
  settings: r.settings.map((s) => ({ ...s })),
  snippets: r.snippets.map((s) => ({ ...s })),
});

/** The document of a diagnosis. */
export const reportDocument = (d: Diagnosis) => ({
  schema: REPORT_SCHEMA as typeof REPORT_SCHEMA,
  taken_at: d.takenAt,
  interval: rounded(d.interval),
  host: { name: d.host.name, kernel: d.host.kernel, tick_hz: d.host.tickHz },
  namespaces: d.namespaces.map(namespaceDocument),
  verdict: d.verdict,
  because: [...d.because],
  port_spaces: d.spaces.map(spaceDocument),
  port_spaces_unlisted: d.unlisted,
  inbound: d.inbound.map((i) => ({
    namespace: i.namespace,
    listener: i.listener,
    source: i.source,
    used: i.used,
    limit: i.limit,
    used_ratio: rounded(i.usedRatio),
  })),
  findings: d.findings.map((f) => ({ ...f, evidence: f.evidence.map((e) => ({ ...e })), remedies: [...f.remedies] })),
  remedies: d.remedies.map(remedyDocument),
  ruled_out: [...d.ruledOut],
  sensors: d.sensors.map((s) => ({ name: s.name, status: s.status, duration_ms: rounded(s.duration * 1000), hint: s.hint })),
});

export type ReportDocument = ReturnType<typeof reportDocument>;
