/** The ledger against a reference that keeps every port as a record and searches them all. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Ending } from '../../src/core/cooling-ports.ts';
import { type Lease, PortLedger } from '../../src/core/port-ledger.ts';
import type { PortRange } from '../../src/core/port-range.ts';

const cooldown = { fin: 65, rst: 16, half_open: 30 };
const heldRetry = 60;
const restOf: Readonly<Record<Ending | 'held', number>> = { we_closed: 0, ...cooldown, refused: 0, held: heldRetry };

interface Port {
  out: boolean;
  ending: Ending | 'held' | 'never';
  /** Seconds; -Infinity if never used. */
  released: number;
}

const fresh = (): Port => ({ out: false, ending: 'never', released: Number.NEGATIVE_INFINITY });

/** One naive record per (address, server, port). */
class Reference {
  readonly ports = new Map<string, Port>();
  readonly numbers: readonly number[];
  private readonly held: number;

  constructor(numbers: readonly number[]) {
    this.numbers = numbers;
    this.held = heldRetry;
  }

  port(address: string, server: string, number: number): Port {
    const key = `${address} ${server} ${number}`;
    let port = this.ports.get(key);
    if (port === undefined) {
      port = fresh();
      this.ports.set(key, port);
    }
    return port;
  }

  isFree(port: Port, now: number): boolean {
    return !port.out && (port.ending === 'never' || now >= port.released + (port.ending === 'held' ? this.held : restOf[port.ending]));
  }

  sound(address: string, server: string, now: number): readonly Port[] {
    return this.free(address, server, now).filter((p) => p.ending !== 'refused');
  }

  free(address: string, server: string, now: number): readonly Port[] {
    return this.numbers.map((n) => this.port(address, server, n)).filter((p) => this.isFree(p, now));
  }

  cooling(address: string, server: string, now: number): readonly Port[] {
    return this.numbers.map((n) => this.port(address, server, n)).filter((p) => !p.out && p.ending !== 'held' && !this.isFree(p, now));
  }
}

type Step =
  | { readonly kind: 'acquire' | 'early'; readonly server: number }
  | { readonly kind: 'monitor'; readonly server: number }
  | { readonly kind: 'release'; readonly which: number; readonly ending: Ending }
  | { readonly kind: 'hold'; readonly which: number }
  | { readonly kind: 'drain'; readonly address: number }
  | { readonly kind: 'add'; readonly address: number }
  | { readonly kind: 'restart'; readonly seconds: number }
  | { readonly kind: 'wait'; readonly seconds: number };

const addressNames = ['10.0.0.5', '10.0.0.6', '2001:db8::7'];
const serverNames = ['10.0.1.11:80', '10.0.1.12:80'];
const endings: readonly Ending[] = ['we_closed', 'fin', 'rst', 'half_open', 'refused'];
const anyStep: fc.Arbitrary<Step> = fc.oneof(
  { weight: 6, arbitrary: fc.record({ kind: fc.constantFrom('acquire', 'early'), server: fc.nat(1) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('monitor' as const), server: fc.nat(1) }) },
  { weight: 5, arbitrary: fc.record({ kind: fc.constant('release' as const), which: fc.nat(), ending: fc.constantFrom(...endings) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('hold' as const), which: fc.nat() }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constantFrom('drain', 'add'), address: fc.nat(2) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('restart' as const), seconds: fc.constantFrom(0, 0.25, 20, 61) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('wait' as const), seconds: fc.constantFrom(0.5, 15, 16, 29, 31, 64, 66, 3600) }) },
);
const anyRanges: fc.Arbitrary<readonly PortRange[]> = fc.constantFrom<readonly PortRange[]>(
  [{ low: 1024, high: 1027 }],
  [{ low: 65533, high: 65535 }],
  [{ low: 1, high: 3 }],
  [
    { low: 1024, high: 1025 },
    { low: 61000, high: 61001 },
    { low: 65535, high: 65535 },
  ],
  [
    { low: 5000, high: 5003 },
    { low: 5002, high: 5005 },
  ],
);

const numbersOf = (ranges: readonly PortRange[]): number[] => {
  const numbers = new Set<number>();
  for (const { low, high } of ranges) for (let port = low; port <= high; port++) numbers.add(port);
  return [...numbers].sort((a, b) => a - b);
};

describe('the ledger does what a search over all ports would do', () => {
  test('for any order of connections, endings, foreign holders, address changes and pauses', () => {
    fc.assert(
      fc.property(anyRanges, fc.nat(2), fc.array(anyStep, { maxLength: 120, size: 'max' }), (ranges, monitorPorts, steps) => {
        const numbers = numbersOf(ranges);
        const traffic = numbers.slice(0, numbers.length - monitorPorts);
        const monitors = new Set(numbers.slice(numbers.length - monitorPorts));
        const reference = new Reference(traffic);
        let ledger = new PortLedger({ addresses: addressNames.slice(0, 2), ports: ranges, monitorPorts, cooldown, heldRetry });
        const active = new Set(addressNames.slice(0, 2));
        const leases: Lease[] = [];
        const monitorsHeld = new Map<string, number>();
        let now = 1000;

        const checkTaken = (lease: Lease, server: string): void => {
          expect(traffic).toContain(lease.port);
          expect(active).toContain(lease.address);
          const port = reference.port(lease.address, server, lease.port);
          expect(port.out, 'two leases of one 4-tuple').toBe(false);
          expect(reference.isFree(port, now)).toBe(!lease.early);
          const rivals = lease.early
            ? [...active].flatMap((a) => reference.cooling(a, server, now))
            : port.ending === 'refused'
              ? reference.free(lease.address, server, now)
              : reference.sound(lease.address, server, now);
          if (port.ending === 'refused' && !lease.early)
            for (const a of active) expect(reference.sound(a, server, now), 'a refused port last').toHaveLength(0);
          for (const rival of rivals) expect(rival.released, 'farthest reuse first').toBeGreaterThanOrEqual(port.released);
          port.out = true;
          leases.push(lease);
        };

        for (const step of steps) {
          if (step.kind === 'wait') now += step.seconds;
          else if (step.kind === 'restart') {
            const known = ledger.remember(now);
            // The process is gone, and its connections with it; what its address list said, the next one is told by the file.
            for (const [key, port] of reference.ports) {
              if (!active.has(key.split(' ')[0]!)) reference.ports.delete(key);
              const cools = !port.out && ['fin', 'rst', 'half_open'].includes(port.ending) && !reference.isFree(port, now);
              if (port.out || (!cools && port.ending !== 'refused')) Object.assign(port, fresh());
            }
            leases.length = 0;
            monitorsHeld.clear();
            // Another process, another clock.
            const shift = step.seconds + 1e6;
            for (const port of reference.ports.values()) port.released += shift - step.seconds;
            now += shift;
            ledger = new PortLedger({ addresses: [...active], ports: ranges, monitorPorts, cooldown, heldRetry });
            const cooling = ledger.learn(known, step.seconds, now);
            expect(cooling).toBe(serverNames.flatMap((s) => [...active].flatMap((a) => reference.cooling(a, s, now))).length);
          } else if (step.kind === 'drain' || step.kind === 'add') {
            const address = addressNames[step.address]!;
            if (step.kind === 'drain') {
              active.delete(address);
              ledger.drainAddress(address);
            } else {
              active.add(address);
              ledger.addAddress(address);
            }
          } else if (step.kind === 'release' || step.kind === 'hold') {
            const [lease] = leases.splice(step.which % Math.max(1, leases.length), 1);
            if (lease === undefined) continue;
            const ending = step.kind === 'hold' ? 'held' : step.ending;
            if (step.kind === 'hold') ledger.hold(lease, now);
            else ledger.release(lease, step.ending, now);
            // A connection that fails twice reports twice.
            ledger.release(lease, 'we_closed', now);
            if (lease.monitor) {
              const key = `${lease.address} ${lease.server} ${lease.port}`;
              if (ending === 'held') monitorsHeld.set(key, now);
              else monitorsHeld.delete(key);
            } else {
              const port = reference.port(lease.address, lease.server, lease.port);
              port.out = false;
              port.ending = ending;
              port.released = now;
            }
          } else if (step.kind === 'monitor') {
            const server = serverNames[step.server]!;
            const lease = ledger.acquireMonitor(server, now);
            const out = leases.filter((l) => l.monitor && l.server === server && active.has(l.address)).length;
            const heldNow = [...monitorsHeld].filter(
              ([key, at]) => key.split(' ')[1] === server && active.has(key.split(' ')[0]!) && now < at + heldRetry,
            ).length;
            if (lease === null) expect(out + heldNow).toBe(active.size * monitorPorts);
            else {
              expect(monitors).toContain(lease.port);
              expect(leases.some((l) => l.monitor && l.server === server && l.address === lease.address && l.port === lease.port)).toBe(
                false,
              );
              leases.push(lease);
            }
          } else {
            const server = serverNames[step.server]!;
            const freeOf = [...active].map((a) => [a, reference.free(a, server, now).length] as const);
            const most = Math.max(0, ...freeOf.map(([, n]) => n));
            const lease = step.kind === 'acquire' ? ledger.acquire(server, now) : ledger.acquireEarly(server, now);
            if (lease === null) {
              expect(most).toBe(0);
              if (step.kind === 'early') for (const a of active) expect(reference.cooling(a, server, now)).toHaveLength(0);
            } else {
              expect(lease.early).toBe(most === 0);
              if (!lease.early) {
                const sound = [...active].map((a) => reference.sound(a, server, now).length);
                const mine = reference.sound(lease.address, server, now).length;
                if (Math.max(...sound) > 0) expect(mine, 'most free ports').toBe(Math.max(...sound));
                else expect(freeOf.find(([a]) => a === lease.address)![1], 'most free ports').toBe(most);
              }
              checkTaken(lease, server);
            }
          }
          for (const row of ledger.stats(now)) {
            expect(row.used + row.free + row.cooling + row.held_by_others + row.lent, 'ports are conserved').toBe(traffic.length);
            expect(row.free).toBe(reference.free(row.address, row.server, now).length);
            expect(row.cooling).toBe(reference.cooling(row.address, row.server, now).length);
            expect(row.monitor_ports).toBe(monitorPorts);
          }
        }
      }),
      { numRuns: 300 },
    );
  });

  test('no cool-down is cut short by rounding, for times that are no whole milliseconds', () => {
    fc.assert(
      fc.property(
        fc.double({ min: 0, max: 1e7, noNaN: true }),
        fc.double({ min: -0.006, max: 0.006, noNaN: true }),
        fc.constantFrom<Ending>('fin', 'rst', 'half_open'),
        // Half of them over a restart: after this many seconds, for this many, to a clock that says this.
        fc.option(fc.record({ after: fc.double({ min: 0, max: 1, noNaN: true }), since: fc.double({ min: 0, max: 1, noNaN: true }) })),
        fc.double({ min: 0, max: 1e7, noNaN: true }),
        (start, beside, ending, restart, clock) => {
          const made = (): PortLedger =>
            new PortLedger({
              addresses: ['10.0.0.5'],
              ports: [{ low: 7, high: 7 }],
              monitorPorts: 0,
              cooldown: { fin: 9, rst: 3, half_open: 6 },
            });
          let ledger = made();
          ledger.release(ledger.acquire('s:1', start)!, ending, start);
          const rest = { fin: 9, rst: 3, half_open: 6 }[ending as 'fin'];
          let began = start;
          if (restart !== null) {
            const known = ledger.remember(start + restart.after);
            ledger = made();
            ledger.learn(known, restart.since, clock);
            began = clock - restart.after - restart.since;
          }
          const now = began + rest + beside;
          const got = ledger.acquire('s:1', now);
          // Doubles of this size are exact to a few nanoseconds; each rounding costs up to a millisecond.
          if (now - began < rest - (restart === null ? 0 : 1e-7)) expect(got).toBeNull();
          else if (now - began > rest + (restart === null ? 0.002 : 0.0045)) expect(got).not.toBeNull();
        },
      ),
      { numRuns: 2000 },
    );
  });
});

describe('workers', () => {
  test('a port is in one place only, whatever is lent, used, given back or lost with a worker', () => {
    const anyMove = fc.record({
      kind: fc.constantFrom('lend', 'use', 'end', 'giveBack', 'die', 'direct'),
      worker: fc.nat(2),
      count: fc.integer({ min: 1, max: 3 }),
      ending: fc.constantFrom(...endings),
    });
    fc.assert(
      fc.property(fc.array(anyMove, { maxLength: 80, size: 'max' }), (moves) => {
        const options = { ports: [{ low: 65530, high: 65535 }], monitorPorts: 1, cooldown };
        const parent = new PortLedger({ ...options, addresses: ['10.0.0.5', '10.0.0.6'] });
        const fresh = () => ({
          ledger: new PortLedger({ ...options, addresses: [], owner: false }),
          leases: [] as Lease[],
          owns: new Map<string, Set<number>>(),
        });
        const workers = [fresh(), fresh(), fresh()];
        const direct: Lease[] = [];
        const server = '10.0.1.11:80';
        let now = 5;
        for (const move of moves) {
          now += 1;
          const worker = workers[move.worker]!;
          if (move.kind === 'lend') {
            const block = parent.lend(server, null, move.count, now);
            if (block === null) continue;
            expect(block.ports.length).toBeGreaterThan(0);
            expect(block.ports.length).toBeLessThanOrEqual(move.count);
            worker.ledger.borrow(block, now);
            const mine = worker.owns.get(block.address) ?? new Set();
            for (const port of block.ports) mine.add(port);
            worker.owns.set(block.address, mine);
          } else if (move.kind === 'use') {
            const lease = worker.ledger.acquire(server, now);
            if (lease) worker.leases.push(lease);
          } else if (move.kind === 'end') {
            const lease = worker.leases.pop();
            if (lease) worker.ledger.release(lease, move.ending, now);
          } else if (move.kind === 'giveBack') {
            for (const block of worker.ledger.giveBack(server, move.count, now)) {
              for (const port of block.ports) expect(worker.owns.get(block.address)!.delete(port)).toBe(true);
              parent.takeBack(block, now, 'we_closed');
            }
          } else if (move.kind === 'die') {
            for (const [address, ports] of worker.owns) parent.takeBack({ address, server, ports: [...ports] }, now);
            workers[move.worker] = fresh();
          } else {
            const lease = parent.acquire(server, now);
            if (lease) direct.push(lease);
          }
          const seen = new Set<string>();
          for (const lease of [...direct, ...workers.flatMap((w) => w.leases)]) {
            const key = `${lease.address}:${lease.port}`;
            expect(seen.has(key), `${key} leased twice`).toBe(false);
            seen.add(key);
          }
          const owned = workers.reduce((sum, w) => sum + [...w.owns.values()].reduce((n, p) => n + p.size, 0), 0);
          const rows = parent.stats(now);
          expect(rows.reduce((sum, r) => sum + r.lent, 0)).toBe(owned);
          for (const row of rows) expect(row.used + row.free + row.cooling + row.held_by_others + row.lent).toBe(5);
          for (const w of workers)
            for (const row of w.ledger.stats(now)) {
              expect(row.used + row.free + row.cooling).toBe(w.owns.get(row.address)?.size ?? 0);
              expect(row.monitor_ports).toBe(0);
            }
        }
      }),
      { numRuns: 400 },
    );
  });
});

describe('one story each', () => {
  const ledger = (ports: readonly PortRange[], monitorPorts = 0): PortLedger =>
    new PortLedger({ addresses: ['10.0.0.5'], ports, monitorPorts, cooldown });

  test('all ports up to 65535 are given out once before any is used again', () => {
    const whole = ledger([{ low: 1024, high: 65535 }]);
    const seen = new Set<number>();
    for (let i = 0; i < 64512; i++) {
      const lease = whole.acquire('10.0.1.11:80', i)!;
      expect(lease.port >= 1024 && lease.port <= 65535 && !seen.has(lease.port)).toBe(true);
      seen.add(lease.port);
      whole.release(lease, 'we_closed', i);
    }
    expect(seen.size).toBe(64512);
    expect(whole.acquire('10.0.1.11:80', 64512)!.port).toBe(1024);
  });

  test('the same port serves every server and every address', () => {
    const two = new PortLedger({ addresses: ['10.0.0.5', '10.0.0.6'], ports: [{ low: 9, high: 9 }], monitorPorts: 0, cooldown });
    const leases = ['10.0.1.11:80', '10.0.1.12:80'].flatMap((s) => [two.acquire(s, 0), two.acquire(s, 0), two.acquire(s, 0)]);
    expect(leases.map((l) => l && `${l.address} ${l.server}`)).toEqual([
      '10.0.0.5 10.0.1.11:80',
      '10.0.0.6 10.0.1.11:80',
      null,
      '10.0.0.5 10.0.1.12:80',
      '10.0.0.6 10.0.1.12:80',
      null,
    ]);
  });

  test('when we closed first the port is usable at once, but after all others', () => {
    const three = ledger([{ low: 1, high: 3 }]);
    const first = three.acquire('s:1', 0)!;
    three.release(first, 'we_closed', 0.0004);
    expect([0, 1, 2].map(() => three.acquire('s:1', 0.0004)!.port)).toEqual([2, 3, first.port]);
  });

  test('a cooling port is an early reuse, a port of somebody else is not taken early', () => {
    const two = ledger([{ low: 1, high: 2 }]);
    const [a, b] = [two.acquire('s:1', 0)!, two.acquire('s:1', 0)!];
    two.release(a, 'fin', 10);
    two.hold(b, 0);
    expect(two.acquire('s:1', 20)).toBeNull();
    expect(two.acquireEarly('s:1', 20)).toMatchObject({ port: 1, early: true });
    expect(two.acquireEarly('s:1', 20)).toBeNull();
    expect(two.stats(20)).toMatchObject([{ used: 1, free: 0, cooling: 0, held_by_others: 1, early_reuses: 1, misses: 1 }]);
    expect(two.acquireEarly('s:1', 60)).toMatchObject({ port: 2, early: false });
  });

  test('an end that is reported again when somebody else has the port changes nothing', () => {
    const one = ledger([{ low: 1, high: 1 }]);
    const first = one.acquire('s:1', 0)!;
    one.release(first, 'we_closed', 0);
    const second = one.acquire('s:1', 1)!;
    one.release(first, 'we_closed', 2);
    one.hold(first, 2);
    expect(second.port).toBe(first.port);
    expect(one.stats(2)).toMatchObject([{ used: 1, free: 0, held_by_others: 0 }]);
  });

  test('a block that is taken back again, or was never lent, changes nothing', () => {
    const two = ledger([{ low: 1, high: 2 }]);
    const block = two.lend('s:1', null, 1, 0)!;
    two.acquire('s:1', 0);
    two.takeBack({ ...block, ports: [1, 2, 3] }, 1, 'we_closed');
    two.takeBack(block, 1);
    expect(two.stats(1)).toMatchObject([{ used: 1, free: 1, cooling: 0, lent: 0 }]);
  });

  test('of the free ports the one whose connection ended first is next, however it ended', () => {
    const four = ledger([{ low: 1, high: 4 }]);
    const leases = [1, 2, 3, 4].map(() => four.acquire('s:1', 0)!);
    const order: readonly Ending[] = ['half_open', 'fin', 'we_closed', 'rst'];
    for (const [i, ending] of order.entries()) four.release(leases[i]!, ending, i);
    expect(order.map(() => four.acquire('s:1', 100)!.port)).toEqual([1, 2, 3, 4]);
  });

  test('a port that was refused is taken when no other is free, by traffic and by monitors', () => {
    const six = ledger([{ low: 1, high: 6 }], 3);
    six.release(six.acquire('s:1', 0)!, 'refused', 0);
    six.release(six.acquireMonitor('s:1', 0)!, 'refused', 0);
    for (let i = 1; i < 9; i++) {
      const leases = [six.acquire('s:1', i)!, six.acquireMonitor('s:1', i)!];
      expect([1, 4]).not.toContain(leases[0]!.port);
      expect([1, 4]).not.toContain(leases[1]!.port);
      for (const lease of leases) six.release(lease, 'we_closed', i);
    }
    expect(six.stats(9)).toMatchObject([{ free: 3, cooling: 0 }]);
    expect([1, 2, 3].map(() => six.acquire('s:1', 9)!.port).at(-1)).toBe(1);
    expect([1, 2, 3].map(() => six.acquireMonitor('s:1', 9)!.port).at(-1)).toBe(4);
  });

  test('a second opinion is asked from a port that has worked', () => {
    const five = new PortLedger({ addresses: ['10.0.0.5', '10.0.0.6'], ports: [{ low: 1, high: 5 }], monitorPorts: 2, cooldown });
    for (const take of ['acquire', 'acquireMonitor'] as const) {
      const worked = five[take]('s:1', 0)!;
      five.release(worked, 'we_closed', 1);
      five.release(five[take]('s:1', 2)!, 'refused', 2);
      expect(five[take]('s:1', 3, true)).toMatchObject({ address: worked.address, port: worked.port });
      expect(five[take]('s:1', 3, true), 'else any').not.toBeNull();
    }
  });

  test('ports of a server that refused all of them are all there when it is back', () => {
    const three = ledger([{ low: 1, high: 3 }]);
    for (let i = 0; i < 10; i++) three.release(three.acquire('s:1', i)!, 'refused', i);
    expect([1, 2, 3].map(() => three.acquire('s:1', 10)?.early)).toEqual([false, false, false]);
  });

  test('monitor ports are taken from the ports, and used again at once in turn', () => {
    const six = ledger([{ low: 1, high: 6 }], 2);
    const ports = [0, 1, 2, 3].map((i) => {
      const lease = six.acquireMonitor('s:1', i)!;
      six.release(lease, 'rst', i);
      return lease.port;
    });
    expect(ports).toEqual([5, 6, 5, 6]);
    expect([1, 2, 3, 4, 5].map(() => six.acquire('s:1', 9)?.port)).toEqual([1, 2, 3, 4, undefined]);
  });

  test('a drained address takes no new connections, keeps its cool-downs, and is forgotten when the last is over', () => {
    const two = new PortLedger({ addresses: ['10.0.0.5', '10.0.0.6'], ports: [{ low: 1, high: 1 }], monitorPorts: 0, cooldown });
    const lease = two.acquire('s:1', 0)!;
    two.drainAddress(lease.address);
    two.forget(new Set(['s:1']), 1);
    two.release(lease, 'fin', 1);
    two.forget(new Set(['s:1']), 2);
    expect(two.stats(2).find((r) => r.address === lease.address)).toMatchObject({ draining: true, cooling: 1 });
    two.addAddress(lease.address);
    expect([two.acquire('s:1', 3)?.address, two.acquire('s:1', 3)]).toEqual(['10.0.0.6', null]);
    two.drainAddress(lease.address);
    two.forget(new Set(['s:1']), 70);
    expect(two.stats(70).map((r) => r.address)).toEqual(['10.0.0.6']);
    expect(two.addresses).toEqual(['10.0.0.6']);
  });

  test('a server that comes back while its connections still end finds its ports as they were', () => {
    const two = ledger([{ low: 1, high: 2 }]);
    const lease = two.acquire('s:1', 0)!;
    two.forget(new Set(), 1);
    expect(two.acquire('s:1', 1)!.port).not.toBe(lease.port);
    expect(two.acquire('s:1', 1)).toBeNull();
  });

  test('a port that rested for months is free, not lost in a counter that wrapped', () => {
    const one = ledger([{ low: 1, high: 1 }]);
    one.release(one.acquire('s:1', 0)!, 'fin', 0);
    expect(one.acquire('s:1', 40 * 86400)).toMatchObject({ early: false });
  });

  test('it takes no more monitor ports than there are ports', () => {
    expect(() => ledger([{ low: 1, high: 2 }], 3)).toThrow(RangeError);
  });
});
