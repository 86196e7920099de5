/**
 * A handshake that did not go the ordinary way, followed packet by packet. Ordinary handshakes are rows of numbers; these are
 * few, so they are objects.
 */
import type { PacketRef } from './incarnations.ts';
import type { PortUse } from './port-use.ts';

/** What the capture says the destination still holds of the earlier connection, in the names of RFC 9293. */
export type HeldState =
  | 'established'
  | 'close_wait'
  | 'fin_wait'
  | 'closing'
  | 'last_ack'
  | 'time_wait'
  /** The source closed first, so the destination holds nothing. */
  | 'closed'
  | 'reset'
  /** It was never answered, or refused. */
  | 'none';

/** The connection on the same four numbers before this one. */
export interface Previous {
  readonly state: HeldState;
  /** Its beginning is not in the capture. */
  readonly midstream: boolean;
  readonly opened: PacketRef;
  readonly openedAt: number;
  readonly last: PacketRef;
  readonly lastAt: number;
  readonly closer: 'client' | 'server' | null;
  /** The first FIN or the RST that ended it; 0 if none. */
  readonly closing: PacketRef;
  readonly closingAt: number;
  /** The sequence number the destination expects next, as far as the capture shows. */
  readonly expected: number;
  /** The client's last TSval; null if it sent none. */
  readonly stamp: number | null;
}

export interface AttemptPacket {
  readonly ref: PacketRef;
  readonly time: number;
  readonly from: 'client' | 'server';
  readonly flags: number;
  readonly seq: number;
  readonly ack: number;
}

/**
 * How it ended. `moved`: a translator sent the same SYN again from another port; `superseded`: the earlier connection carried on;
 * `pending`: the capture ended before a client would retry.
 */
export type Outcome = 'answered' | 'reset' | 'ignored' | 'moved' | 'aborted' | 'superseded' | 'pending';

export interface Attempt {
  readonly use: PortUse;
  readonly clientPort: number;
  /** Its initial sequence number. */
  readonly isn: number;
  readonly stamp: number | null;
  readonly previous: Previous | null;
  readonly startedAt: number;
  packets: AttemptPacket[];
  /** Packets left out of `packets`, which keeps the first ones and the last. */
  omitted: number;
  syns: number;
  /** SYNs that drew nothing. */
  silent: number;
  /** Acknowledgements of something this handshake never sent. */
  oldAcks: number;
  oldAck: number;
  /** The client answered one with RST. */
  clientReset: boolean;
  /** Something came back since the last SYN. */
  heard: boolean;
  outcome: Outcome;
  endedAt: number;
  /** The handshake on the far side of a NAT, if that was seen: its source, and when its SYN came out. */
  translated: { readonly use: PortUse; readonly port: number; readonly at: number } | null;
  /** This is itself the far side of one: who is behind it. */
  behind: { readonly use: PortUse; readonly port: number } | null;
}

/** More packets than this tell nothing new about one handshake: Linux gives up after seven SYNs. */
export const mostPackets = 32;

export const logPacket = (attempt: Attempt, one: AttemptPacket): void => {
  if (attempt.packets.length < mostPackets) attempt.packets.push(one);
  else {
    attempt.packets[mostPackets - 1] = one;
    attempt.omitted++;
  }
};
