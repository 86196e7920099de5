/**
 * pcapng (draft-ietf-opsawg-pcapng): sections with their own byte order, interfaces with their own clocks, packets in three
 * kinds of block. Options are read where they change what a packet means; everything else is passed over unheld.
 */
import { type CaptureStream, type Interface, longestRecord, packet } from './stream.ts';

const sectionHeader = 0x0a0d0d0a;
const interfaceDescription = 1;
const oldPacket = 2;
const simplePacket = 3;
const interfaceStatistics = 5;
const enhancedPacket = 6;

/** Of a block that is no packet, no more than this is looked at: names and clocks come first, the rest may be endless. */
const longestOptions = 65_536;
/** No capture has more; a file that claims more would make us hold them all. */
const mostInterfaces = 4096;

/** Passes over the rest of the block at `start`, of `length` bytes, which may be longer than the buffer. */
const leave = (stream: CaptureStream, length: number): void => {
  const here = stream.end - stream.start;
  const taken = Math.min(here, length);
  stream.start += taken;
  stream.skip = length - taken;
};

/** The options from `at` to `end`: code → where its value is. Stops at the first that does not fit. */
function* options(stream: CaptureStream, at: number, end: number): Generator<readonly [code: number, at: number, length: number]> {
  while (at + 4 <= end) {
    const code = stream.view.getUint16(at, stream.little);
    const length = stream.view.getUint16(at + 2, stream.little);
    if (code === 0 || at + 4 + length > end) return;
    yield [code, at + 4, length];
    at += 4 + ((length + 3) & ~3);
  }
}

const text = (stream: CaptureStream, at: number, length: number): string =>
  new TextDecoder().decode(stream.bytes.subarray(at, at + Math.min(length, 256))).replace(/\0+$/, '');

const readInterface = (stream: CaptureStream, at: number, end: number): Interface => {
  const { view, little, bytes } = stream;
  let resolution = 1e6;
  let offset = 0;
  let name = '';
  for (const [code, value, length] of options(stream, at + 16, end)) {
    if (code === 2) name = text(stream, value, length);
    if (code === 9 && length === 1) {
      const exponent = bytes[value]! & 0x7f;
      // More than 2^63 ticks a second is no clock; 1 keeps the order of such a file without inventing times.
      resolution = bytes[value]! & 0x80 ? 2 ** Math.min(exponent, 63) : 10 ** Math.min(exponent, 18);
    }
    if (code === 14 && length === 8) offset = Number(view.getBigInt64(value, little));
  }
  const link = view.getUint16(at + 8, little);
  return { link, resolution, offset: Math.abs(offset) < 2 ** 40 ? offset : 0, snaplen: view.getUint32(at + 12, little), name };
};

/** Seconds and nanoseconds of a 64-bit count of ticks since 1970, exactly. */
const setTime = (stream: CaptureStream, high: number, low: number, { resolution, offset }: Interface): void => {
  if (resolution <= 1e9) {
    // Long division in base 65536: every step stays below 2^53.
    const first = Math.floor(high / resolution);
    const upper = (high - first * resolution) * 65536 + (low >>> 16);
    const second = Math.floor(upper / resolution);
    const lower = (upper - second * resolution) * 65536 + (low & 0xffff);
    const third = Math.floor(lower / resolution);
    stream.seconds = first * 4294967296 + second * 65536 + third + offset;
    stream.nanoseconds = Math.floor(((lower - third * resolution) / resolution) * 1e9 + 1e-6);
    return;
  }
  const ticks = (BigInt(high) << 32n) | BigInt(low);
  const perSecond = BigInt(resolution);
  stream.seconds = Number(ticks / perSecond) + offset;
  stream.nanoseconds = Number(((ticks % perSecond) * 1_000_000_000n) / perSecond);
};

/** Moves to the packet of the next block that carries one. */
export const nextBlock = (stream: CaptureStream): number => {
  const { view } = stream;
  for (;;) {
    if (stream.skip > 0) {
      const taken = Math.min(stream.skip, stream.end - stream.start);
      stream.start += taken;
      stream.skip -= taken;
      if (stream.skip > 0) return stream.short('a block');
    }
    const { start } = stream;
    const here = stream.end - start;
    if (here < 12) return stream.short('a block header');
    const type = view.getUint32(start, stream.little);
    if (type === sectionHeader || view.getUint32(start, true) === sectionHeader) {
      const order = view.getUint32(start + 8, true);
      if (order !== 0x1a2b3c4d && order !== 0x4d3c2b1a) return stream.fail('a section header without its byte-order mark');
      stream.little = order === 0x1a2b3c4d;
    }
    const { little } = stream;
    const length = view.getUint32(start + 4, little);
    if (length < 12 || (length & 3) !== 0) return stream.fail(`a block of ${length} bytes`);
    if (here >= length && view.getUint32(start + length - 4, little) !== length)
      return stream.fail(`a block says ${length} bytes at its start and ${view.getUint32(start + length - 4, little)} at its end`);

    if (type === enhancedPacket || type === oldPacket) {
      if (length < 32) return stream.fail(`a packet block of ${length} bytes`);
      if (here < 28) return stream.short('a packet block');
      const captured = view.getUint32(start + 20, little);
      if (captured > length - 32) return stream.fail(`a packet of ${captured} bytes in a block of ${length}`);
      if (captured > longestRecord) return stream.fail(`a packet block claims ${captured} captured bytes, more than any capture holds`);
      if (here < 28 + captured) return stream.short('a packet');
      const index = type === enhancedPacket ? view.getUint32(start + 8, little) : view.getUint16(start + 8, little);
      const description = stream.interfaces[index];
      if (description === undefined) return stream.fail(`a packet of interface ${index}, which the section does not describe`);
      setTime(stream, view.getUint32(start + 12, little), view.getUint32(start + 16, little), description);
      stream.captured = captured;
      stream.original = view.getUint32(start + 24, little);
      stream.link = description.link;
      stream.offset = start + 28;
      stream.number++;
      leave(stream, length);
      return packet;
    }
    if (type === simplePacket) {
      if (length < 16) return stream.fail(`a simple packet block of ${length} bytes`);
      const description = stream.interfaces[0];
      if (description === undefined) return stream.fail('a simple packet in a section that describes no interface');
      const original = view.getUint32(start + 8, little);
      const captured = Math.min(original, length - 16, description.snaplen === 0 ? longestRecord : description.snaplen);
      if (captured > longestRecord) return stream.fail(`a simple packet of ${captured} bytes, more than any capture holds`);
      if (here < 12 + captured) return stream.short('a packet');
      // It has no time of its own: it keeps the last one seen.
      stream.captured = captured;
      stream.original = original;
      stream.link = description.link;
      stream.offset = start + 12;
      stream.number++;
      leave(stream, length);
      return packet;
    }
    if (type === sectionHeader || type === interfaceDescription || type === interfaceStatistics) {
      const wanted = Math.min(length - 4, longestOptions);
      if (here < wanted) return stream.short('a block');
      const end = start + wanted;
      if (type === sectionHeader) {
        if (length < 28) return stream.fail(`a section header of ${length} bytes`);
        stream.interfaces = [];
        for (const [code, at, size] of options(stream, start + 24, end)) if (code === 4) stream.application = text(stream, at, size);
      } else if (type === interfaceDescription) {
        if (length < 20) return stream.fail(`an interface block of ${length} bytes`);
        if (stream.seenInterfaces.length >= mostInterfaces) return stream.fail(`more than ${mostInterfaces} interfaces`);
        const description = readInterface(stream, start, end);
        stream.interfaces.push(description);
        stream.seenInterfaces.push(description);
      } else if (length >= 24) {
        for (const [code, at, size] of options(stream, start + 20, end))
          if (code === 5 && size === 8) stream.dropped += Number(view.getBigUint64(at, little));
      }
    }
    leave(stream, length);
  }
};
