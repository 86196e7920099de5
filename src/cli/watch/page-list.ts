/** The list: every port space on a line, the one under the cursor in more words, the keys. */
import { nameOf } from '../../core/finding/of-space.ts';
import { urgency } from '../../core/finding/urgency.ts';
import type { PortSpace } from '../../core/port-space.ts';
import { formatNumber, formatPercent, formatRate } from '../../core/quantity.ts';
import { gauge } from '../render/bar.ts';
import { colourOf, markOf, ownerWords, stateWords, timeLeft } from '../render/space.ts';
import { type Paint, pad, safe, wrap } from '../terminal.ts';
import { ends, fitEnd, rule, sparkline, split } from './layout.ts';
import type { Memo } from './memo.ts';
import { cursorIn, listed, type Seen, TREND_LENGTH, type WatchState } from './state.ts';

/** Columns of the list beside the name; 0: left out for want of room. */
interface Columns {
  readonly namespace: number;
  readonly name: number;
  readonly bar: number;
  readonly free: number;
  readonly opens: number;
  readonly trend: number;
  readonly forecast: number;
}

const CURSOR = 2;
const PERCENT = 6;
const LONGEST_BAR = 24;

/** What fits in `columns`, the least telling left out first. */
const columnsFor = (columns: number, longestName: number, namespaces: boolean): Columns => {
  const free = columns >= 56 ? 6 : 0;
  const opens = columns >= 78 ? 8 : 0;
  const forecast = columns >= 48 ? 12 : 0;
  const least = columns >= 100 ? 18 : columns >= 40 ? 10 : columns >= 30 ? 5 : 0;
  const namespace = namespaces && columns >= 96 ? 12 : 0;
  const fixed = CURSOR + PERCENT + [free, opens, forecast, least, namespace].reduce((sum, c) => sum + (c > 0 ? c + 1 : 0), 1);
  // Names first: what they leave makes the gauge longer, and beyond that a trend.
  const room = columns - fixed;
  const spare = Math.max(0, room - longestName);
  const bar = least === 0 ? 0 : Math.min(LONGEST_BAR, least + spare);
  const trend = spare - (bar - least) > 20 ? Math.min(TREND_LENGTH, spare - (bar - least) - 1) : 0;
  return { namespace, name: Math.max(1, Math.min(longestName, room)), bar, free, opens, trend, forecast };
};

/** The gauge with its free part in the background. */
export const paintedGauge = (s: PortSpace, columns: number, paint: Paint): string => {
  const urgent = urgency(s);
  const bar = gauge(s.usedRatio, s.kind === 'connect' && s.capacity > 0 ? s.searchWall.at / s.capacity : 0, columns);
  const filled = /^[^░┊]*/.exec(bar)![0];
  return (
    paint(urgent === null ? 'green' : colourOf[urgent], filled) + bar.slice(filled.length).replace(/░+/g, (free) => paint('dim', free))
  );
};

/** Durations in the list are short: `out in 3m20s`, `out in 17m`. */
const shortTimeLeft = (s: PortSpace): string => {
  if (s.forecast.kind === 'exhausts' && s.forecast.seconds < 1) return 'out now';
  return timeLeft(s.forecast)
    .replace(/(\d+) (ms|s|min|h)\b ?/g, (_, n, unit) => `${n}${unit === 'min' ? 'm' : unit}`)
    .replace(/(\d\d[mh])\d+[sm]/, '$1');
};

const line = (s: PortSpace, at: Columns, under: boolean, state: WatchState, paint: Paint): string => {
  const urgent = urgency(s);
  const name = fitEnd(safe(nameOf(s)), at.name);
  const left = pad(shortTimeLeft(s), at.forecast);
  const cells = [
    ...(at.namespace > 0 ? [fitEnd(safe(s.namespace), at.namespace)] : []),
    under ? paint('bold', name) : name,
    ...(at.bar > 0 ? [paintedGauge(s, at.bar, paint)] : []),
    pad(formatPercent(s.usedRatio), PERCENT, 'right'),
    ...(at.free > 0 ? [pad(formatNumber(s.free), at.free, 'right')] : []),
    ...(at.opens > 0 ? [pad(s.openRate === null ? '' : formatRate(s.openRate), at.opens, 'right')] : []),
    ...(at.trend > 0 ? [paint('dim', pad(sparkline(state.trends.get(s.id) ?? [], s.capacity, at.trend), at.trend, 'right'))] : []),
    ...(at.forecast > 0 ? [urgent === null ? paint('dim', left) : paint(colourOf[urgent], left)] : []),
  ];
  return `${under ? paint('bold', paint('cyan', '▸ ')) : '  '}${cells.join(' ')}`;
};

const heads = (at: Columns): string => {
  const cells = [
    ...(at.namespace > 0 ? [pad('NAMESPACE', at.namespace)] : []),
    pad('SOURCE → DESTINATION', at.name),
    ...(at.bar > 0 ? [pad(at.bar >= 13 ? '┊ search wall' : at.bar >= 6 ? '┊ wall' : '', at.bar)] : []),
    pad('USED', PERCENT, 'right'),
    ...(at.free > 0 ? [pad('FREE', at.free, 'right')] : []),
    ...(at.opens > 0 ? [pad('OPENS', at.opens, 'right')] : []),
    ...(at.trend > 0 ? [pad('TREND', at.trend, 'right')] : []),
    ...(at.forecast > 0 ? [pad('FORECAST', at.forecast)] : []),
  ];
  return `${' '.repeat(CURSOR)}${cells.join(' ')}`;
};

/** The port space under the cursor in at most `rows` lines, its first finding last. */
const preview = (s: PortSpace, seen: Seen, columns: number, rows: number, paint: Paint): string[] => {
  const width = columns - 3;
  const used = `${formatNumber(s.used)} of ${formatNumber(s.capacity)} ports used`;
  const states = stateWords(s);
  const texts = [` ${wrap(`${used}${states === '' ? '' : `: ${states}`}`, width, ' ')}`];
  if (s.owners.length > 0) {
    const rest = s.owners.length > 3 ? ` and ${s.owners.length - 3} more` : '';
    texts.push(` ${wrap(`held by ${s.owners.slice(0, 3).map(ownerWords).join('; ')}${rest}`, width, ' ')}`);
  }
  for (const f of seen.diagnosis.findings.filter((f) => f.subject === s.id)) {
    texts.push(` ${paint(colourOf[f.severity], markOf[f.severity])} ${paint('bold', wrap(safe(f.title), width - 2, '   '))}`);
    texts.push(`   ${paint('dim', wrap(safe(f.text), width - 2, '   '))}`);
  }
  const lines = split(texts);
  return [rule(safe(nameOf(s)), columns, paint), ...lines.slice(0, rows - 1)];
};

/** Lines the preview takes where there is room: less than this says too little, more is a page of its own (enter). */
const PREVIEW = { least: 4, most: 9 } as const;
/** Lines of the list above which a preview may take room. */
const LIST_FIRST = 5;

const emptyList = (state: WatchState): string =>
  state.arrangement.filter !== ''
    ? `no port space matches “${safe(state.arrangement.filter)}”; esc shows all`
    : 'no connection leaves this namespace, so no source port is held';

/** Rows that show port spaces in a list of `rows` lines, its head included. */
const listRows = (count: number, rows: number): number => {
  const whole = Math.max(1, rows - 1);
  const withPreview = whole - Math.min(PREVIEW.most, Math.max(PREVIEW.least, whole - count));
  return withPreview >= Math.min(count, LIST_FIRST) && withPreview > 0 ? Math.min(withPreview, Math.max(count, 1)) : whole;
};

/** The list in exactly the lines there are. `rows` is without header and keys. */
export const listPage = (state: WatchState, seen: Seen, columns: number, rows: number, paint: Paint, memo: Memo): string[] => {
  const spaces = listed(state);
  const cursor = cursorIn(state, spaces);
  const severalNamespaces = seen.diagnosis.namespaces.length > 1;
  const at = columnsFor(columns, state.nameWidth, severalNamespaces);
  const room = listRows(spaces.length, rows);
  // The cursor in the middle where the list is longer than its room.
  const first = Math.max(0, Math.min(spaces.length - room, cursor - Math.floor(room / 2)));
  const lines = [paint('dim', heads(at))];
  if (spaces.length === 0) lines.push(`  ${wrap(emptyList(state), columns - 2, '  ')}`);
  for (const [i, s] of spaces.slice(first, first + room).entries()) {
    const under = first + i === cursor;
    lines.push(...memo.lines(s, `${columns} ${under}`, () => [line(s, at, under, state, paint)]));
  }
  const below = spaces.length - first - room;
  const more = [first > 0 ? `↑ ${first} more` : '', below > 0 ? `↓ ${below} more` : ''].filter((t) => t !== '').join('  ');
  const selected = spaces[cursor];
  const left = rows - lines.length;
  if (selected === undefined || left < PREVIEW.least) return split(lines);
  return [
    ...split(lines),
    ends('', paint('dim', more), columns),
    ...memo.lines(seen, `${selected.id} ${columns} ${left}`, () => preview(selected, seen, columns, left - 1, paint)),
  ];
};
