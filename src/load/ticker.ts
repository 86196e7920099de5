/**
 * A clock that is on time: a thread that sleeps until the moment asked for and then wakes the main thread. Timers of the event loop
 * know whole milliseconds only, and setImmediate would burn a core.
 */
import { Worker } from 'node:worker_threads';

/** Milliseconds between two wakings at least: what is due in between is sent at once by the next. */
const gap = 0.05;

// Asleep on `state`: 0 waits for `due`, 1 waits until the main thread has dealt with the last waking, 2 ends.
const thread = `
const { workerData, parentPort } = require('node:worker_threads');
const state = new Int32Array(workerData, 0, 1);
const due = new Float64Array(workerData, 8, 1);
const now = () => performance.timeOrigin + performance.now();
let last = 0;
for (;;) {
  Atomics.wait(state, 0, 1);
  if (Atomics.load(state, 0) === 2) break;
  const left = Math.max(due[0], last + ${gap}) - now();
  if (left > 0) Atomics.wait(state, 0, 0, left);
  if (Atomics.compareExchange(state, 0, 0, 1) === 2) break;
  last = now();
  parentPort.postMessage(0);
}
`;

export class Ticker {
  private readonly state: Int32Array;
  private readonly due: Float64Array;
  private readonly worker: Worker;

  private constructor(onTick: () => void) {
    const memory = new SharedArrayBuffer(16);
    this.state = new Int32Array(memory, 0, 1);
    this.due = new Float64Array(memory, 8, 1);
    this.state[0] = 1;
    this.worker = new Worker(thread, { eval: true, workerData: memory });
    this.worker.on('message', onTick);
  }

  /** Resolves when it runs: it starts before the first request is due. */
  static async start(onTick: () => void): Promise<Ticker> {
    const ticker = new Ticker(onTick);
    await new Promise<void>((resolve, reject) => {
      ticker.worker.once('online', resolve);
      ticker.worker.once('error', reject);
    });
    return ticker;
  }

  /** Calls `onTick` once at `at` milliseconds of performance.now(), or soon after. Only when the last call has been made. */
  wakeAt(at: number): void {
    this.due[0] = performance.timeOrigin + at;
    Atomics.store(this.state, 0, 0);
    Atomics.notify(this.state, 0);
  }

  /** Ends the thread. */
  async stop(): Promise<void> {
    const gone = new Promise<void>((resolve) => this.worker.once('exit', () => resolve()));
    Atomics.store(this.state, 0, 2);
    Atomics.notify(this.state, 0);
    await gone;
  }
}
