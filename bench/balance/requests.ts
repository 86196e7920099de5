/** Requests per second, CPU and server connections under wrk: keep-alive clients, and clients that connect for each request. */
import { type Contender, cpuSeconds, type Name, type Setting } from './setting.ts';

export interface Load {
  readonly rate: number;
  /** CPU seconds of the proxy for 1000 requests. */
  readonly cpu: number;
  readonly serverConnections: number;
  /** Milliseconds. */
  readonly p99: number;
  readonly failed: number;
}

const milliseconds = (text: string): number => {
  const match = /^([\d.]+)(us|ms|s)$/.exec(text);
  return match === null ? Number.NaN : Number(match[1]) * { us: 0.001, ms: 1, s: 1000 }[match[2] as 'us' | 'ms' | 's'];
};

const load = async (setting: Setting, contender: Contender, seconds: number, headers: readonly string[]): Promise<Load> => {
  // Server connections that were there before are others', or idle ones of its own: those it closes or keeps.
  const cpu = cpuSeconds(contender.pid);
  const args = ['-t1', '-c100', `-d${seconds}`, '--latency', ...headers.flatMap((h) => ['-H', h]), contender.url];
  let connections = 0;
  const watch = setInterval(() => {
    connections = Math.max(connections, held(setting, contender));
  }, 1000);
  const out = await setting.aside('wrk', ...args);
  clearInterval(watch);
  const used = cpuSeconds(contender.pid) - cpu;
  const requests = Number(/(\d+) requests in/.exec(out)?.[1] ?? 0);
  const errors = /Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)/.exec(out);
  const failed =
    Number(/Non-2xx or 3xx responses: (\d+)/.exec(out)?.[1] ?? 0) + (errors?.slice(1).reduce((sum, n) => sum + Number(n), 0) ?? 0);
  return {
    rate: Number(/Requests\/sec:\s+([\d.]+)/.exec(out)?.[1] ?? 0),
    cpu: (used / requests) * 1000,
    serverConnections: connections,
    p99: milliseconds(/99%\s+(\S+)/.exec(out)?.[1] ?? ''),
    failed,
  };
};

/** Connections to the backend that this process holds. */
const held = (setting: Setting, contender: Contender): number =>
  setting.ns
    .exec('ss', '-Htnp', 'state', 'established', 'dst', '10.66.0.1:80')
    .split('\n')
    .filter((line) => line.includes(`pid=${contender.pid},`)).length;

export const keepAlive = (setting: Setting, contender: Contender, seconds: number): Promise<Load> => load(setting, contender, seconds, []);
export const perRequest = (setting: Setting, contender: Contender, seconds: number): Promise<Load> =>
  load(setting, contender, seconds, ['Connection: close']);

/** `rounds` rounds in which each contender has its turn; the first to go changes from round to round. A warm-up comes before. */
export const interleaved = async (
  contenders: readonly Contender[],
  rounds: number,
  turn: (contender: Contender) => Promise<Load>,
): Promise<ReadonlyMap<Name, readonly Load[]>> => {
  const results = new Map<Name, Load[]>(contenders.map((c) => [c.name, []]));
  for (const contender of contenders) await turn(contender);
  for (let round = 0; round < rounds; round++)
    for (let i = 0; i < contenders.length; i++) {
      const contender = contenders[(i + round) % contenders.length]!;
      results.get(contender.name)!.push(await turn(contender));
    }
  return results;
};
