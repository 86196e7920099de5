/**
 * `free` against the kernel: in each story the test looks, then opens connections until the kernel refuses. The number that
 * succeeded must lie in free_low..free_high, and the two must be equal except where the kernel hides a fact.
 */
import { describe, expect } from 'vitest';
import type { PortSpace } from '../../src/core/port-space.ts';
import { bindSpace, connectSpace } from '../support/look.ts';
import { kernelTest, linked, type Namespace, namespace } from '../support/netns.ts';
import { until } from '../support/poll.ts';
import {
  acceptAll,
  bindOnly,
  close,
  Errno,
  listen,
  makeTimeWaits,
  type OpenOptions,
  open,
  openUntilFailure,
  reset,
} from '../support/sockets.ts';

const A = '10.66.0.1';
const B = '10.66.0.2';

/** Opens until the kernel says no and compares. */
const holds = (
  ns: Namespace,
  space: PortSpace,
  destination: string,
  port: number,
  options: OpenOptions = {},
  error = 'EADDRNOTAVAIL',
): void => {
  const { fds, failure } = ns.run(() => openUntilFailure(destination, port, options));
  expect(failure?.code).toBe(error);
  expect(fds.length).toBeGreaterThanOrEqual(space.freeLow);
  expect(fds.length).toBeLessThanOrEqual(space.freeHigh);
  // With RST, so that no TIME_WAIT changes what comes next.
  reset(...fds);
};

const exact = (space: PortSpace): void => {
  expect([space.freeLow, space.freeHigh]).toEqual([space.free, space.free]);
  expect(space.capacity - space.used).toBe(space.free);
};

const small = (options: { sysctls?: Record<string, string | number>; range?: [number, number] } = {}): Namespace =>
  namespace({
    range: options.range ?? [40000, 40099],
    addresses: [A, B, 'fd66::1'],
    sysctls: { 'net.ipv4.tcp_tw_reuse': 0, ...options.sysctls },
  });

describe('free is what the kernel still opens', () => {
  kernelTest('towards a destination without any socket, asked for by --to', () => {
    const ns = small();
    ns.run(() => listen(A, 80));
    const space = connectSpace(ns, A, A, 80);
    expect(space.free).toBe(100);
    exact(space);
    holds(ns, space, A, 80);
  });

  kernelTest('with part of the range ESTABLISHED', () => {
    const ns = small();
    ns.run(() => {
      listen(A, 80);
      for (let i = 0; i < 37; i++) open(A, 80);
    });
    const space = connectSpace(ns, A, A, 80);
    expect(space).toMatchObject({ held: 37, used: 37, free: 63, blocked: 0, byState: { established: 37 } });
    exact(space);
    holds(ns, space, A, 80);
  });

  kernelTest('with part of the range in TIME_WAIT and tcp_tw_reuse=0', () => {
    const ns = small();
    ns.run(() => makeTimeWaits(A, 80, listen(A, 80), 30));
    const space = connectSpace(ns, A, A, 80);
    expect(space).toMatchObject({ held: 30, reusable: 0, free: 70, byState: { time_wait: 30 } });
    exact(space);
    holds(ns, space, A, 80);
  });

  kernelTest('with TIME_WAITs older than a second under tcp_tw_reuse=2 on loopback, where they may be taken', async () => {
    const ns = small({ sysctls: { 'net.ipv4.tcp_tw_reuse': 2 } });
    ns.run(() => {
      makeTimeWaits('127.0.0.1', 80, listen('127.0.0.1', 80), 30);
    });
    expect(connectSpace(ns, '127.0.0.1', '127.0.0.1', 80).free).toBe(70);
    const space = await until('the TIME_WAITs to be a second old', () => {
      const now = connectSpace(ns, '127.0.0.1', '127.0.0.1', 80);
      return now.reusable === 30 ? now : null;
    });
    expect(space).toMatchObject({ held: 30, used: 0, free: 100 });
    exact(space);
    holds(ns, space, '127.0.0.1', 80);
  });

  kernelTest('with TIME_WAITs under tcp_tw_reuse=2 towards an address that is not loopback, where they may not', async () => {
    const ns = small({ sysctls: { 'net.ipv4.tcp_tw_reuse': 2 } });
    ns.run(() => makeTimeWaits(A, 80, listen(A, 80), 30));
    await until('the TIME_WAITs to be over a second old', () => connectSpace(ns, A, A, 80).load.timeWaits[0]! < 58.8);
    const space = connectSpace(ns, A, A, 80);
    expect(space).toMatchObject({ held: 30, reusable: 0, free: 70 });
    exact(space);
    holds(ns, space, A, 80);
  });

  for (const timestamps of [1, 0]) {
    kernelTest(
      `with old TIME_WAITs under tcp_tw_reuse=1 towards a peer with tcp_timestamps=${timestamps}, whose timestamps the record hides`,
      async () => {
        const [client, server] = linked(
          { range: [40000, 40099], sysctls: { 'net.ipv4.tcp_tw_reuse': 1 } },
          { sysctls: { 'net.ipv4.tcp_timestamps': timestamps } },
        );
        const listener = server.run(() => listen('10.77.0.2', 80));
        client.run(() => makeTimeWaits('10.77.0.2', 80, listener, 20));
        const space = await until('the TIME_WAITs to be a second old', () => {
          const now = connectSpace(client, '10.77.0.1', '10.77.0.2', 80);
          return now.reusable === 20 ? now : null;
        });
        expect([space.freeLow, space.freeHigh]).toEqual([80, 100]);
        holds(client, space, '10.77.0.2', 80);
        expect.assertions(4);
      },
    );
  }

  kernelTest('with the peer’s timestamps seen on a live neighbour, and then it is exact', async () => {
    const [client, server] = linked(
      { range: [40000, 40099], sysctls: { 'net.ipv4.tcp_tw_reuse': 1 } },
      { sysctls: { 'net.ipv4.tcp_timestamps': 0 } },
    );
    const listener = server.run(() => listen('10.77.0.2', 80));
    client.run(() => {
      makeTimeWaits('10.77.0.2', 80, listener, 20);
      open('10.77.0.2', 80);
    });
    await until('the TIME_WAITs to be a second old', () => connectSpace(client, '10.77.0.1', '10.77.0.2', 80).load.timeWaits[0]! < 58.8);
    const space = connectSpace(client, '10.77.0.1', '10.77.0.2', 80);
    expect(space).toMatchObject({ held: 21, reusable: 0, free: 79 });
    exact(space);
    holds(client, space, '10.77.0.2', 80);
  });

  kernelTest('with listeners inside the range: IPv4, IPv6-only, dual-stack, each on its own port', () => {
    const ns = small();
    ns.run(() => {
      listen(A, 80);
      listen('127.0.0.1', 40010);
      listen('::1', 40011, { v6only: true });
      listen('::', 40012);
      listen(B, 40013);
    });
    const space = connectSpace(ns, A, A, 80);
    expect(space).toMatchObject({ blocked: 4, capacity: 96, free: 96 });
    exact(space);
    holds(ns, space, A, 80);
  });

  kernelTest('with reserved ports', () => {
    const ns = small({ sysctls: { 'net.ipv4.ip_local_reserved_ports': '40000-40009,40050' } });
    ns.run(() => listen(A, 80));
    const space = connectSpace(ns, A, A, 80);
    expect(space).toMatchObject({ blocked: 11, free: 89 });
    exact(space);
    holds(ns, space, A, 80);
  });

  kernelTest('with ports bound explicitly from another local address, towards another destination', () => {
    const ns = small();
    ns.run(() => {
      listen(A, 80);
      listen(B, 81);
      for (let port = 40020; port < 40032; port++) open(B, 81, { bind: [B, port], reuseAddress: true });
      for (let i = 0; i < 10; i++) open(A, 80);
    });
    const space = connectSpace(ns, A, A, 80);
    expect(space).toMatchObject({ blocked: 12, held: 10, free: 78 });
    exact(space);
    holds(ns, space, A, 80);
  });

  kernelTest('with explicitly bound ports that only a TIME_WAIT holds any more', () => {
    const ns = small();
    ns.run(() => {
      listen(A, 80);
      const listener = listen(B, 81);
      for (let port = 40020; port < 40032; port++) {
        close(open(B, 81, { bind: [B, port], reuseAddress: true }));
        close(...acceptAll(listener));
      }
    });
    const space = connectSpace(ns, A, A, 80);
    exact(space);
    holds(ns, space, A, 80);
  });

  kernelTest('with ports bound and never connected', () => {
    const ns = small();
    ns.run(() => {
      listen(A, 80);
      for (let port = 40070; port < 40075; port++) bindOnly(B, port);
    });
    const space = connectSpace(ns, A, A, 80);
    expect(space).toMatchObject({ blocked: 5, free: 95 });
    exact(space);
    holds(ns, space, A, 80);
  });

  kernelTest('towards two destinations whose sum exceeds the range while neither is full', () => {
    const ns = small();
    ns.run(() => {
      listen(A, 80);
      listen(A, 81);
      for (let i = 0; i < 70; i++) open(A, 80);
      for (let i = 0; i < 60; i++) open(A, 81);
    });
    const first = connectSpace(ns, A, A, 80);
    const second = connectSpace(ns, A, A, 81);
    expect([first.used, second.used]).toEqual([70, 60]);
    exact(first);
    exact(second);
    holds(ns, first, A, 80);
    holds(ns, second, A, 81);
  });

  kernelTest('for bind(ip, 0) users, who share one pool over all destinations', () => {
    const ns = small();
    ns.run(() => {
      listen(A, 80);
      listen(A, 81);
      listen('0.0.0.0', 40005);
      for (let i = 0; i < 20; i++) open(A, 80, { bind: [A, 0] });
      for (let i = 0; i < 15; i++) open(A, 81, { bind: [A, 0] });
      for (let i = 0; i < 5; i++) open(A, 81);
    });
    const pool = bindSpace(ns, A);
    expect(pool).toMatchObject({ kind: 'bind', destination: null, destinationPort: null, held: 40, blocked: 1, free: 59 });
    exact(pool);
    // What they hold is closed to everybody's connect(), whatever the destination.
    const other = connectSpace(ns, A, A, 80);
    expect(other.blocked).toBe(36);
    exact(other);
    holds(ns, other, A, 80);
    holds(ns, pool, A, 80, { bind: [A, 0] }, 'EADDRINUSE');
  });

  kernelTest('for Node’s localAddress, which is SO_REUSEADDR and bind(ip, 0)', () => {
    const ns = small();
    ns.run(() => {
      listen(A, 80);
      for (let i = 0; i < 20; i++) open(A, 80, { bind: [A, 0], reuseAddress: true });
    });
    const pool = bindSpace(ns, A);
    exact(pool);
    holds(ns, pool, A, 80, { bind: [A, 0], reuseAddress: true }, 'EADDRINUSE');
  });

  kernelTest('with IP_BIND_ADDRESS_NO_PORT, which is connect’s own choice again', () => {
    const ns = small();
    ns.run(() => {
      listen(A, 80);
      for (let i = 0; i < 20; i++) open(A, 80, { bind: [B, 0], noPort: true });
    });
    const space = connectSpace(ns, B, A, 80);
    expect(space).toMatchObject({ held: 20, free: 80 });
    exact(space);
    holds(ns, space, A, 80, { bind: [B, 0], noPort: true });
  });

  kernelTest('over IPv6', () => {
    const ns = small();
    ns.run(() => {
      listen('fd66::1', 80);
      for (let i = 0; i < 25; i++) open('fd66::1', 80);
    });
    const space = connectSpace(ns, 'fd66::1', 'fd66::1', 80);
    expect(space).toMatchObject({ held: 25, free: 75 });
    exact(space);
    holds(ns, space, 'fd66::1', 80);
  });

  kernelTest('over IPv4-mapped IPv6 sockets, which hold IPv4 ports', () => {
    const ns = small();
    ns.run(() => {
      listen(A, 80);
      for (let i = 0; i < 25; i++) open(`::ffff:${A}`, 80);
      for (let i = 0; i < 5; i++) open(A, 80);
    });
    const space = connectSpace(ns, A, A, 80);
    expect(space).toMatchObject({ held: 30, free: 70 });
    exact(space);
    holds(ns, space, A, 80);
  });

  for (const size of [1, 3, 5, 21, 101]) {
    kernelTest(`with an odd range of ${size} port${size === 1 ? '' : 's'}, give or take the one the search may miss`, () => {
      const ns = small({ range: [40000, 40000 + size - 1] });
      ns.run(() => listen(A, 80));
      const space = connectSpace(ns, A, A, 80);
      expect(space.capacity).toBe(size);
      expect(space.freeHigh - space.freeLow).toBeLessThanOrEqual(1);
      holds(ns, space, A, 80);
    });
  }

  kernelTest('with ports held outside the range, which never count', () => {
    const ns = small();
    ns.run(() => {
      listen(A, 80);
      for (let port = 50000; port < 50010; port++) open(A, 80, { bind: [A, port], reuseAddress: true });
      open(A, 80);
    });
    const space = connectSpace(ns, A, A, 80);
    expect(space).toMatchObject({ held: 1, free: 99 });
    exact(space);
    holds(ns, space, A, 80);
  });

  kernelTest('and an exhausted space says so: nothing is left and the next connect fails', () => {
    const ns = small({ range: [40000, 40019] });
    ns.run(() => {
      listen(A, 80);
      openUntilFailure(A, 80);
    });
    const space = connectSpace(ns, A, A, 80);
    expect(space).toMatchObject({ free: 0, usedRatio: 1, forecast: { kind: 'exhausted' }, searchWall: { at: 10, passed: true } });
    expect(() => ns.run(() => open(A, 80))).toThrow(Errno);
  });
});
