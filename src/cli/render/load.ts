/** A load run in words: what is expected of the ports, how it stands, what came of it. */
import { formatEndpoint } from '../../core/address.ts';
import { connectionRate } from '../../core/plan/workload.ts';
import { formatRange } from '../../core/port-range.ts';
import { formatDuration, formatNumber, formatPercent, formatRate } from '../../core/quantity.ts';
import type { Job } from '../../load/job.ts';
import { type Prediction, rateOf } from '../../load/prediction.ts';
import { type Progress, plannedSeconds, type Result } from '../../load/run.ts';
import type { Shortage } from '../../load/tally.ts';
import type { LoadDocument } from '../../wire/load.ts';
import type { Output, Shell } from '../shell.ts';
import { type Paint, pad, painter, safe, wrap } from '../terminal.ts';

/** Latencies below a tenth of a second want more digits than other durations: `264 µs`, `3.14 ms`. */
export const latency = (seconds: number | null): string => {
  if (seconds === null) return '-';
  if (seconds < 0.0009995) return `${Math.round(seconds * 1e6)} µs`;
  return seconds < 0.1 ? `${Number((seconds * 1000).toPrecision(3))} ms` : formatDuration(seconds);
};
const many = (n: number, one: string, more = `${one}s`): string => `${formatNumber(n)} ${n === 1 ? one : more}`;
const columnsOf = (output: Output): number => Math.max(60, output.isTerminal ? Math.min(140, output.width) : 100);

const chooser = { connect: 'chosen by the kernel', bind: 'chosen by the kernel at bind', explicit: 'chosen by plimsoll' } as const;

const portsOf = (job: Job, p: Prediction): string => {
  const w = p.plan.workload;
  const range = job.sourcePorts.kind === 'ledger' ? job.sourcePorts.ports.map(formatRange).join(',') : formatRange(w.range);
  const addresses = w.sources > 1 ? ` on each of ${w.sources} addresses` : '';
  const used = p.usedBefore > 0 ? `, ${formatNumber(p.usedBefore)} in use now` : '';
  return `${many(p.plan.total.capacity, 'source port')} (${range}${addresses}, ${chooser[w.portChoice]}${used})`;
};

/** What a generator can do about it; what the host or the server could is `plimsoll plan`'s to say. */
const remedies = (job: Job, p: Prediction): string => {
  const more = p.plan.whatIfs.find((i) => i.remedy === 'add_source_addresses');
  return [
    more === undefined ? '' : `add ${more.title.replace(/ instead.*/, '')} (--source)`,
    job.target.protocol === 'http' ? 'keep connections (--requests-per-connection unlimited)' : '',
    p.plan.workload.portChoice !== 'explicit' && p.plan.workload.timestamps
      ? 'choose the ports yourself (--ports): one that we closed may then be used again at once'
      : '',
  ]
    .filter((r) => r !== '')
    .join('; or ');
};

/** What the planner says of `job`, before it begins. */
export const renderPrediction = (job: Job, p: Prediction, shell: Shell): string => {
  const paint = painter(shell.stderr, shell.env);
  const { target, traffic } = job;
  const w = p.plan.workload;
  const to = `to ${formatEndpoint(target.address, target.port)}`;
  const ports = portsOf(job, p);
  const sentence = (): string => {
    if (traffic.kind === 'idle') {
      const over = traffic.connections + p.usedBefore - p.plan.total.capacity;
      return `${many(traffic.connections, 'connection')} ${to} take as many of ${ports}${over > 0 ? paint('red', `: ${formatNumber(over)} too many`) : ''}.`;
    }
    const limit = p.sustainableRate === null ? 'nothing here uses them up' : `${formatRate(p.sustainableRate)} is sustainable`;
    const closing = connectionRate(w) === 0 ? 'over kept connections' : `closed first by the ${job.closer}`;
    const rate = rateOf(job);
    if (rate === null)
      return `${many(traffic.kind === 'closed' ? traffic.connections : 0, 'connection')} ${to}, ${closing}: ${ports}; ${limit}.`;
    const steady = traffic.kind === 'open' && traffic.profile.every((s) => s.from === s.to && s.from === rate);
    const load = `${steady ? '' : 'up to '}${formatRate(rate)} ${to}, ${closing}`;
    if (p.exhaustsAfter === null) return `${load}: ${ports} last; ${limit}.`;
    const within = p.exhaustsAfter <= plannedSeconds(job);
    const lasts = `${paint(within ? 'red' : 'yellow', `last ${formatDuration(p.exhaustsAfter)}`)}${within ? '' : ', longer than this run'}`;
    const advice = remedies(job, p);
    return `${load}: ${ports} ${lasts}; ${limit}.${advice === '' ? '' : ` To make it last: ${advice}.`}`;
  };
  return `${wrap(`${paint('bold', 'Predicted:')} ${sentence()}`, columnsOf(shell.stderr))}\n`;
};

/** The first time no port was to be had. */
export const shortageLine = (s: Shortage, job: Job, p: Prediction): string => {
  const to = formatEndpoint(job.target.address, job.target.port);
  const expected = p.exhaustsAfter === null ? '' : ` (predicted after ${formatDuration(p.exhaustsAfter)})`;
  const what = s.call === 'ledger' ? 'every port given is in use' : `${safe(s.code)} at ${safe(s.call)}`;
  return `Source ports ran out after ${formatNumber(s.at, 1)} s${expected}: ${what}, opening a connection to ${to}. Going on.\n`;
};

/** One interval in one line. */
export const progressLine = (p: Progress, job: Job, capacity: number): string => {
  const { total, interval } = p;
  const asked = rateOf(job) === null ? '' : ` of ${formatRate(interval.scheduled / interval.seconds)}`;
  const last = p.portsLast !== null && p.portsLast < 3600 ? `, last ${formatDuration(p.portsLast)}` : '';
  const sources =
    total.ledger.length > 1
      ? ` on ${total.ledger.length} sources, fewest free ${formatNumber(Math.min(...total.ledger.map((l) => l.free)))}`
      : '';
  return [
    pad(formatDuration(Math.round(p.elapsed)), 5, 'right'),
    `${formatRate(interval.ok / interval.seconds)}${asked}`,
    `p50 ${latency(total.latency.quantile(0.5))} p99 ${latency(total.latency.quantile(0.99))}`,
    `ports ${formatNumber(p.portsUsed)} of ${formatNumber(capacity)}${sources}${last}`,
    ...(total.failed > 0 ? [many(total.failed, 'error')] : []),
    ...(total.missed > 0 ? [`${formatNumber(total.missed)} missed`] : []),
  ].join('  ');
};

const causeWords: Readonly<Record<string, string>> = {
  local_port: 'source ports ran out',
  local_other: 'this host could not',
  refused: 'connections were refused',
  reset: 'connections were reset',
  timeout: 'no answer in time',
  status: 'answers with 4xx or 5xx',
  other: 'other errors',
  missed: 'more requests were under way than may be',
  lateness: 'plimsoll itself could not keep the schedule',
};

/** A cause of --find-limit in words. */
export const causeText = (cause: string): string => causeWords[cause] ?? `${cause} does not hold`;

/** One rate that --find-limit asked for. */
export const probeLine = (rate: number, cause: string | null, result: Result): string => {
  const { shortage } = result.total;
  const when = cause === 'local_port' && shortage !== null ? ` after ${formatNumber(shortage.at, 1)} s` : '';
  return `${formatRate(rate)}: ${cause === null ? 'holds' : `fails, ${causeText(cause)}${when}`}\n`;
};

const limitRows = (limit: NonNullable<LoadDocument['limit']>): readonly (readonly [string, string])[] => {
  const { rate, fails_at, cause, probes } = limit;
  const asked = `${many(probes.length, 'rate')} asked for`;
  if (fails_at === null) return [['limit', `none found: ${rate === null ? 'nothing was asked' : `${formatRate(rate)} holds`} (${asked})`]];
  const holds = rate === null ? 'no rate asked for holds' : `${formatRate(rate)} holds`;
  return [['limit', `${holds}, ${formatRate(fails_at)} does not: ${causeText(cause ?? '')} (${asked})`]];
};

/** The summary, from the document alone. */
export const renderLoad = (d: LoadDocument, shell: Shell): string => {
  const paint: Paint = painter(shell.stdout, shell.env);
  const columns = columnsOf(shell.stdout);
  const errors = Object.values(d.errors).reduce((sum, n) => sum + n, 0);
  const unfinished = d.sent - d.ok - errors;
  const l = d.latency;
  const s = d.scheduler_lateness;
  const rows: (readonly [string, string])[] = [
    ...(d.limit === null ? [] : limitRows(d.limit)),
    [
      'answered',
      `${formatNumber(d.ok)} of ${formatNumber(d.scheduled)} in ${formatDuration(d.seconds)}: ${formatRate(d.rate)}${d.interrupted ? `; interrupted${unfinished > 0 ? `, ${formatNumber(unfinished)} under way` : ''}` : ''}`,
    ],
    ['latency', `p50 ${latency(l.p50)}, p90 ${latency(l.p90)}, p99 ${latency(l.p99)}, p99.9 ${latency(l.p999)}, longest ${latency(l.max)}`],
  ];
  if (s.p99 !== null)
    rows.push(['own lateness', `p50 ${latency(s.p50)}, p99 ${latency(s.p99)}, longest ${latency(s.max)}; part of the latency above`]);
  rows.push(['connections', connections(d)]);
  rows.push(['ports', `${formatNumber(d.ports.peak_used)} of ${formatNumber(d.ports.capacity)} in use at most`]);
  for (const p of d.ports.sources.length > 1 || d.ports.sources.some((x) => x.held_by_others + x.early_reuses > 0) ? d.ports.sources : [])
    rows.push([
      '',
      `${safe(p.address)}: ${formatNumber(p.used)} used, ${formatNumber(p.free)} free, ${formatNumber(p.cooling)} resting, ${formatNumber(p.held_by_others)} held by others; ${formatNumber(p.early_reuses)} used again early`,
    ]);
  if (d.exhausted_after !== null) {
    const expected = d.prediction.exhausts_after === null ? '' : ` (predicted ${formatNumber(d.prediction.exhausts_after, 1)} s)`;
    rows.push([
      '',
      paint('red', `ran out after ${formatNumber(d.exhausted_after, 1)} s${expected}: ${d.exhausted_by?.code} at ${d.exhausted_by?.call}`),
    ]);
  }
  if (d.missed > 0)
    rows.push([
      'missed',
      `${formatNumber(d.missed)} not attempted: ${[
        [d.missed_because.busy, 'with too many under way'],
        [d.missed_because.no_port, 'right after a search for a port had failed'],
        [d.missed_because.late, 'overdue by a second because plimsoll could not keep up (--workers)'],
      ]
        .filter(([n]) => n !== 0)
        .map(([n, why]) => `${formatNumber(n as number)} ${why}`)
        .join(', ')}`,
    ]);
  if (errors > 0) {
    const kinds = [...d.error_codes]
      .sort((a, b) => b.count - a.count)
      .map((e) => `${formatNumber(e.count)} ${safe(e.code)} (${safe(e.call)})`);
    rows.push([
      'errors',
      `${paint('red', `${formatNumber(errors)}, ${formatPercent(errors / Math.max(1, d.scheduled))}`)}: ${kinds.join(', ')}`,
    ]);
  }
  for (const t of d.thresholds)
    rows.push(['threshold', `${safe(t.expression)} ${t.ok ? paint('green', 'holds') : paint('red', 'does not hold')}`]);
  return `${rows.map(([name, value]) => `  ${pad(name, 12)}  ${wrap(value, columns - 16).replaceAll('\n', `\n${' '.repeat(16)}`)}`).join('\n')}\n`;
};

const connections = ({ connections: c }: LoadDocument): string =>
  [
    `${formatNumber(c.opened)} opened`,
    c.closed_by_client > 0 ? `${formatNumber(c.closed_by_client)} closed by us` : '',
    c.closed_by_server > 0 ? `${formatNumber(c.closed_by_server)} by the server` : '',
    c.broken > 0 ? `${formatNumber(c.broken)} broken` : '',
    c.open_at_end > 0 ? `${formatNumber(c.open_at_end)} open at the end` : '',
  ]
    .filter((t) => t !== '')
    .join(', ');
