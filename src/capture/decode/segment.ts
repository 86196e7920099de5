/** One TCP segment, as the tracker wants it: filled in place, because one object per packet would cost more than the decoding. */
export class Segment {
  /** Seconds since the capture's epoch, and the packet's name. Here rather than as arguments: a double that is passed is allocated. */
  time = 0.5;
  ref = 0.5;
  /** 4 or 6. */
  family = 4;
  /** An IPv4 address as a signed 32-bit number; an IPv6 address as its number in `AddressBook`. */
  source = 0;
  destination = 0;
  sourcePort = 0;
  destinationPort = 0;
  /** Sequence and acknowledgement numbers as signed 32-bit numbers: differences wrap as they should. */
  seq = 0;
  ack = 0;
  /** The TCP flags' byte. */
  flags = 0;
  /** Payload bytes by the IP header, captured or not. */
  payload = 0;
  hasTimestamp = false;
  /** TSval (RFC 7323), signed. */
  timestamp = 0;
}

export const FIN = 1;
export const SYN = 2;
export const RST = 4;
export const PSH = 8;
export const ACK = 16;

/** What was not looked at, and why: a report that is silent about it would claim to have seen everything. */
export class Skipped {
  notTcp = 0;
  /** Later fragments, whose TCP header is in the first. */
  fragments = 0;
  /** Cut by the snap length before the TCP flags. */
  cut = 0;
  /** Lengths in the headers that contradict each other. */
  malformed = 0;
  /** Of a link type that is not decoded. */
  unknownLink = 0;
  filtered = 0;
}
