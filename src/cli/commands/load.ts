/** `plimsoll load`: load on purpose, from source ports that are chosen on purpose, and what it did to them. */
import { type ChildProcess, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { formatEndpoint, parseAddressRange } from '../../core/address.ts';
import { ExitCode, PlimsollError } from '../../core/errors.ts';
import type { CoolDown } from '../../core/port-ledger.ts';
import { defaultPortRange, formatRange, type PortRange, PortSet, parseRanges } from '../../core/port-range.ts';
import { formatDuration, parseDuration, parseRate } from '../../core/quantity.ts';
import { fileLimitOf } from '../../linux/file-limits.ts';
import { liveRoot } from '../../linux/proc.ts';
import { parseProfile, peakRate } from '../../load/arrivals.ts';
import { causeOf, findLimit, type Limit } from '../../load/find-limit.ts';
import type { Job, SourcePorts, Traffic } from '../../load/job.ts';
import { portLife, predict, rateOf } from '../../load/prediction.ts';
import { preflight } from '../../load/preflight.ts';
import { type Result, runLoad } from '../../load/run.ts';
import { makeRequest, parseField, parseMethod, parseTarget, resolveTarget } from '../../load/target.ts';
import { judge, parseThreshold, type Threshold, thresholdNames, type Verdict } from '../../load/threshold.ts';
import { type LoadDocument, loadDocument } from '../../wire/load.ts';
import type { CommandSpec, Given } from '../command.ts';
import { probeLine, progressLine, renderLoad, renderPrediction, shortageLine } from '../render/load.ts';
import { LiveLine } from '../render/load-live.ts';
import type { Shell } from '../shell.ts';
import { lookTowards, type SpaceTowards } from '../start/towards.ts';

/** Descriptors of a process that are not for connections. */
const reservedDescriptors = 100;
const assumedDescriptors = 1024;
const mostProcesses = 256;
const mostConnections = 1_000_000;
/** Requests per second that --find-limit asks for at most. */
const mostRate = 1_000_000;

const positive =
  (most: number) =>
  (text: string): number | null =>
    /^[1-9]\d{0,6}$/.test(text) && Number(text) <= most ? Number(text) : null;
const above =
  (parse: (text: string) => number | null) =>
  (text: string): number | null =>
    parse(text) || null;

const readBody = (text: string | null): string | null => {
  if (text === null) return null;
  if (!text.startsWith('@')) return Buffer.from(text).toString('latin1');
  try {
    return readFileSync(text.slice(1)).toString('latin1');
  } catch (cause) {
    throw new PlimsollError(
      'file_not_found',
      { path: text.slice(1), reason: (cause as NodeJS.ErrnoException).code ?? String(cause) },
      { cause },
    );
  }
};

const readThreshold = (text: string): Threshold => {
  const threshold = parseThreshold(text);
  if (threshold === null)
    throw new PlimsollError('bad_value', {
      option: '--threshold',
      value: text,
      expected: `NAME<VALUE, where NAME is one of ${thresholdNames.join(', ')}`,
      example: "for example --threshold 'p99<20ms' or --threshold 'errors<0.1%'",
    });
  return threshold;
};

const closerOf = (text: string): 'client' | 'server' | null => (text === 'client' || text === 'server' ? text : null);

/** Ports that the ledger may choose where none are named: those that the kernel leaves alone, so that nobody else is in the way. */
const portsBeside = (space: SpaceTowards): readonly PortRange[] => {
  const set = PortSet.of([{ low: 1024, high: 65535 }]);
  const automatic = space.settings?.portRange;
  for (const range of [...(automatic === undefined ? [] : [automatic]), ...(space.settings?.reserved ?? [])])
    for (let port = range.low; port <= range.high; port++) set.delete(port);
  const left = set.ranges();
  return left.length > 0 || automatic === undefined ? left : [automatic];
};

const readSourcePorts = (given: Given, space: SpaceTowards, cooldown: CoolDown, endpoint: string): SourcePorts => {
  const addresses = given.value('source', 'a list of addresses', '10.0.0.2-10.0.0.9', (t) => parseAddressRange(t)) ?? [];
  const ports = given.value('ports', 'a list of ports', '1024-32767', (t) => {
    const ranges = parseRanges(t);
    return ranges === null || ranges.length === 0 ? null : ranges;
  });
  if (given.flag('auto-ports')) {
    if (ports !== null) throw new PlimsollError('options_conflict', { first: '--ports', second: '--auto-ports' });
    return { kind: 'kernel', addresses };
  }
  if (addresses.length === 0 && ports === null) return { kind: 'kernel', addresses: [] };
  if (addresses.length === 0 && space.source === null)
    throw new PlimsollError('load_unreachable', { endpoint, reason: 'there is no route to it (ENETUNREACH)' });
  return {
    kind: 'ledger',
    addresses: addresses.length > 0 ? addresses : [space.source!],
    ports: ports ?? portsBeside(space),
    cooldown,
  };
};

const readTraffic = (given: Given, seconds: number, descriptors: number): Traffic => {
  const connections = given.value('connections', 'a number from 1 to a million', '100', positive(mostConnections));
  const idle = given.value('idle', 'a number from 1 to a million', '20000', positive(mostConnections));
  if (idle !== null && connections !== null) throw new PlimsollError('options_conflict', { first: '--idle', second: '--connections' });
  if (idle !== null) {
    const rate = given.value('rate', 'one rate above zero', '500/s', above(parseRate));
    return { kind: 'idle', connections: idle, rate, seconds };
  }
  const profile = given.value('rate', 'a rate above zero, a ramp or steps', '500/s', (t) => parseProfile(t, seconds));
  if (profile !== null) return { kind: 'open', profile, most: connections ?? descriptors };
  if (given.flag('find-limit'))
    return { kind: 'open', profile: [{ from: mostRate, to: mostRate, seconds }], most: connections ?? descriptors };
  if (connections === null)
    throw new PlimsollError('missing_option', {
      command: 'load',
      option: '--rate, --connections or --idle',
      example: 'for example --rate 500/s (open loop) or --connections 100 (closed loop)',
    });
  return { kind: 'closed', connections, seconds };
};

/** What was typed, understood. */
interface Asked {
  readonly job: Job;
  readonly space: SpaceTowards;
  readonly processes: number;
  /** Connections that all processes may have open together. */
  readonly descriptors: number;
  readonly seconds: number;
  /** Seconds between two words on how it stands. */
  readonly interval: number;
  readonly thresholds: readonly Threshold[];
}

const readJob = async (given: Given): Promise<Asked> => {
  const address = parseTarget(given.positionals[0]!);
  if (address === null)
    throw new PlimsollError('bad_value', {
      option: 'URL',
      value: given.positionals[0]!,
      expected: 'http://HOST[:PORT][/PATH], https://… or tcp://HOST:PORT',
      example: 'for example http://10.0.0.7:8080/ or tcp://10.0.0.7:5432',
    });
  const seconds = given.value('duration', 'a duration above zero', '30s', above(parseDuration))!;
  const timeout = given.value('timeout', 'a duration above zero', '5s', above(parseDuration))!;
  const hold = given.value('hold', 'a duration', '200ms', parseDuration)!;
  const perConnection = given.value('requests-per-connection', 'a number of at least 1, or unlimited', '1', (t) =>
    t === 'unlimited' ? Number.POSITIVE_INFINITY : positive(1_000_000)(t),
  );
  const closer = given.value('closer', 'client or server', 'server', closerOf)!;
  const cooldownSeconds = given.value('cooldown', 'a duration', '65s', parseDuration)!;
  const workers = given.value('workers', `a number from 1 to ${mostProcesses}`, '2', positive(mostProcesses));
  const processesGiven = given.value('processes', `a number from 1 to ${mostProcesses}`, '4', positive(mostProcesses));
  const interval = given.value('interval', 'a duration of at least 100ms', '1s', (t) => {
    const value = parseDuration(t);
    return value !== null && value >= 0.1 ? value : null;
  })!;
  const thresholds = given.texts('threshold').map(readThreshold);
  const method = given.value('method', 'an HTTP method', 'POST', parseMethod)!;
  const fields = given.texts('header').map((text) => {
    const field = parseField(text);
    if (field === null)
      throw new PlimsollError('bad_value', {
        option: '--header',
        value: text,
        expected: "'NAME: VALUE', and not one that frames the message",
        example: "for example --header 'Accept: text/html'",
      });
    return field;
  });
  const body = readBody(given.text('body'));
  const limit = (fileLimitOf(liveRoot, process.pid) ?? assumedDescriptors) - reservedDescriptors;
  const number = (name: string): number | null => given.value(name, 'a number from 1 to a million', '20000', positive(mostConnections));
  const connections = number('connections');
  const open = Math.max(number('idle') ?? 1, connections ?? 1);
  const wanted = Math.max(workers ?? 1, processesGiven ?? 1, Math.ceil(open / Math.max(1, limit)));
  // None of them without a connection.
  const processes = Math.min(wanted, connections ?? wanted);
  const traffic = readTraffic(given, seconds, limit * processes);
  const target = await resolveTarget(address, !given.flag('insecure'));
  const space = lookTowards(target.address, target.port);
  const cooldown: CoolDown = { fin: cooldownSeconds, rst: Math.min(16, cooldownSeconds), half_open: Math.min(30, cooldownSeconds) };
  const job: Job = {
    target,
    request: makeRequest(address, method, fields, body),
    traffic,
    requestsPerConnection:
      perConnection === null ? (target.protocol === 'http' ? null : 1) : Number.isFinite(perConnection) ? perConnection : null,
    closer,
    hold: traffic.kind === 'idle' ? Number.POSITIVE_INFINITY : hold,
    timeout,
    sourcePorts: readSourcePorts(given, space, cooldown, formatEndpoint(target.address, target.port)),
    share: { index: 0, of: 1 },
  };
  return { job, space, processes, descriptors: limit * processes, seconds, interval, thresholds };
};

const chosenBy = ({ sourcePorts }: Job): 'connect' | 'bind' | 'ledger' =>
  sourcePorts.kind === 'ledger' ? 'ledger' : sourcePorts.addresses.length > 0 ? 'bind' : 'connect';

const startWorker = (): ChildProcess =>
  spawn(process.execPath, [...process.execArgv, process.argv[1]!, 'load-worker'], {
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    serialization: 'advanced',
    // Ctrl-C is the parent's to answer: it stops its children itself.
    detached: true,
  });

const documentOf = (url: string, startedAt: number, result: Result, thresholds: readonly Verdict[], limit: Limit | null): LoadDocument => {
  const { total, prediction, job } = result;
  return loadDocument({
    target: url,
    startedAt,
    seconds: result.seconds,
    interrupted: result.interrupted,
    scheduled: total.scheduled,
    sent: total.sent,
    ok: total.ok,
    missedBusy: total.missedBusy,
    missedNoPort: total.missedNoPort,
    missedLate: total.missedLate,
    latency: total.latency,
    lateness: total.lateness,
    errors: total.errors,
    details: total.details,
    connections: {
      opened: total.opened,
      closed_by_client: total.closedByUs,
      closed_by_server: total.closedByServer,
      broken: total.broken,
      open_at_end: total.open,
    },
    bytesReceived: total.bytes,
    sourcePorts: {
      chosenBy: chosenBy(job),
      capacity: result.capacity,
      usedBefore: prediction.usedBefore,
      peakUsed: result.peakUsed,
      sources: result.ledger,
    },
    prediction: {
      exhaustsAfter: prediction.exhaustsAfter,
      sustainableRate: prediction.sustainableRate,
      lasts: rateOf(job) !== null || prediction.sustainableRate === null ? prediction.exhaustsAfter === null : null,
    },
    shortage: total.shortage,
    thresholds,
    limit,
  });
};

const verdicts = (result: Result, thresholds: readonly Threshold[]): readonly Verdict[] => {
  const { total, seconds } = result;
  const { scheduled, failed, missed, latency, lateness } = total;
  return thresholds.map((t) => judge(t, { scheduled, failed, missed, rate: seconds > 0 ? total.ok / seconds : 0, latency, lateness }));
};

/** Runs `job` once, with what is expected said first. */
const runOnce = async (asked: Asked, job: Job, shell: Shell): Promise<Result> => {
  const { target } = job;
  const space = lookTowards(target.address, target.port);
  const prediction = predict(job, space);
  const live = new LiveLine(shell.stderr);
  live.say(renderPrediction(job, prediction, shell));
  const result = await runLoad(job, prediction, space.start?.load.timeWaits ?? [], {
    processes: asked.processes,
    startWorker,
    interval: asked.interval,
    stop: shell.interrupted,
    onProgress: (p) => {
      const { shortage } = p.total;
      if (shortage !== null) live.once(shortageLine(shortage, job, prediction));
      live.show(progressLine(p, job, prediction.plan.total.capacity));
    },
  });
  live.end();
  return result;
};

const wait = (seconds: number, interrupted: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    const timer = setTimeout(resolve, seconds * 1000);
    const onAbort = (): void => {
      clearTimeout(timer);
      resolve();
    };
    if (interrupted.aborted) onAbort();
    interrupted.addEventListener('abort', onAbort, { once: true });
  });

/** Rate after rate. A port that a probe has closed must be free again before the next, or that would find the first one's limit. */
const runToLimit = async (asked: Asked, shell: Shell): Promise<{ readonly result: Result | null; readonly limit: Limit }> => {
  const { job, thresholds } = asked;
  const { traffic } = job;
  const highest = traffic.kind === 'open' ? peakRate(traffic.profile) : mostRate;
  const prediction = predict(job, asked.space);
  const life = portLife(prediction);
  // A shortage shows when the first ports closed would have come back, and not before.
  const seconds = Math.max(asked.seconds, life > 0 ? 1.2 * life + 1 : 0);
  if (life > 0)
    shell.stderr.write(
      `A closed port comes back after up to ${formatDuration(life)}: each rate is asked for ${formatDuration(seconds)}, and the ports rest as long before the next.\n`,
    );
  let best: Result | null = null;
  let resting = false;
  const limit = await findLimit({ guess: prediction.sustainableRate, first: 100, highest, precision: 0.05 }, async (rate) => {
    if (resting && life > 0) await wait(life, shell.interrupted);
    if (shell.interrupted.aborted) return undefined;
    resting = true;
    const profile = [{ from: rate, to: rate, seconds }];
    const most = traffic.kind === 'open' ? traffic.most : asked.descriptors;
    const result = await runOnce(asked, { ...job, traffic: { kind: 'open', profile, most } }, shell);
    if (result.interrupted) return undefined;
    const cause = causeOf(result.total, verdicts(result, thresholds));
    shell.stderr.write(probeLine(rate, cause, result));
    if (cause === null || best === null) best = result;
    return cause;
  });
  return { result: best, limit };
};

const run = async (given: Given, shell: Shell): Promise<number> => {
  const asked = await readJob(given);
  await preflight(asked.job, formatRange(asked.space.settings?.portRange ?? defaultPortRange), shell.interrupted);
  const startedAt = Date.now();
  const limiting = given.flag('find-limit');
  const { result, limit } = limiting ? await runToLimit(asked, shell) : { result: await runOnce(asked, asked.job, shell), limit: null };
  if (result === null) return ExitCode.interrupted;
  const judged = verdicts(result, asked.thresholds);
  const document = documentOf(given.positionals[0]!, startedAt, result, judged, limit);
  shell.stdout.write(given.flag('json') ? `${JSON.stringify(document)}\n` : renderLoad(document, shell));
  if (shell.interrupted.aborted) return ExitCode.interrupted;
  return judged.every((t) => t.ok) ? ExitCode.ok : ExitCode.no;
};

export const load: CommandSpec = {
  name: 'load',
  summary: 'Put load on a server from source ports chosen on purpose, having said whether they will last',
  synopsis: 'URL|tcp://HOST:PORT',
  takes: [1, 1],
  options: [
    {
      name: 'rate',
      value: 'RATE',
      description:
        'open loop: requests per second whatever the server does, 500/s; 100/s..1000/s rises evenly over the duration, 100/s,200/s,400/s goes up in steps',
    },
    {
      name: 'connections',
      value: 'N',
      description: 'closed loop: so many connections, each asking again when answered; with --rate the most that are open',
    },
    {
      name: 'duration',
      value: 'DURATION',
      fallback: '30s',
      description: 'how long requests are sent; with --idle how long connections are held',
    },
    {
      name: 'requests-per-connection',
      value: 'N|unlimited',
      description: 'requests one connection carries before it is closed (default unlimited for http, 1 for tcp)',
    },
    { name: 'closer', value: 'WHO', fallback: 'client', description: 'who closes first and keeps the TIME_WAIT: client or server' },
    { name: 'hold', value: 'DURATION', fallback: '0s', description: 'how long a tcp connection lives before it is closed' },
    { name: 'idle', value: 'N', description: 'open so many connections (http: one request each), then hold them and do nothing' },
    { name: 'source', value: 'ADDRESSES', description: 'source addresses, 10.0.0.2-10.0.0.9; plimsoll chooses the ports' },
    {
      name: 'ports',
      value: 'RANGES',
      description: 'source ports to choose from, 1024-32767,61000-65535 (with --source the default is what the kernel leaves alone)',
    },
    {
      name: 'auto-ports',
      description: 'let the kernel choose the ports: at bind() with --source, else at connect(), which is the default',
    },
    {
      name: 'cooldown',
      value: 'DURATION',
      fallback: '65s',
      description: 'how long a chosen port rests after the server closed first, if there are others',
    },
    { name: 'timeout', value: 'DURATION', fallback: '5s', description: 'how long to wait for a connection, and for an answer' },
    { name: 'workers', value: 'N', description: 'processes that share the load (default 1)' },
    { name: 'processes', value: 'N', description: 'at least so many processes; --idle takes as many as the descriptor limit asks for' },
    { name: 'method', value: 'METHOD', fallback: 'GET', description: 'the request method' },
    { name: 'header', value: "'NAME: VALUE'", repeatable: true, description: 'a header field; may be repeated' },
    { name: 'body', value: 'TEXT|@FILE', description: 'the request body' },
    { name: 'insecure', description: 'take any certificate' },
    {
      name: 'threshold',
      value: 'EXPR',
      repeatable: true,
      description: `exit 1 unless it holds: 'p99<20ms', 'errors<0.1%'; of ${thresholdNames.join(', ')}`,
    },
    {
      name: 'find-limit',
      description:
        'look for the rate at which failures begin, and why: 100/s and up, or around what is predicted; --rate is the highest asked for',
    },
    { name: 'interval', value: 'DURATION', fallback: '1s', description: 'time between two lines on how it stands' },
    { name: 'json', description: 'print the document plimsoll.load/1' },
  ],
  notes: [
    'Latency counts from when a request was due, not from when it was sent; how late plimsoll itself was is reported apart, and what was not sent at all is counted as missed.',
    'Exit codes: 0 done, 1 a threshold does not hold, 64 a value makes no sense, 66 the name does not resolve, 69 the server, a source address or a free port is not there, 130 interrupted (the summary is printed).',
  ],
  examples: [
    [
      'plimsoll load http://10.0.0.7/ --rate 500/s --requests-per-connection 1',
      'a connection for each request, closed by us: will the ports last?',
    ],
    [
      'plimsoll load http://10.0.0.7/ --rate 5k/s --source 10.0.0.2-10.0.0.9 --ports 1024-32767',
      'from eight addresses, ports chosen by plimsoll',
    ],
    ["plimsoll load https://10.0.0.7/ --connections 100 --threshold 'p99<20ms'", 'as fast as 100 connections go; exit 1 if it is too slow'],
    ['plimsoll load tcp://10.0.0.7:5432 --idle 20000 --duration 5m', '20,000 connections that do nothing'],
  ],
  run,
};
