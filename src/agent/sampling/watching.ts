/** What connect() did over the last seconds, kept from look to look: one look's second is too short to tell who opens connections. */
import type { FailedSearch, Opening, Reading, SensorReport, Watched } from '../../core/host-sample.ts';
import type { PortWatch } from '../../linux/port-watch.ts';

interface Taken {
  readonly from: number;
  readonly to: number;
  readonly failedSearches: readonly FailedSearch[];
  readonly openings: readonly Opening[];
}

/** More failures than this in the window are told as this many: a storm of them must not fill the memory. */
const MOST_FAILURES = 20_000;

export class Watching {
  private readonly reading: Reading<PortWatch> | null;
  private readonly window: number;
  private taken: Taken[] = [];
  private since: number;
  private readonly timer: NodeJS.Timeout | null;

  /** `reading` null: nothing is watched. `window`, `now` and `pollEvery` are seconds. */
  constructor(reading: Reading<PortWatch> | null, window: number, now: number, pollEvery: number) {
    this.reading = reading;
    this.window = window;
    this.since = now;
    const watch = this.watch;
    this.timer = watch === null ? null : setInterval(() => watch.poll(), pollEvery * 1000);
  }

  private get watch(): PortWatch | null {
    return this.reading?.status === 'ok' ? this.reading.value : null;
  }

  /** What was watched in the window that ends `now`, and the failures since the last call alone. */
  take(now: number): { readonly watched: Watched; readonly fresh: readonly FailedSearch[] | null } {
    if (this.watch === null) return { watched: { seconds: 0, failedSearches: null, openings: [] }, fresh: null };
    const latest = this.watch.take();
    this.taken.push({ from: this.since, to: now, ...latest });
    this.since = now;
    this.taken = this.taken.filter((t) => t.to > now - this.window);
    const openings = new Map<string, Opening>();
    for (const t of this.taken) {
      for (const o of t.openings) {
        const key = `${o.pid} ${o.destination} ${o.destinationPort} ${o.bound}`;
        openings.set(key, { ...o, weight: o.weight + (openings.get(key)?.weight ?? 0) });
      }
    }
    const failedSearches = this.taken.flatMap((t) => t.failedSearches).slice(-MOST_FAILURES);
    return {
      watched: { seconds: now - this.taken[0]!.from, failedSearches, openings: [...openings.values()] },
      fresh: latest.failedSearches,
    };
  }

  report(): SensorReport {
    const { reading } = this;
    return {
      name: 'port searches',
      status: reading === null ? 'absent' : reading.status,
      duration: 0,
      hint: reading === null ? 'one look only: nothing was watched' : reading.status === 'ok' ? '' : reading.hint,
    };
  }

  stop(): void {
    if (this.timer !== null) clearInterval(this.timer);
    this.watch?.stop();
  }
}
