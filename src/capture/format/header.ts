/** The first bytes of a file: which format it is, or that it is none we read. */
import { PlimsollError } from '../../core/errors.ts';
import type { CaptureStream } from './stream.ts';

/** Files people hand over instead, by their first bytes, with what to do. */
const strangers: readonly (readonly [magic: readonly number[], what: string, then: string])[] = [
  [[0x28, 0xb5, 0x2f, 0xfd], 'compressed with zstd', 'zstd -dc FILE | plimsoll explain -'],
  [[0xfd, 0x37, 0x7a, 0x58], 'compressed with xz', 'xz -dc FILE | plimsoll explain -'],
  [[0x42, 0x5a, 0x68], 'compressed with bzip2', 'bzip2 -dc FILE | plimsoll explain -'],
  [[0x04, 0x22, 0x4d, 0x18], 'compressed with lz4', 'lz4 -dc FILE | plimsoll explain -'],
  [[0x1f, 0x8b], 'compressed with gzip twice', 'gzip -dc FILE | plimsoll explain -'],
  [[0x50, 0x4b, 0x03, 0x04], 'a zip archive', 'unzip -p FILE | plimsoll explain -'],
  [[0x73, 0x6e, 0x6f, 0x6f, 0x70], 'a snoop capture', 'editcap -F pcap FILE new.pcap'],
  [[0x34, 0xcd, 0xb2, 0xa1], 'a modified pcap (Kuznetzov)', 'editcap -F pcap FILE new.pcap'],
];

/** Reads the classic header, or recognises pcapng (whose section header is a block like any other). Throws on anything else. */
export const readHeader = (stream: CaptureStream): void => {
  const { bytes, view, start, end } = stream;
  const length = end - start;
  const magic = length >= 4 ? view.getUint32(start, true) : 0;
  if (magic === 0x0a0d0d0a) {
    stream.format = 'pcapng';
    return;
  }
  const little = magic === 0xa1b2c3d4 || magic === 0xa1b23c4d;
  const big = magic === 0xd4c3b2a1 || magic === 0x4d3cb2a1;
  if (!little && !big) {
    const stranger = strangers.find(([first]) => first.every((byte, i) => i < length && bytes[start + i] === byte));
    const first = Array.from(bytes.subarray(start, Math.min(end, start + 8)), (byte) => byte.toString(16).padStart(2, '0')).join(' ');
    throw new PlimsollError('capture_unknown_format', {
      file: stream.name,
      offset: stream.position,
      what: stranger?.[1] ?? `it begins with ${first}`,
      instead: stranger?.[2] ?? 'give a file written by tcpdump -w, dumpcap or Wireshark (pcap or pcapng, gzip allowed)',
    });
  }
  if (length < 24)
    throw new PlimsollError('capture_empty', { file: stream.name, reason: `it ends inside its header, after ${length} bytes` });
  const nanoseconds = magic === 0xa1b23c4d || magic === 0x4d3cb2a1;
  stream.little = little;
  stream.format = nanoseconds ? 'pcap-ns' : 'pcap';
  stream.fraction = nanoseconds ? 1 : 1000;
  // The upper bits of the word hold the frame check sequence's length (f, FCS), not the link type.
  const link = view.getUint32(start + 20, little) & 0xffff;
  const one = { link, resolution: nanoseconds ? 1e9 : 1e6, offset: 0, snaplen: view.getUint32(start + 16, little), name: '' };
  stream.interfaces = [one];
  stream.seenInterfaces.push(one);
  stream.link = link;
  stream.start += 24;
};
