/** What is wrong with a namespace as a whole, by its counters: what moved between two samples, never what has moved since boot. */

import type { Evidence, Finding } from '../finding.ts';
import type { Counters } from '../host-sample.ts';
import { defaultPortRange, formatRange, rangeSize } from '../port-range.ts';
import type { InboundSource, NamespaceView } from '../port-spaces.ts';
import { formatNumber, formatPercent } from '../quantity.ts';
import { CRITICAL_RATIO, WARNING_RATIO } from './urgency.ts';

const fact = (name: string, value: number | string, unit: string, source: string): Evidence => ({ name, value, unit, source });

/** Increase of counter `name` between two samples; 0 with one, or where the kernel lacks it. */
export const increase = (before: Counters | null, after: Counters, name: string): number =>
  before === null || before[name] === undefined ? 0 : Math.max(0, (after[name] ?? 0) - before[name]!);

const subjectOf = (view: NamespaceView): string => `namespace ${view.sample.name}`;

const timeWaitOverflow = (before: NamespaceView | null, view: NamespaceView): Finding | null => {
  const { maxTwBuckets } = view.sample.settings;
  const destroyed = increase(before?.sample.counters ?? null, view.sample.counters, 'TCPTimeWaitOverflow');
  const held = view.sample.counters['sockstat_tw'] ?? 0;
  if (destroyed === 0 && (maxTwBuckets === 0 || held < maxTwBuckets)) return null;
  return {
    code: 'time_wait_overflow',
    severity: 'warning',
    title: 'TIME_WAITs are destroyed before their time',
    text: `tcp_max_tw_buckets is ${formatNumber(maxTwBuckets)} and ${formatNumber(held)} are held: each further one is dropped at once${destroyed > 0 ? ` (${formatNumber(destroyed)} while we watched)` : ''}. Their ports come back early, and with them the collisions that TIME_WAIT exists to prevent.`,
    subject: subjectOf(view),
    evidence: [
      fact('held', held, 'sockets', '/proc/net/sockstat'),
      fact('tcp_max_tw_buckets', maxTwBuckets, 'sockets', 'sysctl'),
      fact('TCPTimeWaitOverflow', destroyed, 'sockets', '/proc/net/netstat'),
    ],
    remedies: [],
  };
};

const conntrackTableFull = (before: NamespaceView | null, view: NamespaceView): Finding | null => {
  const c = view.sample.conntrack;
  if (c === null || c.max === 0) return null;
  const ratio = c.count / c.max;
  const dropped = increase(before?.sample.conntrack?.counters ?? null, c.counters, 'drop');
  const lost = increase(before?.sample.conntrack?.counters ?? null, c.counters, 'insert_failed');
  // A packet lost for want of a SNAT port counts as both; only the rest was lost to the full table.
  const forTable = dropped - lost;
  if (ratio < WARNING_RATIO && forTable <= 0) return null;
  return {
    code: 'conntrack_table_full',
    severity: ratio >= CRITICAL_RATIO || forTable > 0 ? 'critical' : 'warning',
    title: `conntrack's table is ${formatPercent(ratio)} full`,
    text: `${formatNumber(c.count)} of ${formatNumber(c.max)} entries${forTable > 0 ? `; ${formatNumber(forTable)} packets were dropped while we watched` : ''}. When it is full, new connections of everybody time out without an error. An established connection that died silently stays ${formatNumber(c.establishedTimeout / 86400, 1)} days.`,
    subject: subjectOf(view),
    evidence: [
      fact('entries', c.count, 'flows', 'nf_conntrack_count'),
      fact('nf_conntrack_max', c.max, 'flows', 'sysctl'),
      fact('drop', dropped, 'packets', '/proc/net/stat/nf_conntrack'),
    ],
    remedies: ['conntrack_settings'],
  };
};

const collisions = (before: NamespaceView | null, view: NamespaceView): Finding | null => {
  const earlier = before?.sample.counters ?? null;
  const challenged = increase(earlier, view.sample.counters, 'TCPSYNChallenge');
  if (challenged === 0) return null;
  const killed = increase(earlier, view.sample.counters, 'EstabResets');
  return {
    code: 'collisions',
    severity: 'warning',
    title: `${formatNumber(challenged)} SYN${challenged === 1 ? '' : 's'} hit a connection that is still open here`,
    text: `A client chose a source port again while this host still holds the old connection on it. We answer with a challenge ACK (RFC 5961), the client resets and tries again: 10 ms or 1 s late, or never where a firewall eats the RST. ${killed > 0 ? `${formatNumber(killed)} old connections were reset by it.` : 'The client reuses its ports too soon, or has too few.'}`,
    subject: subjectOf(view),
    evidence: [
      fact('TCPSYNChallenge', challenged, 'SYNs', '/proc/net/netstat'),
      fact('EstabResets', killed, 'connections', '/proc/net/snmp'),
    ],
    remedies: ['cool_down_ports'],
  };
};

const inboundSaturated = (inbound: InboundSource): Finding | null => {
  // A client that only uses Linux's default range runs out at its size, long before 64,512.
  const usual = inbound.lowestPort >= defaultPortRange.low && inbound.highestPort <= defaultPortRange.high;
  const limit = usual ? rangeSize(defaultPortRange) : inbound.limit;
  const ratio = inbound.used / limit;
  if (ratio < WARNING_RATIO) return null;
  return {
    code: 'inbound_source_saturated',
    severity: ratio >= CRITICAL_RATIO ? 'critical' : 'warning',
    title: `${inbound.source} holds ${formatNumber(inbound.used)} connections to ${inbound.listener}: it is running out of ports`,
    text: `One address has at most ${formatNumber(inbound.limit)} ports towards one of ours${usual ? `, and this one uses only ${formatRange(defaultPortRange)}, ${formatNumber(limit)} of them` : ''}. Its next connections will fail there, or reuse ports we still hold; it will look as if this server refused them.`,
    subject: `${inbound.source} → ${inbound.listener}`,
    evidence: [
      fact('used', inbound.used, 'ports', 'sock_diag'),
      fact('limit', limit, 'ports', usual ? 'default ip_local_port_range' : '65,536 less the privileged 1,024'),
    ],
    remedies: ['multiplexing', 'add_source_addresses', 'cool_down_ports'],
  };
};

/** The findings of a namespace's counters and of its clients. `before` is an earlier look at it, or null. */
export const findingsOfNamespace = (before: NamespaceView | null, view: NamespaceView, inbound: readonly InboundSource[]): Finding[] =>
  [timeWaitOverflow(before, view), conntrackTableFull(before, view), collisions(before, view), ...inbound.map(inboundSaturated)].filter(
    (f) => f !== null,
  );

/** What was looked at and is not the cause, each with its number: worth knowing once something is wrong. */
export const ruledOut = (before: NamespaceView | null, view: NamespaceView): readonly string[] => {
  const now = view.sample.counters;
  const earlier = before?.sample.counters ?? null;
  const since = before === null ? 'since boot' : 'while we watched';
  const moved = (name: string): number => (before === null ? (now[name] ?? 0) : increase(earlier, now, name));
  const lines: string[] = [];
  const c = view.sample.conntrack;
  if (c === null) lines.push('conntrack: it tracks nothing here, so it loses nothing');
  else if (c.max > 0 && c.count / c.max < WARNING_RATIO)
    lines.push(`conntrack: ${formatNumber(c.count)} of ${formatNumber(c.max)} entries`);
  if (moved('TCPTimeWaitOverflow') === 0) lines.push(`TIME_WAIT bucket overflow: none ${since}`);
  if (moved('TCPSYNChallenge') === 0) lines.push(`collisions on this side (SYN on an open connection): none ${since}`);
  if (moved('ListenOverflows') === 0) lines.push(`overflowing listen queues: none ${since}`);
  return lines;
};
