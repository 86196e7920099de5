/** One process' part of a run, from beginning to end. */
import { ClosedLoop } from './closed-loop.ts';
import { Engine, type Traffic } from './engine.ts';
import { IdleConnections } from './idle.ts';
import type { Job } from './job.ts';
import type { FromWorker, ToWorker } from './messages.ts';
import { OpenLoop } from './open-loop.ts';
import type { Delta } from './tally.ts';

interface Startable extends Traffic {
  start(): Promise<void>;
  stop(): Promise<void>;
}

/** What this process takes of `count`. */
const portion = (count: number, { index, of }: Job['share']): number => Math.floor(count / of) + (index < count % of ? 1 : 0);

const trafficOf = (job: Job, engine: Engine): Startable => {
  const { traffic, share } = job;
  switch (traffic.kind) {
    case 'open':
      return new OpenLoop(engine, { ...traffic, most: portion(traffic.most, share) }, share);
    case 'closed':
      return new ClosedLoop(engine, portion(traffic.connections, share), traffic.seconds);
    case 'idle':
      return new IdleConnections(
        engine,
        portion(traffic.connections, share),
        traffic.rate === null ? null : traffic.rate / share.of,
        traffic.seconds,
      );
  }
};

/**
 * Runs `job` from `start` (milliseconds of performance.now()) until it is done or `stop` is aborted, and tells every interval what
 * happened in it. When it resolves nothing of it is open.
 */
export const runJob = async (job: Job, start: number, interval: number, stop: AbortSignal, tell: (delta: Delta) => void): Promise<void> => {
  const engine = new Engine(job, start);
  const traffic = trafficOf(job, engine);
  engine.traffic = traffic;
  const onStop = (): void => engine.close();
  // Every process tells at the same moments, counted from the beginning they share.
  let told = 0;
  let telling: NodeJS.Timeout;
  const tellOn = (): void => {
    telling = setTimeout(
      () => {
        tell(engine.take());
        tellOn();
      },
      Math.max(1, start + ++told * interval * 1000 - performance.now()),
    );
  };
  tellOn();
  try {
    stop.addEventListener('abort', onStop);
    if (!stop.aborted) {
      await traffic.start();
      await engine.done;
    }
  } finally {
    stop.removeEventListener('abort', onStop);
    clearTimeout(telling!);
    await traffic.stop();
    // What is open now is told before it is closed.
    tell(engine.take());
    engine.close();
  }
};

/** The side of a process that is a worker's: its IPC channel. */
export interface WorkerChannel {
  send(message: FromWorker): void;
  onMessage(listener: (message: ToWorker) => void): void;
  onDisconnect(listener: () => void): void;
}

/** A process of several: runs the job it is sent, and ends when it is done, told to stop, or its parent is gone. */
export const serveWorker = (channel: WorkerChannel): Promise<void> =>
  new Promise((resolve, reject) => {
    const stop = new AbortController();
    channel.onDisconnect(() => {
      stop.abort();
      resolve();
    });
    channel.onMessage((message) => {
      if (message.to === 'stop') {
        stop.abort();
        return;
      }
      runJob(message.job, message.at - performance.timeOrigin, message.interval, stop.signal, (delta) =>
        channel.send({ from: 'delta', delta }),
      ).then(() => {
        channel.send({ from: 'done' });
        resolve();
      }, reject);
    });
    channel.send({ from: 'ready' });
  });
