/**
 * Which connections' ports count as open, as held, and as used in the last one and two minutes: per port space, and in all. A row
 * counts once however often it is counted; its flags say for what.
 */
import type { Segment } from '../decode/segment.ts';
import type { Incarnations } from './incarnations.ts';
import * as R from './incarnations.ts';
import type { PortUse } from './port-use.ts';
import type { Spaces } from './spaces.ts';
import { type Series, Timeline } from './timeline.ts';

export class HeldPorts {
  readonly timeline = new Timeline();
  /** Ports held over time, of all spaces together. */
  readonly total: Series;
  /** Seconds since the epoch of the capture, never going back. */
  now = Number.NEGATIVE_INFINITY;
  private heldInAll = 0;
  private readonly segment: Segment;
  private readonly incarnations: Incarnations;
  private readonly spaces: Spaces;

  constructor(segment: Segment, incarnations: Incarnations, spaces: Spaces) {
    this.segment = segment;
    this.incarnations = incarnations;
    this.spaces = spaces;
    this.total = this.timeline.add()!;
  }

  /** Counts the port of `row` as open, held and used. */
  count(row: number): void {
    const { ints } = this.incarnations;
    const i = row * R.intStride;
    const word = ints[i + R.STATE]!;
    const use = this.spaces.at(ints[i + R.USE]!);
    if ((word & R.COUNTED_OPEN) === 0) use.take();
    if ((word & R.COUNTED_MINUTE) === 0) use.inMinute++;
    if ((word & R.COUNTED_TWO_MINUTES) === 0) use.inTwoMinutes++;
    ints[i + R.STATE] = word | R.COUNTED;
    if (word & R.COUNTED_HELD) return;
    use.hold(this.segment.time);
    this.heldInAll++;
    this.plot(use);
  }

  /** The port of `row` is no longer counted as `what`. */
  uncount(row: number, what: number): void {
    const { ints } = this.incarnations;
    const i = row * R.intStride;
    const word = ints[i + R.STATE]!;
    const less = word & what;
    if (less === 0) return;
    ints[i + R.STATE] = word & ~what;
    const use = this.spaces.at(ints[i + R.USE]!);
    if (less & R.COUNTED_OPEN) use.open--;
    if (less & R.COUNTED_MINUTE) use.inMinute--;
    if (less & R.COUNTED_TWO_MINUTES) use.inTwoMinutes--;
    if ((less & R.COUNTED_HELD) === 0) return;
    use.held--;
    this.heldInAll--;
    this.plot(use);
  }

  /** The port of `row` is no longer held. */
  release(row: number): void {
    this.uncount(row, R.COUNTED_OPEN | R.COUNTED_HELD);
  }

  private plot(use: PortUse): void {
    this.timeline.record(this.total, this.now, this.heldInAll);
    // Spaces of a few ports make no curve worth drawing.
    if (use.series === null) {
      if (use.held !== 32) return;
      use.series = this.timeline.add();
      if (use.series === null) return;
    }
    this.timeline.record(use.series, this.now, use.held);
  }
}
