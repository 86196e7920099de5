/** A port space port by port, held against the kernel's own table, and against which ports a connect() can still have. */
import { expect } from 'vitest';
import { PortUse, portMap, UNKNOWN_TIME_LEFT } from '../../src/core/port-map.ts';
import { TcpState } from '../../src/core/tcp-state.ts';
import { spacesOf } from '../support/look.ts';
import { kernelTest, namespace } from '../support/netns.ts';
import { acceptAll, bindOnly, type Errno, listen, localPort, makeTimeWaits, open, reset } from '../support/sockets.ts';
import { socketsOf } from '../support/traffic.ts';

kernelTest('every port of the range is what the kernel says it is, and connect() can have exactly those that are free', () => {
  const ns = namespace({
    range: [40_000, 40_039],
    sysctls: { 'net.ipv4.ip_local_reserved_ports': '40004-40006', 'net.ipv4.tcp_tw_reuse': 0 },
  });
  const held: number[] = [];
  ns.run(() => {
    const server = listen('127.0.0.1', 9000);
    held.push(server, listen('127.0.0.1', 40_010), bindOnly('127.0.0.1', 40_011));
    makeTimeWaits('127.0.0.1', 9000, server, 7);
    for (let i = 0; i < 9; i++) held.push(open('127.0.0.1', 9000));
    held.push(...acceptAll(server));
    // A port outside the range is none of the space's.
    held.push(open('127.0.0.1', 9000, { bind: ['127.0.0.1', 50_000] }));
  });
  const measured = spacesOf(ns).find((m) => m.space.kind === 'connect' && m.space.destinationPort === 9000)!;
  const { range, states, timeLeft } = portMap(measured);
  expect(range).toEqual({ low: 40_000, high: 40_039 });
  expect([states[39_999], states[40_040], states[50_000], states[0], states[65_535]]).toEqual(Array(5).fill(PortUse.outside));
  expect([4, 5, 6].map((n) => states[40_000 + n])).toEqual(Array(3).fill(PortUse.reserved));
  expect([states[40_010], states[40_011]]).toEqual([PortUse.blocked, PortUse.blocked]);
  const kernel = socketsOf(ns);
  const expected = new Map<number, number>();
  for (let row = 0; row < kernel.count; row++) if (kernel.remotePort[row] === 9000) expected.set(kernel.localPort[row]!, row);
  let [established, waiting] = [0, 0];
  const free: number[] = [];
  for (let port = 40_000; port <= 40_039; port++) {
    const row = expected.get(port);
    if (row !== undefined) {
      expect([port, states[port]]).toEqual([port, kernel.state[row]]);
      if (states[port] === TcpState.timeWait) {
        waiting++;
        expect(Math.abs(timeLeft[port]! - kernel.expires[row]! / 1000)).toBeLessThan(2.5);
      } else {
        established++;
        expect(timeLeft[port]).toBe(UNKNOWN_TIME_LEFT);
      }
    } else if (states[port] === PortUse.free) free.push(port);
  }
  expect([established, waiting]).toEqual([9, 7]);
  expect(free.length).toBe(measured.space.free);
  const got = ns.run(() => {
    const ports: number[] = [];
    for (;;) {
      try {
        const fd = open('127.0.0.1', 9000);
        held.push(fd);
        ports.push(localPort(fd));
      } catch (error) {
        expect((error as Errno).code).toBe('EADDRNOTAVAIL');
        return ports;
      }
    }
  });
  expect(got.sort((a, b) => a - b)).toEqual(free);
  reset(...held);
});
