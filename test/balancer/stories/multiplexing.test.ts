import { expect } from 'vitest';
import { kernelTest } from '../../support/netns.ts';
import { multiplexing } from './multiplexing.ts';

for (const workers of [1, 2])
  kernelTest(
    `5,000 idle clients hold 5,000 server connections one-to-one, and at most 32 once multiplexing is on, with the same answers (workers: ${workers})`,
    async () => {
      const run = await multiplexing(5000, ['--workers', String(workers)]);
      expect(run.failed).toBe(0);
      expect(run.answers).toEqual([['200 hello /same\n'], ['200 hello /same\n']]);
      expect(run.oneToOne).toBe(5000);
      expect(run.multiplexed).toBeGreaterThan(0);
      expect(run.multiplexed).toBeLessThanOrEqual(32);
    },
    90_000,
  );
