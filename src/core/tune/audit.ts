/**
 * The audit: each setting that touches source ports, what it is, and whether this host's load and role ask for another value. No
 * folklore: a recommendation needs a measured condition that the setting changes, and says what it cannot do.
 */
import { increase } from '../finding/of-namespace.ts';
import { formatRange, type PortRange, PortSet, parseRanges } from '../port-range.ts';
import { formatDuration, formatNumber, formatPercent } from '../quantity.ts';
import { SHORT_CONNTRACK_TIME_WAIT, WIDE_RANGE } from '../remedy/for-space.ts';
import type { Advice, Audit, TuneFacts } from './facts.ts';
import { describe, isPressed, type Relief, relieve, reuseChangesNothing, wideningChangesNothing } from './pressure.ts';

/** Every sysctl the audit reads, in the order in which changes are applied: ports are reserved before the range takes them in. */
export const auditedSettings = [
  'net.ipv4.ip_local_reserved_ports',
  'net.ipv4.ip_local_port_range',
  'net.ipv4.tcp_timestamps',
  'net.ipv4.tcp_tw_reuse',
  'net.ipv4.tcp_tw_reuse_delay',
  'net.ipv4.tcp_fin_timeout',
  'net.ipv4.tcp_max_tw_buckets',
  'net.ipv4.tcp_keepalive_time',
  'net.ipv4.tcp_keepalive_intvl',
  'net.ipv4.tcp_keepalive_probes',
  'net.core.somaxconn',
  'net.ipv4.tcp_max_syn_backlog',
  'net.netfilter.nf_conntrack_max',
  'net.netfilter.nf_conntrack_tcp_timeout_time_wait',
  'net.netfilter.nf_conntrack_tcp_timeout_established',
] as const;
export type AuditedSetting = (typeof auditedSettings)[number];

type Opinion = Omit<Advice, 'name' | 'scope' | 'current'>;
const leave = (why: string, cannot: string): Opinion => ({ recommended: null, why, cannot, risk: 'none' });

interface Context {
  readonly facts: TuneFacts;
  readonly relief: Relief;
  readonly reserved: { readonly wanted: PortSet; readonly reasons: readonly string[] };
  readonly number: (name: AuditedSetting) => number | null;
}

const WHOLE_RANGE: PortRange = { low: 1, high: 65535 };

/** What keeps TIME_WAITs or ports from being short, for the "leave it" lines. */
const notShort = ({ facts }: Context): string => {
  const [fullest] = facts.spaces;
  return fullest === undefined
    ? 'no outbound connection uses the range here'
    : `no port space is short of ports: the fullest is ${describe(fullest)}`;
};

const listedPorts = (set: PortSet): string => set.ranges().map(formatRange).join(',');

const opinions: Readonly<Record<AuditedSetting, (c: Context) => Opinion>> = {
  'net.ipv4.ip_local_port_range': (c) => {
    const cannot =
      'It does not shorten TIME_WAIT and does not cure a leak; it has no say over a NAT’s ports. The search wall only moves with it.';
    const { widen, pressed, reuse } = c.relief;
    if (widen.length > 0) {
      return {
        recommended: `${WIDE_RANGE.low} ${WIDE_RANGE.high}`,
        why: `${describe(widen[0]!)} is short of ports${widen.length > 1 ? `, and ${widen.length - 1} more` : ''}; ${formatRange(WIDE_RANGE)} is every port that is not privileged.`,
        cannot,
        risk: 'low',
      };
    }
    if (pressed.length === 0) return leave(`${notShort(c)}.`, cannot);
    if (reuse.length > 0) return leave('tcp_tw_reuse alone relieves the spaces that are short.', cannot);
    return leave(
      `${describe(pressed[0]!)} is short of ports, but ${wideningChangesNothing(pressed[0]!) ?? 'more of them would not help'}.`,
      cannot,
    );
  },
  'net.ipv4.ip_local_reserved_ports': ({ facts, reserved }) => {
    const cannot = 'It does not keep anybody from binding these ports by name; it keeps automatic choice away from them.';
    const now = PortSet.of(parseRanges(facts.values['net.ipv4.ip_local_reserved_ports'] ?? '') ?? []);
    const missing = [...reserved.wanted.within(WHOLE_RANGE)].filter((port) => !now.has(port));
    if (missing.length === 0) return leave('nothing inside the range has to be kept from automatic choice.', cannot);
    return { recommended: listedPorts(reserved.wanted), why: `${reserved.reasons.join(' ')}`, cannot, risk: 'none' };
  },
  'net.ipv4.tcp_timestamps': ({ number }) => {
    const cannot = 'Switching it off frees no port: it makes TIME_WAITs untouchable, whatever tcp_tw_reuse says.';
    return number('net.ipv4.tcp_timestamps') === 0
      ? {
          recommended: '1',
          why: 'without timestamps no TIME_WAIT may be taken early, old duplicates are not told from new segments (PAWS), and round trips are measured worse.',
          cannot,
          risk: 'low',
        }
      : leave('on, as it should be.', cannot);
  },
  'net.ipv4.tcp_tw_reuse': (c) => {
    const cannot =
      'It changes nothing for inbound connections, for bind(ip, 0), for FIN_WAIT_2, without timestamps on both ends, or in a NAT’s range.';
    const { reuse, pressed } = c.relief;
    if (reuse.length > 0) {
      return {
        recommended: '1',
        why: `TIME_WAITs hold most ports of ${describe(reuse[0]!)}${reuse.length > 1 ? ` and of ${reuse.length - 1} more` : ''}; connect() then takes each after ${formatDuration(c.facts.view.sample.settings.twReuseDelay)}.`,
        cannot,
        risk: 'low',
      };
    }
    if (pressed.length > 0)
      return leave(
        `${describe(pressed[0]!)} is short of ports, but it would change nothing there: ${reuseChangesNothing(pressed[0]!) ?? ''}.`,
        cannot,
      );
    if (c.facts.role === 'server')
      return leave('the TIME_WAITs of inbound connections sit on the listener’s port and hold none of the range.', cannot);
    return leave(`${notShort(c)}.`, cannot);
  },
  'net.ipv4.tcp_tw_reuse_delay': ({ number, facts }) => {
    const cannot = 'Below the round trip time a late segment of the old connection can meet the new one.';
    const now = number('net.ipv4.tcp_tw_reuse_delay');
    if (now === null) return leave('this kernel has a fixed second (the setting came with Linux 6.14).', cannot);
    if (now > 1000 && facts.view.sample.settings.twReuse !== 0 && facts.spaces.some((m) => isPressed(m.space)))
      return {
        recommended: '1000',
        why: `a port waits ${formatDuration(now / 1000)} before it may be taken again, and ports are short.`,
        cannot,
        risk: 'low',
      };
    return leave(now === 1000 ? 'a second, the default.' : 'not the default, and nothing here asks for another value.', cannot);
  },
  'net.ipv4.tcp_fin_timeout': ({ facts, relief, number }) => {
    const cannot =
      'It is not the life of a TIME_WAIT, which is always 60 s: it is that of an orphaned FIN_WAIT_2, whose peer never closed.';
    const short = relief.pressed.find((m) => m.space.used > 0 && m.space.byState.fin_wait_2 * 5 >= m.space.used);
    const now = number('net.ipv4.tcp_fin_timeout') ?? 60;
    if (short !== undefined && now > 10) {
      return {
        recommended: '10',
        why: `${formatNumber(short.space.byState.fin_wait_2)} of the ports of ${describe(short)} are FIN_WAIT_2: the peer does not close.`,
        cannot,
        risk: 'low',
      };
    }
    const held = facts.spaces.reduce((sum, m) => sum + m.space.byState.fin_wait_2, 0);
    return leave(`${held === 0 ? 'no' : formatNumber(held)} FIN_WAIT_2 hold${held > 1 ? '' : 's'} a port here.`, cannot);
  },
  'net.ipv4.tcp_max_tw_buckets': ({ facts, number }) => {
    const cannot = 'Lowering it frees ports by destroying TIME_WAITs: the collisions they prevent come back, without a trace.';
    const max = number('net.ipv4.tcp_max_tw_buckets') ?? 0;
    const { counters } = facts.view.sample;
    const held = counters['sockstat_tw'] ?? 0;
    const destroyed = increase(facts.before?.sample.counters ?? null, counters, 'TCPTimeWaitOverflow');
    if (destroyed > 0 || (max > 0 && held >= max * 0.9)) {
      const enough = 2 ** Math.ceil(Math.log2(Math.max(held, max, 1) * 2));
      return {
        recommended: String(enough),
        why: `${formatNumber(held)} of at most ${formatNumber(max)} TIME_WAITs are held${destroyed > 0 ? `, and ${formatNumber(destroyed)} were destroyed while we watched` : ''}. One takes about 250 bytes.`,
        cannot,
        risk: 'low',
      };
    }
    return leave(`${formatNumber(held)} of at most ${formatNumber(max)} TIME_WAITs are held.`, cannot);
  },
  'net.ipv4.tcp_keepalive_time': ({ facts, number }) => {
    const cannot = 'Keep-alive ends dead connections only; an idle one that lives is kept, with its port.';
    const timeout = number('net.netfilter.nf_conntrack_tcp_timeout_established');
    const now = number('net.ipv4.tcp_keepalive_time') ?? 7200;
    if (timeout !== null && facts.view.sample.conntrack !== null && timeout <= now) {
      return {
        recommended: String(Math.max(60, Math.floor(timeout / 2))),
        why: `conntrack forgets a silent connection after ${formatDuration(timeout)}, before its first keep-alive after ${formatDuration(now)}: then both ends keep a port for a connection that is gone.`,
        cannot,
        risk: 'low',
      };
    }
    return leave(
      timeout === null
        ? 'no conntrack here forgets connections before it.'
        : `shorter than the ${formatDuration(timeout)} after which conntrack forgets.`,
      cannot,
    );
  },
  'net.ipv4.tcp_keepalive_intvl': () =>
    leave('nothing measured here depends on it.', 'It only decides how soon a dead connection is given up.'),
  'net.ipv4.tcp_keepalive_probes': () =>
    leave('nothing measured here depends on it.', 'It only decides how soon a dead connection is given up.'),
  'net.core.somaxconn': ({ facts, number }) => {
    const cannot =
      'It caps what applications ask for in listen(); a smaller backlog there stays small. It has nothing to do with source ports.';
    const full = increase(facts.before?.sample.counters ?? null, facts.view.sample.counters, 'ListenOverflows');
    const now = number('net.core.somaxconn') ?? 4096;
    if (full > 0 && now < 4096)
      return {
        recommended: '4096',
        why: `${formatNumber(full)} connections found a full accept queue while we watched; 4096 is the default since Linux 5.4.`,
        cannot,
        risk: 'low',
      };
    return leave(
      full > 0
        ? 'accept queues overflow, but it is not this that keeps them short: the backlog in listen() is.'
        : 'no accept queue overflowed while we watched.',
      cannot,
    );
  },
  'net.ipv4.tcp_max_syn_backlog': ({ facts, number }) => {
    const cannot = 'It does not limit established connections; with SYN cookies on, a full queue costs options, not connections.';
    const { counters } = facts.view.sample;
    const earlier = facts.before?.sample.counters ?? null;
    const full = increase(earlier, counters, 'TCPReqQFullDrop') + increase(earlier, counters, 'TCPReqQFullDoCookies');
    const now = number('net.ipv4.tcp_max_syn_backlog') ?? 4096;
    return full > 0 && now < 4096
      ? {
          recommended: '4096',
          why: `the queue of half-open connections was full ${formatNumber(full)} times while we watched.`,
          cannot,
          risk: 'low',
        }
      : leave('the queue of half-open connections did not fill up while we watched.', cannot);
  },
  'net.netfilter.nf_conntrack_max': ({ facts, number }) => {
    const cannot = 'A NAT’s ports do not become more by it: 64,512 per address and destination remain.';
    const sample = facts.view.sample.conntrack;
    const max = number('net.netfilter.nf_conntrack_max');
    if (sample === null || max === null) return leave('conntrack is not in use here.', cannot);
    const ratio = max > 0 ? sample.count / max : 0;
    if (ratio < 0.8) return leave(`its table is ${formatPercent(ratio)} full.`, cannot);
    if (!facts.isHost)
      return leave(`its table is ${formatPercent(ratio)} full, but it can only be raised in the host’s own namespace.`, cannot);
    return {
      recommended: String(max * 2),
      why: `its table is ${formatPercent(ratio)} full; beyond it, new connections of everybody time out. An entry takes about 320 bytes.`,
      cannot,
      risk: 'low',
    };
  },
  'net.netfilter.nf_conntrack_tcp_timeout_time_wait': ({ facts, number }) => {
    const cannot = 'It is conntrack’s memory of a closed connection, not the TIME_WAIT of a socket.';
    const now = number('net.netfilter.nf_conntrack_tcp_timeout_time_wait');
    const short = facts.spaces.find((m) => m.space.kind === 'snat' && isPressed(m.space) && m.space.byState.time_wait * 2 >= m.space.used);
    if (now === null) return leave('conntrack is not in use here.', cannot);
    if (short !== undefined && now > SHORT_CONNTRACK_TIME_WAIT) {
      return {
        recommended: String(SHORT_CONNTRACK_TIME_WAIT),
        why: `closed connections hold most ports of the translation ${describe(short)}, ${formatDuration(now)} each.`,
        cannot,
        risk: 'medium',
      };
    }
    return leave('no translation here is short of ports for it.', cannot);
  },
  'net.netfilter.nf_conntrack_tcp_timeout_established': ({ facts, number }) => {
    const cannot = 'It ends no connection: it makes conntrack forget one, and what is forgotten breaks at its next packet.';
    const now = number('net.netfilter.nf_conntrack_tcp_timeout_established');
    const sample = facts.view.sample.conntrack;
    if (now === null || sample === null) return leave('conntrack is not in use here.', cannot);
    const keepalive = number('net.ipv4.tcp_keepalive_time') ?? 7200;
    if (sample.max > 0 && sample.count >= sample.max * 0.8 && now > 86400)
      return {
        recommended: String(Math.max(86400, keepalive * 2)),
        why: `the table is ${formatPercent(sample.count / sample.max)} full, and a connection that died silently stays ${formatDuration(now)}.`,
        cannot,
        risk: 'medium',
      };
    return leave('the table is not full of connections that died.', cannot);
  },
};

/** Ports to keep from automatic choice: today's listeners if the range is about to take them in, and the balancer's own at all times. */
const wantedReserved = (facts: TuneFacts, widening: boolean): Context['reserved'] => {
  const { settings } = facts.view.sample;
  const range = widening ? WIDE_RANGE : settings.portRange;
  const wanted = PortSet.of(settings.reserved);
  const reasons: string[] = [];
  if (widening) {
    const { table, listeners } = facts.view.groups;
    const ports = [...new Set(listeners.map((row) => table.localPort[row]!))].filter(
      (p) => p >= range.low && p <= range.high && !wanted.has(p),
    );
    ports.sort((a, b) => a - b);
    for (const port of ports) wanted.add(port);
    if (ports.length > 0)
      reasons.push(
        `The wider range takes in the ports of today’s listeners (${ports.slice(0, 8).join(', ')}${ports.length > 8 ? ', …' : ''}): reserved, a restart finds them free.`,
      );
  }
  const balancer = PortSet.of(facts.balancerPorts);
  const overlap = [...balancer.within(range)].filter((p) => !wanted.has(p));
  for (const port of overlap) wanted.add(port);
  if (overlap.length > 0)
    reasons.push(
      `The balancer chooses ${formatNumber(overlap.length)} ports of the range itself, and a port bound by name is closed to everybody’s connect().`,
    );
  return { wanted, reasons };
};

const fileLimits = (facts: TuneFacts): readonly Advice[] =>
  facts.fileLimits
    .filter((l) => l.soft !== null)
    .map((l): Advice => {
      const short = l.sockets >= l.soft! * 0.8;
      return {
        name: `LimitNOFILE of ${l.command} (pid ${l.pid})`,
        scope: 'process',
        current: String(l.soft),
        recommended: short ? String(2 ** Math.ceil(Math.log2(Math.max(1024, l.sockets * 2)))) : null,
        why: short
          ? `it holds ${formatNumber(l.sockets)} sockets and may open ${formatNumber(l.soft!)} files; beyond that accept() and socket() fail with EMFILE.`
          : `it holds ${formatNumber(l.sockets)} sockets.`,
        cannot: 'It is not the limit that EADDRNOTAVAIL speaks of: that one is of ports.',
        risk: 'none',
      };
    });

/** The audit of `facts`: one piece of advice per setting, and what the changes together promise. */
export const auditHost = (facts: TuneFacts): Audit => {
  const first = relieve(facts, wantedReserved(facts, true).wanted);
  const reserved = wantedReserved(facts, first.widen.length > 0);
  const context: Context = {
    facts,
    relief: first,
    reserved,
    number: (name) => {
      const value = facts.values[name];
      return value === null || value === undefined || !/^-?\d+$/.test(value) ? null : Number(value);
    },
  };
  const advice = auditedSettings.map((name): Advice => {
    const opinion = opinions[name](context);
    const current = facts.values[name] ?? null;
    return {
      name,
      scope: name === 'net.netfilter.nf_conntrack_max' ? 'host' : 'namespace',
      current,
      ...opinion,
      // What the kernel does not have cannot be set.
      recommended: current === null || opinion.recommended === current ? null : opinion.recommended,
    };
  });
  return { role: facts.role, advice: [...advice, ...fileLimits(facts)], promised: first.promised };
};
