/** A plan on a terminal: the verdict, the numbers, occupancy over time, what each remedy would do, what was assumed. */
import type { Plan, Question } from '../../core/plan/plan.ts';
import { timeline, worthDrawing } from '../../core/plan/timeline.ts';
import { connectionRate } from '../../core/plan/workload.ts';
import { formatRange } from '../../core/port-range.ts';
import { formatDuration, formatNumber, formatPercent, formatRate } from '../../core/quantity.ts';
import type { Shell } from '../shell.ts';
import { hang, type Paint, pad, painter, type Style, width, wrap } from '../terminal.ts';
import { plotMargin, renderPlot } from './plot.ts';

const rate = (value: number): string => (Number.isFinite(value) ? formatRate(value) : 'any rate');
const when = (seconds: number | null): string =>
  seconds === null ? 'never' : seconds === 0 ? 'at once' : `after ${formatDuration(seconds)}`;
const plural = (n: number, word: string): string => `${formatNumber(n)} ${word}${n === 1 ? '' : 's'}`;
const kindName = {
  connect: 'chosen by connect()',
  bind: 'chosen by bind(ip, 0)',
  ledger: 'named by the application',
  snat: 'of the NAT',
} as const;

const verdict = (plan: Plan, paint: Paint): string => {
  const { workload: w, space, total } = plan;
  const load = connectionRate(w) > 0 ? `${formatRate(w.rate)}` : `${formatRate(w.rate)} over shared connections`;
  if (!plan.lasts) {
    const after = space.exhaustsAfter === 0 ? 'at once' : when(space.exhaustsAfter);
    return `${paint('red', 'Does not last.')} At ${load} the ports run out ${after}; then about ${rate(total.rateAfterExhaustion)} get through.`;
  }
  if (!plan.lastsWithMargin)
    return `${paint('yellow', 'Lasts, without the margin.')} ${load} fit without a failure, ${formatPercent(plan.target - 1)} more would not: the limit is ${rate(total.sustainableRate)}.`;
  return `${paint('green', 'Lasts.')} ${load} fit without a failure, and ${formatPercent(plan.target - 1)} more would.`;
};

/** Two columns of name and value. */
const facts = (rows: readonly (readonly [string, string])[], columns: number): string =>
  rows.map(([name, value]) => `  ${pad(name, 17)}  ${hang(value, columns, 21)}`).join('\n');

const numbers = (plan: Plan, columns: number): string => {
  const { space, total, tightest, workload: w } = plan;
  const one = tightest.spaces === 1;
  const each = (single: string, all: string): string =>
    one ? single : `${single} each, ${all} over ${plural(tightest.spaces, 'port space')}`;
  const range = tightest.kind === 'snat' && w.snat !== null ? w.snat.range : w.range;
  const share = space.plateau.used > 0 ? space.plateau.timeWait / space.plateau.used : 0;
  const demand = space.plateau.usedRatio > 1 ? 'would need ' : '';
  return facts(
    [
      ['ports', `${each(formatNumber(space.capacity), formatNumber(total.capacity))} (${formatRange(range)}, ${kindName[tightest.kind]})`],
      [
        'in use at plateau',
        `${demand}${each(formatNumber(space.plateau.used), formatNumber(total.plateau.used))}, ${formatPercent(space.plateau.usedRatio)} of them; ${formatPercent(share)} of that is TIME_WAIT`,
      ],
      [
        'sustainable rate',
        Number.isFinite(total.sustainableRate)
          ? `${each(rate(space.sustainableRate), rate(total.sustainableRate))} without a failure; ${rate(total.meanRate)} on average`
          : 'any: what is closed leaves no port behind',
      ],
      ['ports run out', when(space.exhaustsAfter)],
      ...(space.searchWallAt === null
        ? []
        : ([['search wall', `${when(space.searchWallAfter)}, at ${formatNumber(space.searchWallAt)} ports`]] as const)),
      [
        'port search',
        total.search.cores > 0
          ? `${formatDuration(space.search.perConnection)} per connect(), ${formatPercent(total.search.cores)} of a core`
          : 'a few probes per connect()',
      ],
      ['requests served', `${rate(total.rateAfterExhaustion)} of ${formatRate(w.rate)} in the long run`],
    ],
    columns,
  );
};

const styleOf =
  (capacity: number) =>
  (value: number): Style =>
    value >= capacity * 0.95 ? 'red' : value >= capacity * 0.8 ? 'yellow' : 'cyan';

const plot = (plan: Plan, columns: number, paint: Paint): string => {
  const { tightest, space } = plan;
  const seconds = worthDrawing(tightest, space.exhaustsAfter);
  const lines = [
    { at: space.capacity, label: 'capacity', style: 'red' as const },
    ...(space.searchWallAt === null ? [] : [{ at: space.searchWallAt, label: 'search wall', style: 'yellow' as const }]),
  ];
  const labels = 14;
  const probe = timeline(tightest, seconds, 2).map((p) => p.used);
  const room = Math.max(20, Math.min(100, columns) - plotMargin({ lines, values: probe }) - labels);
  const values = timeline(tightest, seconds, room).map((p) => p.used);
  const title = paint('bold', tightest.spaces === 1 ? 'Ports in use over time' : 'Ports in use over time, one port space');
  return [title, ...renderPlot({ values, seconds, rows: 8, lines, style: styleOf(space.capacity) }, paint)].join('\n');
};

const table = (rows: readonly (readonly string[])[], paint: Paint, columns: number): string => {
  const widths = rows[0]!.map((_, i) => Math.max(...rows.map((r) => width(r[i]!))));
  const rest = widths.slice(1).reduce((sum, w) => sum + w + 2, 0);
  widths[0] = Math.max(24, Math.min(widths[0]!, columns - rest - 2));
  return rows
    .map((row, n) => {
      const [first, ...more] = wrap(row[0]!, widths[0]!).split('\n') as [string, ...string[]];
      const cells = [pad(first, widths[0]!), ...row.slice(1).map((cell, i) => pad(cell, widths[i + 1]!, 'right'))];
      const line = [cells.join('  '), ...more.map((rest) => `    ${rest}`)].join('\n  ');
      return `  ${n === 0 ? paint('dim', line) : line}`;
    })
    .join('\n');
};

const whatIfs = (plan: Plan, paint: Paint, columns: number): string =>
  table(
    [
      ['what if', 'ports', 'sustainable', 'used', 'run out', 'holds'],
      ...plan.whatIfs.map((i) => [
        i.title,
        formatNumber(i.total.capacity),
        rate(i.total.sustainableRate),
        formatPercent(i.total.plateau.usedRatio),
        when(i.total.exhaustsAfter),
        i.holds ? 'yes' : 'no',
      ]),
    ],
    paint,
    columns,
  );

const cheapest = (plan: Plan, paint: Paint): string => {
  const margin = formatPercent(plan.target - 1);
  if (plan.cheapest === null) return `${paint('bold', 'Cheapest:')} no set of these remedies holds the load with ${margin} to spare.`;
  if (plan.cheapest.remedies.length === 0) return `${paint('bold', 'Cheapest:')} nothing to do; ${margin} to spare.`;
  const what = plan.cheapest.remedies.map((r) => r.title).join('; ');
  return `${paint('bold', 'Cheapest that holds:')} ${what}. Then ${rate(plan.cheapest.total.sustainableRate)} last, and the plateau is ${formatPercent(plan.cheapest.total.plateau.usedRatio)}.`;
};

/** The whole page. */
export const renderPlan = (
  plan: Plan,
  solution: { readonly question: Question; readonly value: number | null; readonly unit: string } | null,
  shell: Shell,
): string => {
  const paint = painter(shell.stdout, shell.env);
  const columns = Math.max(60, shell.stdout.isTerminal ? shell.stdout.width : 100);
  const wrapped = (text: string): string => wrap(text, columns);
  const sections = [
    wrapped(verdict(plan, paint)),
    ...(solution === null
      ? []
      : [
          paint(
            'bold',
            solution.value === null
              ? `No number of ${solution.unit} holds this load.`
              : `${solution.question === 'rate' ? rate(solution.value) : formatNumber(solution.value)}: ${solution.unit}, ${formatPercent(plan.target - 1)} to spare.`,
          ),
        ]),
    numbers(plan, columns),
    plot(plan, columns, paint),
    ...(plan.whatIfs.length > 0 ? [whatIfs(plan, paint, columns)] : []),
    wrapped(cheapest(plan, paint)),
    `${paint('dim', 'Assumed')}\n${plan.assumptions.map((a) => `  - ${hang(a, columns, 4)}`).join('\n')}`,
  ];
  return `${sections.join('\n\n')}\n`;
};
