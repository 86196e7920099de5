/** From the bytes of one packet to a TCP segment: link layer, IPv4 or IPv6, TCP. In place, without allocation. */
import type { AddressBook } from './addresses.ts';
import { cutShort, ipOffset, notIp } from './link.ts';
import { ACK, type Segment, type Skipped } from './segment.ts';

const tcp = 6;

/** Finds the timestamps option (RFC 7323) in the options from `at` to `end`. */
const readTimestamp = (view: DataView, at: number, end: number, segment: Segment): void => {
  while (at < end) {
    const kind = view.getUint8(at);
    if (kind === 0) return;
    if (kind === 1) {
      at++;
      continue;
    }
    if (at + 2 > end) return;
    const length = view.getUint8(at + 1);
    if (length < 2 || at + length > end) return;
    if (kind === 8 && length === 10) {
      segment.hasTimestamp = true;
      segment.timestamp = view.getInt32(at + 2);
      return;
    }
    at += length;
  }
};

/** The TCP header at `at`; `length` is what the IP header says is there. False if it is cut or contradicts itself. */
const readTcp = (view: DataView, at: number, end: number, length: number, segment: Segment, skipped: Skipped): boolean => {
  if (at + 14 > end) {
    skipped.cut++;
    return false;
  }
  const word = view.getUint16(at + 12);
  const header = (word >>> 12) << 2;
  if (header < 20 || header > length) {
    skipped.malformed++;
    return false;
  }
  segment.sourcePort = view.getUint16(at);
  segment.destinationPort = view.getUint16(at + 2);
  segment.seq = view.getInt32(at + 4);
  segment.flags = word & 0xff;
  // A number without the flag means nothing.
  segment.ack = (word & ACK) === 0 ? 0 : view.getInt32(at + 8);
  segment.payload = length - header;
  segment.hasTimestamp = false;
  segment.timestamp = 0;
  if (header > 20 && at + 20 < end) {
    // What nearly every stack sends: NOP NOP timestamps.
    if (at + 28 <= end && view.getInt32(at + 20) === 0x0101080a) {
      segment.hasTimestamp = true;
      segment.timestamp = view.getInt32(at + 24);
    } else readTimestamp(view, at + 20, Math.min(end, at + header), segment);
  }
  return true;
};

const readIPv4 = (view: DataView, at: number, end: number, original: number, segment: Segment, skipped: Skipped): boolean => {
  if (at + 20 > end) {
    skipped.cut++;
    return false;
  }
  if (view.getUint8(at + 9) !== tcp) {
    skipped.notTcp++;
    return false;
  }
  const header = (view.getUint8(at) & 15) << 2;
  // Zero where the sender's card segments (TSO) or the total does not fit (BIG TCP): then the frame's length stands.
  const total = view.getUint16(at + 2) || original;
  if (header < 20 || total < header + 20) {
    // A first fragment may be shorter than a TCP header; so may a lie.
    skipped.malformed++;
    return false;
  }
  if ((view.getUint16(at + 6) & 0x1fff) !== 0) {
    skipped.fragments++;
    return false;
  }
  segment.family = 4;
  segment.source = view.getInt32(at + 12);
  segment.destination = view.getInt32(at + 16);
  return readTcp(view, at + header, end, total - header, segment, skipped);
};

const readIPv6 = (
  view: DataView,
  at: number,
  end: number,
  original: number,
  segment: Segment,
  skipped: Skipped,
  addresses: AddressBook,
): boolean => {
  if (at + 40 > end) {
    skipped.cut++;
    return false;
  }
  let next = view.getUint8(at + 6);
  const declared = view.getUint16(at + 4);
  // Zero is a jumbogram or BIG TCP: then the frame's length stands.
  const total = declared === 0 ? original : 40 + declared;
  let p = at + 40;
  // RFC 8200 extension headers; a chain longer than this is an attack on whoever parses it.
  for (let headers = 0; next !== tcp; headers++) {
    const known = next === 0 || next === 43 || next === 44 || next === 60 || next === 51 || next === 135 || next === 139 || next === 140;
    if (!known || headers === 16) {
      skipped.notTcp++;
      return false;
    }
    if (p + 8 > end) {
      skipped.cut++;
      return false;
    }
    if (next === 44 && (view.getUint16(p + 2) & 0xfff8) !== 0) {
      skipped.fragments++;
      return false;
    }
    const size = view.getUint8(p + 1);
    const length = next === 44 ? 8 : next === 51 ? (size + 2) << 2 : (size + 1) << 3;
    next = view.getUint8(p);
    p += length;
  }
  const length = total - (p - at);
  if (length < 20) {
    skipped.malformed++;
    return false;
  }
  if (p + 14 > end) {
    skipped.cut++;
    return false;
  }
  segment.family = 6;
  segment.source = addresses.intern(view, at + 8);
  segment.destination = addresses.intern(view, at + 24);
  return readTcp(view, p, end, length, segment, skipped);
};

/**
 * Decodes the packet of `captured` bytes at `at` into `segment`. False, and counted in `skipped`, if it is no TCP segment that
 * can be followed. `original` is its length on the wire.
 */
export const decode = (
  view: DataView,
  at: number,
  captured: number,
  original: number,
  link: number,
  segment: Segment,
  skipped: Skipped,
  addresses: AddressBook,
): boolean => {
  const end = at + captured;
  const ip = ipOffset(view, at, end, link);
  if (ip < 0) {
    if (ip === notIp) skipped.notTcp++;
    else if (ip === cutShort) skipped.cut++;
    else skipped.unknownLink++;
    return false;
  }
  if (ip >= end) {
    skipped.cut++;
    return false;
  }
  const version = view.getUint8(ip) >>> 4;
  const behind = original - (ip - at);
  if (version === 4) return readIPv4(view, ip, end, behind, segment, skipped);
  if (version === 6) return readIPv6(view, ip, end, behind, segment, skipped, addresses);
  skipped.notTcp++;
  return false;
};
