/**
 * A whole run: one job shared out over processes (or done in this one), their counts added up every second, and what the ports did.
 */
import type { ChildProcess } from 'node:child_process';
import type { Job } from './job.ts';
import type { FromWorker, ToWorker } from './messages.ts';
import { PortUse } from './port-use.ts';
import type { Prediction } from './prediction.ts';
import { type Delta, type LedgerPorts, Total } from './tally.ts';
import { runJob } from './worker.ts';

/** Milliseconds from the order to the first request: every process' clock must be running by then. */
const leadMs = 100;

/** How a run stands, at the end of an interval. */
export interface Progress {
  /** Seconds from the beginning. */
  readonly elapsed: number;
  readonly total: Total;
  /** What happened since the last one. */
  readonly interval: { readonly seconds: number; readonly scheduled: number; readonly ok: number; readonly failed: number };
  readonly portsUsed: number;
  /** Seconds until no port is left at the rate ports are now taken; null where they last. */
  readonly portsLast: number | null;
}

export interface Result {
  readonly job: Job;
  readonly prediction: Prediction;
  readonly total: Total;
  /** Seconds that requests were sent in. */
  readonly seconds: number;
  readonly capacity: number;
  readonly peakUsed: number;
  readonly ledger: readonly LedgerPorts[];
  readonly interrupted: boolean;
}

export interface RunOptions {
  readonly processes: number;
  /** A process that calls `serveWorker`, with an IPC channel of structured clones. */
  readonly startWorker: () => ChildProcess;
  /** Seconds between two words on how it stands. */
  readonly interval: number;
  readonly stop: AbortSignal;
  readonly onProgress: (progress: Progress) => void;
}

/** Runs the job in `processes` others, each with its share. */
const runProcesses = async (job: Job, options: RunOptions, tell: (process: number, delta: Delta) => void): Promise<void> => {
  const children = Array.from({ length: options.processes }, () => options.startWorker());
  const send = (child: ChildProcess, message: ToWorker): void => {
    if (child.connected) child.send(message, () => {});
  };
  const onStop = (): void => {
    for (const child of children) send(child, { to: 'stop' });
  };
  let ready = 0;
  try {
    options.stop.addEventListener('abort', onStop);
    await Promise.all(
      children.map(
        (child, index) =>
          new Promise<void>((resolve, reject) => {
            let done = false;
            child.on('error', reject);
            child.on('message', (message: FromWorker) => {
              if (message.from === 'delta') tell(index, message.delta);
              else if (message.from === 'done') done = true;
              else if (++ready === children.length) {
                const at = performance.timeOrigin + performance.now() + leadMs;
                children.forEach((c, i) => {
                  send(c, { to: 'run', job: { ...job, share: { index: i, of: children.length } }, at, interval: options.interval });
                });
                if (options.stop.aborted) onStop();
              }
            });
            child.on('exit', (code, signal) => {
              if (done || options.stop.aborted) resolve();
              else reject(new Error(`a load process ended with ${signal ?? code}`));
            });
          }),
      ),
    );
  } finally {
    options.stop.removeEventListener('abort', onStop);
    for (const child of children) child.kill('SIGKILL');
  }
};

const usedOf = (ledger: readonly LedgerPorts[]): number => ledger.reduce((sum, row) => sum + row.used + row.cooling, 0);

/** Seconds that a job means to send requests in. */
export const plannedSeconds = ({ traffic }: Job): number =>
  traffic.kind === 'open' ? traffic.profile.reduce((sum, s) => sum + s.seconds, 0) : traffic.seconds;

/** Runs `job` to its end, or until `stop` is aborted. Nothing is open afterwards. */
export const runLoad = async (
  job: Job,
  prediction: Prediction,
  timeWaitsBefore: ArrayLike<number>,
  options: RunOptions,
): Promise<Result> => {
  const total = new Total();
  const { capacity } = prediction.plan.total;
  const use = new PortUse(prediction.plan.workload, capacity, timeWaitsBefore);
  const ledger = job.sourcePorts.kind === 'ledger';
  let used = prediction.usedBefore;
  let peak = ledger ? 0 : used;
  let closed = 0;
  let ended = 0;
  /** When everybody must have told of the next interval; a clock that is a little early counts. */
  let due = options.interval * 0.9;
  const told = new Float64Array(options.processes);
  let last = { at: 0, scheduled: 0, ok: 0, failed: 0, used };
  const look = (at: number): void => {
    used = ledger ? usedOf(total.ledger) : use.update(at, closed, total.open);
    closed = 0;
    if (used > peak) peak = used;
  };
  const add = (process: number, delta: Delta): void => {
    total.add(process, delta);
    closed += delta.closedByUs;
    told[process] = delta.at;
    ended = Math.max(ended, delta.at);
    const at = told.reduce((least, t) => Math.min(least, t));
    // Everybody has told of this interval.
    if (at < due) return;
    due = options.interval * (Math.floor(at / options.interval + 0.1) + 0.9);
    look(at);
    const seconds = at - last.at;
    const growth = (used - last.used) / seconds;
    options.onProgress({
      elapsed: at,
      total,
      interval: { seconds, scheduled: total.scheduled - last.scheduled, ok: total.ok - last.ok, failed: total.failed - last.failed },
      portsUsed: used,
      // Connections that are kept are opened at first and then no more: that is no trend.
      portsLast: growth > 0 && total.shortage === null && prediction.exhaustsAfter !== null ? (capacity - used) / growth : null,
    });
    last = { at, scheduled: total.scheduled, ok: total.ok, failed: total.failed, used };
  };
  if (options.processes > 1) await runProcesses(job, options, add);
  else await runJob(job, performance.now() + leadMs, options.interval, options.stop, (delta) => add(0, delta));
  look(ended);
  return {
    job,
    prediction,
    total,
    seconds: job.traffic.kind === 'idle' ? ended : Math.min(ended, plannedSeconds(job)),
    capacity,
    peakUsed: peak,
    ledger: total.ledger,
    interrupted: options.stop.aborted,
  };
};
