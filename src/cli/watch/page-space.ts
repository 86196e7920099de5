/** One port space: how full, when it ends, by which states, on which ports, who holds them, what is wrong, what would help. */

import { formatEndpoint } from '../../core/address.ts';
import { nameOf } from '../../core/finding/of-space.ts';
import { urgency } from '../../core/finding/urgency.ts';
import type { PortMap } from '../../core/port-map.ts';
import type { PortSpace } from '../../core/port-space.ts';
import { formatDuration, formatNumber, formatPercent, formatRate } from '../../core/quantity.ts';
import { colourOf, findingLines, ownerWords, remedyLines, timeLeft } from '../render/space.ts';
import { width as columnsOf, type Paint, pad, safe, wrap } from '../terminal.ts';
import { badge } from './header.ts';
import { ends, rule, sparkline, split } from './layout.ts';
import type { Memo } from './memo.ts';
import { paintedGauge } from './page-list.ts';
import type { Seen, WatchState } from './state.ts';
import { portStrip, stripColours } from './strip.ts';

const kinds: Readonly<Record<PortSpace['kind'], string>> = {
  connect: 'the kernel chooses at connect()',
  bind: 'bind(address, 0): one pool for all destinations',
  ledger: 'the balancer’s own ledger chooses',
  snat: 'conntrack’s source NAT chooses',
};

const forecastWords = (s: PortSpace): string => {
  const { forecast: f } = s;
  if (f.kind === 'plateau') return `settles at ${formatNumber(Math.round(f.plateauUsed))} (${formatPercent(f.plateauUsed / s.capacity)})`;
  if (f.kind === 'exhausts' && f.seconds < 1) return 'out of ports now';
  if (f.kind !== 'exhausts' || (f.secondsHigh !== null && f.secondsHigh - f.secondsLow < 1)) return timeLeft(f);
  return `${timeLeft(f)} (${formatDuration(f.secondsLow)} to ${f.secondsHigh === null ? 'never' : formatDuration(f.secondsHigh)})`;
};

const figures = (s: PortSpace): string =>
  [
    `${formatNumber(s.used)} of ${formatNumber(s.capacity)} used`,
    s.freeLow === s.freeHigh ? `${formatNumber(s.free)} free` : `${formatNumber(s.freeLow)}–${formatNumber(s.freeHigh)} free`,
    s.openRate === null ? '' : `opens ${formatRate(s.openRate)}`,
    s.closeRate === null ? '' : `closes ${formatRate(s.closeRate)}`,
    s.failedSearches === null || s.failedSearches === 0 ? '' : `${formatNumber(s.failedSearches)} connect() failed`,
  ]
    .filter((t) => t !== '')
    .join(' · ');

const states = (s: PortSpace, columns: number, paint: Paint): string[] => {
  const held = Object.entries(s.byState)
    .filter(([, n]) => n > 0)
    .sort((a, b) => b[1] - a[1]);
  const most = Math.max(1, s.capacity, ...held.map(([, n]) => n));
  const room = Math.max(4, columns - 26);
  return held.map(([name, n]) => {
    const bar = '█'.repeat(Math.max(1, Math.round((n / most) * room)));
    const style = name === 'time_wait' ? 'yellow' : name === 'established' ? 'green' : 'cyan';
    return ` ${pad(name.toUpperCase(), 12)} ${pad(formatNumber(n), 8, 'right')}  ${paint(style, bar)}`;
  });
};

const strips = (s: PortSpace, map: PortMap, columns: number, paint: Paint): string[] => {
  const width = Math.max(8, columns - 9);
  const parity = (p: 0 | 1): string => ((map.range.low + p) % 2 === 0 ? 'even' : 'odd');
  const seen = new Set(map.states.subarray(map.range.low, map.range.high + 1));
  const legend = stripColours
    .filter((c, i) => [...seen].some((state) => stripColours.findIndex((d) => d.is(state)) === i && c.is(state)))
    .map((c) => `${paint(c.style, '█')} ${c.name}`)
    .join('  ');
  const wall = s.searchWall.passed ? paint('red', 'past the search wall') : `search wall at ${formatNumber(s.searchWall.at)}`;
  return [
    rule(`Ports ${map.range.low}–${map.range.high}`, columns, paint),
    ` ${pad(parity(0), 5)} ${portStrip(map, 0, width, paint)}`,
    ` ${pad(parity(1), 5)} ${portStrip(map, 1, width, paint)}`,
    ...(s.kind === 'connect' ? [ends(`       ${legend}`, wall, columns - 2)] : legend === '' ? [] : [`       ${legend}`]),
  ];
};

/** The head of the page, which stays while the rest scrolls. Its namespace is named where there are several. */
export const spaceHead = (s: PortSpace, seen: Seen, paint: Paint, columns: number): string[] => {
  const name = `${badge(urgency(s) ?? 'ok', paint)} ${paint('bold', safe(nameOf(s)))}`;
  const about = paint('dim', seen.diagnosis.namespaces.length > 1 ? `in ${safe(s.namespace)}` : kinds[s.kind]);
  return [columnsOf(name) + columnsOf(about) < columns ? ends(name, about, columns) : name];
};

/** What does not move between two looks: states, ports, owners, findings, remedies. */
const particulars = (s: PortSpace, map: PortMap | null, seen: Seen, columns: number, paint: Paint): string[] => {
  const width = columns - 1;
  const texts = states(s, columns, paint);
  if (map !== null) texts.push(...strips(s, map, columns, paint));
  if (s.shared.length > 1) {
    texts.push(rule(`${formatNumber(s.shared.length)} destinations share these ports`, columns, paint));
    for (const d of s.shared.slice(0, 8))
      texts.push(` ${pad(formatNumber(d.held), 7, 'right')}  ${formatEndpoint(safe(d.destination), d.destinationPort)}`);
  }
  texts.push(rule('Owners', columns, paint));
  if (s.owners.length === 0) texts.push(` ${s.byState.time_wait > 0 ? 'none known: TIME_WAITs belong to nobody' : 'none known'}`);
  for (const o of s.owners) texts.push(` ${wrap(ownerWords(o), width, '   ')}`);
  const findings = seen.diagnosis.findings.filter((f) => f.subject === s.id);
  if (findings.length > 0) texts.push(rule('Findings', columns, paint), ...findingLines(findings, paint, width));
  const remedies = seen.diagnosis.remedies.filter((r) => r.subject === s.id);
  if (remedies.length > 0) texts.push(rule('What each remedy buys', columns, paint), ...remedyLines(s, remedies, paint, width));
  return split(texts);
};

/** Everything about `s`, as many lines as it takes; `map` null where its ports are not known. */
export const spacePage = (
  s: PortSpace,
  map: PortMap | null,
  state: WatchState,
  seen: Seen,
  columns: number,
  paint: Paint,
  memo: Memo,
): string[] => {
  const urgent = urgency(s);
  const trend = state.trends.get(s.id) ?? [];
  const forecast = forecastWords(s);
  const movement = split([
    ` ${paintedGauge(s, Math.max(8, columns - 9), paint)} ${pad(formatPercent(s.usedRatio), 6, 'right')}`,
    ` ${wrap(figures(s), columns - 2, ' ')}`,
    ends(
      forecast === '' ? '' : ` ${urgent === null ? forecast : paint(colourOf[urgent], paint('bold', forecast))}`,
      paint('dim', sparkline(trend, s.capacity, Math.min(trend.length, columns - 40))),
      columns - 1,
    ),
    ...(urgent === null ? [''] : []),
  ]);
  return [...movement, ...memo.lines(seen, `${s.id} ${columns}`, () => particulars(s, map, seen, columns, paint))];
};

/** What is left to say of a space that is gone. */
export const goneSpace = (id: string | null, columns: number): string[] => [
  ` ${wrap(`no port is held any more in ${safe(id ?? 'this port space')}; esc goes back to the list`, columns - 2, ' ')}`,
];
