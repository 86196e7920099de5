/** What `plimsoll load` was asked for, understood: the options read into a job, and the port space it will meet. */
import { readFileSync } from 'node:fs';
import { formatEndpoint, parseAddressRange } from '../../core/address.ts';
import { PlimsollError } from '../../core/errors.ts';
import type { CoolDown } from '../../core/port-ledger.ts';
import { type PortRange, PortSet, parseRanges } from '../../core/port-range.ts';
import { A_WAIT, parseRate, parseWait } from '../../core/quantity.ts';
import { fileLimitOf } from '../../linux/file-limits.ts';
import { liveRoot } from '../../linux/proc.ts';
import { parseProfile } from '../../load/arrivals.ts';
import type { Job, SourcePorts, Traffic } from '../../load/job.ts';
import { makeRequest, parseField, parseMethod, parseTarget, resolveTarget } from '../../load/target.ts';
import { parseThreshold, type Threshold, thresholdNames } from '../../load/threshold.ts';
import type { Given } from '../command.ts';
import { lookTowards, type SpaceTowards } from './towards.ts';

/** Descriptors of a process that are not for connections. */
const reservedDescriptors = 100;
const assumedDescriptors = 1024;
const mostProcesses = 256;
const mostConnections = 1_000_000;
/** Requests per second that --find-limit asks for at most. */
export const mostRate = 1_000_000;

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

export interface Asked {
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

/** Throws for everything that cannot be meant, and for a name that does not resolve. */
export const readJob = async (given: Given): Promise<Asked> => {
  const address = parseTarget(given.positionals[0]!);
  if (address === null)
    throw new PlimsollError('bad_value', {
      option: 'URL',
      value: given.positionals[0]!,
      expected: 'http://HOST[:PORT][/PATH], https://… or tcp://HOST:PORT',
      example: 'for example http://10.0.0.7:8080/ or tcp://10.0.0.7:5432',
    });
  const seconds = given.value('duration', 'a duration above zero and of at most 24 days', '30s', above(parseWait))!;
  const timeout = given.value('timeout', 'a duration above zero and of at most 24 days', '5s', above(parseWait))!;
  const hold = given.value('hold', A_WAIT, '200ms', parseWait)!;
  const perConnection = given.value('requests-per-connection', 'a number of at least 1, or unlimited', '1', (t) =>
    t === 'unlimited' ? Number.POSITIVE_INFINITY : positive(1_000_000)(t),
  );
  const closer = given.value('closer', 'client or server', 'server', closerOf)!;
  const cooldownSeconds = given.value('cooldown', A_WAIT, '65s', parseWait)!;
  const workers = given.value('workers', `a number from 1 to ${mostProcesses}`, '2', positive(mostProcesses));
  const processesGiven = given.value('processes', `a number from 1 to ${mostProcesses}`, '4', positive(mostProcesses));
  const interval = given.value('interval', 'a duration of at least 100ms', '1s', (t) => {
    const value = parseWait(t);
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
