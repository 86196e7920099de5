/**
 * From a row's beginning to its end: the tables that find it, and the queues of what comes later.
 *
 *   begin ─▶ under way ─(130 s)▶ abandoned        over ─(60 s)▶ its port is free ─(60 s)▶ forgotten
 */
import type { Segment } from '../decode/segment.ts';
import type { HeldPorts } from './held-ports.ts';
import type { Incarnations } from './incarnations.ts';
import * as R from './incarnations.ts';
import type { Spaces } from './spaces.ts';
import { TupleTable } from './tuple-table.ts';

/** Linux's TIME_WAIT (include/net/tcp.h), in seconds. */
export const timeWait = 60;
/** A closed connection is remembered for twice that: other systems, and conntrack, hold on for 120 s. */
export const remembered = 120;
/** Linux retries a SYN for 127 s (tcp_syn_retries = 6). */
export const longestAttempt = 130;

export class Lifetimes {
  readonly v4: TupleTable;
  readonly v6: TupleTable;
  /** When there is something to do, in seconds of the capture. */
  nextDue = Number.POSITIVE_INFINITY;
  /** Handshakes on four numbers seen before anywhere in the capture. */
  reused = 0;
  private readonly segment: Segment;
  private readonly incarnations: Incarnations;
  private readonly spaces: Spaces;
  private readonly held: HeldPorts;
  /** A handshake that nobody answered for as long as any client tries. */
  private readonly ignored: (row: number) => void;

  constructor(
    segment: Segment,
    incarnations: Incarnations,
    spaces: Spaces,
    held: HeldPorts,
    tables: { readonly seed: number; readonly capacity: number },
    ignored: (row: number) => void,
  ) {
    this.segment = segment;
    this.incarnations = incarnations;
    this.spaces = spaces;
    this.held = held;
    this.v4 = new TupleTable(tables.seed, tables.capacity);
    this.v6 = new TupleTable(tables.seed);
    this.ignored = ignored;
  }

  /** A new row, of the connection or handshake that the segment at hand begins; the table finds it from now on. */
  begin(client: number, a: number, b: number, ports: number, state: number, from: number): number {
    const row = this.incarnations.add();
    const { ints, doubles } = this.incarnations;
    const i = row * R.intStride;
    const d = row * R.doubleStride;
    const { family } = this.segment;
    ints[i + R.KEY_A] = a;
    ints[i + R.KEY_B] = b;
    ints[i + R.PORTS] = ports;
    ints[i + R.STATE] = state | (client === 1 ? R.CLIENT_B : 0) | (family === 6 ? R.FAMILY_6 : 0);
    ints[i + R.PREVIOUS] = -1;
    doubles[d + R.SYN_TIME] = this.segment.time;
    doubles[d + R.SYN_REF] = this.segment.ref;
    doubles[d + R.LAST_SYN_TIME] = this.segment.time;
    doubles[d + R.LAST_TIME + from] = this.segment.time;
    doubles[d + R.LAST_REF] = this.segment.ref;
    doubles[d + R.LAST_TIME + 1 - from] = Number.NEGATIVE_INFINITY;
    const clientPort = client === 0 ? ports >>> 16 : ports & 0xffff;
    const serverPort = client === 0 ? ports & 0xffff : ports >>> 16;
    const use = this.spaces.of(family, client === 0 ? a : b, client === 0 ? b : a, serverPort);
    ints[i + R.USE] = use.index;
    use.rows++;
    if (use.usePort(clientPort) && state === R.SYN_SENT) {
      use.reused++;
      this.reused++;
    }
    (family === 4 ? this.v4 : this.v6).set(a, b, ports, row);
    this.held.count(row);
    this.incarnations.enqueue(R.ABANDONING, row, this.segment.time);
    this.nextDue = Math.min(this.nextDue, this.segment.time + longestAttempt);
    return row;
  }

  /** `row` is over: its port is released after a TIME_WAIT, if it still is held, and the row forgotten after another. */
  queueForgetting(row: number): void {
    this.incarnations.enqueue(R.RELEASING, row, this.segment.time);
    this.nextDue = Math.min(this.nextDue, this.segment.time + timeWait);
  }

  /** Takes `row` away, and from the table if it still stands there. */
  forget(row: number): void {
    const { ints } = this.incarnations;
    const i = row * R.intStride;
    const word = ints[i + R.STATE]!;
    this.held.uncount(row, R.COUNTED);
    const table = (word & R.FAMILY_6) === 0 ? this.v4 : this.v6;
    if (table.get(ints[i + R.KEY_A]!, ints[i + R.KEY_B]!, ints[i + R.PORTS]!) === row)
      table.delete(ints[i + R.KEY_A]!, ints[i + R.KEY_B]!, ints[i + R.PORTS]!);
    const earlier = ints[i + R.PREVIOUS]!;
    const generation = ints[i + R.PREVIOUS_GENERATION]!;
    const use = this.spaces.at(ints[i + R.USE]!);
    this.incarnations.remove(row);
    if (--use.rows === 0) this.spaces.leave(use);
    if (this.incarnations.alive(earlier, generation)) this.forget(earlier);
  }

  /** Does what is due by `now`. */
  advance(now: number): void {
    const { incarnations } = this;
    for (let since = incarnations.since(R.RELEASING); since + timeWait <= now; since = incarnations.since(R.RELEASING)) {
      const row = incarnations.first(R.RELEASING);
      this.held.uncount(row, R.COUNTED_OPEN | R.COUNTED_HELD | R.COUNTED_MINUTE);
      incarnations.enqueue(R.FORGETTING, row, since);
    }
    while (incarnations.since(R.FORGETTING) + remembered <= now) this.forget(incarnations.first(R.FORGETTING));
    while (incarnations.since(R.ABANDONING) + longestAttempt <= now) this.abandon(incarnations.first(R.ABANDONING), now);
    this.nextDue = Math.min(
      incarnations.since(R.RELEASING) + timeWait,
      incarnations.since(R.FORGETTING) + remembered,
      incarnations.since(R.ABANDONING) + longestAttempt,
    );
  }

  /** `row` is `longestAttempt` old: is it still a handshake, or a stray? */
  private abandon(row: number, now: number): void {
    const { ints, doubles } = this.incarnations;
    const i = row * R.intStride;
    const d = row * R.doubleStride;
    const word = ints[i + R.STATE]!;
    const state = word & R.STATE_MASK;
    const silence = now - Math.max(doubles[d + R.LAST_TIME]!, doubles[d + R.LAST_TIME + 1]!, doubles[d + R.LAST_SYN_TIME]!);
    if (state === R.SYN_SENT || state === R.ANSWERED) {
      if (silence < timeWait) {
        this.incarnations.enqueue(R.ABANDONING, row, now);
        return;
      }
      if (state === R.SYN_SENT) this.ignored(row);
      this.forget(row);
      return;
    }
    // One side's packets alone, without a beginning: backscatter, or a scan with bare ACKs.
    const oneSided = doubles[d + R.LAST_TIME] === Number.NEGATIVE_INFINITY || doubles[d + R.LAST_TIME + 1] === Number.NEGATIVE_INFINITY;
    if ((word & R.MIDSTREAM) !== 0 && oneSided && silence > remembered) this.forget(row);
    else this.incarnations.unqueue(row);
  }
}
