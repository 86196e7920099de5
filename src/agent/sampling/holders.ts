/** Who holds the sockets of the fullest spaces. Reading /proc for it is dear, so what was found serves for a while. */
import type { SensorReport } from '../../core/host-sample.ts';
import type { OwnerShare } from '../../core/port-space.ts';
import type { MeasuredSpace } from '../../core/port-spaces.ts';
import type { Sampler } from '../../linux/sampler.ts';

/** New spaces are looked up before their turn, but not more often than this, in seconds. */
const NEW_EVERY = 5;
/** Milliseconds it may take, where it is done again and again. The processes that hold most sockets are looked at first. */
const BUDGET = 150;
/** And no more than this share of the time: where many sockets make it slow, it is done less often. */
const SHARE = 0.005;

export class Holders {
  private known = new Map<string, readonly OwnerShare[]>();
  private report: SensorReport = { name: 'owners', status: 'ok', duration: 0, hint: '' };
  private readAll = Number.NEGATIVE_INFINITY;
  private readNew = Number.NEGATIVE_INFINITY;
  /** Seconds the last look-up of all took. */
  private took = 0;
  private readonly every: number;

  /** `every` seconds all are looked up again; 0: at every look. */
  constructor(every: number) {
    this.every = every;
  }

  /** The owners of `spaces` by id, and how finding them went. `now` is seconds. */
  of(
    sampler: Pick<Sampler, 'owners'>,
    spaces: readonly MeasuredSpace[],
    now: number,
  ): { readonly bySpace: ReadonlyMap<string, readonly OwnerShare[]>; readonly report: SensorReport } {
    const all = now - this.readAll >= Math.max(this.every, this.every === 0 ? 0 : this.took / SHARE);
    const fresh = spaces.filter((m) => m.members.length > 0 && !this.known.has(m.space.id));
    if (all) {
      const { bySpace, report } = sampler.owners(spaces, this.every === 0 ? undefined : BUDGET);
      this.known = new Map(
        spaces.map(({ space }) => {
          const found = bySpace.get(space.id) ?? [];
          // Sockets that live have an owner: who is not found in the time there was is still the one that was.
          const lives = space.held > space.byState.time_wait;
          return [space.id, found.length > 0 || !lives ? found : (this.known.get(space.id) ?? found)];
        }),
      );
      this.report = report;
      this.readAll = now;
      this.took = report.duration;
    } else if (fresh.length > 0 && now - this.readNew >= NEW_EVERY) {
      const { bySpace, report } = sampler.owners(fresh, BUDGET / 2);
      for (const [id, shares] of bySpace) this.known.set(id, shares);
      if (report.status !== 'ok') this.report = report;
      this.readNew = now;
    }
    return { bySpace: this.known, report: this.report };
  }
}
