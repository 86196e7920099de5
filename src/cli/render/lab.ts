/** The lab on a terminal: what there is, what a run will do and predicts, and what came of it. */
import { type ComparisonRow, differenceOf, type Experiment, spreadOf, type Told, type Verified } from '../../core/experiment.ts';
import { formatDuration, formatNumber, formatPercent } from '../../core/quantity.ts';
import type { Prediction, Ran, Scale, Scenario } from '../../lab/index.ts';
import type { Output, Shell } from '../shell.ts';
import { hang, type Paint, pad, painter, safe, width, wrap } from '../terminal.ts';

const MAX_WIDTH = 110;
const columnsOf = (output: Output): number => Math.max(60, Math.min(output.width, MAX_WIDTH));

/** What is not a number is text of the lab's own; both are made harmless all the same. */
const cell = (value: ComparisonRow['values'][number], unit: string): string =>
  value === null
    ? '–'
    : typeof value === 'string'
      ? safe(value)
      : `${formatNumber(value, Math.abs(value) < 100 ? 1 : 0)}${unit === '' ? '' : ` ${unit}`}`;

/** Rows of cells, each wrapped between words in its column; the first column takes what the others leave, but no less than 20. */
const table = (rows: readonly (readonly string[])[], paint: Paint, columns: number): string => {
  const count = rows[0]!.length;
  const widest = Array.from({ length: count }, (_, i) => Math.max(...rows.map((r) => width(r[i]!))));
  const share = Math.floor((columns - 2 - 24 - 2 * (count - 1)) / (count - 1));
  const longestWord = (i: number): number => Math.max(...rows.flatMap((r) => r[i]!.split(' ').map(width)));
  const widths = widest.map((w, i) => (i === 0 ? 0 : Math.min(w, Math.max(8, share, longestWord(i)))));
  widths[0] = Math.min(widest[0]!, Math.max(20, columns - 2 - widths.reduce((sum, w) => sum + w + 2, 0)));
  return rows
    .map((row, n) => {
      const cells = row.map((text, i) => wrap(text, widths[i]!).split('\n'));
      const height = Math.max(...cells.map((lines) => lines.length));
      const lines = Array.from({ length: height }, (_, y) =>
        cells
          .map((c, i) => pad(c[y] ?? '', widths[i]!, i === 0 ? 'left' : 'right'))
          .join('  ')
          .trimEnd(),
      );
      return lines.map((line) => `  ${n === 0 ? paint('dim', line) : line}`).join('\n');
    })
    .join('\n');
};

/** `plimsoll lab list`. */
export const renderLabList = (scenarios: readonly Scenario[], shell: Shell): string => {
  const paint = painter(shell.stdout, shell.env);
  const columns = columnsOf(shell.stdout);
  const blocks = scenarios.map((s) => {
    const needs = s.programs.length === 0 ? '' : `; needs ${s.programs.join(', ')}`;
    return [
      `${paint('bold', s.name)}  ${paint('dim', `${formatDuration(s.takes.full)}, with --fast ${formatDuration(s.takes.fast)}${needs}`)}`,
      `  ${hang(s.story, columns, 2)}`,
      `  ${paint('dim', hang(`After: ${s.remedy}.`, columns, 2))}`,
    ].join('\n');
  });
  return `${blocks.join('\n\n')}\n\nRun one: plimsoll lab run ${scenarios[0]!.name} --fast\n`;
};

/** What is said before a run: the story, how long it takes, what is predicted. */
export const renderBefore = (s: Scenario, scale: Scale, predictions: readonly Prediction[], shell: Shell): string => {
  const paint = painter(shell.stderr, shell.env);
  const columns = columnsOf(shell.stderr);
  return [
    `${paint('bold', s.title)}`,
    `  ${hang(s.story, columns, 2)}`,
    `  ${hang(`Afterwards: ${s.remedy}.`, columns, 2)}`,
    `  ${hang(`Takes about ${formatDuration(s.takes[scale])}, in network namespaces of its own; nothing of this host is changed.`, columns, 2)}`,
    '',
    paint('bold', 'Predicted'),
    ...predictions.flatMap((p) => [
      `  ${hang(`${formatNumber(p.predicted, p.predicted < 100 ? 1 : 0)}${p.unit.length <= 2 ? ` ${p.unit}` : ''}: ${p.subject}`, columns, 4)}`,
      `    ${paint('dim', wrap(p.from, columns - 4, '      '))}`,
    ]),
    '',
    '',
  ].join('\n');
};

const verifiedTable = (verified: readonly Verified[], paint: Paint, columns: number): string => {
  const figure = (value: number, v: Verified): string =>
    `${formatNumber(value, value < 100 ? 1 : 0)}${v.unit.length <= 2 ? ` ${v.unit}` : ''}`;
  return table(
    [
      ['', 'predicted', 'measured', 'off by', 'runs', 'spread'],
      ...verified.map((v) => [
        v.subject,
        figure(v.predicted, v),
        figure(v.measured, v),
        differenceOf(v) === 0 ? '0 %' : formatPercent(differenceOf(v)),
        formatNumber(v.runs.length),
        v.runs.length === 1 ? '–' : figure(spreadOf(v.runs), v),
      ]),
    ],
    paint,
    columns,
  );
};

const markOf: Readonly<Record<string, string>> = { critical: '✖', warning: '▲', info: '•' };

const toldLines = (t: Told, paint: Paint, columns: number): string[] => {
  const lines = [paint('bold', wrap(`What ${t.command} said in the ${t.where}, ${t.when}`, columns, '  '))];
  if (t.findings.length === 0) lines.push('  Nothing: no finding.');
  for (const f of t.findings) {
    const mark = paint(f.severity === 'critical' ? 'red' : f.severity === 'warning' ? 'yellow' : 'cyan', markOf[f.severity] ?? '•');
    lines.push(`  ${mark} ${paint('bold', hang(safe(f.title), columns, 4))}`, `    ${hang(safe(f.text), columns, 4)}`);
  }
  if (t.remedies.length > 0) lines.push(`  ${paint('dim', hang(`It offers: ${safe(t.remedies.slice(0, 3).join('; '))}.`, columns, 4))}`);
  return lines;
};

/** The page at the end of a run. */
export const renderAfter = (s: Scenario, ran: Ran, shell: Shell): string => {
  const paint = painter(shell.stdout, shell.env);
  const columns = columnsOf(shell.stdout);
  const e: Experiment = ran.experiment;
  const worst = Math.max(...e.verified.map(differenceOf));
  const verdict =
    worst === 0
      ? 'Everything was as predicted.'
      : worst < 0.05
        ? `As predicted, within ${formatPercent(worst)}.`
        : `Not as predicted: off by up to ${formatPercent(worst)}.`;
  const blocks = [
    [`${paint('bold', s.title)}: ${paint(worst < 0.05 ? 'green' : 'yellow', verdict)}`],
    [
      paint('bold', 'Before and after'),
      table(
        [['', ...e.comparison.settings], ...e.comparison.rows.map((r) => [r.what, ...r.values.map((v) => cell(v, r.unit))])],
        paint,
        columns,
      ),
    ],
    [paint('bold', 'Predicted and measured'), verifiedTable(e.verified, paint, columns)],
    ...e.told.map((t) => toldLines(t, paint, columns)),
    [paint('bold', 'What it shows'), ...e.lessons.map((l) => `  ${hang(`- ${l}`, columns, 4)}`)],
    [paint('bold', 'On a host of yours'), ...e.next.map((n) => `  ${hang(n.text, columns, 4)}:\n    ${paint('cyan', n.command)}`)],
  ];
  if (ran.kept !== null) {
    blocks.push([
      paint('bold', 'Kept, until plimsoll lab clean'),
      ...ran.kept.namespaces.map((name) => `  ip netns exec ${name} plimsoll doctor`),
      `  ${ran.kept.folder}`,
    ]);
  }
  return `${blocks.map((lines) => lines.join('\n')).join('\n\n')}\n\n${paint('dim', `It took ${formatDuration(ran.seconds)}.`)}\n`;
};
