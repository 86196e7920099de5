/** A sequence diagram of one case in text: client on the left, server on the right, one line per packet. */
import { formatEndpoint } from '../../core/address.ts';
import { formatDuration } from '../../core/quantity.ts';
import type { CaptureDocument } from '../../wire/capture.ts';
import { type Paint, pad, wrap } from '../terminal.ts';

export type CaptureCase = CaptureDocument['findings'][number]['cases'][number];

/** One line of a diagram, for text and HTML alike. */
export interface Step {
  /** `17`, or `2:17` where there are several files. */
  readonly number: string;
  /** Seconds since the first packet of the capture. */
  readonly time: number;
  /** Null for a line without an arrow. */
  readonly from: 'client' | 'server' | null;
  readonly label: string;
  readonly note: string;
  readonly kind: 'old' | 'syn' | 'accepted' | 'trouble' | 'plain';
}

const earlierWords: Readonly<Record<string, string>> = {
  established: 'still open',
  close_wait: 'the client has closed, the server has not',
  fin_wait: 'the server has closed, the client has not',
  closing: 'closing',
  last_ack: 'the server waits for the last ACK',
  time_wait: 'TIME-WAIT at the server',
  closed: 'closed, the client first',
  reset: 'reset',
};

/** The lines of `one`. */
export const stepsOf = (one: CaptureCase, severalFiles: boolean): readonly Step[] => {
  const name = (p: { readonly file: number; readonly number: number }): string =>
    severalFiles ? `${p.file + 1}:${p.number}` : `${p.number}`;
  const steps: Step[] = [];
  const { earlier } = one;
  if (earlier !== null) {
    if (earlier.opened !== null)
      steps.push({
        number: name(earlier.opened),
        time: earlier.opened.time,
        from: 'client',
        label: 'SYN',
        note: 'the earlier connection opens',
        kind: 'old',
      });
    if (earlier.closing !== null && earlier.closing.number !== earlier.last.number)
      steps.push({
        number: name(earlier.closing),
        time: earlier.closing.time,
        from: earlier.closed_first_by,
        label: earlier.state === 'reset' ? 'RST' : 'FIN',
        note: `the ${earlier.closed_first_by ?? 'client'} closes first`,
        kind: 'old',
      });
    steps.push({
      number: name(earlier.last),
      time: earlier.last.time,
      from: null,
      label: '',
      note: `its last packet; ${earlierWords[earlier.state] ?? earlier.state}. Then ${formatDuration(earlier.ago)} of silence`,
      kind: 'old',
    });
  }
  for (const p of one.packets) {
    const syn = p.flags === 'SYN';
    const accepted = p.flags === 'SYN ACK';
    const seq = p.from === 'client' && p.flags.includes('RST') ? ` seq ${p.seq}` : '';
    steps.push({
      number: name(p),
      time: p.time,
      from: p.from,
      label: `${p.flags}${syn ? ` seq ${p.seq}` : ''}${seq}${p.ack !== null && p.from === 'server' ? ` ack ${p.ack}` : ''}`,
      note: p.note,
      kind: syn ? 'syn' : accepted ? 'accepted' : p.from === 'server' || p.flags.includes('RST') ? 'trouble' : 'plain',
    });
  }
  if (one.packets_omitted > 0)
    steps.push({ number: '', time: Number.NaN, from: null, label: '', note: `${one.packets_omitted} packets left out`, kind: 'plain' });
  return steps;
};

export const endpoints = (one: CaptureCase): readonly [client: string, server: string] => [
  formatEndpoint(one.client, one.client_port),
  formatEndpoint(one.server, one.server_port),
];

/** The diagram as lines of at most `width` columns where it can be. Notes that do not fit go on under themselves. */
export const sequenceDiagram = (one: CaptureCase, severalFiles: boolean, paint: Paint, width: number): readonly string[] => {
  const [client, server] = endpoints(one);
  const lane = width >= 110 ? 44 : 36;
  const left = 22;
  const gap = Math.max(2, lane + 2 - client.length);
  const lines = [`${' '.repeat(left)}${paint('bold', client)}${' '.repeat(gap)}${paint('bold', server)}`];
  if (one.behind !== null) lines.push(`${' '.repeat(left)}${paint('dim', `translated from ${one.behind}`)}`);
  if (one.translated_to !== null) lines.push(`${' '.repeat(left)}${paint('dim', `comes out as ${one.translated_to}`)}`);
  for (const step of stepsOf(one, severalFiles)) {
    const label = step.label === '' ? '' : ` ${step.label} `;
    const dashes = '─'.repeat(Math.max(1, lane - label.length - 4));
    const body = step.from === null ? ' '.repeat(lane) : step.from === 'client' ? `───${label}${dashes}▶` : `◀${dashes}${label}───`;
    const colour = step.kind === 'trouble' ? 'red' : step.kind === 'accepted' ? 'green' : step.kind === 'old' ? 'dim' : null;
    const arrow = colour === null ? pad(body, lane) : paint(colour, pad(body, lane));
    const time = Number.isNaN(step.time) ? '' : step.time.toFixed(6);
    const margin = left + lane + 2;
    // Every line has the same room: the first stands behind the arrow, the others behind as many blanks.
    const note = wrap(step.note, Math.max(20, width - margin)).replaceAll('\n', `\n${' '.repeat(margin)}`);
    lines.push(`  ${pad(step.number === '' ? '' : `#${step.number}`, 8, 'right')} ${pad(time, 10, 'right')} │${arrow}│ ${note}`.trimEnd());
  }
  return lines;
};
