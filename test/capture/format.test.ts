/** Readers and decoders: what is written is what is read, in every format, byte order and link layer; and tshark agrees. */
import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { nextPacket } from '../../src/capture/format/reader.ts';
import { CaptureStream, packet } from '../../src/capture/format/stream.ts';
import {
  ACK,
  block,
  connection,
  FIN,
  type Frame,
  frame,
  framed,
  ipPacket,
  type LinkKind,
  linkTypes,
  type Option,
  pcapFile,
  pcapngSection,
  RST,
  SYN,
  type TcpPacket,
} from '../support/capture-file.ts';
import { explainBytes, scratch } from '../support/tcpdump.ts';

interface Seen {
  readonly number: number;
  readonly seconds: number;
  readonly nanoseconds: number;
  readonly captured: number;
  readonly original: number;
  readonly link: number;
  readonly first: number;
}

/** Every packet of a file that is fed in pieces of `piece` bytes. */
const readAll = (file: Uint8Array, piece = 1 << 20): { readonly seen: Seen[]; readonly stream: CaptureStream } => {
  const stream = new CaptureStream('test');
  const seen: Seen[] = [];
  let at = 0;
  for (;;) {
    const answer = nextPacket(stream);
    if (answer === packet) {
      const { number, seconds, nanoseconds, captured, original, link } = stream;
      seen.push({ number, seconds, nanoseconds, captured, original, link, first: captured === 0 ? -1 : stream.bytes[stream.offset]! });
      continue;
    }
    if (stream.finished) return { seen, stream };
    const room = stream.room();
    const part = file.subarray(at, at + Math.min(piece, room.length));
    if (part.length === 0) stream.finish();
    room.set(part);
    stream.wrote(part.length);
    at += part.length;
  }
};

const anyFrame = fc.record({
  time: fc.integer({ min: 0, max: 4_000_000_000 }),
  micros: fc.integer({ min: 0, max: 999_999 }),
  bytes: fc.uint8Array({ minLength: 0, maxLength: 200 }),
  cut: fc.integer({ min: 0, max: 3000 }),
});

describe('classic pcap', () => {
  test('reads back what was written, in both byte orders and resolutions, however it arrives', () => {
    fc.assert(
      fc.property(
        fc.array(anyFrame, { maxLength: 30 }),
        fc.boolean(),
        fc.boolean(),
        fc.integer({ min: 1, max: 64 }),
        (frames, little, nanoseconds, piece) => {
          const file = pcapFile(
            frames.map((f) => ({ time: f.time + f.micros / 1e6, bytes: f.bytes, original: f.bytes.length + f.cut })),
            { little, nanoseconds, link: 101 },
          );
          const { seen, stream } = readAll(file, piece);
          expect(stream.broken).toBeNull();
          expect(stream.position).toBe(file.length);
          expect(seen.map((s) => [s.number, s.seconds, s.captured, s.original, s.link])).toEqual(
            frames.map((f, i) => [i + 1, f.time, f.bytes.length, f.bytes.length + f.cut, 101]),
          );
          // A double holds a time since 1970 to half a microsecond.
          for (const [i, s] of seen.entries()) expect(Math.abs(s.nanoseconds - frames[i]!.micros * 1000)).toBeLessThan(1000);
        },
      ),
    );
  });
});

const bytesOf = (...values: readonly number[]): Uint8Array => Uint8Array.from(values);
const int64 = (value: bigint, little: boolean): Uint8Array => {
  const b = new Uint8Array(8);
  new DataView(b.buffer).setBigInt64(0, value, little);
  return b;
};

describe('pcapng', () => {
  test('keeps every timestamp to the nanosecond, whatever the resolution and the offset of its interface', () => {
    const resolution = fc.oneof(
      fc.integer({ min: 0, max: 12 }).map((n) => ({ byte: n, perSecond: 10n ** BigInt(n) })),
      fc.integer({ min: 0, max: 40 }).map((n) => ({ byte: 0x80 | n, perSecond: 2n ** BigInt(n) })),
    );
    fc.assert(
      fc.property(
        resolution,
        fc.boolean(),
        fc.integer({ min: 0, max: 1_900_000_000 }),
        fc.bigInt({ min: 0n, max: 999_999_999n }),
        fc.integer({ min: -50_000, max: 50_000 }),
        (r, little, seconds, nanos, offset) => {
          const whole = Math.min(seconds, Number((1n << 63n) / r.perSecond) - 1);
          const ticks = BigInt(whole) * r.perSecond + (nanos * r.perSecond) / 1_000_000_000n;
          const options: Option[] = [
            { code: 2, value: new TextEncoder().encode('eth0') },
            { code: 9, value: bytesOf(r.byte) },
            { code: 14, value: int64(BigInt(offset), little) },
          ];
          const file = pcapngSection([{ link: 1, options }], [{ time: 0, ticks, bytes: bytesOf(1, 2, 3) }], { little });
          const { seen, stream } = readAll(file, 7);
          expect(stream.broken).toBeNull();
          expect(seen[0]!.seconds).toBe(whole + offset);
          const exact = Number(((ticks % r.perSecond) * 1_000_000_000n) / r.perSecond);
          expect(Math.abs(seen[0]!.nanoseconds - exact)).toBeLessThanOrEqual(1);
          expect(stream.seenInterfaces[0]!.name).toBe('eth0');
        },
      ),
    );
  });

  test('reads several sections of both byte orders, several interfaces, simple packets, and passes over what it does not know', () => {
    const one: Frame = { time: 1, bytes: bytesOf(9, 9, 9, 9, 9) };
    const file = Buffer.concat([
      pcapngSection([{ link: 1 }, { link: 101 }], [one, { ...one, on: 1 }, { ...one, simple: true }], {
        section: [{ code: 4, value: new TextEncoder().encode('dumper') }],
      }),
      block(0x0bad, Buffer.alloc(300_000)),
      block(4, Buffer.alloc(3_000_000)),
      pcapngSection([{ link: 276, snaplen: 4 }], [one, { ...one, simple: true }], { little: false }),
    ]);
    const { seen, stream } = readAll(file, 4096);
    expect(stream.broken).toBeNull();
    expect(seen.map((s) => [s.link, s.captured])).toEqual([
      [1, 5],
      [101, 5],
      [1, 5],
      [276, 5],
      [276, 4],
    ]);
    expect(stream.application).toBe('dumper');
  });

  test('counts the packets that the capturing host says it lost', () => {
    const option = Buffer.alloc(16);
    option.writeUInt16LE(5, 0);
    option.writeUInt16LE(8, 2);
    option.writeBigUInt64LE(7n, 4);
    const file = Buffer.concat([pcapngSection([{ link: 1 }], []), block(5, Buffer.concat([Buffer.alloc(12), option]))]);
    expect(readAll(file).stream.dropped).toBe(7);
  });
});

describe('link layers and IP', () => {
  const handshake: readonly TcpPacket[] = connection(1000, ['10.0.0.1', 40000], ['10.0.0.2', 80]);
  const handshake6: readonly TcpPacket[] = connection(1000, ['2001:db8::1', 40000], ['2001:db8::2', 80]);

  for (const link of Object.keys(linkTypes) as LinkKind[]) {
    test(`follows a connection through ${link}, over IPv4 and IPv6`, () => {
      for (const packets of [handshake, handshake6]) {
        const frames = packets.map((p) => frame(p, link));
        // BSD loopback has another family number for IPv6; ours is read by the version nibble.
        const result = explainBytes([pcapFile(frames, { link: linkTypes[link] })]);
        expect(result.handshakes).toMatchObject({ tried: 1, answered: 1 });
        expect(result.tcp).toMatchObject({ syn: 1, syn_ack: 1, fin: 2 });
        expect(result.sources[0]).toMatchObject({
          source: packets[0]!.source[0],
          destination: packets[0]!.destination[0],
          destination_port: 80,
        });
      }
    });
  }

  test('reads IPv4 with options and IPv6 with extension headers', () => {
    const v4 = handshake.map((p) => ({ time: p.time, bytes: framed(ipPacket(p, { ipOptions: 8 }), 'ethernet') }));
    const v6 = handshake6.map((p) => ({ time: p.time, bytes: framed(ipPacket(p, { extensions: [0, 60, 43] }), 'ethernet') }));
    expect(explainBytes([pcapFile([...v4, ...v6])]).handshakes).toMatchObject({ tried: 2, answered: 2 });
  });

  test('counts later fragments, follows the first', () => {
    const first = ipPacket(handshake[0]!);
    first[6] = 0x20;
    const later = first.slice();
    later[6] = 0;
    later[7] = 5;
    const result = explainBytes([pcapFile([first, later].map((bytes, i) => ({ time: i, bytes: framed(bytes, 'ethernet') })))]);
    expect(result.tcp.syn).toBe(1);
    expect(result.not_followed.fragments).toBe(1);
  });

  test('follows packets cut by the snap length as long as their flags are there, and counts those cut before', () => {
    const full = handshake.map((p) => frame(p));
    const cutTo = (length: number): ReturnType<typeof explainBytes> =>
      explainBytes([pcapFile(full.map((f) => ({ ...f, original: f.bytes.length, bytes: f.bytes.subarray(0, length) })))]);
    expect(cutTo(14 + 20 + 14).handshakes).toMatchObject({ tried: 1, answered: 1 });
    expect(cutTo(14 + 20 + 13)).toMatchObject({ not_followed: { cut: handshake.length }, handshakes: { tried: 0 } });
    expect(cutTo(3).not_followed.cut).toBe(handshake.length);
  });

  test('names a link type that it does not decode', () => {
    expect(() => explainBytes([pcapFile([frame(handshake[0]!)], { link: 105 })])).toThrow(/link type 105/);
  });
});

test('tshark counts the same SYN, SYN-ACK, FIN, RST and reused ports', () => {
  const frames: Frame[] = [];
  let time = 1_700_000_000;
  // Connections on few ports, so that most of them reuse one; some refused, some retried.
  for (let i = 0; i < 400; i++) {
    const client = ['10.0.0.1', 40000 + (i % 90)] as const;
    const server = ['10.0.0.2', 80 + (i % 3)] as const;
    time += 0.7;
    const packets = connection(time, client, server, {
      isn: 1000 + i * 7919,
      serverIsn: 5_000_000 + i * 104_729,
      closer: i % 2 === 0 ? 'client' : 'server',
      stamp: 1000 + i * 700,
    });
    if (i % 10 === 3) {
      const [syn] = packets;
      frames.push(
        frame(syn!),
        frame({ time: time + 0.0001, source: server, destination: client, flags: RST | ACK, seq: 0, ack: syn!.seq! + 1 }),
      );
    } else for (const p of packets) frames.push(frame(p));
  }
  const path = scratch('tshark.pcap');
  const file = pcapFile(frames);
  writeFileSync(path, file);
  const result = explainBytes([file]);
  const rows = execFileSync('tshark', ['-r', path, '-T', 'fields', '-e', 'tcp.flags', '-e', 'tcp.analysis.reused_ports'], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'ignore'],
    maxBuffer: 1 << 26,
  })
    .trimEnd()
    .split('\n')
    .map((line) => line.split('\t'));
  const flags = rows.map(([f]) => Number(f));
  const count = (of: (f: number) => boolean): number => flags.filter(of).length;
  expect(result.tcp).toMatchObject({
    segments: rows.length,
    syn: count((f) => (f & (SYN | ACK)) === SYN),
    syn_ack: count((f) => (f & (SYN | ACK)) === (SYN | ACK)),
    fin: count((f) => (f & FIN) !== 0),
    rst: count((f) => (f & RST) !== 0),
  });
  // tshark flags a reuse on the SYN and, where that SYN opened a new stream of its own, again on nothing else in this file.
  const reused = rows.filter(([f, r]) => r === '1' && (Number(f) & (SYN | ACK)) === SYN).length;
  expect(result.handshakes.reused).toBe(reused);
  expect(reused).toBeGreaterThan(100);
});
