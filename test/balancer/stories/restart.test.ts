import { describe, expect } from 'vitest';
import { kernelTest } from '../../support/netns.ts';
import { type RestartOptions, restart } from './restart.ts';

const plenty: RestartOptions = { workers: 1, signal: 'SIGTERM', ports: ['20000-20399', '20000-20399'], requests: [120, 120] };

describe.concurrent('a balancer that is restarted while its servers hold TIME_WAIT', () => {
  kernelTest(
    'meets what they hold if it has forgotten its ports: this is what the others are measured by',
    async () => {
      const run = await restart({ ...plenty, forgetful: true });
      expect(run.held).toBeGreaterThan(60);
      expect(run.collisions).toBeGreaterThan(run.held / 2);
    },
    120_000,
  );

  for (const [name, change] of [
    ['stopped and started again', {}],
    ['killed and started again', { signal: 'SIGKILL' }],
    ['stopped and started again with two workers', { workers: 2 }],
    ['stopped and started again with other ports', { ports: ['20000-20399', '19990-20300'] }],
  ] as const satisfies readonly (readonly [string, Partial<RestartOptions>])[]) {
    kernelTest(
      `${name}, meets none of it`,
      async () => {
        const run = await restart({ ...plenty, ...change });
        // Whose FIN was first is a race now and then; most are the servers'.
        expect(run.held).toBeGreaterThan(60);
        expect(run.collisions).toBe(0);
        expect(run.statuses).toEqual({ '200': 120 });
        expect(run.early).toBe(0);
        expect(run.said).toMatch(/\d+ source ports still cool from before/);
      },
      120_000,
    );
  }

  kernelTest(
    'with fewer ports than requests, uses the ones that have cooled longest and says so',
    async () => {
      const run = await restart({ ...plenty, refuses: false, ports: ['20000-20149', '20000-20149'] });
      // 30 had never been used. The rest is early, and a Linux server takes it.
      expect(run.statuses).toEqual({ '200': 120 });
      expect(run.early).toBeGreaterThan(60);
      expect(run.collisions).toBeGreaterThan(0);
    },
    120_000,
  );
});
