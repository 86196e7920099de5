/**
 * What was seen of each port space, for slow growth: every look for two minutes, means of 10 s for half an hour, means of a
 * minute for six hours. Bounded: the spaces not seen for longest are forgotten first.
 */
import type { PastUse } from '../../core/trend.ts';

const MOST_SPACES = 512;
const RECENT = 120;
const TIERS = [
  { step: 10, kept: 1800 },
  { step: 60, kept: 6 * 3600 },
] as const;

/** Means over whole steps. */
class Tier {
  readonly points: PastUse[] = [];
  private sum = 0;
  private count = 0;
  private first = Number.NaN;
  private last = 0;
  private readonly step: number;
  private readonly kept: number;

  constructor({ step, kept }: { readonly step: number; readonly kept: number }) {
    this.step = step;
    this.kept = kept;
  }

  add({ at, live }: PastUse): void {
    if (this.count > 0 && Math.floor(at / this.step) !== Math.floor(this.first / this.step)) {
      this.points.push({ at: (this.first + this.last) / 2, live: this.sum / this.count });
      this.count = 0;
      this.sum = 0;
      while (this.points.length > 0 && this.points[0]!.at < at - this.kept) this.points.shift();
    }
    if (this.count === 0) this.first = at;
    this.last = at;
    this.sum += live;
    this.count++;
  }
}

class SpacePast {
  private readonly recent: PastUse[] = [];
  private readonly tiers = TIERS.map((t) => new Tier(t));

  add(use: PastUse): void {
    const last = this.recent.at(-1);
    if (last !== undefined && use.at <= last.at) return;
    this.recent.push(use);
    while (this.recent[0]!.at < use.at - RECENT) this.recent.shift();
    for (const tier of this.tiers) tier.add(use);
  }

  /** Ascending, each stretch in the finest form there is of it. */
  all(): readonly PastUse[] {
    let before = this.recent[0]?.at ?? Number.POSITIVE_INFINITY;
    let parts: PastUse[] = this.recent;
    for (const { points } of this.tiers) {
      const older = points.filter((p) => p.at < before);
      parts = [...older, ...parts];
      before = older[0]?.at ?? before;
    }
    return parts;
  }
}

export class Past {
  private readonly spaces = new Map<string, SpacePast>();

  /** Notes what a look saw of space `id`. */
  add(id: string, use: PastUse): void {
    const known = this.spaces.get(id) ?? new SpacePast();
    this.spaces.delete(id);
    this.spaces.set(id, known);
    known.add(use);
    if (this.spaces.size > MOST_SPACES) this.spaces.delete(this.spaces.keys().next().value!);
  }

  of(id: string): readonly PastUse[] {
    return this.spaces.get(id)?.all() ?? [];
  }
}
