/** `plimsoll load`: load on purpose, from source ports that are chosen on purpose, and what it did to them. */
import { type ChildProcess, spawn } from 'node:child_process';
import { ExitCode } from '../../core/errors.ts';
import { defaultPortRange, formatRange } from '../../core/port-range.ts';
import { formatDuration } from '../../core/quantity.ts';
import { peakRate } from '../../load/arrivals.ts';
import { causeOf, findLimit, type Limit } from '../../load/find-limit.ts';
import type { Job } from '../../load/job.ts';
import { portLife, predict, rateOf } from '../../load/prediction.ts';
import { preflight } from '../../load/preflight.ts';
import { type Result, runLoad } from '../../load/run.ts';
import { judge, type Threshold, thresholdNames, type Verdict } from '../../load/threshold.ts';
import { type LoadDocument, loadDocument } from '../../wire/load.ts';
import type { CommandSpec, Given } from '../command.ts';
import { probeLine, progressLine, renderLoad, renderPrediction, shortageLine } from '../render/load.ts';
import { LiveLine } from '../render/load-live.ts';
import type { Shell } from '../shell.ts';
import { type Asked, mostRate, readJob } from '../start/load-job.ts';
import { lookTowards } from '../start/towards.ts';

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
