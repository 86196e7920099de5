/** `plimsoll plan`: will these ports carry this load, for how long, and what would it take. */
import { isLoopback, parseAddressRange } from '../../core/address.ts';
import { ExitCode, PlimsollError } from '../../core/errors.ts';
import { didYouMean } from '../../core/nearest.ts';
import { describeStart, isMoving, type MeasuredStart, startFrom, workloadOf } from '../../core/plan/from-space.ts';
import { plan as makePlan, type Question, solve } from '../../core/plan/plan.ts';
import { stagesOf } from '../../core/plan/stage.ts';
import { plannedRemedies } from '../../core/plan/what-if.ts';
import { defaultSnat, defaultTick, defaultWorkload, type Workload } from '../../core/plan/workload.ts';
import { formatRange, type PortRange, PortSet, parseRange, parseRanges, rangeSize } from '../../core/port-range.ts';
import { parseDuration, parseRate, parseRatio } from '../../core/quantity.ts';
import type { RemedyCode } from '../../core/remedy/codes.ts';
import { planDocument } from '../../wire/plan.ts';
import type { CommandSpec, Given } from '../command.ts';
import { renderPlan } from '../render/plan.ts';
import type { Shell } from '../shell.ts';
import { measureStart } from '../start/live.ts';
import { readReportStart } from '../start/report.ts';

const count = (text: string): number | null => (/^[1-9]\d{0,5}$/.test(text) ? Number(text) : null);

interface Endpoints {
  readonly count: number;
  readonly loopback: boolean;
}

/** `3`, `10.0.0.5-10.0.0.9`, or for destinations `10.0.1.11-10.0.1.14:8080-8083`: how many, and whether they are loopback. */
const endpoints = (text: string): Endpoints | null => {
  const number = count(text);
  if (number !== null) return { count: number, loopback: false };
  const whole = parseAddressRange(text);
  if (whole !== null) return { count: whole.length, loopback: whole.every(isLoopback) };
  const split = /^\[?([^\]]+)\]?:([\d,-]+)$/.exec(text);
  const addresses = split === null ? null : parseAddressRange(split[1]!);
  const ports = split === null ? null : parseRanges(split[2]!);
  if (addresses === null || ports === null || ports.length === 0) return null;
  return { count: addresses.length * ports.reduce((sum, r) => sum + rangeSize(r), 0), loopback: addresses.every(isLoopback) };
};

const oneOf =
  <T extends string>(...known: readonly T[]) =>
  (text: string): T | null =>
    known.find((k) => k === text) ?? null;

const onOff = (text: string): boolean | null => (text === 'on' ? true : text === 'off' ? false : null);

const twReuse = (text: string): 0 | 1 | 2 | null => (text === '0' ? 0 : text === '1' ? 1 : text === '2' ? 2 : null);

/** A range of at least two ports that an application may use. Throws for one that reaches into the privileged ports unasked. */
const portRange = (given: Given, option: string): PortRange | null => {
  const range = given.value(option, 'a range of ports with 1 ≤ low < high ≤ 65535', '1024-65535', (text) => {
    const parsed = parseRange(text);
    return parsed !== null && parsed.low < parsed.high ? parsed : null;
  });
  if (range !== null && range.low < 1024 && !given.flag('allow-privileged')) {
    throw new PlimsollError('privileged_ports', { option: `--${option}`, range: formatRange(range) });
  }
  return range;
};

const readSnat = (given: Given, base: Workload): Workload['snat'] => {
  const range = portRange(given, 'snat');
  const addresses = given.value('snat-addresses', 'a number of addresses', '2', count);
  const timeWait = given.value('conntrack-time-wait', 'a duration', '120s', parseDuration);
  if (range === null && addresses === null && timeWait === null) return base.snat;
  const from = base.snat ?? defaultSnat;
  return {
    range: range ?? from.range,
    addresses: addresses ?? from.addresses,
    timeWait: timeWait ?? from.timeWait,
    afterReset: from.afterReset,
  };
};

/** The options as typed: a fallback stands for the workload's own default and must not overrule a host's. */
const typed = (given: Given): Given => ({
  ...given,
  value: (name, expected, example, parse) => (given.flag(name) ? given.value(name, expected, example, parse) : null),
});

/** What was typed, over `base`. */
const readWorkload = (all: Given, base: Workload): Workload => {
  const given = typed(all);
  const range = portRange(given, 'range') ?? base.range;
  const reserved = given.value('reserved', 'a list of ports', '8080,9000-9010', parseRanges);
  const addresses = 'a number or addresses';
  const sources = given.value('sources', addresses, '10.0.0.5-10.0.0.9', endpoints);
  const destinations = given.value('destinations', `${addresses} with ports`, '10.0.1.11-10.0.1.14:8080', endpoints);
  const timeWait = given.value('time-wait', 'a duration', '60s', parseDuration) ?? base.timeWait;
  const named = given.value('bind-style', 'connect, bind or explicit', 'bind', oneOf('connect', 'bind', 'explicit'));
  return {
    rate: given.value('rate', 'a rate with its unit', '500/s', parseRate) ?? base.rate,
    requestsPerConnection:
      given.value('requests-per-connection', 'a number of at least 1', '100', (t) => {
        const value = /^\d+(\.\d+)?$/.test(t) ? Number(t) : 0;
        return value >= 1 ? value : null;
      }) ?? base.requestsPerConnection,
    upstreamLatency:
      given.value('upstream-latency', 'a duration above zero', '20ms', (t) => parseDuration(t) || null) ?? base.upstreamLatency,
    serverTime: given.value('server-time', 'a duration above zero', '20ms', (t) => parseDuration(t) || null) ?? base.serverTime,
    duration: given.value('duration', 'a duration', '200ms', parseDuration) ?? base.duration,
    closer: given.value('closer', 'client, server or reset', 'server', oneOf('client', 'server', 'reset')) ?? base.closer,
    sources: sources?.count ?? base.sources,
    destinations: destinations?.count ?? base.destinations,
    range,
    blocked: reserved === null ? (range === base.range ? base.blocked : 0) : PortSet.of(reserved).count(range),
    timeWait,
    tick: given.value('tick', 'a duration', '4.096s', parseDuration) ?? (timeWait === base.timeWait ? base.tick : defaultTick(timeWait)),
    twReuse: given.value('tw-reuse', '0, 1 or 2', '1', twReuse) ?? base.twReuse,
    twReuseDelay: given.value('tw-reuse-delay', 'a duration', '1s', parseDuration) ?? base.twReuseDelay,
    timestamps: given.value('timestamps', 'on or off', 'off', onOff) ?? base.timestamps,
    loopback: sources === null && destinations === null ? base.loopback : sources?.loopback === true || destinations?.loopback === true,
    portChoice: named ?? base.portChoice,
    snat: readSnat(given, base),
  };
};

const run = async (given: Given, shell: Shell): Promise<number> => {
  const question = given.value('solve', 'addresses, rate or connections', 'addresses', oneOf('addresses', 'rate', 'connections'));
  const report = given.text('from');
  const live = given.flag('live');
  if (report !== null && live) throw new PlimsollError('options_conflict', { first: '--from', second: '--live' });
  if (given.text('netns') !== null && !live) throw new PlimsollError('option_needs', { option: '--netns', other: '--live' });
  if (given.text('space') !== null && !live && report === null)
    throw new PlimsollError('option_needs', { option: '--space', other: '--live or --from' });
  let start: MeasuredStart | null = null;
  if (report !== null) start = await readReportStart(report, given.text('space'), shell);
  else if (live) start = await measureStart({ netns: given.text('netns'), space: given.text('space') }, shell);
  else if (given.text('rate') === null && question !== 'rate')
    throw new PlimsollError('missing_option', {
      command: 'plan',
      option: '--rate',
      example: 'for example --rate 500/s; or start from a host: --live',
    });

  if (start !== null && !isMoving(start) && given.text('rate') === null && question !== 'rate')
    throw new PlimsollError('no_rate', { id: start.id });
  const margin = given.value('margin', 'a share from 0% to 500%', '20%', (t) => {
    const value = parseRatio(t);
    return value !== null && value <= 5 ? value : null;
  })!;
  const workload = readWorkload(given, start === null ? defaultWorkload : workloadOf(start));
  if (workload.rate <= 0)
    throw new PlimsollError('bad_value', {
      option: '--rate',
      value: given.text('rate') ?? '0',
      expected: 'more than nothing',
      example: 'for example --rate 500/s',
    });
  if (rangeSize(workload.range) <= workload.blocked)
    throw new PlimsollError('no_ports_left', { range: formatRange(workload.range), blocked: workload.blocked });
  const stages = stagesOf(workload);
  const without = new Set(
    given.texts('without').map((text): RemedyCode => {
      const code = plannedRemedies.find((r) => r === text);
      if (code === undefined) throw new PlimsollError('unknown_remedy', { name: text, nearest: didYouMean(text, plannedRemedies) });
      return code;
    }),
  );
  const begun = start === null ? {} : { start: startFrom(start, stages), known: [describeStart(start)] };
  const result = makePlan(workload, 1 + margin, { ...begun, without });
  const answer = question === null ? null : solve(question, result);
  const units: Readonly<Record<Question, string>> = {
    addresses: 'source addresses',
    rate: 'requests per second',
    connections: 'connections kept open and shared',
  };
  const solution = question === null ? null : { question, value: answer?.value ?? null, unit: answer?.unit ?? units[question] };
  shell.stdout.write(given.flag('json') ? `${JSON.stringify(planDocument(result, solution))}\n` : renderPlan(result, solution, shell));
  if (solution !== null) return solution.value === null ? ExitCode.no : ExitCode.ok;
  return result.lasts ? ExitCode.ok : ExitCode.no;
};

export const plan: CommandSpec = {
  name: 'plan',
  summary: 'Work out whether the source ports will carry a load, for how long, and what would make it last',
  synopsis: '',
  takes: [0, 0],
  options: [
    {
      name: 'rate',
      value: 'RATE',
      description:
        'requests per second over all port spaces, such as 500/s or 30k/m; each is a new connection unless connections are reused',
    },
    { name: 'duration', value: 'DURATION', fallback: '0s', description: 'how long a connection lasts before somebody closes it' },
    {
      name: 'closer',
      value: 'WHO',
      fallback: 'client',
      description: 'who sends the first FIN and keeps the TIME_WAIT: client, server, or reset (the client closes with RST)',
    },
    {
      name: 'sources',
      value: 'N|ADDRESSES',
      fallback: '1',
      description: 'source addresses: how many, or which, such as 10.0.0.5-10.0.0.9',
    },
    {
      name: 'destinations',
      value: 'N|ADDRESSES',
      fallback: '1',
      description: 'destination endpoints: how many, or which, such as 10.0.1.11-10.0.1.14:8080-8083',
    },
    { name: 'range', value: 'LOW-HIGH', fallback: '32768-60999', description: 'the source ports to choose from' },
    { name: 'reserved', value: 'PORTS', description: 'ports of the range that nobody may take, such as 8080,40000-40009' },
    { name: 'allow-privileged', description: 'allow a range that begins below 1024' },
    {
      name: 'bind-style',
      value: 'STYLE',
      fallback: 'connect',
      description:
        'who chooses the port: connect (the kernel, per destination; also with IP_BIND_ADDRESS_NO_PORT), bind (bind(ip, 0): one pool for all destinations), explicit (the application)',
    },
    { name: 'time-wait', value: 'DURATION', fallback: '60s', description: 'how long a TIME_WAIT lasts on the host that closes first' },
    {
      name: 'tick',
      value: 'DURATION',
      fallback: '2.048s',
      description: 'how late its timer may be: 2.048s at HZ 250, 4.096s at HZ 1000; 0 where --time-wait is not Linux’s 60s',
    },
    { name: 'tw-reuse', value: 'N', fallback: '2', description: 'net.ipv4.tcp_tw_reuse: 0 off, 1 on, 2 towards loopback only' },
    { name: 'tw-reuse-delay', value: 'DURATION', fallback: '1s', description: 'net.ipv4.tcp_tw_reuse_delay' },
    { name: 'timestamps', value: 'on|off', fallback: 'on', description: 'TCP timestamps on both ends' },
    { name: 'requests-per-connection', value: 'N', fallback: '1', description: 'requests one connection carries before it is closed' },
    {
      name: 'upstream-latency',
      value: 'DURATION',
      description: 'connections are kept and shared, and a server takes this long per request',
    },
    {
      name: 'server-time',
      value: 'DURATION',
      description:
        'how long a server takes per request: what multiplexing would need connections for (a connection’s duration up to 1s, else 20ms)',
    },
    {
      name: 'snat',
      value: 'LOW-HIGH',
      description: 'a NAT in the path translates to these ports (Linux: 1024-65535 whatever ip_local_port_range says)',
    },
    { name: 'snat-addresses', value: 'N', description: 'addresses the NAT translates to' },
    { name: 'conntrack-time-wait', value: 'DURATION', description: 'how long the NAT remembers a closed connection (Linux: 120s)' },
    { name: 'margin', value: 'PERCENT', fallback: '20%', description: 'how much more than the load the remedies must hold' },
    {
      name: 'without',
      value: 'REMEDY',
      repeatable: true,
      description: 'leave a remedy out that cannot be had, such as multiplexing where the protocol has none; may be repeated',
    },
    { name: 'solve', value: 'WHAT', description: 'answer one number: addresses | rate | connections' },
    { name: 'from', value: 'FILE', description: 'start from a port space of a report (plimsoll doctor --json); - reads stdin' },
    { name: 'live', description: 'start from a port space of this host, looking for two seconds' },
    { name: 'space', value: 'ID', description: 'which port space of the report or host; the fullest if not given' },
    { name: 'netns', value: 'NAME', description: 'with --live: another network namespace, pid:N or name:NAME' },
    { name: 'json', description: 'print the document plimsoll.plan/1' },
  ],
  notes: [
    'Exit codes: 0 the load lasts, 1 it does not (or --solve has no answer), 64 a value makes no sense, 65 the report is none, 66 the report or port space is not there.',
    'Every assumption is printed with the answer. It needs no privileges and changes nothing.',
  ],
  examples: [
    ['plimsoll plan --rate 230/s', 'one address, one server, Linux as installed'],
    ['plimsoll plan --rate 600/s --duration 200ms --destinations 4 --margin 50%', 'four servers, half as much again to spare'],
    ['plimsoll plan --rate 1000/s --sources 10.0.0.5-10.0.0.9 --range 1024-65535', 'five SNAT addresses with 64,512 ports each'],
    ['plimsoll plan --rate 2000/s --solve addresses', 'how many source addresses it takes'],
    ['plimsoll doctor --json | plimsoll plan --from - --rate 2k/s', 'this host, with more load'],
  ],
  run,
};
