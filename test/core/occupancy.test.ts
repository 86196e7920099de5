/** Ranges, addresses and occupancy, against arithmetic done another way: sets of numbers. */
import { isIP } from 'node:net';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { canonicalAddress, formatEndpoint, parseAddressRange, parseEndpoint } from '../../src/core/address.ts';
import type { NamespaceSettings } from '../../src/core/host-sample.ts';
import { blockedForConnect, countConnectSpace } from '../../src/core/occupancy.ts';
import { PortSet, parseRanges } from '../../src/core/port-range.ts';
import { formatDuration, formatPercent, formatRate, parseDuration, parseRate, parseWait } from '../../src/core/quantity.ts';
import { groupSockets } from '../../src/core/socket-groups.ts';
import { SocketTable } from '../../src/core/socket-table.ts';
import { TcpState } from '../../src/core/tcp-state.ts';
import { timerGranule } from '../../src/core/timer-tick.ts';

const port = fc.integer({ min: 1, max: 65535 });
const range = fc.tuple(port, port).map(([a, b]) => ({ low: Math.min(a, b), high: Math.max(a, b) }));

describe('ranges of ports', () => {
  test('a set holds what was added and tells it as the fewest ranges', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(port, fc.nat(40)), { maxLength: 20 }), (parts) => {
        const ranges = parts.map(([low, size]) => ({ low, high: Math.min(65535, low + size) }));
        const set = PortSet.of(ranges);
        const naive = new Set(ranges.flatMap((r) => Array.from({ length: r.high - r.low + 1 }, (_, i) => r.low + i)));
        expect(set.count({ low: 0, high: 65535 })).toBe(naive.size);
        const told = set.ranges();
        expect(told.flatMap((r) => Array.from({ length: r.high - r.low + 1 }, (_, i) => r.low + i))).toEqual(
          [...naive].sort((a, b) => a - b),
        );
        for (let i = 1; i < told.length; i++) expect(told[i]!.low).toBeGreaterThan(told[i - 1]!.high + 1);
        expect(parseRanges(told.map((r) => `${r.low}-${r.high}`).join(','))).toEqual(told);
      }),
    );
  });

  test('a malformed list is told from an empty one', () => {
    expect(parseRanges('')).toEqual([]);
    for (const bad of ['0-5', '5-1', '70000', 'a', '1-2-3', '-5']) expect(parseRanges(bad)).toBeNull();
  });
});

describe('addresses', () => {
  test('canonical text parses to itself, and agrees with Node on what is an address', () => {
    fc.assert(
      fc.property(fc.oneof(fc.ipV4(), fc.ipV6(), fc.string({ maxLength: 20 })), (text) => {
        const canonical = canonicalAddress(text);
        // Node takes zones; a zone is no part of an address.
        if (!text.includes('%')) expect(canonical !== null).toBe(isIP(text) !== 0);
        if (canonical !== null) expect(canonicalAddress(canonical)).toBe(canonical);
      }),
      { numRuns: 2000 },
    );
    expect(canonicalAddress('::ffff:10.0.0.1')).toBe('10.0.0.1');
    expect(canonicalAddress('2001:0db8:0:0:1:0:0:1')).toBe('2001:db8::1:0:0:1');
  });

  test('endpoints survive being written and read', () => {
    fc.assert(
      fc.property(fc.oneof(fc.ipV4(), fc.ipV6()), port, (address, p) => {
        const host = canonicalAddress(address)!;
        expect(parseEndpoint(formatEndpoint(host, p))).toEqual({ host, port: p });
      }),
    );
    for (const bad of ['10.0.0.1', '10.0.0.1:0', '10.0.0.1:70000', '2001:db8::1:80', ':80', 'a b:80'])
      expect(parseEndpoint(bad)).toBeNull();
  });

  test('an address range holds both of its ends, and nothing it should not', () => {
    expect(parseAddressRange('10.0.0.254-10.0.1.1')).toEqual(['10.0.0.254', '10.0.0.255', '10.0.1.0', '10.0.1.1']);
    expect(parseAddressRange('fd00::fffe-fd00::1:1')).toEqual(['fd00::fffe', 'fd00::ffff', 'fd00::1:0', 'fd00::1:1']);
    for (const bad of ['', '10.0.0.2-10.0.0.1', '10.0.0.1-fd00::1', '10.0.0.0-10.255.0.0', 'x']) expect(parseAddressRange(bad)).toBeNull();
  });
});

describe('quantities', () => {
  test('durations and rates are read with their unit, and never without', () => {
    expect([parseDuration('250ms'), parseDuration('1m30s'), parseDuration('0'), parseDuration('2'), parseDuration('-1s')]).toEqual([
      0.25,
      90,
      0,
      null,
      null,
    ]);
    expect([parseRate('500/s'), parseRate('30k/m'), parseRate('500'), parseRate('/s')]).toEqual([500, 500, null, null]);
  });

  test('less than all is never shown as all', () => {
    fc.assert(
      fc.property(fc.double({ min: 0, max: 0.9999999, noNaN: true }), (ratio) => {
        expect(formatPercent(ratio)).not.toBe('100 %');
        if (ratio > 0) expect(formatPercent(ratio)).not.toBe('0 %');
      }),
    );
    expect([parseWait('24d'), parseWait('25d'), parseWait('5')]).toEqual([24 * 86400, null, null]);
    expect([455, 9.75, 0.5, 1 / 3600, 2 / 86400, 1e-9, 0].map(formatRate)).toEqual([
      '455/s',
      '9.8/s',
      '30/min',
      '1/h',
      '2/day',
      '0.1/day',
      '0/s',
    ]);
    expect([formatDuration(0.0123), formatDuration(35), formatDuration(200), formatDuration(7500)]).toEqual([
      '12.3 ms',
      '35 s',
      '3 min 20 s',
      '2 h 5 min',
    ]);
  });
});

test('the timer granule is what kernel/time/timer.c gives for the usual HZ', () => {
  expect([100, 250, 300, 1000].map((hz) => Math.round(timerGranule(60, hz) * 1000))).toEqual([5120, 2048, 1707, 4096]);
});

describe('occupancy', () => {
  const settings = (low: number, high: number): NamespaceSettings => ({
    portRange: { low, high },
    reserved: [],
    twReuse: 0,
    twReuseDelay: 1,
    timestamps: true,
    finTimeout: 60,
    maxTwBuckets: 0,
  });

  test('counts what naive sets count, for any table, range, reservation and listeners', () => {
    const row = fc.record({
      state: fc.constantFrom(1, 2, 4, 5, 6, 8, 9, 10, 11, 13),
      local: fc.integer({ min: 1, max: 3 }),
      remote: fc.integer({ min: 1, max: 3 }),
      lport: fc.integer({ min: 100, max: 180 }),
      rport: fc.integer({ min: 1, max: 3 }),
    });
    fc.assert(
      fc.property(
        fc.array(row, { maxLength: 200 }),
        range.map((r) => ({ low: 100 + (r.low % 40), high: 140 + (r.high % 41) })),
        fc.array(fc.integer({ min: 100, max: 180 }), { maxLength: 6 }),
        (given, r, reserved) => {
          // A 4-tuple exists once.
          const sockets = [
            ...new Map(
              given.map((s) => [`${s.local} ${s.lport} ${s.state >= 10 && s.state !== 11 ? `l${s.state}` : `${s.remote} ${s.rport}`}`, s]),
            ).values(),
          ];
          const table = new SocketTable();
          for (const s of sockets) {
            table.reserve(1);
            const i = table.count++;
            const alone = s.state === TcpState.listen || s.state === TcpState.boundInactive;
            table.state[i] = s.state;
            table.localPort[i] = s.lport;
            table.remotePort[i] = alone ? 0 : s.rport;
            table.local[i] = table.addresses.intern4(s.local);
            table.remote[i] = table.addresses.intern4(alone ? 0 : s.remote);
          }
          const base = { ...settings(r.low, r.high), reserved: reserved.map((p) => ({ low: p, high: p })) };
          const groups = groupSockets(table);
          const none = { blocked: new PortSet(), unknown: new PortSet() };
          const blockedSet = blockedForConnect(groups, base, none);
          const blocked = new Set(
            [...reserved, ...sockets.filter((s) => s.state === 10 || s.state === 13).map((s) => s.lport)].filter(
              (p) => p >= r.low && p <= r.high,
            ),
          );
          const listens = (s: (typeof sockets)[number]): boolean =>
            sockets.some((l) => l.state === 10 && l.lport === s.lport && l.local === s.local);
          for (const group of groups.outbound) {
            const o = countConnectSpace(groups, group, base, blockedSet, { ports: none.unknown, count: 0 });
            const mine = sockets.filter(
              (s) =>
                s.state !== 10 &&
                s.state !== 13 &&
                !listens(s) &&
                table.addresses.intern4(s.local) === group.local &&
                table.addresses.intern4(s.remote) === group.remote &&
                s.rport === group.port,
            );
            const held = new Set(mine.map((s) => s.lport).filter((p) => p >= r.low && p <= r.high && !blocked.has(p)));
            expect([o.blocked, o.capacity, o.held, o.used, o.free]).toEqual([
              blocked.size,
              r.high - r.low + 1 - blocked.size,
              held.size,
              held.size,
              r.high - r.low + 1 - blocked.size - held.size,
            ]);
            const evens = Array.from({ length: r.high - r.low + 1 }, (_, i) => r.low + i).filter(
              (p) => (p - r.low) % 2 === 0 && !blocked.has(p),
            );
            expect(o.searchWall).toEqual({ at: evens.length, passed: evens.every((p) => held.has(p)) && o.capacity > 0 });
            expect(o.freeLow).toBeLessThanOrEqual(o.freeHigh);
          }
          // Every connection is in exactly one group.
          const grouped = [...groups.outbound, ...groups.inbound].reduce((sum, g) => sum + g.end - g.start, 0);
          expect(grouped + groups.listeners.length + groups.bound.length).toBe(sockets.length);
        },
      ),
      { numRuns: 400 },
    );
  });
});
