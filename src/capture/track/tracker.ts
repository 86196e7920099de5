/**
 * One state machine, and so one long file: the rules for a segment in each state of a connection are here and nowhere else.
 *
 * Follows every 4-tuple through its incarnations. One call per segment; what is ordinary stays in typed arrays, what is not
 * becomes an `Attempt` handed to the sink when it is over. States and columns are in `incarnations.ts`; what follows from them is
 * in `attempts.ts` (handshakes packet by packet), `held-ports.ts` (what counts for a port), `nat-pairs.ts` (one SYN seen twice) and `lifetimes.ts` (when a row ends).
 *
 *   SYN ─▶ SYN_SENT ─▶ ANSWERED ─▶ OPEN ─▶ HALF_CLOSED ─▶ CLOSED ─(60 s)▶ port free ─(60 s)▶ forgotten
 *             │ RST        └──────────┴──── RST ─▶ RESET
 *             ├─▶ REFUSED
 *             └─(130 s)▶ ABANDONED
 */
import { ACK, FIN, RST, type Segment, SYN } from '../decode/segment.ts';
import type { Attempt, Outcome } from './attempt.ts';
import { Attempts } from './attempts.ts';
import { heldState } from './earlier.ts';
import { HeldPorts } from './held-ports.ts';
import * as R from './incarnations.ts';
import { Incarnations } from './incarnations.ts';
import { Lifetimes, timeWait } from './lifetimes.ts';
import { NatPairs } from './nat-pairs.ts';
import type { PortUse } from './port-use.ts';
import { Spaces } from './spaces.ts';
import type { TupleTable } from './tuple-table.ts';

/** The same segment again within this is the capture's doing (two interfaces, a bridge), not a retry. */
const duplicateWithin = 0.001;

export interface TrackerSink {
  /** A handshake worth telling about has ended. */
  attempt(attempt: Attempt): void;
  /** Whether an accepted reuse of `use` is wanted as an attempt: thousands of them say no more than ten. */
  wantsAccepted(use: PortUse): boolean;
}

export class Tracker {
  readonly segment: Segment;
  readonly incarnations: Incarnations;
  readonly spaces: Spaces;
  readonly held: HeldPorts;
  readonly pairs: NatPairs;

  /** Packets by flag, as tshark counts them. */
  syns = 0;
  synAcks = 0;
  fins = 0;
  rsts = 0;
  segments = 0;
  duplicates = 0;
  /** Handshakes: distinct initial sequence numbers on a tuple. */
  tried = 0;
  answered = 0;
  reset = 0;
  ignored = 0;
  /** Sent again by a translator from another port. */
  moved = 0;
  pending = 0;
  aborted = 0;
  /** SYN packets beyond the first of each handshake. */
  retried = 0;
  /** Connections whose beginning is not in the capture. */
  midstream = 0;
  /** For the estimate of ordinary loss: segments that carried something, and those seen again. */
  carrying = 0;
  repeated = 0;

  private readonly sink: TrackerSink;
  private readonly v4: TupleTable;
  private readonly v6: TupleTable;
  private readonly attempts: Attempts;
  readonly lives: Lifetimes;

  /** `capacity`: connections there is room for before anything has to grow, a power of two. */
  constructor(segment: Segment, sink: TrackerSink, seed: number, capacity: number) {
    this.incarnations = new Incarnations(capacity);
    this.segment = segment;
    this.sink = sink;
    this.spaces = new Spaces(seed);
    this.held = new HeldPorts(segment, this.incarnations, this.spaces);
    this.lives = new Lifetimes(segment, this.incarnations, this.spaces, this.held, { seed, capacity }, (row) =>
      this.conclude(row, 'ignored', this.held.now),
    );
    this.v4 = this.lives.v4;
    this.v6 = this.lives.v6;
    this.pairs = new NatPairs(segment, this.incarnations, this.spaces);
    this.attempts = new Attempts(segment, this.incarnations, this.spaces, (attempt) => sink.attempt(attempt));
  }

  /** Takes in `segment`. */
  take(): void {
    this.segments++;
    const { source, destination, sourcePort, destinationPort, flags, family } = this.segment;
    const { held } = this;
    if (this.segment.time > held.now) {
      held.now = this.segment.time;
      if (held.now >= this.lives.nextDue) this.lives.advance(held.now);
    }
    const side = source < destination || (source === destination && sourcePort <= destinationPort) ? 0 : 1;
    const a = side === 0 ? source : destination;
    const b = side === 0 ? destination : source;
    const ports = side === 0 ? (sourcePort << 16) | destinationPort : (destinationPort << 16) | sourcePort;
    const row = family === 4 ? this.v4.get(a, b, ports) : this.v6.get(a, b, ports);
    if ((flags & (SYN | RST | FIN)) === 0 && row >= 0 && (this.incarnations.ints[row * R.intStride + R.STATE]! & R.STATE_MASK) === R.OPEN) {
      this.touch(row, side);
      return;
    }
    if (flags & RST) this.rsts++;
    if (flags & FIN) this.fins++;
    if (flags & SYN) {
      if (flags & ACK) {
        this.synAcks++;
        this.synAck(row, side, a, b, ports);
      } else {
        this.syns++;
        this.syn(row, side, a, b, ports);
      }
    } else if (row < 0) this.stranger(side, a, b, ports);
    else this.inState(row, side);
  }

  // --- what every segment of a known connection leaves behind ---

  private touch(row: number, side: number): void {
    const { ints, doubles } = this.incarnations;
    const i = row * R.intStride;
    const d = row * R.doubleStride;
    const { segment } = this;
    const { seq, payload, flags, hasTimestamp, timestamp } = segment;
    doubles[d + R.LAST_TIME + side] = segment.time;
    doubles[d + R.LAST_REF] = segment.ref;
    if (payload > 0 || (flags & FIN) !== 0) {
      const end = (seq + payload + (flags & FIN)) | 0;
      const ahead = (end - ints[i + R.NEXT + side]!) | 0;
      this.carrying++;
      if (ahead > 0) ints[i + R.NEXT + side] = end;
      // A keep-alive repeats the last byte on purpose (RFC 9293 3.8.4); anything longer that is not new was sent again.
      else if (payload !== 1) this.repeated++;
    }
    if (hasTimestamp) {
      ints[i + R.STAMP + side] = timestamp;
      ints[i + R.STATE]! |= R.STAMPED << side;
    }
  }

  // --- SYN ---

  private syn(row: number, side: number, a: number, b: number, ports: number): void {
    if (row >= 0 && this.sameSyn(row, side)) return;
    let previous = row;
    if (row >= 0) {
      const { ints } = this.incarnations;
      const i = row * R.intStride;
      const state = ints[i + R.STATE]! & R.STATE_MASK;
      if (state === R.SYN_SENT) this.conclude(row, 'ignored', this.segment.time);
      // An attempt that led nowhere tells nothing of what the destination holds: what came before it does.
      if (state === R.SYN_SENT || state === R.REFUSED || state === R.ABANDONED) {
        const earlier = ints[i + R.PREVIOUS]!;
        const generation = ints[i + R.PREVIOUS_GENERATION]!;
        this.held.release(row);
        if (this.incarnations.alive(earlier, generation)) {
          ints[i + R.PREVIOUS] = -1;
          this.lives.forget(row);
          previous = earlier;
        }
      }
    }
    this.tried++;
    // From here on the new incarnation counts for the port.
    if (previous >= 0) this.held.uncount(previous, R.COUNTED);
    const fresh = this.lives.begin(side, a, b, ports, R.SYN_SENT, side);
    const i = fresh * R.intStride;
    const { seq, hasTimestamp, timestamp } = this.segment;
    const now = this.incarnations;
    now.ints[i + R.SYN_SEQ] = seq;
    now.ints[i + R.SYNS] = 1;
    now.ints[i + R.NEXT + side] = (seq + 1) | 0;
    if (hasTimestamp) {
      now.ints[i + R.SYN_STAMP] = timestamp;
      now.ints[i + R.STAMP + side] = timestamp;
      now.ints[i + R.STATE]! |= R.STAMPED << side;
    }
    const use = this.spaces.at(now.ints[i + R.USE]!);
    use.tried++;
    use.syns++;
    if (previous >= 0) {
      now.ints[i + R.PREVIOUS] = previous;
      now.ints[i + R.PREVIOUS_GENERATION] = now.generation(previous);
      this.noteReuse(previous, side, use);
    }
    const moved = this.pairs.meet(fresh, use);
    if (moved >= 0) this.giveUp(moved, 'moved');
  }

  /** Whether the SYN at hand is one that this row already knows: a retry, or the same packet twice. */
  private sameSyn(row: number, side: number): boolean {
    const { ints, doubles } = this.incarnations;
    const i = row * R.intStride;
    const d = row * R.doubleStride;
    const word = ints[i + R.STATE]!;
    const state = word & R.STATE_MASK;
    const { seq, hasTimestamp, timestamp } = this.segment;
    const client = (word & R.CLIENT_B) === 0 ? 0 : 1;
    if (word & R.MIDSTREAM) {
      // Captured out of order: what follows a SYN was seen just before it.
      const behind = (ints[i + R.NEXT + side]! - seq) | 0;
      const adopted = state === R.ANSWERED && client === side ? seq === ints[i + R.SYN_SEQ] : behind >= 1 && behind < 100_000;
      if (!adopted || this.segment.time - doubles[d + R.SYN_TIME]! > 1 || state > R.CLOSED) return false;
      ints[i + R.STATE] = (word & ~(R.MIDSTREAM | R.CLIENT_B)) | (side === 1 ? R.CLIENT_B : 0);
      ints[i + R.SYN_SEQ] = seq;
      ints[i + R.SYNS] = 1;
      doubles[d + R.SYN_REF] = this.segment.ref;
      this.midstream--;
      this.tried++;
      this.answered++;
      const use = this.spaces.at(ints[i + R.USE]!);
      use.tried++;
      use.answered++;
      use.syns++;
      return true;
    }
    if (client !== side) {
      // Both sides open at once (RFC 9293 3.5): each SYN answers the other.
      if (state !== R.SYN_SENT) return false;
      this.accept(row, side);
      return true;
    }
    if (seq !== ints[i + R.SYN_SEQ]) return false;
    const since = this.segment.time - doubles[d + R.LAST_SYN_TIME]!;
    const attempt = (word & R.WATCHED) === 0 ? undefined : this.attempts.get(row);
    // Brought back to this port by a translator that had moved it: another handshake.
    if (state === R.ABANDONED && since >= duplicateWithin) return false;
    if (state === R.REFUSED && since >= duplicateWithin) {
      // The refusal was lost behind the point of capture, or was not enough (Windows asks three times).
      this.retried++;
      doubles[d + R.LAST_SYN_TIME] = this.segment.time;
      return true;
    }
    if (state > R.ANSWERED || (since < duplicateWithin && attempt?.heard !== true)) {
      this.duplicates++;
      return true;
    }
    this.retried++;
    ints[i + R.SYNS]!++;
    doubles[d + R.LAST_SYN_TIME] = this.segment.time;
    this.spaces.at(ints[i + R.USE]!).syns++;
    if (hasTimestamp) ints[i + R.STAMP + side] = timestamp;
    if (state === R.ANSWERED) {
      // Answered, and the answer was lost behind the point of capture.
      this.repeated++;
      return true;
    }
    const watched = attempt ?? this.attempts.watch(row);
    if (!watched.heard) watched.silent++;
    watched.heard = false;
    watched.syns++;
    this.attempts.log(watched, 'client');
    return true;
  }

  private noteReuse(previous: number, side: number, use: PortUse): void {
    const { ints, doubles } = this.incarnations;
    const word = ints[previous * R.intStride + R.STATE]!;
    const state = word & R.STATE_MASK;
    if (state === R.REFUSED || state === R.ABANDONED || state === R.SYN_SENT) return;
    const d = previous * R.doubleStride;
    const interval = Math.max(0, this.segment.time - Math.max(doubles[d + R.LAST_TIME]!, doubles[d + R.LAST_TIME + 1]!));
    if (interval < use.shortestReuse) use.shortestReuse = interval;
    const closer = (word & R.CLOSER_B) === 0 ? 0 : 1;
    if (state === R.CLOSED && closer !== side && interval < timeWait) {
      use.early++;
      if (interval < use.shortestEarly) use.shortestEarly = interval;
    }
  }

  // --- SYN-ACK ---

  private synAck(row: number, side: number, a: number, b: number, ports: number): void {
    const { seq, ack, hasTimestamp, timestamp } = this.segment;
    const client = 1 - side;
    const { ints, doubles } = this.incarnations;
    if (row >= 0) {
      const i = row * R.intStride;
      const word = ints[i + R.STATE]!;
      const state = word & R.STATE_MASK;
      const mine = ((word & R.CLIENT_B) === 0 ? 0 : 1) === client && ((ack - 1) | 0) === ints[i + R.SYN_SEQ];
      if (mine && state === R.SYN_SENT) {
        this.accept(row, side);
        const d = row * R.doubleStride;
        doubles[d + R.LAST_TIME + side] = this.segment.time;
        doubles[d + R.LAST_REF] = this.segment.ref;
        ints[i + R.NEXT + side] = (seq + 1) | 0;
        if (hasTimestamp) {
          ints[i + R.STAMP + side] = timestamp;
          ints[i + R.STATE]! |= R.STAMPED << side;
        }
        return;
      }
      if (mine && state <= R.OPEN) {
        const d = row * R.doubleStride;
        const last = doubles[d + R.LAST_TIME + side]!;
        if (Number.isFinite(last) && this.segment.time - last > duplicateWithin) this.repeated++;
        return;
      }
      if (state === R.SYN_SENT) {
        const attempt = this.attempts.get(row);
        if (attempt !== undefined) this.attempts.log(attempt, 'server');
        return;
      }
      if (state < R.CLOSED) return;
      this.held.uncount(row, R.COUNTED);
    }
    // The SYN is not in the capture.
    const fresh = this.lives.begin(client, a, b, ports, R.ANSWERED, side);
    const i = fresh * R.intStride;
    const now = this.incarnations;
    now.ints[i + R.STATE]! |= R.MIDSTREAM;
    now.ints[i + R.SYN_SEQ] = (ack - 1) | 0;
    now.ints[i + R.NEXT + client] = ack;
    now.ints[i + R.NEXT + side] = (seq + 1) | 0;
    now.ints[i + R.PAIR] = -1;
    if (row >= 0) this.lives.forget(row);
    this.midstream++;
  }

  /** The handshake of `row` was answered. */
  private accept(row: number, side: number): void {
    const { ints, doubles } = this.incarnations;
    const i = row * R.intStride;
    const d = row * R.doubleStride;
    ints[i + R.STATE] = (ints[i + R.STATE]! & ~R.STATE_MASK) | R.ANSWERED;
    this.answered++;
    this.carrying++;
    const use = this.spaces.at(ints[i + R.USE]!);
    use.answered++;
    use.destination.accept(this.segment.time);
    const previous = ints[i + R.PREVIOUS]!;
    const kept = previous >= 0 && this.incarnations.alive(previous, ints[i + R.PREVIOUS_GENERATION]!);
    const p = previous * R.doubleStride;
    const idle = kept ? doubles[d + R.SYN_TIME]! - Math.max(doubles[p + R.LAST_TIME]!, doubles[p + R.LAST_TIME + 1]!) : 0;
    if (
      kept &&
      idle < timeWait &&
      (ints[i + R.STATE]! & R.WATCHED) === 0 &&
      heldState(this.incarnations, previous, 1 - side) === 'time_wait'
    ) {
      use.timeWaitAccepted++;
      if (this.sink.wantsAccepted(use)) {
        use.examples++;
        this.attempts.watch(row);
      }
    }
    const attempt = (ints[i + R.STATE]! & R.WATCHED) === 0 ? undefined : this.attempts.get(row);
    if (attempt !== undefined) {
      this.attempts.log(attempt, 'server');
      this.attempts.end(row, attempt, 'answered', this.segment.time);
    }
    if (kept) this.lives.forget(previous);
    ints[i + R.PREVIOUS] = -1;
  }

  // --- everything else ---

  /** A segment of a 4-tuple that is not known, and no SYN. */
  private stranger(side: number, a: number, b: number, ports: number): void {
    // A lone RST says that somebody holds nothing: there is nothing to follow.
    if (this.segment.flags & RST) return;
    // Who opened it is a guess: services have the lower port.
    const lowerIsA = ports >>> 16 < (ports & 0xffff);
    const client = lowerIsA ? 1 : 0;
    const row = this.lives.begin(client, a, b, ports, R.OPEN, side);
    const { ints } = this.incarnations;
    const i = row * R.intStride;
    ints[i + R.STATE]! |= R.MIDSTREAM;
    ints[i + R.NEXT + side] = this.segment.seq;
    ints[i + R.NEXT + 1 - side] = this.segment.ack;
    ints[i + R.PAIR] = -1;
    this.midstream++;
    this.touch(row, side);
    if (this.segment.flags & FIN) this.fin(row, side);
  }

  /** A segment without SYN of a known connection, unless it is open and the segment ordinary. */
  private inState(row: number, side: number): void {
    const { ints, doubles } = this.incarnations;
    const i = row * R.intStride;
    const d = row * R.doubleStride;
    const word = ints[i + R.STATE]!;
    const state = word & R.STATE_MASK;
    const { flags, ack, payload } = this.segment;
    if (state === R.SYN_SENT) {
      if (((word & R.CLIENT_B) === 0 ? 0 : 1) === side) this.fromClient(row, side);
      else this.fromServer(row, side);
      return;
    }
    if (state === R.REFUSED || state === R.ABANDONED) return;
    if (state === R.RESET) {
      // The RST was not believed (RFC 5961 3.2), or it was forged: they go on talking.
      if (
        payload > 0 &&
        this.segment.time - Math.max(doubles[d + R.LAST_TIME]!, doubles[d + R.LAST_TIME + 1]!) > 1 &&
        (flags & RST) === 0
      ) {
        ints[i + R.STATE] = (word & ~R.STATE_MASK) | R.OPEN;
        this.incarnations.unqueue(row);
        this.held.count(row);
        this.touch(row, side);
      }
      return;
    }
    if (flags & RST) {
      this.touchTime(row, side);
      doubles[d + R.CLOSING_REF] = this.segment.ref;
      doubles[d + R.CLOSING_TIME] = this.segment.time;
      ints[i + R.STATE] = (ints[i + R.STATE]! & ~(R.STATE_MASK | R.RESET_BY_B)) | R.RESET | (side === 1 ? R.RESET_BY_B : 0);
      this.closing(row);
      this.held.release(row);
      this.lives.queueForgetting(row);
      return;
    }
    this.touch(row, side);
    if (state === R.ANSWERED) {
      const client = (word & R.CLIENT_B) === 0 ? 0 : 1;
      if (side === client || payload > 0) {
        ints[i + R.STATE] = (ints[i + R.STATE]! & ~R.STATE_MASK) | R.OPEN;
        this.incarnations.unqueue(row);
      }
    }
    const other = 1 - side;
    // Nothing comes behind a FIN: what is expected next of a side that sent one is what acknowledges it.
    if ((word & (R.HAS_FIN << other)) !== 0 && (flags & ACK) !== 0 && ack === ints[i + R.NEXT + other])
      ints[i + R.STATE]! |= R.FIN_ACKED << other;
    if (flags & FIN) this.fin(row, side);
  }

  private touchTime(row: number, side: number): void {
    const d = row * R.doubleStride;
    this.incarnations.doubles[d + R.LAST_TIME + side] = this.segment.time;
    this.incarnations.doubles[d + R.LAST_REF] = this.segment.ref;
  }

  private fin(row: number, side: number): void {
    const { ints, doubles } = this.incarnations;
    const i = row * R.intStride;
    const d = row * R.doubleStride;
    const word = ints[i + R.STATE]!;
    if (word & (R.HAS_FIN << side)) return;
    if ((word & (R.HAS_FIN << (1 - side))) === 0) {
      doubles[d + R.CLOSING_REF] = this.segment.ref;
      doubles[d + R.CLOSING_TIME] = this.segment.time;
      ints[i + R.STATE] = (word & ~(R.STATE_MASK | R.CLOSER_B)) | R.HALF_CLOSED | (R.HAS_FIN << side) | (side === 1 ? R.CLOSER_B : 0);
      return;
    }
    ints[i + R.STATE] = (word & ~(R.STATE_MASK | R.COUNTED_OPEN)) | R.CLOSED | (R.HAS_FIN << side);
    this.closing(row);
    if (word & R.COUNTED_OPEN) this.spaces.at(ints[i + R.USE]!).open--;
    this.lives.queueForgetting(row);
  }

  /** The server's segment, no SYN-ACK, while a SYN is under way. */
  private fromServer(row: number, side: number): void {
    const { flags, ack } = this.segment;
    const { ints } = this.incarnations;
    const i = row * R.intStride;
    const expected = (ints[i + R.SYN_SEQ]! + 1) | 0;
    if (flags & RST) {
      // RFC 9293 3.10.7.3: without an acknowledgement of this very SYN the client does not believe it.
      if ((flags & ACK) !== 0 && ack === expected) this.refuse(row);
      else if (ints[i + R.STATE]! & R.WATCHED) this.attempts.log(this.attempts.get(row)!, 'server');
      return;
    }
    if ((flags & ACK) === 0) return;
    if (ack === expected) {
      // Its SYN-ACK is not in the capture.
      this.accept(row, side);
      this.inState(row, side);
      return;
    }
    const attempt = this.attempts.get(row) ?? this.attempts.watch(row);
    attempt.oldAcks++;
    attempt.oldAck = ack;
    attempt.heard = true;
    this.attempts.log(attempt, 'server');
  }

  /** The client's segment, no SYN, while its SYN is under way. */
  private fromClient(row: number, side: number): void {
    const { flags, seq } = this.segment;
    const { ints } = this.incarnations;
    const i = row * R.intStride;
    const attempt = this.attempts.get(row);
    if (flags & RST) {
      if (attempt !== undefined && attempt.oldAcks > 0 && seq === attempt.oldAck) {
        attempt.clientReset = true;
        this.attempts.log(attempt, 'client');
        return;
      }
      if (seq === ((ints[i + R.SYN_SEQ]! + 1) | 0) || seq === ints[i + R.SYN_SEQ]) {
        this.giveUp(row, 'aborted');
      }
      return;
    }
    if (seq === ((ints[i + R.SYN_SEQ]! + 1) | 0)) {
      // The SYN-ACK is not in the capture, or comes later in it.
      this.accept(row, 1 - side);
      this.inState(row, side);
      return;
    }
    const previous = ints[i + R.PREVIOUS]!;
    if (!this.incarnations.alive(previous, ints[i + R.PREVIOUS_GENERATION]!)) return;
    // The client still speaks for the earlier connection: the SYN was a stray (an old duplicate, a forgery), or another host's.
    const p = previous * R.intStride;
    const state = ints[p + R.STATE]! & R.STATE_MASK;
    if (state !== R.OPEN && state !== R.HALF_CLOSED) return;
    if (Math.abs((seq - ints[p + R.NEXT + side]!) | 0) > 1 << 20) return;
    this.conclude(row, 'superseded', this.segment.time);
    const a = ints[i + R.KEY_A]!;
    const b = ints[i + R.KEY_B]!;
    const ports = ints[i + R.PORTS]!;
    const table = (ints[i + R.STATE]! & R.FAMILY_6) === 0 ? this.v4 : this.v6;
    ints[i + R.PREVIOUS] = -1;
    this.held.release(row);
    this.lives.forget(row);
    table.set(a, b, ports, previous);
    this.held.count(previous);
    this.inState(previous, side);
  }

  /** The client tries no longer: not on these four numbers, at any rate. */
  private giveUp(row: number, outcome: 'aborted' | 'moved'): void {
    this.conclude(row, outcome, this.segment.time);
    const { ints } = this.incarnations;
    const i = row * R.intStride;
    ints[i + R.STATE] = (ints[i + R.STATE]! & ~R.STATE_MASK) | R.ABANDONED;
    this.held.release(row);
    this.lives.queueForgetting(row);
  }

  private refuse(row: number): void {
    const { ints } = this.incarnations;
    const i = row * R.intStride;
    const use = this.spaces.at(ints[i + R.USE]!);
    this.reset++;
    use.reset++;
    use.destination.refuse();
    use.beat(this.incarnations.doubles[row * R.doubleStride + R.SYN_TIME]!, true);
    const previous = ints[i + R.PREVIOUS]!;
    const kept = this.incarnations.alive(previous, ints[i + R.PREVIOUS_GENERATION]!);
    // A port scan makes tens of thousands of these; only where something was accepted, or held, can one be more than a closed port.
    if (kept || ints[i + R.STATE]! & R.WATCHED || use.destination.accepted > 0) {
      const attempt = this.attempts.get(row) ?? this.attempts.watch(row);
      attempt.heard = true;
      this.attempts.log(attempt, 'server');
      this.attempts.end(row, attempt, 'reset', this.segment.time);
    }
    ints[i + R.STATE] = (ints[i + R.STATE]! & ~R.STATE_MASK) | R.REFUSED;
    this.held.release(row);
    this.lives.queueForgetting(row);
  }

  // --- rows ---

  /** A connection ended: note whether its client sent anything over it. */
  private closing(row: number): void {
    const { ints, doubles } = this.incarnations;
    const i = row * R.intStride;
    const word = ints[i + R.STATE]!;
    if (word & R.MIDSTREAM) return;
    const client = (word & R.CLIENT_B) === 0 ? 0 : 1;
    const fin = (word & (R.HAS_FIN << client)) === 0 ? 0 : 1;
    // By sequence numbers, so that it holds for captures without the data packets too.
    const sent = (ints[i + R.NEXT + client]! - ints[i + R.SYN_SEQ]! - 1 - fin) | 0;
    const use = this.spaces.at(ints[i + R.USE]!);
    const began = doubles[row * R.doubleStride + R.SYN_TIME]!;
    if (sent > 0) use.destination.worked++;
    else if (this.segment.time - began < 5) use.beat(began, false);
  }

  // --- attempts ---

  /** Ends a handshake that was not answered, followed or not. */
  private conclude(row: number, outcome: Outcome, time: number): void {
    const use = this.spaces.at(this.incarnations.ints[row * R.intStride + R.USE]!);
    if (outcome === 'ignored') {
      this.ignored++;
      use.ignored++;
    } else if (outcome === 'moved') this.moved++;
    else if (outcome === 'pending') this.pending++;
    else if (outcome === 'aborted') this.aborted++;
    const attempt = this.attempts.get(row);
    if (attempt !== undefined) this.attempts.end(row, attempt, outcome, time);
    else if (outcome === 'ignored') this.attempts.end(row, this.attempts.watch(row), outcome, time);
  }

  /** The capture is over: what is still under way ends as it stands. */
  finish(): void {
    const { used } = this.incarnations;
    for (let row = 0; row < used; row++) {
      const { ints, doubles } = this.incarnations;
      if ((ints[row * R.intStride + R.STATE]! & R.STATE_MASK) !== R.SYN_SENT) continue;
      const waited = this.held.now - doubles[row * R.doubleStride + R.LAST_SYN_TIME]!;
      // No client retries before a second: what was just sent may still be answered.
      const attempt = this.attempts.get(row);
      if (attempt !== undefined && waited < 1) attempt.heard = true;
      this.conclude(row, (attempt?.syns ?? 1) === 1 && waited < 1 ? 'pending' : 'ignored', this.held.now);
    }
  }
}
