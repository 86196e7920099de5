/** From buckets of cases to findings: the words, the evidence, the remedies. */
import { formatEndpoint } from '../../core/address.ts';
import type { CaptureFindingCode } from '../../core/finding/codes.ts';
import type { Evidence, Severity } from '../../core/finding.ts';
import { formatDuration, formatNumber, formatPercent } from '../../core/quantity.ts';
import type { RemedyCode } from '../../core/remedy/codes.ts';
import type { AddressBook } from '../decode/addresses.ts';
import { ACK, FIN, RST, SYN } from '../decode/segment.ts';
import type { Attempt, AttemptPacket } from '../track/attempt.ts';
import { type PacketRef, refFile, refNumber } from '../track/incarnations.ts';
import type { PortUse } from '../track/port-use.ts';
import type { Answer, Bucket, Case } from './case.ts';
import type { Explanation } from './explainer.ts';
import type { MonitorSeries } from './monitors.ts';
import type { CaptureCase, CaptureFinding, CasePacket, PacketName } from './result.ts';
import { ruleOf, stateWords } from './rules.ts';

const remediesOf: Readonly<Record<CaptureFindingCode, readonly RemedyCode[]>> = {
  syn_on_established: ['cool_down_ports', 'multiplexing', 'add_source_addresses', 'shorten_idle_timeout'],
  syn_on_half_closed: ['cool_down_ports', 'fix_leak', 'multiplexing', 'add_source_addresses'],
  syn_on_time_wait: ['cool_down_ports', 'multiplexing', 'add_source_addresses', 'peer_closes_first'],
  challenge_ack: ['cool_down_ports', 'multiplexing', 'add_source_addresses'],
  syn_reset: ['cool_down_ports', 'multiplexing', 'add_source_addresses'],
  syn_ignored: ['check_destination', 'cool_down_ports', 'conntrack_settings'],
  time_wait_accepted: [],
  paws_rejected: ['cool_down_ports', 'multiplexing', 'add_source_addresses'],
  port_reused_early: ['cool_down_ports', 'multiplexing', 'add_source_addresses'],
  snat_syn_loss: ['add_source_addresses', 'multiplexing', 'conntrack_settings'],
  source_near_limit: ['multiplexing', 'add_source_addresses', 'add_destinations', 'shorten_idle_timeout'],
  monitor_reset: ['cool_down_ports', 'multiplexing', 'add_source_addresses'],
};

/** How packets, endpoints and times are named in a finding's text. */
export class Words {
  private readonly addresses: AddressBook;
  constructor(addresses: AddressBook) {
    this.addresses = addresses;
  }

  source(use: PortUse): string {
    return this.addresses.format(use.family, use.source);
  }

  destination(use: PortUse): string {
    return this.addresses.format(use.family, use.destinationAddress);
  }

  space(use: PortUse): string {
    return `${this.source(use)} → ${formatEndpoint(this.destination(use), use.destinationPort)}`;
  }
}

const unsigned = (value: number): number => value >>> 0;

export const flagNames = (flags: number): string =>
  [
    [SYN, 'SYN'],
    [FIN, 'FIN'],
    [RST, 'RST'],
    [ACK, 'ACK'],
  ]
    .filter(([bit]) => (flags & (bit as number)) !== 0)
    .map(([, name]) => name)
    .join(' ') || 'none';

/** What each packet of the attempt means. */
const noteOf = (one: AttemptPacket, index: number, attempt: Attempt): string => {
  const first = attempt.packets[0]!;
  if (one.from === 'client' && one.flags & SYN)
    return index === 0
      ? attempt.previous === null
        ? ''
        : 'the same four numbers again'
      : `sent again after ${formatDuration(one.time - first.time)}`;
  if (one.from === 'client' && one.flags & RST) return 'the client knows no such connection: this ends the old one';
  if (one.from === 'server' && (one.flags & (SYN | ACK)) === (SYN | ACK))
    return one.time - first.time > 0.5 ? `accepted after ${formatDuration(one.time - first.time)}` : 'accepted';
  if (one.from === 'server' && one.flags & RST)
    return one.ack === ((attempt.isn + 1) | 0) ? 'refused' : 'a RST that acknowledges nothing of this handshake: not believed';
  if (one.from === 'server') {
    const known = attempt.previous !== null && one.ack === attempt.previous.expected;
    return known
      ? 'acknowledges the old connection, not this SYN'
      : `acknowledges ${unsigned(one.ack)}, not this SYN (${unsigned(attempt.isn + 1)})`;
  }
  return '';
};

const outsideWords = 'the earlier connection is outside the capture';

export const describe = (
  explanation: Explanation,
  words: Words,
  keep: number,
  start: number,
  duration: number,
): readonly CaptureFinding[] => {
  const nameOf = (ref: PacketRef, time: number): PacketName => ({ file: refFile(ref), number: refNumber(ref), time: time - start });
  const caseView = (one: Case, answer: Answer): CaptureCase => {
    const { attempt } = one;
    const { use, previous } = attempt;
    const known = previous !== null && previous.state !== 'none';
    return {
      client: words.source(use),
      client_port: attempt.clientPort,
      server: words.destination(use),
      server_port: use.destinationPort,
      answer,
      outcome: attempt.outcome,
      delay: one.delay,
      ports_60s: one.ports60,
      ports_120s: one.ports120,
      earlier: known
        ? {
            state: previous.state,
            opened: previous.midstream ? null : nameOf(previous.opened, previous.openedAt),
            last: nameOf(previous.last, previous.lastAt),
            closing: previous.closing === 0 ? null : nameOf(previous.closing, previous.closingAt),
            closed_first_by: previous.closer,
            ago: one.reuse ?? 0,
          }
        : null,
      packets: attempt.packets.map(
        (p, i): CasePacket => ({
          ...nameOf(p.ref, p.time),
          from: p.from,
          flags: flagNames(p.flags),
          seq: unsigned(p.seq),
          ack: p.flags & ACK ? unsigned(p.ack) : null,
          note: noteOf(p, i, attempt),
        }),
      ),
      packets_omitted: attempt.omitted,
      behind: attempt.behind === null ? null : formatEndpoint(words.source(attempt.behind.use), attempt.behind.port),
      translated_to: attempt.translated === null ? null : formatEndpoint(words.source(attempt.translated.use), attempt.translated.port),
    };
  };

  const packetSource = (one: Case | undefined): string =>
    one === undefined ? 'capture' : `packet ${refNumber(one.attempt.packets[0]!.ref)}`;

  const evidenceOf = (bucket: Bucket): readonly Evidence[] => {
    const { use } = bucket;
    const example = bucket.cases[0];
    const list: Evidence[] = [
      { name: 'cases', value: bucket.count, unit: 'handshakes', source: 'capture' },
      { name: 'handshakes', value: use.tried, unit: 'handshakes', source: 'capture' },
      { name: 'recovered', value: bucket.recovered, unit: 'handshakes', source: 'capture' },
    ];
    if (bucket.longest > 0) list.push({ name: 'longest_delay', value: bucket.longest, unit: 's', source: 'capture' });
    if (bucket.silent > 0) list.push({ name: 'silent_syns', value: bucket.silent, unit: 'packets', source: 'capture' });
    if (Number.isFinite(bucket.shortestReuse))
      list.push({ name: 'shortest_reuse', value: bucket.shortestReuse, unit: 's', source: packetSource(example) });
    if (example !== undefined) {
      list.push({ name: 'ports_60s', value: example.ports60, unit: 'ports', source: packetSource(example) });
      list.push({ name: 'ports_120s', value: example.ports120, unit: 'ports', source: packetSource(example) });
    }
    return list;
  };

  const chosenBy = (use: PortUse, code: CaptureFindingCode, example: Case | undefined): string => {
    const source = words.source(use);
    const behind = example?.attempt.behind;
    if (behind) return `the translator that made ${formatEndpoint(words.source(behind.use), behind.port)} into ${source}`;
    // Linux gives every 4-tuple its own timestamp offset, so only the clock of one and the same tuple can be compared.
    if (code === 'paws_rejected') return `${source}, behind whose address is more than one clock: several hosts, or a translator`;
    return source;
  };

  const count = (n: number, one: string, many = `${one}s`): string => `${formatNumber(n)} ${n === 1 ? one : many}`;
  const happened = (bucket: Bucket): string => {
    const moved = bucket.moved === 0 ? '' : ` ${formatNumber(bucket.moved)} of them a translator sent again from another port.`;
    const slowest = `the slowest after ${formatDuration(bucket.longest)}`;
    if (bucket.recovered === 0) {
      if (bucket.moved === bucket.count) return moved;
      return `${bucket.count === 1 ? 'It never got through.' : 'None of them got through on these ports.'}${moved}`;
    }
    if (bucket.recovered < bucket.count) return `${formatNumber(bucket.recovered)} of them got through in the end, ${slowest}.${moved}`;
    return bucket.count === 1
      ? `It got through after ${formatDuration(bucket.longest)}.`
      : `All of them got through in the end, ${slowest}.`;
  };

  const earlierWords = (bucket: Bucket): string => {
    const example = bucket.cases[0];
    const previous = example?.attempt.previous;
    if (!previous || previous.state === 'none') return `${outsideWords[0]!.toUpperCase()}${outsideWords.slice(1)}.`;
    const last = `last seen at packet ${refNumber(previous.last)}, ${formatDuration(example?.reuse ?? 0)} before the SYN (packet ${refNumber(example!.attempt.packets[0]!.ref)})`;
    return `In the case shown the earlier connection was ${stateWords[previous.state]}, ${last}.`;
  };

  const titles: Readonly<Record<CaptureFindingCode, (bucket: Bucket) => readonly [Severity, string, string]>> = {
    syn_on_established: (b) => {
      const n = count(b.count, 'SYN');
      if (b.answer === 'reset')
        return [
          'critical',
          'SYNs on connections that are still open were refused',
          `${n} met a connection on the same four numbers that had not been closed, and drew RST. ${earlierWords(b)} ${happened(b)}`,
        ];
      if (b.answer === 'ignored')
        return [
          'critical',
          'SYNs on connections that are still open were ignored',
          `${n} met a connection on the same four numbers that had not been closed, and drew nothing. ${earlierWords(b)} ${happened(b)}`,
        ];
      return [
        b.recovered + b.moved === b.count ? 'warning' : 'critical',
        'SYNs on connections that are still open were challenged',
        `${n} met a connection on the same four numbers that had not been closed, and drew an ACK of that connection. ${earlierWords(b)} ${happened(b)}`,
      ];
    },
    syn_on_half_closed: (b) => {
      const drew = b.answer === 'reset' ? 'RST' : b.answer === 'ignored' ? 'nothing' : 'an ACK of that connection';
      const severity: Severity = b.answer === 'challenge' && b.recovered + b.moved === b.count ? 'warning' : 'critical';
      return [
        severity,
        'SYNs on half-closed connections',
        `${count(b.count, 'SYN')} met a connection on the same four numbers that only one side had closed, and drew ${drew}. ${earlierWords(b)} ${happened(b)}`,
      ];
    },
    syn_on_time_wait: (b) => [
      b.recovered + b.moved === b.count ? 'warning' : 'critical',
      b.answer === 'reset' ? 'SYNs into TIME-WAIT were refused' : 'SYNs into TIME-WAIT were answered with an old ACK',
      `${count(b.count, 'SYN')} came while the destination still held the four numbers in TIME-WAIT, and drew ${b.answer === 'reset' ? 'RST' : 'the last ACK of the old connection'}. ${earlierWords(b)} ${happened(b)}`,
    ],
    challenge_ack: (b) => [
      b.recovered + b.moved === b.count ? 'warning' : 'critical',
      'SYNs were answered with the ACK of another connection',
      `${count(b.count, 'SYN')} drew an ACK of a sequence number that the handshake never used: the destination holds a connection on the same four numbers. ${
        b.cases[0]?.attempt.previous && b.cases[0].attempt.previous.state !== 'none'
          ? `By the capture that one was ${stateWords[b.cases[0].attempt.previous.state]}; the destination did not hear of it.`
          : `${outsideWords[0]!.toUpperCase()}${outsideWords.slice(1)}; consistent with one that its client has forgotten (crash, lost RST, an idle timeout on the way) and the destination has not.`
      } ${happened(b)}`,
    ],
    syn_reset: (b) => [
      'warning',
      'Some SYNs were refused while others were accepted',
      `${count(b.count, 'SYN')} of ${formatNumber(b.use.tried)} drew RST in between handshakes that the same service accepted, so it is not a closed port. ${
        b.cases.some((c) => c.reuse !== null)
          ? `${earlierWords(b)} Consistent with a box that still holds the four numbers of it.`
          : `If it is a collision, ${outsideWords}; consistent with a box that refuses a SYN on four numbers it still holds, or with a limit on connections.`
      }`,
    ],
    syn_ignored: (b) => {
      const never = b.use.answered === 0;
      return [
        never ? 'info' : 'warning',
        never ? 'A destination that never answers' : 'SYNs were ignored, more than loss explains',
        `${formatNumber(b.use.silent)} of ${count(b.use.syns, 'SYN packet')} drew nothing; loss elsewhere in this capture makes at most ${formatPercent(explanation.background.loss)} likely. ${
          never
            ? 'No handshake with it ever succeeded: a filter that drops, a host that is down, or a wrong address, not a shortage of ports.'
            : `${b.early > 0 ? `${formatNumber(b.early)} of these handshakes used ports whose last connection had ended less than 60 s before: consistent with a box that still holds them. ` : ''}${happened(b)} What dropped them is outside the capture; consistent with a translator short of ports or a stateful filter.`
        }`,
      ];
    },
    time_wait_accepted: (b) => [
      'info',
      'Ports were reused within TIME-WAIT, and accepted',
      `${count(b.count, 'handshake')} took four numbers that the destination still held in TIME-WAIT${Number.isFinite(b.use.shortestEarly) ? `, the soonest ${formatDuration(b.use.shortestEarly)} after the old connection` : ''}, and ${b.count === 1 ? 'was' : 'were'} accepted at once. Nothing was lost; it works as long as one clock and one sequence of ISNs stand behind the source address.`,
    ],
    paws_rejected: (b) => [
      b.recovered + b.moved === b.count ? 'warning' : 'critical',
      'SYNs with old timestamps were rejected (PAWS)',
      `${count(b.count, 'SYN')} into TIME-WAIT carried a timestamp older than the old connection’s, and drew its last ACK. ${earlierWords(b)} ${happened(b)}`,
    ],
    port_reused_early: (b) => [
      'warning',
      'Source ports are reused sooner than the destination lets go of them',
      `${count(b.count, 'handshake')} took a port less than 60 s after the destination had closed the last connection on it, the soonest after ${formatDuration(b.shortestReuse)}; ${formatNumber(b.recovered)} of them were accepted at once.`,
    ],
    snat_syn_loss: (b) => [
      b.recovered + b.moved === b.count ? 'warning' : 'critical',
      'SYNs were lost inside the translator',
      `${formatNumber(b.silent)} SYN packets of ${count(b.count, 'handshake')} went in and did not come out, while ${formatNumber(b.use.translated)} others were translated. ${
        b.use.translatedTo === null
          ? ''
          : `The translator held up to ${formatNumber(b.use.translatedTo.peakHeld)} ports towards this destination. `
      }${happened(b)}`,
    ],
    source_near_limit: () => ['warning', '', ''],
    monitor_reset: () => ['critical', '', ''],
  };

  const findings: CaptureFinding[] = explanation.buckets.map((bucket) => {
    const [severity, title, text] = titles[bucket.code](bucket);
    const example = bucket.cases[0];
    return {
      code: bucket.code,
      severity,
      title,
      text: text.replace(/\s+/g, ' ').trim(),
      subject: words.space(bucket.use),
      evidence: evidenceOf(bucket),
      remedies: remediesOf[bucket.code],
      answer: bucket.answer,
      count: bucket.count,
      certain: bucket.certain,
      rule: ruleOf(bucket.code, bucket.answer, example?.attempt ?? null),
      chosen_by: chosenBy(bucket.use, bucket.code, example),
      cases: bucket.cases.slice(0, keep).map((one) => caseView(one, bucket.answer)),
    };
  });

  for (const { use, limit } of explanation.nearLimit) {
    const ratio = use.peakHeld / limit;
    findings.push({
      code: 'source_near_limit',
      severity: ratio >= 0.95 ? 'critical' : 'warning',
      title: 'A source address is close to its last port towards one destination',
      text: `${words.source(use)} held ${formatNumber(use.peakHeld)} ports at once towards ${formatEndpoint(words.destination(use), use.destinationPort)} (open, or closed less than 60 s before), ${formatPercent(ratio)} of the ${formatNumber(limit)} it has${limit === 28_232 ? ' if it uses Linux’s default range, as its ports suggest' : ''}. Up to ${formatNumber(use.peakOpen)} of them were open at once.`,
      subject: words.space(use),
      evidence: [
        { name: 'peak_held', value: use.peakHeld, unit: 'ports', source: `capture at ${formatDuration(use.peakHeldTime - start)}` },
        { name: 'peak_concurrent', value: use.peakOpen, unit: 'connections', source: 'capture' },
        { name: 'limit', value: limit, unit: 'ports', source: `ports ${use.lowestPort} to ${use.highestPort} seen` },
      ],
      remedies: remediesOf.source_near_limit,
      answer: 'accepted',
      count: use.peakHeld,
      certain: true,
      rule: ruleOf('source_near_limit', 'accepted', null),
      chosen_by: words.source(use),
      cases: [],
    });
  }
  for (const { use, series } of explanation.monitors) findings.push(monitorFinding(use, series, words, start, duration));

  const weight: Readonly<Record<Severity, number>> = { critical: 2, warning: 1, info: 0 };
  return findings.sort((x, y) => weight[y.severity] - weight[x.severity] || y.count - x.count || (x.subject < y.subject ? -1 : 1));
};

const monitorFinding = (use: PortUse, series: MonitorSeries, words: Words, start: number, duration: number): CaptureFinding => ({
  code: 'monitor_reset',
  severity: 'critical',
  title: 'Health checks are refused while traffic works',
  text: `${words.source(use)} opens a connection that carries nothing every ${formatDuration(series.interval)}: ${formatNumber(series.resets)} of ${formatNumber(series.checks)} drew RST, between ${formatDuration(series.firstReset - start)} and ${formatDuration(series.lastReset - start)} of ${formatDuration(duration)}, while ${formatNumber(use.destination.worked)} connections with requests went through to the same service. The service is up; the refusals concern the four numbers of the checks.`,
  subject: words.space(use),
  evidence: [
    { name: 'interval', value: series.interval, unit: 's', source: 'handshakes without payload' },
    { name: 'checks', value: series.checks, unit: 'handshakes', source: 'handshakes without payload' },
    { name: 'resets', value: series.resets, unit: 'handshakes', source: 'capture' },
    { name: 'working_connections', value: use.destination.worked, unit: 'connections', source: 'capture' },
  ],
  remedies: remediesOf.monitor_reset,
  answer: 'reset',
  count: series.resets,
  certain: false,
  rule: ruleOf('monitor_reset', 'reset', null),
  chosen_by: words.source(use),
  cases: [],
});
