/** The netlink decoders: against the kernel's other account of itself, and against hostile bytes. */
import { isIP } from 'node:net';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { PlimsollError } from '../../src/core/errors.ts';
import { SocketTable } from '../../src/core/socket-table.ts';
import { decodeFlow } from '../../src/linux/conntrack.ts';
import { ffi } from '../../src/linux/ffi.ts';
import { Frames, NetlinkBuffer } from '../../src/linux/netlink/frames.ts';
import { liveRoot } from '../../src/linux/proc.ts';
import { decodeSockets, TCPDIAG_GETSOCK } from '../../src/linux/sock-diag/codec.ts';
import { parseProcTcp, readProcSockets } from '../../src/linux/sock-diag/procfs.ts';
import { walkSockets } from '../../src/linux/sock-diag/walk.ts';
import { kernelTest, namespace } from '../support/netns.ts';
import { until } from '../support/poll.ts';
import { acceptAll, bindOnly, close, listen, makeTimeWaits, open } from '../support/sockets.ts';

/** Fuzzing stops after this, in milliseconds. */
const FUZZ_MS = 4000;

const rows = (t: SocketTable): string[] =>
  Array.from({ length: t.count }, (_, i) =>
    [t.state[i], t.addresses.text(t.local[i]!), t.localPort[i], t.addresses.text(t.remote[i]!), t.remotePort[i], t.uid[i], t.inode[i]].join(
      ' ',
    ),
  ).sort();

kernelTest('sock_diag and /proc/net/tcp tell the same sockets', async () => {
  const ns = namespace({ addresses: ['10.66.0.1', 'fd66::1'] });
  const c = ffi();
  if (c.status !== 'ok') throw new Error(c.hint);
  ns.run(() => {
    const listener = listen('10.66.0.1', 80);
    listen('::', 81);
    for (let i = 0; i < 20; i++) open('10.66.0.1', 80);
    for (let i = 0; i < 5; i++) open('fd66::1', 81);
    for (let i = 0; i < 5; i++) open('::ffff:10.66.0.1', 81);
    close(...acceptAll(listener));
    makeTimeWaits('10.66.0.1', 80, listener, 10);
  });
  // A FIN is acknowledged up to 40 ms late, so a state may change between the two readings: then they are taken again.
  const told = await until('two readings of the same moment', () =>
    ns.run(() => {
      const fast = rows(walkSockets(c.value, { info: true }));
      return fast.join() === rows(readProcSockets(liveRoot)).join() ? fast : null;
    }),
  );
  // 2 listeners, both ends of 30 connections, and 10 TIME_WAITs.
  expect(told).toHaveLength(2 + 2 * 30 + 10);
  ns.run(() => {
    // What procfs cannot show.
    bindOnly('10.66.0.1', 5555);
    expect(walkSockets(c.value, { info: true }).count).toBe(readProcSockets(liveRoot).count + 1);
  });
});

/** One inet_diag_msg with its netlink header, as the kernel lays it out. */
const message = (s: {
  v6: boolean;
  state: number;
  sport: number;
  dport: number;
  src: readonly number[];
  dst: readonly number[];
  expires: number;
  inode: number;
}): Uint8Array => {
  const bytes = new Uint8Array(88);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, 88, true);
  view.setUint16(4, TCPDIAG_GETSOCK, true);
  bytes[16] = s.v6 ? 10 : 2;
  bytes[17] = s.state;
  view.setUint16(20, s.sport, false);
  view.setUint16(22, s.dport, false);
  bytes.set(s.src.slice(0, s.v6 ? 16 : 4), 24);
  bytes.set(s.dst.slice(0, s.v6 ? 16 : 4), 40);
  view.setUint32(68, s.expires, true);
  view.setUint32(84, s.inode, true);
  return bytes;
};

const socketArbitrary = fc.record({
  v6: fc.boolean(),
  state: fc.integer({ min: 1, max: 13 }),
  sport: fc.integer({ min: 0, max: 65535 }),
  dport: fc.integer({ min: 0, max: 65535 }),
  src: fc.array(fc.integer({ min: 0, max: 255 }), { minLength: 16, maxLength: 16 }),
  dst: fc.array(fc.integer({ min: 0, max: 255 }), { minLength: 16, maxLength: 16 }),
  expires: fc.integer({ min: 0, max: 60_000 }),
  inode: fc.integer({ min: 0, max: 0xffffffff }),
});

const decodeAll = (bytes: Uint8Array): SocketTable => {
  const buffer = new NetlinkBuffer();
  buffer.bytes.set(bytes.subarray(0, 65536));
  const table = new SocketTable(16);
  const length = Math.min(bytes.length, 65536);
  decodeSockets(new Frames(buffer, length), buffer, length, table);
  return table;
};

const concat = (parts: readonly Uint8Array[]): Uint8Array => Uint8Array.from(parts.flatMap((p) => [...p]));

describe('the sock_diag decoder', () => {
  test('returns every well-formed socket as it was written, however many there are', () => {
    fc.assert(
      fc.property(fc.array(socketArbitrary, { maxLength: 300 }), (sockets) => {
        const table = decodeAll(concat(sockets.map(message)));
        expect(table.count).toBe(sockets.length);
        sockets.forEach((s, i) => {
          expect([table.state[i], table.localPort[i], table.remotePort[i], table.expires[i], table.inode[i]]).toEqual([
            s.state,
            s.sport,
            s.dport,
            s.expires,
            s.inode,
          ]);
          const text = table.addresses.text(table.local[i]!);
          if (!s.v6) expect(text).toBe(s.src.slice(0, 4).join('.'));
          // Node's own parser is the oracle for the text of IPv6 addresses.
          else expect(isIP(text)).toBeGreaterThan(0);
        });
      }),
      { numRuns: 150 },
    );
  });

  test('one address has one id, and different addresses have different ids', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 0xffffffff }), { maxLength: 500 }), (words) => {
        const table = new SocketTable();
        const ids = words.map((w) => table.addresses.intern4(w));
        expect(new Set(ids).size).toBe(new Set(words).size);
        words.forEach((w, i) => {
          expect(table.addresses.text(ids[i]!)).toBe(`${w & 255}.${(w >>> 8) & 255}.${(w >>> 16) & 255}.${w >>> 24}`);
        });
      }),
    );
  });

  test('short, misaligned and lying messages yield records or a catalogued error, never anything else', () => {
    const mutation = fc.record({ at: fc.nat(2000), value: fc.integer({ min: 0, max: 255 }) });
    fc.assert(
      fc.property(
        fc.array(socketArbitrary, { minLength: 1, maxLength: 8 }),
        fc.array(mutation, { maxLength: 12 }),
        fc.nat(900),
        fc.boolean(),
        (sockets, mutations, cut, flow) => {
          const bytes = concat(sockets.map(message));
          for (const m of mutations) bytes[m.at % bytes.length] = m.value;
          const kept = bytes.subarray(0, Math.max(1, bytes.length - (cut % bytes.length)));
          try {
            if (flow) {
              const buffer = new NetlinkBuffer();
              buffer.bytes.set(kept);
              decodeFlow(buffer, 0, kept.length & ~3);
            } else expect(decodeAll(kept).count).toBeLessThanOrEqual(kept.length / 16);
          } catch (error) {
            if (!(error instanceof PlimsollError)) throw error;
            expect(['netlink_malformed', 'netlink_refused']).toContain(error.code);
          }
        },
      ),
      { numRuns: 1_000_000, interruptAfterTimeLimit: FUZZ_MS, markInterruptAsFailure: false },
    );
  });

  test('an error from the kernel is a catalogued error with its errno', () => {
    const bytes = new Uint8Array(36);
    const view = new DataView(bytes.buffer);
    view.setUint32(0, 36, true);
    view.setUint16(4, 2, true);
    view.setInt32(16, -22, true);
    expect(() => decodeAll(bytes)).toThrow(
      expect.objectContaining({ code: 'netlink_refused', facts: expect.objectContaining({ errno: 22 }) }) as Error,
    );
  });
});

describe('the procfs reader', () => {
  test('passes over lines that are cut or malformed and keeps the others', () => {
    const good =
      '   0: 0100007F:1F90 0200007F:C350 01 00000000:00000000 00:00000000 00000000  1000        0 424242 1 0000000000000000 20 4 0 10 -1';
    const table = new SocketTable();
    parseProcTcp(`  sl  local_address\n${good}\n   1: 0100007F:1F9\n${good}garbage\n`, table);
    expect(rows(table)[0]).toBe('1 127.0.0.1 8080 127.0.0.2 50000 1000 424242');
  });

  test('never throws, whatever the text', () => {
    fc.assert(
      fc.property(fc.string(), (text) => {
        parseProcTcp(`header\n${text}`, new SocketTable());
      }),
      { numRuns: 2000, interruptAfterTimeLimit: FUZZ_MS },
    );
  });
});
