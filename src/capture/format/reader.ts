/** The packets of a capture file, one at a time, decoded in place. */
import { PlimsollError } from '../../core/errors.ts';
import { readHeader } from './header.ts';
import { nextBlock } from './pcapng.ts';
import { type CaptureStream, longestRecord, needBytes, packet } from './stream.ts';

/** One record of classic pcap: seconds, fraction, captured length, original length, bytes. */
const nextRecord = (stream: CaptureStream): number => {
  const { start, view, little } = stream;
  if (stream.end - start < 16) return stream.short('a record header');
  const captured = view.getUint32(start + 8, little);
  if (captured > longestRecord) return stream.fail(`a record claims ${captured} captured bytes, more than any capture holds`);
  if (stream.end - start - 16 < captured) return stream.short('a packet');
  stream.seconds = view.getUint32(start, little);
  stream.nanoseconds = view.getUint32(start + 4, little) * stream.fraction;
  stream.captured = captured;
  stream.original = view.getUint32(start + 12, little);
  stream.offset = start + 16;
  stream.start = start + 16 + captured;
  stream.number++;
  return packet;
};

/** Moves to the next packet: `packet`, `needBytes` or `ended`. Throws PlimsollError if the first bytes are those of no capture. */
export const nextPacket = (stream: CaptureStream): number => {
  if (stream.format === null) {
    if (stream.end - stream.start < 24 && !stream.finished) return needBytes;
    if (stream.end === stream.start)
      throw new PlimsollError('capture_empty', { file: stream.name, reason: stream.cut === '' ? 'it has no bytes' : stream.cut });
    readHeader(stream);
  }
  return stream.format === 'pcapng' ? nextBlock(stream) : nextRecord(stream);
};
