/**
 * Whatever the bytes: a catalogued error that names the byte, or a result that explains everything before the break. Time-boxed;
 * PLIMSOLL_FUZZ_SECONDS makes it as long as one likes. Every failure prints the seed that repeats it.
 */

import { writeFileSync } from 'node:fs';
import { gzipSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import type { CaptureResult } from '../../src/capture/explain/result.ts';
import { nextPacket } from '../../src/capture/format/reader.ts';
import { bufferSize, CaptureStream, needBytes, packet } from '../../src/capture/format/stream.ts';
import { fileInput } from '../../src/cli/capture-input.ts';
import { PlimsollError } from '../../src/core/errors.ts';
import { block, connection, frame, pcapFile, pcapngSection } from '../support/capture-file.ts';
import { explainBytes, scratch } from '../support/tcpdump.ts';

const seconds = Number(process.env['PLIMSOLL_FUZZ_SECONDS'] ?? 3);

/** xorshift32: a run is its seed. */
const random = (seed: number): ((below: number) => number) => {
  let x = seed | 0 || 1;
  return (below) => {
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    return (x >>> 0) % below;
  };
};

const packets = [
  ...connection(1000, ['10.0.0.1', 40000], ['10.0.0.2', 80]),
  ...connection(1001, ['10.0.0.1', 40000], ['10.0.0.2', 80], { isn: 9_000_000, closer: 'none' }),
  ...connection(1002, ['2001:db8::1', 40000], ['2001:db8::2', 80], { closer: 'server' }),
  ...connection(1003, ['10.0.0.1', 40000], ['10.0.0.2', 80], { isn: 19_000_000 }),
];
const frames = packets.map((p) => frame(p));
const lengths = [0, 1, 11, 12, 13, 16, 28, 31, 0x7fffffff, 0x80000000, 0xffffffff, 0xfffffffc, 262_144, 262_145, 65_536];

const mutate = (from: Uint8Array, below: (n: number) => number): Uint8Array => {
  let bytes = Buffer.from(from);
  for (let edits = 1 + below(4); edits > 0; edits--) {
    // The header is a small target, and the one whose every byte matters.
    const at = below(8) === 0 ? below(Math.min(32, bytes.length)) : below(bytes.length);
    switch (below(6)) {
      case 0:
        bytes[at] = below(256);
        break;
      case 1:
        bytes[at]! ^= 1 << below(8);
        break;
      case 2:
        if (at + 4 <= bytes.length) bytes.writeUInt32LE(lengths[below(lengths.length)]!, at & ~3);
        break;
      case 3:
        bytes = bytes.subarray(0, at + 1);
        break;
      case 4:
        bytes = Buffer.concat([bytes.subarray(0, at), bytes.subarray(below(bytes.length))]);
        break;
      default:
        if (at + 2 <= bytes.length) bytes.writeUInt16BE(below(65536), at);
    }
    if (bytes.length === 0) bytes = Buffer.from([0]);
  }
  return bytes;
};

const check = (seed: number, original: Uint8Array): CaptureResult | PlimsollError => {
  const below = random(seed);
  const bytes = mutate(original, below);
  try {
    const result = explainBytes([bytes], { piece: 1 + below(4000) });
    const [file] = result.files;
    if (file!.broken !== null) expect(file!.broken.offset).toBeLessThanOrEqual(bytes.length);
    // Whatever was counted adds up: nothing was silently left out.
    const n = result.not_followed;
    expect(result.tcp.segments + n.not_tcp + n.fragments + n.cut + n.malformed + n.unknown_link).toBe(result.packets);
    const h = result.handshakes;
    expect(h.tried).toBeLessThanOrEqual(result.tcp.syn);
    JSON.stringify(result);
    return result;
  } catch (error) {
    if (error instanceof PlimsollError && error.code !== 'internal') return error;
    throw new Error(`seed ${seed}: ${(error as Error).stack}`);
  }
};

describe('mutated captures', () => {
  const originals: readonly (readonly [string, Uint8Array])[] = [
    ['pcap', pcapFile(frames)],
    ['pcap, big-endian', pcapFile(frames, { little: false, nanoseconds: true })],
    [
      'pcapng',
      Buffer.concat([
        pcapngSection([{ link: 1, options: [{ code: 9, value: Uint8Array.of(9) }] }], frames),
        pcapngSection([{ link: 1 }], frames, { little: false }),
      ]),
    ],
  ];
  for (const [name, original] of originals) {
    test(`${name}: an error of the catalogue or a result that adds up`, { timeout: seconds * 1000 + 20_000 }, () => {
      const deadline = Date.now() + seconds * 1000;
      const base = Number(process.env['PLIMSOLL_FUZZ_SEED'] ?? Date.now() & 0x7fffffff);
      let runs = 0;
      let partial = 0;
      let errors = 0;
      for (; Date.now() < deadline; runs++) {
        const outcome = check(base + runs, original);
        if (outcome instanceof PlimsollError) errors++;
        else if (outcome.files[0]!.broken !== null) partial++;
      }
      // A fuzzer that never breaks anything tests nothing.
      expect(runs).toBeGreaterThan(50);
      expect(partial).toBeGreaterThan(0);
      expect(errors).toBeGreaterThan(0);
    });
  }
});

test('every truncation of a file reports everything before the cut', () => {
  for (const file of [pcapFile(frames), pcapngSection([{ link: 1 }], frames)]) {
    const whole = explainBytes([file]);
    let last = 0;
    for (let length = 100; length < file.length; length++) {
      const result = explainBytes([file.subarray(0, length)]);
      expect(result.packets).toBeGreaterThanOrEqual(last);
      last = result.packets;
      const { broken } = result.files[0]!;
      if (broken !== null) expect(broken.offset).toBeLessThanOrEqual(length);
    }
    // A packet that lacks its last byte is not reported; a pcapng block that lacks only its trailer is.
    expect(last).toBeGreaterThanOrEqual(whole.packets - 1);
  }
});

test('lying lengths are named by their byte, before anything is allocated for them', () => {
  const good = pcapFile(frames.slice(0, 3));
  const lie = Buffer.from(pcapFile(frames.slice(0, 4)));
  const at = good.length;
  lie.writeUInt32LE(0xfffffff0, at + 8);
  const result = explainBytes([lie]);
  expect(result.packets).toBe(3);
  expect(result.files[0]!.broken).toMatchObject({ offset: at });
  expect(result.files[0]!.broken!.reason).toContain('4294967280');
  const section = pcapngSection([{ link: 1 }], frames.slice(0, 2));
  const huge = Buffer.from(block(6, Buffer.alloc(40)));
  huge.writeUInt32LE(0xfffffffc, 4);
  huge.writeUInt32LE(0x7fffffff, 20);
  const ng = explainBytes([Buffer.concat([section, huge])]);
  expect(ng.packets).toBe(2);
  expect(ng.files[0]!.broken).toMatchObject({ offset: section.length });
});

test('a block of endless options and a bomb of gzip are passed over in constant memory', async () => {
  // An interface block that claims two gigabytes of options, of which 40 MB come.
  const section = pcapngSection([{ link: 1 }], frames.slice(0, 2));
  const endless = Buffer.alloc(40 << 20);
  endless.writeUInt32LE(1, 0);
  endless.writeUInt32LE(0x7ffffff0, 4);
  const before = process.memoryUsage().arrayBuffers;
  const result = explainBytes([Buffer.concat([section, endless])]);
  expect(result.packets).toBe(2);
  expect(result.files[0]!.broken!.reason).toBe('the file ends inside a block');

  // 200 MB of one packet after another in 200 kB.
  const many = Buffer.concat([pcapFile([frames[0]!]), ...new Array<Buffer>(2000).fill(pcapFile([frames[0]!]).subarray(24))]);
  const bomb = Buffer.concat([gzipSync(Buffer.concat([many, Buffer.alloc(200 << 20)]), { level: 9 })]);
  const path = scratch('bomb.pcap.gz');
  writeFileSync(path, bomb);
  const stream = new CaptureStream('bomb');
  const input = fileInput(stream, path, new AbortController().signal);
  let peak = 0;
  let count = 0;
  for (;;) {
    const answer = nextPacket(stream);
    if (answer === packet) count++;
    else if (answer === needBytes) await input.fill();
    else break;
    if (count % 10_000 === 0) peak = Math.max(peak, process.memoryUsage().arrayBuffers - before);
  }
  input.close();
  // Zeros are records of no bytes: each of them is a packet that no reader may choke on.
  expect(count).toBeGreaterThan(2000);
  expect(bufferSize).toBe(1 << 20);
  expect(peak).toBeLessThan(512 << 20);
});
