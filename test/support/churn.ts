/** A steady load of short connections in a namespace, made by system calls on a schedule that does not drift. */
import type { Namespace } from './namespace.ts';
import { acceptAll, close, Errno, type OpenOptions, open } from './sockets.ts';

export interface Churn {
  /** Seconds since the start, and connections made so far. */
  readonly elapsed: number;
  readonly opened: number;
  /** The first connect that failed: seconds since the start. */
  readonly failedAfter: number | null;
  readonly failures: number;
  stop(): void;
}

export interface ChurnOptions extends OpenOptions {
  /** Connections per second. */
  readonly rate: number;
  /** Who sends the first FIN. */
  readonly closer?: 'client' | 'server';
  /** Source ports in turn, beginning again after the last; without them as `bind` says. */
  readonly inTurn?: { readonly source: string; readonly low: number; readonly high: number };
  /** Leave the peer's side open: our side stays in FIN_WAIT_2. */
  readonly peerKeeps?: boolean;
}

/** Starts connections to `address:port` at a constant rate until stopped; late ones are made up for, none is dropped. */
export const churn = (ns: Namespace, address: string, port: number, listener: number, options: ChurnOptions): Churn => {
  const started = performance.now();
  let attempted = 0;
  let opened = 0;
  let failures = 0;
  let failedAfter: number | null = null;
  const elapsed = (): number => (performance.now() - started) / 1000;
  const { inTurn } = options;
  const next = (): number => inTurn!.low + ((attempted - 1) % (inTurn!.high - inTurn!.low + 1));
  const one = (): void => {
    attempted++;
    try {
      const fd = open(address, port, inTurn === undefined ? options : { ...options, bind: [inTurn.source, next()], reuseAddress: true });
      opened++;
      if (options.peerKeeps) {
        acceptAll(listener);
        close(fd);
      } else if (options.closer === 'server') {
        close(...acceptAll(listener));
        close(fd);
      } else {
        close(fd);
        close(...acceptAll(listener));
      }
    } catch (error) {
      if (!(error instanceof Errno)) throw error;
      failures++;
      failedAfter ??= elapsed();
    }
  };
  const timer = setInterval(() => {
    const due = Math.floor(elapsed() * options.rate) - attempted;
    if (due > 0)
      ns.run(() => {
        for (let i = 0; i < due; i++) one();
      });
  }, 5);
  return {
    get elapsed() {
      return elapsed();
    },
    get opened() {
      return opened;
    },
    get failedAfter() {
      return failedAfter;
    },
    get failures() {
      return failures;
    },
    stop: () => clearInterval(timer),
  };
};
