/** A load run on a terminal: what is expected, one line a second, and the summary. */
import { formatEndpoint } from '../../core/address.ts';
import { connectionRate } from '../../core/plan/workload.ts';
import { formatRange } from '../../core/port-range.ts';
import { formatDuration, formatNumber, formatPercent, formatRate } from '../../core/quantity.ts';
import type { Job } from '../../load/job.ts';
import type { Prediction } from '../../load/prediction.ts';
import { rateOf } from '../../load/prediction.ts';
import type { Progress } from '../../load/run.ts';
import type { LoadDocument } from '../../wire/load.ts';
import type { Shell } from '../shell.ts';
import { type Paint, painter, safe, wrap } from '../terminal.ts';

const time = (seconds: number | null): string => (seconds === null ? '-' : formatDuration(seconds));
const many = (n: number, one: string, more = `${one}s`): string => `${formatNumber(n)} ${n === 1 ? one : more}`;

const chooser = {
  connect: 'chosen by the kernel at connect()',
  bind: 'chosen by the kernel at bind()',
  explicit: 'chosen by plimsoll',
} as const;

/** What the planner says of `job`, before it begins. */
export const renderPrediction = (job: Job, p: Prediction, seconds: number, shell: Shell): string => {
  const paint = painter(shell.stderr, shell.env);
  const { plan } = p;
  const w = plan.workload;
  const rate = rateOf(job);
  const ports =
    `${formatNumber(plan.total.capacity)} source ports (${job.sourcePorts.kind === 'ledger' ? job.sourcePorts.ports.map(formatRange).join(',') : formatRange(w.range)}` +
    `${w.sources > 1 ? ` on each of ${w.sources} addresses` : ''}, ${chooser[w.portChoice]})${p.usedBefore > 0 ? `, ${formatNumber(p.usedBefore)} of them in use` : ''}`;
  const to = `to ${formatEndpoint(job.target.address, job.target.port)}`;
  const closer = connectionRate(w) === 0 ? 'connections are kept' : `the ${job.closer} closes first`;
  if (job.traffic.kind === 'idle') {
    const over = job.traffic.connections - plan.total.capacity;
    return `${wrap(
      `${paint('bold', 'Predicted:')} ${many(job.traffic.connections, 'connection')} ${to} take as many of ${ports}${over > 0 ? paint('red', `: ${formatNumber(over)} too many`) : ''}.`,
      100,
    )}\n`;
  }
  const limit = p.sustainableRate === null ? 'no rate uses them up' : `${formatRate(p.sustainableRate)} is sustainable`;
  if (rate === null) return `${wrap(`${paint('bold', 'Predicted:')} ${ports} ${to}; ${closer}: ${limit}.`, 100)}\n`;
  const load = `${job.traffic.kind === 'open' && job.traffic.profile.length + (job.traffic.profile[0]!.from === job.traffic.profile[0]!.to ? 0 : 1) > 1 ? 'up to ' : ''}${formatRate(rate)}`;
  if (p.exhaustsAfter === null)
    return `${wrap(`${paint('bold', 'Predicted:')} ${load} ${to}, ${closer}: ${ports} last; ${limit}.`, 100)}\n`;
  const when = p.exhaustsAfter > seconds ? `${formatDuration(p.exhaustsAfter)}, longer than this run` : formatDuration(p.exhaustsAfter);
  const more = plan.whatIfs.find((i) => i.remedy === 'add_source_addresses');
  const remedies = [
    more === undefined ? null : `--source with ${more.title.replace(/ instead.*/, '')}`,
    job.target.protocol === 'http' ? 'keep connections (--requests-per-connection unlimited)' : null,
    w.portChoice === 'connect' && w.timestamps ? 'choose the ports (--ports 1024-65535): then our own TIME_WAITs do not count' : null,
  ].filter((r) => r !== null);
  return `${wrap(`${paint('bold', 'Predicted:')} ${load} ${to}, ${closer}: ${ports} ${paint(p.exhaustsAfter > seconds ? 'yellow' : 'red', `last ${when}`)}; ${limit}. To make it last: ${remedies.join('; or ')}.`, 100)}\n`;
};

/** One second in one line. */
export const progressLine = (p: Progress, capacity: number, rate: number | null): string => {
  const { total, interval } = p;
  const q = (share: number): string => time(total.latency.quantile(share));
  const asked = rate === null ? '' : ` of ${formatRate(interval.scheduled / interval.seconds)}`;
  const trouble = [
    total.failed > 0 ? many(total.failed, 'error') : '',
    total.missed > 0 ? `${formatNumber(total.missed)} missed` : '',
  ].filter((t) => t !== '');
  const ports = `ports ${formatNumber(p.portsUsed)} of ${formatNumber(capacity)}${p.portsLast !== null && p.portsLast < 3600 ? `, last ${formatDuration(p.portsLast)}` : ''}`;
  return [
    `${formatDuration(Math.round(p.elapsed))}`,
    `${formatRate(interval.ok / interval.seconds)}${asked}`,
    `p50 ${q(0.5)} p99 ${q(0.99)}`,
    ports,
    ...trouble,
  ].join('  ');
};

/** The summary, from the document alone. */
export const renderLoad = (d: LoadDocument, shell: Shell): string => {
  const paint: Paint = painter(shell.stdout, shell.env);
  const errors = Object.values(d.errors).reduce((sum, n) => sum + n, 0);
  const rows: [string, string][] = [
    [
      'requests',
      `${formatNumber(d.ok)} answered of ${formatNumber(d.scheduled)} scheduled in ${formatDuration(d.seconds)}: ${formatRate(d.rate)}`,
    ],
    [
      'latency',
      `p50 ${time(d.latency.p50)}, p90 ${time(d.latency.p90)}, p99 ${time(d.latency.p99)}, p99.9 ${time(d.latency.p999)}, longest ${time(d.latency.max)}`,
    ],
  ];
  if (d.scheduler_lateness.p99 !== null)
    rows.push([
      'own lateness',
      `p50 ${time(d.scheduler_lateness.p50)}, p99 ${time(d.scheduler_lateness.p99)}, longest ${time(d.scheduler_lateness.max)}: part of the latency`,
    ]);
  rows.push(['ports', `${formatNumber(d.ports.peak_used)} of ${formatNumber(d.ports.capacity)} in use at most`]);
  if (d.missed > 0)
    rows.push([
      'missed',
      `${formatNumber(d.missed)}, not attempted: ${formatNumber(d.missed_because.busy)} because too many were under way, ${formatNumber(d.missed_because.no_port)} because a search for a port had just failed`,
    ]);
  if (errors > 0)
    rows.push([
      'errors',
      paint(
        'red',
        `${formatNumber(errors)} (${formatPercent(errors / Math.max(1, d.scheduled))}): ${d.error_codes.map((e) => `${formatNumber(e.count)} ${safe(e.code)} at ${safe(e.call)}`).join(', ')}`,
      ),
    ]);
  const lines = rows.map(([name, value]) => `  ${name.padEnd(12)}  ${wrap(value, 86).replaceAll('\n', `\n${' '.repeat(16)}`)}`);
  for (const t of d.thresholds) lines.push(`  ${t.ok ? paint('green', 'holds') : paint('red', 'fails')}  ${safe(t.expression)}`);
  return `${lines.join('\n')}\n`;
};
