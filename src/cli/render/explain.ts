/** The page of `plimsoll explain`: summary, findings by weight, one sequence diagram of each. */
import { formatEndpoint } from '../../core/address.ts';
import { formatDuration, formatNumber, formatPercent } from '../../core/quantity.ts';
import type { RemedyCode } from '../../core/remedy/codes.ts';
import type { CaptureDocument } from '../../wire/capture.ts';
import { type Paint, pad, safe, wrap } from '../terminal.ts';
import { sequenceDiagram } from './sequence.ts';

export interface ExplainStyle {
  readonly paint: Paint;
  /** Columns. */
  readonly width: number;
  /** Every case, not one of each kind. */
  readonly all: boolean;
}

/** What to do, said for somebody who has only a capture. */
export const remedyWords: Readonly<Partial<Record<RemedyCode, string>>> = {
  cool_down_ports: 'leave a port alone after its connection ends: 65 s after the server closed first, 30 s after a half-open end',
  multiplexing:
    'let many requests share few connections (Avi: connection multiplexing, F5: OneConnect, HAProxy: http-reuse, nginx: keepalive)',
  add_source_addresses: 'give the source more addresses: each brings its own ports towards the destination',
  add_destinations: 'spread over more destination addresses or ports: each has its own ports',
  shorten_idle_timeout:
    'close idle connections sooner, and on both ends: the one that forgets first must not be the one that chooses ports',
  fix_leak: 'find who does not close: one side sent its FIN and the other holds on',
  peer_closes_first: 'let the source close first: then its own kernel guards the TIME-WAIT and will not reuse the port too soon',
  check_destination: 'check the path: a filter, a full SYN queue or a translator drops these SYNs',
  conntrack_settings: 'on the translator, compare conntrack -S (insert_failed, drop) and nf_conntrack_count with their limits',
};

const bytes = (n: number): string =>
  n >= 1e9 ? `${formatNumber(n / 1e9, 1)} GB` : n >= 1e6 ? `${formatNumber(n / 1e6, 1)} MB` : `${formatNumber(n / 1e3, 1)} kB`;

/** `label` and `text`, broken into lines that hang two columns right of where the label begins. */
const hanging = (label: string, text: string, indent: number, width: number): string => {
  const margin = ' '.repeat(indent);
  return `${margin}${wrap(`${label} ${text}`, width - indent, `${margin}  `)}`;
};

const some = (n: number, one: string, many = `${one}s`): string => `${formatNumber(n)} ${n === 1 ? one : many}`;

const summary = (d: CaptureDocument, { paint }: ExplainStyle): string[] => {
  const lines: string[] = [];
  for (const f of d.files) {
    const via = [f.format, ...f.link_types].join(', ');
    lines.push(
      `${paint('bold', safe(f.name))}: ${some(f.packets, 'packet')}, ${bytes(f.bytes)} (${via})${f.application === '' ? '' : paint('dim', ` by ${safe(f.application)}`)}`,
    );
    if (f.dropped > 0)
      lines.push(
        paint('yellow', `  the capturing host lost ${formatNumber(f.dropped)} packets: some explanations may be missing their cause`),
      );
    if (f.broken !== null) lines.push(paint('yellow', `  breaks off at byte ${f.broken.offset}: ${safe(f.broken.reason)}`));
  }
  if (d.started_at !== null) lines.push(`${formatDuration(d.duration)} from ${d.started_at}`);
  const h = d.handshakes;
  lines.push('');
  lines.push(
    `handshakes   ${formatNumber(h.tried)} tried · ${paint('green', `${formatNumber(h.answered)} answered`)} · ${formatNumber(h.reset)} reset · ${formatNumber(h.ignored)} ignored${
      h.moved > 0 ? ` · ${formatNumber(h.moved)} moved to another port` : ''
    }${
      h.aborted > 0 ? ` · ${formatNumber(h.aborted)} given up by the client` : ''
    }${h.pending > 0 ? ` · ${formatNumber(h.pending)} cut off by the end` : ''}`,
  );
  const notes = [
    h.retried > 0 ? `${some(h.retried, 'SYN')} sent again` : '',
    h.put_down_to_loss > 0 ? `${some(h.put_down_to_loss, 'handshake')} with silence that ordinary loss accounts for` : '',
    h.reused > 0 ? `${formatNumber(h.reused)} on ports used before` : '',
    h.translated > 0 ? `${formatNumber(h.translated)} seen on both sides of a translator` : '',
  ].filter((x) => x !== '');
  if (notes.length > 0) lines.push(`             ${notes.join(' · ')}`);
  lines.push(
    `connections  ${formatNumber(d.connections)}${d.midstream > 0 ? `, ${formatNumber(d.midstream)} of them begun outside the capture` : ''}`,
  );
  const n = d.not_followed;
  const left = [
    n.not_tcp > 0 ? `${formatNumber(n.not_tcp)} not TCP` : '',
    n.fragments > 0 ? `${formatNumber(n.fragments)} later fragments` : '',
    n.cut > 0 ? `${formatNumber(n.cut)} cut by the snap length` : '',
    n.malformed > 0 ? `${formatNumber(n.malformed)} malformed` : '',
    n.unknown_link > 0 ? `${formatNumber(n.unknown_link)} of an unknown link type` : '',
    n.filtered > 0 ? `${formatNumber(n.filtered)} outside the filter` : '',
    d.tcp.duplicates > 0 ? `${formatNumber(d.tcp.duplicates)} captured twice` : '',
  ].filter((x) => x !== '');
  if (left.length > 0) lines.push(`not followed ${left.join(' · ')}`);
  return lines;
};

const sources = (d: CaptureDocument, { paint, width }: ExplainStyle): string[] => {
  const shown = d.sources.slice(0, 8);
  if (shown.length === 0) return [];
  const names = shown.map((s) => `${s.source} → ${formatEndpoint(s.destination, s.destination_port)}`);
  const cell = 9;
  const numbers = 7 * cell + 4;
  const wide = Math.max(24, ...names.map((x) => x.length));
  // Where names and numbers do not fit beside each other, the name gets a line of its own.
  const beside = wide + numbers <= width;
  const left = beside ? wide : Math.max(0, width - numbers);
  const heads = ['tried', 'reset', 'ignored', 'ports', 'at once', 'held'];
  const lines = [
    '',
    paint(
      'dim',
      `${pad(beside ? 'source → destination' : '', left)}${heads.map((x) => pad(x, cell, 'right')).join('')}${pad('reused after', cell + 4, 'right')}`,
    ),
  ];
  for (const [i, s] of shown.entries()) {
    const cells = [s.handshakes, s.reset, s.ignored, s.ports_used, s.peak_concurrent, s.peak_held].map((x) =>
      pad(formatNumber(x), cell, 'right'),
    );
    if (!beside) lines.push(names[i]!);
    lines.push(
      `${pad(beside ? names[i]! : '', left)}${cells.join('')}${pad(s.shortest_reuse === null ? '-' : formatDuration(s.shortest_reuse), cell + 4, 'right')}`,
    );
  }
  if (d.sources_total > shown.length)
    lines.push(paint('dim', `and ${formatNumber(d.sources_total - shown.length)} more (--json lists ${formatNumber(d.sources.length)})`));
  return lines;
};

/** The whole page. Everything from the capture is numbers or passed through `safe`. */
export const renderExplain = (d: CaptureDocument, style: ExplainStyle): string => {
  const { paint, width } = style;
  const several = d.files.length > 1;
  const lines = [...summary(d, style), ...sources(d, style), ''];
  if (d.findings.length === 0) {
    lines.push(
      d.handshakes.tried === 0
        ? 'No handshake in this capture: there is nothing to explain.'
        : d.tcp.segments === d.tcp.syn
          ? 'The capture holds SYNs and no answers: whether they were answered is not in it.'
          : `${paint('green', 'Nothing to explain')}: no handshake met an earlier connection, and no more silence than loss makes (${formatPercent(d.loss)} allowed for).`,
    );
    return `${lines.join('\n')}\n`;
  }
  for (const f of d.findings) {
    const mark =
      f.severity === 'critical'
        ? paint('red', 'CRITICAL')
        : f.severity === 'warning'
          ? paint('yellow', 'WARNING ')
          : paint('cyan', 'INFO    ');
    lines.push(`${mark} ${paint('bold', f.title)} ${paint('dim', `(${f.code}, ${formatNumber(f.count)})`)}`);
    lines.push(`         ${safe(f.subject)}${f.certain ? '' : paint('dim', '  by inference')}`);
    lines.push(`  ${wrap(f.text, width - 2, '  ')}`);
    lines.push(hanging(paint('dim', 'Rule:'), `${f.rule.text} (${f.rule.source})`, 2, width));
    const example = f.cases[0];
    const held =
      example === undefined
        ? ''
        : `, which held ${formatNumber(example.ports_60s)} ports towards this destination in the last 60 s and ${formatNumber(example.ports_120s)} in the last 120 s`;
    lines.push(hanging(paint('dim', 'Port chosen by:'), `${safe(f.chosen_by)}${held}.`, 2, width));
    for (const one of style.all ? f.cases : f.cases.slice(0, 1)) lines.push('', ...sequenceDiagram(one, several, paint, width));
    if (style.all && f.cases.length > 0 && f.cases.length < f.count)
      lines.push('', paint('dim', `  ${formatNumber(f.count - f.cases.length)} more of this kind are counted and not kept`));
    if (f.remedies.length > 0) {
      lines.push('', `  ${paint('dim', 'What helps:')}`);
      for (const code of f.remedies) lines.push(hanging(paint('cyan', `${code}:`), remedyWords[code] ?? '', 4, width));
    }
    lines.push('');
  }
  if (!style.all && d.findings.some((f) => f.cases.length > 1)) lines.push(paint('dim', 'One case of each kind is shown: -v shows all.'));
  return `${lines.join('\n').trimEnd()}\n`;
};
