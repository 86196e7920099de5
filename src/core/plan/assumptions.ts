/** Everything a plan took for granted, in sentences: a number without its assumptions is folklore. */

import { formatRange, rangeSize } from '../port-range.ts';
import { PROBE_SECONDS } from '../port-search.ts';
import { formatDuration, formatNumber, formatPercent, formatRate } from '../quantity.ts';
import { TIME_WAIT_SECONDS } from '../timer-tick.ts';
import { serverTimeOf } from './what-if.ts';
import { afterClose, connectionRate, defaultTick, type Workload } from './workload.ts';

const timeWait = (w: Workload): readonly string[] => {
  const held = afterClose(w);
  if (connectionRate(w) === 0) return ['Connections are kept open and shared, so none is closed and no TIME_WAIT is made.'];
  if (w.closer === 'server')
    return ['The server closes first, so the TIME_WAIT is the server’s; a port is free here when the connection ends.'];
  if (w.closer === 'reset') return ['The client closes with RST (SO_LINGER 0): no TIME_WAIT, and unsent data is lost.'];
  if (held.why === 'reuse' && w.portChoice === 'explicit')
    return [
      'The application names its ports: its own TIME_WAIT on the same 4-tuple reopens at once, because timestamps are on at both ends.',
    ];
  if (held.why === 'reuse')
    return [`connect() takes a TIME_WAIT after ${formatDuration(w.twReuseDelay)}: tcp_tw_reuse=${w.twReuse}, timestamps on at both ends.`];
  const because =
    w.portChoice === 'bind'
      ? 'bind(ip, 0) never takes a TIME_WAIT'
      : !w.timestamps
        ? 'without timestamps on both ends no TIME_WAIT is taken, whatever tcp_tw_reuse says'
        : w.twReuse === 2
          ? 'tcp_tw_reuse=2 takes TIME_WAITs towards loopback addresses only'
          : 'tcp_tw_reuse is off';
  const lines = [
    w.tick > 0
      ? `A TIME_WAIT lasts ${formatDuration(w.timeWait)} and its timer is up to ${formatNumber(w.tick, 3)} s late; ${because}.`
      : `A TIME_WAIT lasts exactly ${formatDuration(w.timeWait)}; ${because}.`,
  ];
  if (w.timeWait === 120)
    lines.push(
      'On Linux a socket’s TIME_WAIT is 60 s, fixed when the kernel is built; 120 s is conntrack’s (nf_conntrack_tcp_timeout_time_wait, only where a NAT or firewall tracks the flow), or Windows’ default.',
      `With Linux’s 60 s, and a timer up to ${formatNumber(defaultTick(TIME_WAIT_SECONDS), 3)} s late, ${formatNumber(rangeSize(w.range) - w.blocked)} ports last at ${formatRate((rangeSize(w.range) - w.blocked - 1) / (w.duration + TIME_WAIT_SECONDS + defaultTick(TIME_WAIT_SECONDS)))} per port space.`,
    );
  else if (w.timeWait !== TIME_WAIT_SECONDS)
    lines.push('Linux’s own TIME_WAIT is 60 s and no sysctl changes it (tcp_fin_timeout does not): this plan is for another closing host.');
  return lines;
};

const serverTime = (w: Workload): string => {
  const { seconds, from } = serverTimeOf(w);
  if (w.upstreamLatency !== null) return `A server takes ${formatDuration(seconds)} per request, one at a time on each connection.`;
  const because = {
    told: 'as you said',
    duration: 'as long as a connection lasts now',
    assumed:
      w.duration > 0
        ? 'for a connection that lasts longer is idle most of the time (give --server-time)'
        : 'an assumption (give --server-time)',
  }[from];
  return `For multiplexing a server takes ${formatDuration(seconds)} per request, ${because}.`;
};

/** The sentences for `w`; `target` is 1 + margin. */
export const assumptionsOf = (w: Workload, target: number): readonly string[] => {
  const several = w.sources * (w.portChoice === 'bind' ? 1 : w.destinations) > 1;
  return [
    ...timeWait(w),
    several
      ? 'The load spreads evenly over the port spaces: addresses are chosen by most free ports or in turn. A hash leaves one full before the others.'
      : '',
    w.sources > 1 ? `The application binds all ${formatNumber(w.sources)} source addresses; by itself the kernel uses one per route.` : '',
    'Connections arrive evenly spaced. Of random arrivals some meet a full space up to three standard deviations earlier: that is part of what the margin is for.',
    w.portChoice === 'connect' && rangeSize(w.range) % 2 === 1 && rangeSize(w.range) > 1
      ? `${formatRange(w.range)} is an odd number of ports, of which the kernel’s search may miss one.`
      : '',
    serverTime(w),
    w.snat !== null
      ? `The NAT keeps the port of a closed connection ${formatDuration(w.snat.timeWait)} (${formatDuration(w.snat.afterReset)} after RST) and loses SYNs from ${formatPercent(0.95)} of its range on; one client towards one destination uses one of its addresses. Newer kernels (6.12 does, 6.1 does not) let a new connection take the port of a closed one: for them this is a lower bound, beyond which few SYNs are lost until live connections fill the range.`
      : '',
    `A search beyond the wall passes over a port in ${PROBE_SECONDS.live * 1e9} ns if it is live, ${PROBE_SECONDS.timeWait * 1e9} ns in TIME_WAIT, ${PROBE_SECONDS.bind * 1e9} ns in bind(ip, 0): measured on Linux 6.18, yours may differ.`,
    target > 1 ? `The remedies are sized for ${formatPercent(target - 1)} more than the load.` : '',
  ].filter((line) => line !== '');
};
