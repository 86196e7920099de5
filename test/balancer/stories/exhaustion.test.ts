import { describe, expect } from 'vitest';
import { kernelTest } from '../../support/netns.ts';
import { type Exhaustion, exhaustion } from './exhaustion.ts';

const calm = (run: Exhaustion): void => {
  expect(run.statuses).toEqual({ '200': 14 });
  expect(run.downs).toBe(0);
  expect(run.logLines).toBeLessThanOrEqual(2);
  expect(run.recovery).toBeLessThan(1);
  expect(run.failedAfter).toBe(0);
  expect(run.causes.length).toBeGreaterThan(0);
  expect(run.causes.filter((cause) => cause !== 'local')).toEqual([]);
};

describe('with fewer source ports than requests', () => {
  kernelTest(
    'ours answers all of them and blames no server, on ports of its own',
    async () => calm(await exhaustion('plimsoll', 'proxy')),
    60_000,
  );
  kernelTest(
    "ours answers all of them and blames no server, on the kernel's choice",
    async () => calm(await exhaustion('plimsoll', 'kernel')),
    60_000,
  );

  kernelTest(
    'ours answers all of them and blames no server, with more worker processes than ports',
    async () => calm(await exhaustion('plimsoll', 'proxy', ['--workers', '5'])),
    60_000,
  );

  // Why this product exists. If a new version of either no longer fails here, the table in the guide must say so.
  for (const product of ['haproxy', 'nginx'] as const)
    for (const chooser of ['proxy', 'kernel'] as const)
      kernelTest(
        `${product} fails requests and takes healthy servers out of service (${chooser} chooses the port)`,
        async () => {
          const run = await exhaustion(product, chooser);
          expect(run.statuses['200'] ?? 0).toBeLessThan(14);
          expect(run.downs).toBeGreaterThan(0);
        },
        60_000,
      );
});
