/**
 * The last hour by the second, in memory: all that most readers ask for. A minute that is over is handed on as one row; without
 * a file behind it, minutes are kept here too, for a day.
 */
import { Bucket } from './bucket.ts';
import type { Row } from './columns.ts';
import { Series } from './series.ts';

export const SECONDS_KEPT = 3600;
const MINUTES_KEPT_IN_MEMORY = 24 * 60;
/** Port spaces kept at a time; those not seen for longest go first. */
const MOST_SPACES = 128;

interface Lane {
  readonly seconds: Series;
  readonly minutes: Series;
  minute: number;
  bucket: Bucket;
}

export class Recent {
  private readonly lanes = new Map<string, Lane>();

  /** Takes the rows of one moment; returns the minutes that are over with them, `at` being their first second. */
  append(rows: readonly Row[]): readonly Row[] {
    const over: Row[] = [];
    for (const { at, space, values } of rows) {
      const minute = Math.floor(at / 60) * 60;
      const lane = this.lane(space, minute);
      if (lane.minute !== minute) this.finish(space, lane, minute, over);
      lane.seconds.push(at, values);
      lane.seconds.trim(at - SECONDS_KEPT);
      lane.bucket.add(values);
    }
    // A space that is no longer among the fullest ends its minute all the same.
    const now = rows[0] === undefined ? null : Math.floor(rows[0].at / 60) * 60;
    if (now !== null)
      for (const [space, lane] of this.lanes) if (lane.minute < now && lane.bucket.rows > 0) this.finish(space, lane, now, over);
    return over;
  }

  private finish(space: string, lane: Lane, next: number, over: Row[]): void {
    if (lane.bucket.rows > 0) {
      const row = { at: lane.minute, space, values: lane.bucket.values() };
      lane.minutes.push(row.at, row.values);
      lane.minutes.trim(next - MINUTES_KEPT_IN_MEMORY * 60);
      over.push(row);
    }
    lane.minute = next;
    lane.bucket = new Bucket();
  }

  private lane(space: string, minute: number): Lane {
    const known = this.lanes.get(space);
    const lane = known ?? {
      seconds: new Series(SECONDS_KEPT),
      minutes: new Series(MINUTES_KEPT_IN_MEMORY),
      minute,
      bucket: new Bucket(),
    };
    if (known !== undefined) this.lanes.delete(space);
    this.lanes.set(space, lane);
    if (this.lanes.size > MOST_SPACES) this.lanes.delete(this.lanes.keys().next().value!);
    return lane;
  }

  /** Rows by the second, those of `from` up to, not including, `to`. */
  seconds(space: string, from: number, to: number, each: (at: number, values: Float32Array, offset: number) => void): void {
    this.lanes.get(space)?.seconds.visit(from, to, each);
  }

  /** Whole minutes, and the one that has just begun. */
  minutes(space: string, from: number, to: number, each: (at: number, values: Float32Array, offset: number) => void): void {
    const lane = this.lanes.get(space);
    if (lane === undefined) return;
    lane.minutes.visit(from, to, each);
    if (lane.bucket.rows > 0 && lane.minute >= from && lane.minute < to) each(lane.minute, lane.bucket.values(), 0);
  }

  /** Rows kept, of both kinds. */
  get rows(): number {
    let rows = 0;
    for (const { seconds, minutes } of this.lanes.values()) rows += seconds.count + minutes.count;
    return rows;
  }
}
