/** The algorithms as functions, and the lending of ports between processes, against arithmetic done another way. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Queue, type Queued } from '../../src/balancer/embedded/pool/queue.ts';
import { type Candidate, consistentHash, hashText, leastConnections, roundRobin } from '../../src/balancer/embedded/pool/selection.ts';
import { Lending } from '../../src/balancer/processes/lending.ts';
import { type PortBlock, PortLedger } from '../../src/core/port-ledger.ts';

const candidates = fc.array(
  fc.record({
    weight: fc.integer({ min: 1, max: 10 }),
    load: fc.nat(50),
    available: fc.boolean(),
    hash: fc.integer({ min: 0, max: 0xffffffff }),
  }),
  { minLength: 1, maxLength: 8 },
);

describe('selection', () => {
  test('never chooses one that is not available, and chooses one if there is one', () => {
    fc.assert(
      fc.property(candidates, fc.nat(20), fc.nat(0xffffffff), (servers, last, key) => {
        const any = servers.some((s) => s.available);
        for (const chosen of [leastConnections(servers, last - 1), consistentHash(servers, key), roundRobin(servers, [])]) {
          expect(chosen >= 0).toBe(any);
          if (any) expect(servers[chosen]!.available).toBe(true);
        }
      }),
    );
  });

  test('least_connections chooses the lowest load for its weight', () => {
    fc.assert(
      fc.property(candidates, fc.nat(20), (servers, last) => {
        const chosen = servers[leastConnections(servers, last)];
        if (chosen === undefined) return;
        const best = Math.min(...servers.filter((s) => s.available).map((s) => (s.load + 1) / s.weight));
        expect((chosen.load + 1) / chosen.weight).toBe(best);
      }),
    );
  });

  test('round_robin gives each exactly its weight in every round of the sum', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 10 }), { minLength: 1, maxLength: 6 }), (weights) => {
        const servers: Candidate[] = weights.map((weight, i) => ({ weight, load: 0, available: true, hash: i }));
        const credit: number[] = [];
        const sum = weights.reduce((a, b) => a + b, 0);
        const hits = weights.map(() => 0);
        for (let i = 0; i < sum * 3; i++) hits[roundRobin(servers, credit)]!++;
        expect(hits).toEqual(weights.map((w) => 3 * w));
      }),
    );
  });

  test('consistent_hash spreads by weight, and a server that leaves moves only its own clients', () => {
    const servers = [1, 1, 2].map((weight, i): { -readonly [K in keyof Candidate]: Candidate[K] } => ({
      weight,
      load: 0,
      available: true,
      hash: hashText(`10.0.0.${i}:80`),
    }));
    const keys = Array.from({ length: 20_000 }, (_, i) => hashText(`10.${i >> 8}.${i & 255}.7`));
    const before = keys.map((key) => consistentHash(servers, key));
    const share = (i: number): number => before.filter((chosen) => chosen === i).length / keys.length;
    expect(share(0)).toBeCloseTo(0.25, 1);
    expect(share(2)).toBeCloseTo(0.5, 1);
    servers[1]!.available = false;
    for (const [i, key] of keys.entries()) {
      const after = consistentHash(servers, key);
      if (before[i] !== 1) expect(after).toBe(before[i]);
      else expect(after).not.toBe(1);
    }
  });
});

test('a queue keeps its order through members that leave', () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.constantFrom('push', 'unshift', 'leave', 'serve'), fc.nat(20)), { maxLength: 200 }), (steps) => {
      const queue = new Queue<Queued & { readonly id: number }>();
      const model: (Queued & { readonly id: number })[] = [];
      for (const [n, [step, pick]] of steps.entries()) {
        const item = { id: n, queueNext: null, queuePrevious: null, inQueue: false, queuedAt: 0 };
        if (step === 'push') {
          queue.push(item);
          model.push(item);
        } else if (step === 'unshift') {
          queue.unshift(item);
          model.unshift(item);
        } else if (model.length > 0) {
          const at = step === 'serve' ? 0 : pick % model.length;
          if (step === 'serve') expect(queue.first).toBe(model[0]);
          queue.remove(model[at]!);
          queue.remove(model[at]!);
          model.splice(at, 1);
        }
        expect(queue.length).toBe(model.length);
        expect(queue.first).toBe(model[0] ?? null);
      }
    }),
  );
});

test('ports lent to workers are never in two places, come back, and reach whoever waits, with fewer ports than workers too', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 12 }),
      fc.integer({ min: 1, max: 5 }),
      fc.array(fc.tuple(fc.constantFrom('want', 'return', 'die'), fc.nat(4), fc.nat(20)), { maxLength: 120 }),
      (ports, workers, steps) => {
        const ledger = new PortLedger({
          addresses: ['10.0.0.1'],
          ports: [{ low: 2000, high: 1999 + ports }],
          monitorPorts: 0,
          cooldown: { fin: 1, rst: 1, half_open: 1 },
        });
        const lending = new Lending(ledger, '');
        const server = '10.0.1.1:80';
        const held = Array.from({ length: workers }, (): number[] => []);
        const waiting = new Set<number>();
        const take = (worker: number, block: PortBlock): void => {
          for (const port of block.ports) {
            expect(held.some((h) => h.includes(port))).toBe(false);
            held[worker]!.push(port);
          }
          if (block.ports.length > 0) waiting.delete(worker);
        };
        let now = 0;
        for (const [step, who, which] of steps) {
          now += 0.05;
          const worker = who % workers;
          if (step === 'want') {
            const block = lending.want(worker, server, workers, now);
            if (block === null) waiting.add(worker);
            else take(worker, block);
          } else if (step === 'return') {
            const mine = held[worker]!;
            if (mine.length === 0) continue;
            const [port] = mine.splice(which % mine.length, 1);
            const next = lending.returned(worker, { address: '10.0.0.1', server, ports: [port!] }, 'we_closed', now);
            if (waiting.size > 0) expect(next).not.toBeNull();
            if (next !== null) take(next.worker, next.block);
          } else {
            held[worker] = [];
            waiting.delete(worker);
            for (const next of lending.died(worker, now)) take(next.worker, next.block);
          }
          const out = held.reduce((sum, h) => sum + h.length, 0);
          const space = ledger.stats(now).find((s) => s.server === server);
          if (space !== undefined) expect(space.lent).toBe(out);
          expect(out).toBeLessThanOrEqual(ports);
        }
      },
    ),
  );
});
