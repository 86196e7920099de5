/** The doctor's page: verdict and why first, then how full, then what is wrong, then what each remedy buys. */
import type { Diagnosis } from '../../core/diagnosis.ts';
import { nameOf } from '../../core/finding/of-space.ts';
import { urgency } from '../../core/finding/urgency.ts';
import type { PortSpace } from '../../core/port-space.ts';
import { formatNumber, formatPercent } from '../../core/quantity.ts';
import type { Shell } from '../shell.ts';
import { width as columnsOf, type Paint, pad, painter, safe, wrap } from '../terminal.ts';
import { gauge } from './bar.ts';
import { colourOf, findingLines, ownerWords, remedyLines, stateWords, timeLeft } from './space.ts';

const MAX_WIDTH = 110;
/** Port spaces on a page that is not asked for more; the rest is one line. */
const LINES = 8;
/** Remedies shown for one port space, the best first. */
const REMEDIES = 4;

const headline = (d: Diagnosis, paint: Paint, width: number): string => {
  const [first] = d.findings;
  const spaces = `${formatNumber(d.spaces.length + d.unlisted)} port space${d.spaces.length + d.unlisted === 1 ? '' : 's'}`;
  const label = {
    ok: paint('green', 'OK'),
    warning: paint('yellow', 'WARNING'),
    critical: paint('red', 'CRITICAL'),
    unknown: paint('yellow', 'UNKNOWN'),
  }[d.verdict];
  if (d.verdict === 'unknown') return `${label}  sockets could not be read: the sensors below say why\n`;
  if (d.verdict === 'ok' || first === undefined) {
    const fullest = d.spaces[0];
    if (fullest === undefined)
      return `${label}  no connection leaves ${d.namespaces.length > 1 ? 'these namespaces' : 'this namespace'}, so no source port is held\n`;
    const few = d.spaces.length + d.unlisted === 1 ? 'the only port space' : `none of ${spaces} is near its line; the fullest`;
    return `${label}  ${wrap(`${few}, ${safe(nameOf(fullest))}, is ${formatPercent(fullest.usedRatio)} full`, width - 10, '    ')}\n`;
  }
  return `${label}  ${wrap(safe(first.title), width - 12, '          ')}\n`;
};

/** Columns of the gauge: narrower where the page is. */
const gaugeWidth = (width: number): number => (width < 100 ? 14 : 20);

/** A port space's line; a name that does not fit its column has a line of its own, for its end is what tells one from another. */
const spaceLine = (s: PortSpace, paint: Paint, nameWidth: number, pageWidth: number): string => {
  const urgent = urgency(s);
  const bar = gauge(s.usedRatio, s.kind === 'connect' && s.capacity > 0 ? s.searchWall.at / s.capacity : 0, gaugeWidth(pageWidth));
  const counts = `${formatNumber(s.used)}/${formatNumber(s.capacity)}`;
  const painted = urgent === null ? paint('green', bar) : paint(colourOf[urgent], bar);
  const doubt = s.freeLow === s.freeHigh ? '' : paint('dim', `free ${formatNumber(s.freeLow)}–${formatNumber(s.freeHigh)}`);
  const left = timeLeft(s.forecast);
  const name = safe(nameOf(s));
  const column = columnsOf(name) <= nameWidth ? pad(name, nameWidth) : `${pad(name, pageWidth - 2).trimEnd()}\n  ${' '.repeat(nameWidth)}`;
  const line =
    `  ${column} ${painted} ${pad(formatPercent(s.usedRatio), 6, 'right')} ${pad(counts, 13, 'right')}  ${urgent === null ? paint('dim', left) : left}`.trimEnd();
  if (doubt === '') return line;
  const last = line.split('\n').at(-1)!;
  return columnsOf(last) + 2 + columnsOf(doubt) <= pageWidth ? `${line}  ${doubt}` : `${line}\n  ${' '.repeat(nameWidth)} ${doubt}`;
};

const detail = (s: PortSpace, width: number): string[] => {
  const lines = [`    ${wrap(stateWords(s), width - 4, '    ')}`];
  if (s.owners.length > 0) {
    const rest = s.owners.length > 3 ? ` and ${s.owners.length - 3} more` : '';
    lines.push(`    ${wrap(`held by ${s.owners.slice(0, 3).map(ownerWords).join('; ')}${rest}`, width - 4, '    ')}`);
  }
  return lines;
};

const spaces = (d: Diagnosis, paint: Paint, width: number): string[] => {
  if (d.spaces.length === 0) return [];
  const shown = d.spaces.slice(0, Math.max(LINES, d.spaces.filter((s) => urgency(s) !== null).length));
  const nameWidth = Math.max(20, Math.min(Math.max(...shown.map((s) => nameOf(s).length)), width - gaugeWidth(width) - 42));
  const lines = [
    paint(
      'bold',
      `Port spaces${shown.some((s) => s.kind === 'connect') ? paint('dim', '   ┊ search wall: beyond it each connect() scans thousands of ports') : ''}`,
    ),
  ];
  for (const s of shown) {
    lines.push(spaceLine(s, paint, nameWidth, width));
    if (urgency(s) !== null || d.findings.some((f) => f.subject === s.id)) lines.push(...detail(s, width).map((l) => paint('dim', l)));
  }
  const rest = d.unlisted + d.spaces.length - shown.length;
  if (rest > 0) lines.push(paint('dim', `  and ${formatNumber(rest)} less full`));
  return lines;
};

const findings = (d: Diagnosis, paint: Paint, width: number): string[] =>
  d.findings.length === 0 ? [] : [paint('bold', 'Findings'), ...findingLines(d.findings, paint, width)];

const remedies = (d: Diagnosis, paint: Paint, width: number): string[] =>
  d.spaces.flatMap((s) => {
    const mine = d.remedies.filter((r) => r.subject === s.id);
    if (mine.length === 0) return [];
    const more = mine.length > REMEDIES ? [paint('dim', `  ${mine.length - REMEDIES} more in --json`)] : [];
    const title = paint('bold', `What each remedy buys: ${safe(nameOf(s))}`);
    return [title, ...remedyLines(s, mine.slice(0, REMEDIES), paint, width), ...more];
  });

/** With several namespaces every name says which one it is in: their addresses are often the same. */
const toldApart = (d: Diagnosis): Diagnosis => {
  if (d.namespaces.length < 2) return d;
  const home = new Map<string, string>([
    ...d.spaces.map((s) => [s.id, s.namespace] as const),
    ...d.namespaces.map(({ sample }) => [`namespace ${sample.name}`, sample.name] as const),
  ]);
  return {
    ...d,
    spaces: d.spaces.map((s) => ({ ...s, label: s.label === null ? s.namespace : `${s.label}, ${s.namespace}` })),
    findings: d.findings.map((f) => {
      const name = home.get(f.subject);
      return name === undefined ? f : { ...f, title: `${name}: ${f.title}` };
    }),
  };
};

/** The page, ready to print. */
export const renderDoctor = (diagnosis: Diagnosis, shell: Shell): string => {
  const d = toldApart(diagnosis);
  const paint = painter(shell.stdout, shell.env);
  const width = Math.max(60, Math.min(shell.stdout.width, MAX_WIDTH));
  const blocks = [spaces(d, paint, width), findings(d, paint, width), remedies(d, paint, width)];
  if (d.ruledOut.length > 0)
    blocks.push([paint('bold', 'Not the cause'), ...d.ruledOut.map((line) => `  ${wrap(safe(line), width - 2, '  ')}`)]);
  // What is not there leaves no question open; ports that were not asked about do.
  const unsure = d.spaces.some((s) => s.freeLow !== s.freeHigh);
  const unseen = d.sensors.filter((s) => s.hint !== '' && (s.status !== 'absent' || (unsure && s.name === 'explicit binds')));
  if (unseen.length > 0)
    blocks.push([paint('bold', 'Not seen'), ...unseen.map((s) => `  ${wrap(safe(`${s.name}: ${s.hint}`), width - 2, '    ')}`)]);
  const body = blocks.filter((lines) => lines.length > 0).map((lines) => `${lines.join('\n')}\n`);
  return `${[headline(d, paint, width), ...body].join('\n')}`;
};
