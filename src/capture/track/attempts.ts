/** The handshakes that are followed packet by packet: few, so they are objects. */
import { type Segment, SYN } from '../decode/segment.ts';
import { type Attempt, logPacket, type Outcome } from './attempt.ts';
import { previousOf } from './earlier.ts';
import type { Incarnations } from './incarnations.ts';
import * as R from './incarnations.ts';
import type { Spaces } from './spaces.ts';

export class Attempts {
  private readonly byRow = new Map<number, Attempt>();
  private readonly segment: Segment;
  private readonly incarnations: Incarnations;
  private readonly spaces: Spaces;
  private readonly tell: (attempt: Attempt) => void;

  /** `tell` is called with each that has ended. */
  constructor(segment: Segment, incarnations: Incarnations, spaces: Spaces, tell: (attempt: Attempt) => void) {
    this.segment = segment;
    this.incarnations = incarnations;
    this.spaces = spaces;
    this.tell = tell;
  }

  /** The handshake of `row`, if it is followed. */
  get(row: number): Attempt | undefined {
    return this.byRow.get(row);
  }

  /** Follows the handshake of `row` packet by packet from here on. */
  watch(row: number): Attempt {
    const { ints, doubles } = this.incarnations;
    const i = row * R.intStride;
    const d = row * R.doubleStride;
    const word = ints[i + R.STATE]!;
    const client = (word & R.CLIENT_B) === 0 ? 0 : 1;
    const previous = ints[i + R.PREVIOUS]!;
    const kept = this.incarnations.alive(previous, ints[i + R.PREVIOUS_GENERATION]!);
    const startedAt = doubles[d + R.SYN_TIME]!;
    const attempt: Attempt = {
      use: this.spaces.at(ints[i + R.USE]!),
      clientPort: client === 0 ? ints[i + R.PORTS]! >>> 16 : ints[i + R.PORTS]! & 0xffff,
      isn: ints[i + R.SYN_SEQ]!,
      stamp: (word & (R.STAMPED << client)) === 0 ? null : ints[i + R.SYN_STAMP]!,
      previous: kept ? previousOf(this.incarnations, previous, client) : null,
      startedAt,
      packets: [{ ref: doubles[d + R.SYN_REF]!, time: startedAt, from: 'client', flags: SYN, seq: ints[i + R.SYN_SEQ]!, ack: 0 }],
      omitted: 0,
      syns: 1,
      silent: 0,
      oldAcks: 0,
      oldAck: 0,
      clientReset: false,
      heard: false,
      outcome: 'pending',
      endedAt: startedAt,
      translated: null,
      behind: null,
    };
    ints[i + R.STATE] = word | R.WATCHED;
    this.byRow.set(row, attempt);
    return attempt;
  }

  /** Adds the segment at hand to its packets. */
  log(attempt: Attempt, from: 'client' | 'server'): void {
    const { flags, seq, ack } = this.segment;
    logPacket(attempt, { ref: this.segment.ref, time: this.segment.time, from, flags, seq, ack });
  }

  /** The handshake of `row` is over. */
  end(row: number, attempt: Attempt, outcome: Outcome, time: number): void {
    const { ints, doubles } = this.incarnations;
    const i = row * R.intStride;
    if (outcome === 'ignored' && !attempt.heard) attempt.silent++;
    attempt.outcome = outcome;
    attempt.endedAt = time;
    attempt.use.silent += attempt.silent;
    const pair = ints[i + R.PAIR]!;
    if (this.incarnations.alive(pair, ints[i + R.PAIR_GENERATION]!)) {
      const p = pair * R.intStride;
      const use = this.spaces.at(ints[p + R.USE]!);
      const port = (ints[p + R.STATE]! & R.CLIENT_B) === 0 ? ints[p + R.PORTS]! >>> 16 : ints[p + R.PORTS]! & 0xffff;
      if (ints[i + R.STATE]! & R.INNER) attempt.translated = { use, port, at: doubles[pair * R.doubleStride + R.SYN_TIME]! };
      else attempt.behind = { use, port };
    }
    this.byRow.delete(row);
    ints[i + R.STATE]! &= ~R.WATCHED;
    this.tell(attempt);
  }
}
