/** The first lines of every page: the verdict, what it is about, whose host this is and when it was looked at. */
import type { Verdict } from '../../core/diagnosis.ts';
import { nameOf } from '../../core/finding/of-space.ts';
import { urgency } from '../../core/finding/urgency.ts';
import { CANDIDATES } from '../../core/port-spaces.ts';
import { formatDuration, formatNumber, formatPercent } from '../../core/quantity.ts';
import { width as columnsOf, type Paint, pad, type Style, safe, wrap } from '../terminal.ts';
import { ends } from './layout.ts';
import { isLate, type Seen, type WatchState } from './state.ts';

const styleOf: Readonly<Record<Verdict, Style>> = { ok: 'green', warning: 'yellow', critical: 'red', unknown: 'yellow' };

/** The verdict as a label. Without colours it is the word alone. */
export const badge = (verdict: Verdict, paint: Paint): string =>
  paint('bold', paint(styleOf[verdict], paint('inverse', ` ${verdict.toUpperCase()} `)));

/** The verdict in one sentence. */
export const sentence = ({ diagnosis }: Pick<Seen, 'diagnosis'>): string => {
  const { findings, spaces, verdict } = diagnosis;
  const [worst] = findings;
  if (verdict === 'unknown') return 'sockets could not be read: ? says why';
  if (verdict !== 'ok' && worst !== undefined) return worst.title;
  const [fullest] = spaces;
  if (fullest === undefined) return 'no connection leaves this namespace';
  return `the fullest port space is ${formatPercent(fullest.usedRatio)} full: ${nameOf(fullest)}`;
};

const clock = (ms: number): string => new Date(ms).toISOString().slice(11, 19);

/** What is looked at, in which order, how often; at the right when it was. `now` is milliseconds since the epoch. */
export const factLine = (state: WatchState, seen: Seen, interval: number, now: number, columns: number, paint: Paint): string => {
  const { diagnosis, takenAt, slowedTo } = seen;
  const { order, reversed, filter } = state.arrangement;
  const near = state.spaces.filter((s) => urgency(s) !== null).length;
  const count = state.spaces.length;
  // Those with fewer connections than any that were counted.
  const smaller = diagnosis.namespaces.reduce((sum, view) => sum + Math.max(0, view.groups.outbound.length - CANDIDATES), 0);
  const facts = [
    safe(diagnosis.host.name),
    ...(filter === '' || state.typing ? [] : [`filter “${safe(filter)}”`]),
    `${formatNumber(count)} port space${count === 1 ? '' : 's'}${smaller > 0 ? ` of ${formatNumber(count + smaller)}` : ''}${near > 0 ? `, ${near} near the line` : ''}`,
    `by ${order}${reversed ? ', reversed' : ''}`,
    slowedTo === null ? `every ${formatDuration(interval)}` : `every ${formatDuration(slowedTo)}: looking takes long`,
  ];
  // While the looks come as they should, their time is enough; when they do not, their age is what matters.
  const age = (now - takenAt) / 1000;
  const when = state.paused
    ? paint('bold', paint('cyan', `paused, ${formatDuration(Math.max(0, Math.round(age)))} old`))
    : isLate(seen, now, interval)
      ? paint('yellow', `${formatDuration(Math.round(age))} old`)
      : paint('dim', `${clock(takenAt)} UTC`);
  return ends(paint('dim', ` ${facts.join(' · ')}`), when, columns);
};

/** The verdict and its sentence in as many lines as that takes, at most `most`. */
export const verdictLines = (seen: Seen, most: 1 | 2, columns: number, paint: Paint): string[] => {
  const label = badge(seen.diagnosis.verdict, paint);
  const indent = columnsOf(label) + 1;
  const room = Math.max(8, columns - indent);
  if (most === 1) return [`${label} ${paint('bold', pad(safe(sentence(seen)), room))}`];
  const [first = '', ...more] = wrap(safe(sentence(seen)), room).split('\n');
  const rest = more.length === 0 ? [] : [`${' '.repeat(indent)}${paint('bold', pad(more.join(' '), room))}`];
  return [`${label} ${paint('bold', first)}`, ...rest];
};
