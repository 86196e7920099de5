/** Requests on purpose, from `plimsoll load`, and what came of them. */
import type { LabNamespace } from '../namespace.ts';
import type { Stage } from '../stage.ts';

/** The fields of `plimsoll.load/1` that scenarios read. Latencies in seconds. */
export interface LoadReading {
  readonly scheduled: number;
  readonly sent: number;
  readonly ok: number;
  readonly missed: number;
  readonly latency: { readonly p50: number | null; readonly p99: number | null; readonly max: number | null };
  readonly errors: Readonly<Record<string, number>>;
}

/** A connection for each request, `rate` a second for `seconds`; whoever got no answer after `timeout` seconds has failed. */
export const shortConnections = (
  stage: Stage,
  ns: LabNamespace,
  url: string,
  rate: number,
  seconds: number,
  timeout = 20,
): Promise<LoadReading> =>
  stage.own(ns, [
    ...['load', url, '--rate', `${rate}/s`, '--duration', `${seconds}s`],
    ...['--requests-per-connection', '1', '--timeout', `${timeout}s`],
  ]);

/** Requests that were not answered. */
export const failed = (load: LoadReading): number => load.scheduled - load.ok;

/** `reset 12, timeout 3`, or `none`. */
export const causes = (load: LoadReading): string =>
  Object.entries(load.errors)
    .filter(([, n]) => n > 0)
    .map(([cause, n]) => `${cause.replaceAll('_', ' ')} ${n}`)
    .join(', ') || 'none';
