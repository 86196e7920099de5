/** What a capture shows of one port space: the source ports from one address towards one destination address and port. */
import { PortSet } from '../../core/port-range.ts';
import type { Series } from './timeline.ts';

/** One destination address and port, from whatever source. */
export class Destination {
  /** Port spaces towards it. */
  spaces = 0;
  accepted = 0;
  reset = 0;
  /** Connections over which the client sent something. */
  worked = 0;
  lastAccepted = Number.NEGATIVE_INFINITY;
  /** Runs of resets with an accepted handshake before and after. A service that was restarted makes one. */
  islands = 0;
  private lastWasReset = false;

  accept(time: number): void {
    if (this.lastWasReset && this.accepted > 0) this.islands++;
    this.lastWasReset = false;
    this.accepted++;
    this.lastAccepted = time;
  }

  refuse(): void {
    this.lastWasReset = true;
    this.reset++;
  }
}

/** A handshake that carried no request, as health monitors make: when, and whether it was reset. */
export interface Beat {
  readonly time: number;
  readonly reset: boolean;
}
const mostBeats = 1024;

export class PortUse {
  /** Where it stands in the tracker's list; free for another once this one is dropped. */
  readonly index: number;
  /** Never given twice. */
  readonly serial: number;
  readonly family: number;
  readonly source: number;
  readonly destinationAddress: number;
  readonly destinationPort: number;
  readonly destination: Destination;

  /** Incarnations that are remembered. */
  rows = 0;
  tried = 0;
  answered = 0;
  reset = 0;
  ignored = 0;
  /** SYN packets, and those of them that drew nothing at all from the destination, not even a refusal. */
  syns = 0;
  silent = 0;
  /** Open connections now and at most; ports held (open, or closed within a TIME_WAIT) now and at most. */
  open = 0;
  held = 0;
  /** Ports that were used at some time in the last 60 s, 120 s. */
  inMinute = 0;
  inTwoMinutes = 0;
  peakOpen = 0;
  peakHeld = 0;
  peakHeldTime = 0;
  lowestPort = 65536;
  highestPort = 0;
  /** Handshakes on a port this space had used before, as far back as the capture goes. */
  reused = 0;
  /** Seconds from the last packet of a connection to the SYN of the next on the same ports. */
  shortestReuse = Number.POSITIVE_INFINITY;
  /** Reuses within a TIME_WAIT that the destination holds because it closed first; how many of them it accepted at once. */
  early = 0;
  shortestEarly = Number.POSITIVE_INFINITY;
  timeWaitAccepted = 0;
  /** Handshakes of this space that were seen again, translated, on the far side of a NAT, and by which space. */
  translated = 0;
  translatedTo: PortUse | null = null;
  lastTranslation = Number.NEGATIVE_INFINITY;
  firstTranslation = Number.POSITIVE_INFINITY;
  /** Accepted reuses that are kept as examples. */
  examples = 0;
  /** Ports held over time; null for spaces too small to be worth a curve. */
  series: Series | null = null;
  beats: Beat[] | null = null;

  private firstPort = -1;
  private few: Set<number> | null = null;
  private many: PortSet | null = null;
  portsUsed = 0;

  constructor(index: number, serial: number, family: number, source: number, address: number, port: number, destination: Destination) {
    this.index = index;
    this.serial = serial;
    this.family = family;
    this.source = source;
    this.destinationAddress = address;
    this.destinationPort = port;
    this.destination = destination;
  }

  /** Notes that `port` is used; whether it was before. */
  usePort(port: number): boolean {
    if (port < this.lowestPort) this.lowestPort = port;
    if (port > this.highestPort) this.highestPort = port;
    if (this.many !== null) {
      if (this.many.has(port)) return true;
      this.many.add(port);
    } else if (this.firstPort < 0) this.firstPort = port;
    else {
      // A port scan makes a space for every port it tries: each of them must stay small.
      this.few ??= new Set([this.firstPort]);
      if (port === this.firstPort || this.few.has(port)) return true;
      this.few.add(port);
      if (this.few.size > 64) {
        this.many = new PortSet();
        for (const known of this.few) this.many.add(known);
        this.few = null;
      }
    }
    this.portsUsed++;
    return false;
  }

  take(): void {
    if (++this.open > this.peakOpen) this.peakOpen = this.open;
  }

  hold(time: number): void {
    if (++this.held > this.peakHeld) {
      this.peakHeld = this.held;
      this.peakHeldTime = time;
    }
  }

  beat(time: number, reset: boolean): void {
    this.beats ??= [];
    if (this.beats.length < mostBeats) this.beats.push({ time, reset });
  }
}
