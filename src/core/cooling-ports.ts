/**
 * The ports from one source address towards one server, in the order in which they may be used again.
 *
 * Every way a connection can end has a queue of its own, because within one queue the cool-down is one constant and so the
 * ports become free in the order in which they were released: a free prefix, then a cooling rest. The next port is the head
 * that was released longest ago among at most five heads. Ports that were never used come before all of them. Taking and
 * giving back are O(1) whatever the number of ports; the queues are linked through one array indexed by port.
 *
 *   never used ─▶ out (leased or lent) ─▶ queue of its ending: │ free … │ cooling … │ ─▶ out …
 *
 * Memory: 7 bytes a port, of which the operating system commits only what was touched.
 */

/**
 * How a connection ended, which is how long its port must rest. `refused`: RST in answer to the SYN. Nothing was opened, so it need
 * not rest; but unless the server is really closed, it (or a box before it) still holds an old connection of this port: such a
 * port is suspect, and taken when no other is free.
 */
export type Ending = 'we_closed' | 'fin' | 'rst' | 'half_open' | 'refused';

/** Index of each queue. `held`: it was never ours, somebody else has the port. */
export const queueOf = { we_closed: 0, fin: 1, rst: 2, half_open: 3, held: 4, refused: 5 } as const;
const HELD = queueOf.held;
const SUSPECT = queueOf.refused;
/** Queues with a rest. */
const RESTING = 5;
const QUEUES = 6;
const NONE = 0xffff;

/** State of one port. */
const AT_HOME = 0;
const OUT = 1;
const LENT = 2;
const ABSENT = 3;

/** Cool-down of each queue in milliseconds. */
export type CoolDowns = readonly [weClosed: number, fin: number, rst: number, halfOpen: number, held: number];

/**
 * Milliseconds modulo 2^32, rounded up at release and down at use, so that no rest is shorter than asked for. A port unused for 49
 * days may seem young: then its place in the order is wrong once, which costs nothing.
 */
const stampUp = (now: number): number => Math.ceil(now * 1000) >>> 0;
const stampDown = (now: number): number => Math.floor(now * 1000) >>> 0;
/** Milliseconds from `released` to `stamp`; -1 when both were rounded within one millisecond. */
const elapsed = (released: number, stamp: number): number => {
  const age = (stamp - released) >>> 0;
  return age === 0xffffffff ? -1 : age;
};

export class CoolingPorts {
  /** Ports that may be taken now, as of the last `ripen`, without suspects. */
  free: number;
  /** Ports that may be taken now, and were refused when they last were. */
  suspects = 0;
  /** Ports taken and not given back, lent ones included. */
  out = 0;
  /** Ports that are here or out. */
  present: number;
  private untouched: number;
  /** Ports beyond `untouched` that have a past all the same: an earlier process used them. */
  private readonly ahead = new Set<number>();
  private readonly size: number;
  private readonly state: Uint8Array;
  private readonly next: Uint16Array;
  private readonly released: Uint32Array;
  private readonly head = new Uint16Array(QUEUES).fill(NONE);
  private readonly tail = new Uint16Array(QUEUES).fill(NONE);
  /** First port of each queue that still cools. */
  private readonly cold = new Uint16Array(QUEUES).fill(NONE);
  private readonly resting = new Uint32Array(QUEUES);

  /** Ports are indices 0 to `size` - 1; `present` false: none of them is here yet, they come by `put`. */
  constructor(size: number, present: boolean) {
    this.size = size;
    this.untouched = present ? 0 : size;
    this.free = present ? size : 0;
    this.present = this.free;
    this.state = new Uint8Array(size);
    if (!present) this.state.fill(ABSENT);
    this.next = new Uint16Array(size);
    this.released = new Uint32Array(size);
  }

  /** Ports that cool down after a connection of ours. */
  get cooling(): number {
    return this.resting[1]! + this.resting[2]! + this.resting[3]! + this.resting[0]!;
  }

  /** Of the free ones those that have been used before. */
  get proven(): number {
    return this.free - (this.size - this.untouched - this.ahead.size);
  }

  /** Ports that somebody else holds, and that will be tried again when their rest is over. */
  get held(): number {
    return this.resting[HELD]!;
  }

  /** Moves what has cooled for long enough to the free ones. Amortised O(1): each port once per rest. */
  ripen(now: number, coolDowns: CoolDowns): void {
    const stamp = stampDown(now);
    for (let queue = 0; queue < RESTING; queue++) {
      let port = this.cold[queue]!;
      if (port === NONE) continue;
      const rest = coolDowns[queue]!;
      while (port !== NONE && (rest === 0 || elapsed(this.released[port]!, stamp) >= rest)) {
        this.free++;
        this.resting[queue]!--;
        port = this.next[port]!;
      }
      this.cold[queue] = port;
    }
  }

  /** How long ago the port that `take` would give was released, in milliseconds; Infinity if it never was used, -2 if none is free. */
  longestRest(now: number, proven = false): number {
    if (!proven && this.untouched < this.size) return Number.POSITIVE_INFINITY;
    const queue = this.oldest(now, true);
    return queue < 0 ? -2 : elapsed(this.released[this.head[queue]!]!, stampDown(now));
  }

  /** The same for `takeEarly`: the port that has cooled longest, or -2. */
  longestCooling(now: number): number {
    const queue = this.oldest(now, false);
    return queue < 0 ? -2 : elapsed(this.released[this.head[queue]!]!, stampDown(now));
  }

  /** The free port that was released longest ago, else the suspect that was, or -1. `proven`: one that has been used, of which there is one. */
  take(now: number, proven = false): number {
    return this.hand(this.pick(now, proven), OUT);
  }

  /** The same for a port that can come back by `putLent` only. */
  takeLent(now: number): number {
    return this.hand(this.pick(now, false), LENT);
  }

  private pick(now: number, proven: boolean): number {
    if (this.free + this.suspects === 0) return -1;
    if (this.free === 0) {
      this.suspects--;
      return this.shift(SUSPECT);
    }
    this.free--;
    if (proven || this.untouched === this.size) return this.shift(this.oldest(now, true));
    const port = this.untouched++;
    if (this.ahead.size > 0) this.passKnown();
    return port;
  }

  /** `untouched` stays on a port without a past. */
  private passKnown(): void {
    while (this.ahead.delete(this.untouched)) this.untouched++;
  }

  /** The port that has cooled longest although it may not be used yet, or -1. Ports held by others are none of these. */
  takeEarly(now: number): number {
    const queue = this.oldest(now, false);
    if (queue < 0) return -1;
    const port = this.head[queue]!;
    this.cold[queue] = this.next[port]!;
    this.resting[queue]!--;
    return this.hand(this.shift(queue), OUT);
  }

  /** Gives a port back into `queue`. False if it is not out: it was given back before. */
  put(port: number, queue: number, now: number): boolean {
    return this.comeBack(port, OUT, queue, now);
  }

  putLent(port: number, queue: number, now: number): boolean {
    return this.comeBack(port, LENT, queue, now);
  }

  /** Adds a port that was absent, as free. False if it is here already. */
  arrive(port: number, now: number): boolean {
    if (this.state[port] !== ABSENT) return false;
    this.present++;
    this.append(port, queueOf.we_closed, now);
    return true;
  }

  /**
   * Calls `each` for every port of which more is known than that it is free: those that cool, those that were refused, and
   * those that are lent, as of unknown end; oldest first within each queue.
   */
  remember(now: number, each: (port: number, queue: number, restedMs: number) => void): void {
    const stamp = stampDown(now);
    for (const queue of [queueOf.fin, queueOf.rst, queueOf.half_open, SUSPECT])
      for (let port = (queue === SUSPECT ? this.head : this.cold)[queue]!; port !== NONE; port = this.next[port]!)
        each(port, queue, Math.max(0, elapsed(this.released[port]!, stamp)));
    if (this.out > 0) for (let port = 0; port < this.size; port++) if (this.state[port] === LENT) each(port, queueOf.half_open, 0);
  }

  /** A port that was never used here, but was before: it came back into `queue` `restedMs` ago. Called oldest first within each queue. */
  learn(port: number, queue: number, restedMs: number, now: number): void {
    if (port < this.untouched || port >= this.size || this.ahead.has(port)) return;
    this.free--;
    this.append(port, queue, now - restedMs / 1000);
    this.ahead.add(port);
    this.passKnown();
  }

  /** Takes a port that `take` gave out of this place altogether. */
  depart(port: number): void {
    this.state[port] = ABSENT;
    this.out--;
    this.present--;
  }

  private comeBack(port: number, from: number, queue: number, now: number): boolean {
    if (this.state[port] !== from) return false;
    this.out--;
    this.append(port, queue, now);
    return true;
  }

  private hand(port: number, state: number): number {
    if (port < 0) return port;
    this.state[port] = state;
    this.out++;
    return port;
  }

  private append(port: number, queue: number, now: number): void {
    this.state[port] = AT_HOME;
    this.released[port] = stampUp(now);
    this.next[port] = NONE;
    if (this.head[queue] === NONE) this.head[queue] = port;
    else this.next[this.tail[queue]!] = port;
    this.tail[queue] = port;
    if (queue === SUSPECT) {
      this.suspects++;
      return;
    }
    if (this.cold[queue] === NONE) this.cold[queue] = port;
    this.resting[queue]!++;
  }

  private shift(queue: number): number {
    const port = this.head[queue]!;
    this.head[queue] = this.next[port]!;
    return port;
  }

  /** The queue whose head was released longest ago, among those whose head is free (or cools); -1 if there is none. */
  private oldest(now: number, free: boolean): number {
    const stamp = stampDown(now);
    let best = -1;
    let bestAge = -2;
    for (let queue = 0; queue < (free ? RESTING : HELD); queue++) {
      const port = this.head[queue]!;
      if (port === NONE || (port !== this.cold[queue]) !== free) continue;
      const age = elapsed(this.released[port]!, stamp);
      if (age > bestAge) {
        best = queue;
        bestAge = age;
      }
    }
    return best;
  }
}
