/**
 * The two sides of a translation: one SYN seen twice. It is found by destination and initial sequence number, which a NAT leaves as
 * they are. From another source it is the other side of a NAT; from another port of the same, a NAT that gave the retry a new port,
 * which ends the handshake on the old one.
 */
import type { Segment } from '../decode/segment.ts';
import type { Incarnations } from './incarnations.ts';
import * as R from './incarnations.ts';
import type { PortUse } from './port-use.ts';
import type { Spaces } from './spaces.ts';

/** The two sides of a NAT see one SYN within this, in seconds, clocks of two capturing hosts included. */
const pairWithin = 5;

export class NatPairs {
  /** Handshakes seen on both sides. */
  translated = 0;
  /**
   * The last SYNs (row, generation, sequence number) by what identifies them. A slot is overwritten by the next SYN that lands in
   * it: the two sides of a translation are milliseconds apart.
   */
  private readonly slots = new Int32Array(3 << 14);
  private readonly segment: Segment;
  private readonly incarnations: Incarnations;
  private readonly spaces: Spaces;

  constructor(segment: Segment, incarnations: Incarnations, spaces: Spaces) {
    this.segment = segment;
    this.incarnations = incarnations;
    this.spaces = spaces;
  }

  /** Looks for the SYN of `row`, a new one of `use`, elsewhere. The row whose handshake has moved to `row`, or -1. */
  meet(row: number, use: PortUse): number {
    const { ints, doubles } = this.incarnations;
    const i = row * R.intStride;
    ints[i + R.PAIR] = -1;
    const seq = ints[i + R.SYN_SEQ]!;
    const slot = ((Math.imul(seq ^ use.destinationPort, 0x9e3779b1) ^ Math.imul(use.destinationAddress, 0x85ebca6b)) >>> 18) * 3;
    const { slots } = this;
    const same = slots[slot + 2] === seq;
    const other = slots[slot]!;
    const generation = slots[slot + 1]!;
    slots[slot] = row;
    slots[slot + 1] = this.incarnations.generation(row);
    slots[slot + 2] = seq;
    const o = other * R.intStride;
    if (!same || other === row || !this.incarnations.alive(other, generation) || ints[o + R.SYN_SEQ] !== seq || ints[o + R.PAIR] !== -1)
      return -1;
    const theirs = this.spaces.at(ints[o + R.USE]!);
    if (theirs.destination !== use.destination) return -1;
    if (Math.abs(this.segment.time - doubles[other * R.doubleStride + R.LAST_SYN_TIME]!) >= pairWithin) return -1;
    if (theirs === use) return (ints[o + R.STATE]! & R.STATE_MASK) === R.SYN_SENT ? other : -1;
    if (ints[o + R.SYN_STAMP] !== ints[i + R.SYN_STAMP] && ints[o + R.SYNS]! <= 1) return -1;
    ints[o + R.PAIR] = row;
    ints[o + R.PAIR_GENERATION] = this.incarnations.generation(row);
    ints[o + R.STATE]! |= R.INNER;
    ints[i + R.PAIR] = other;
    ints[i + R.PAIR_GENERATION] = generation;
    this.translated++;
    theirs.translated++;
    theirs.translatedTo = use;
    theirs.lastTranslation = this.segment.time;
    if (this.segment.time < theirs.firstTranslation) theirs.firstTranslation = this.segment.time;
    return -1;
  }
}
