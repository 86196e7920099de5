import { expect } from 'vitest';
import { kernelTest } from '../../support/netns.ts';
import { timeWait } from './time-wait.ts';

kernelTest(
  'servers that close first: 200 connections a second reuse 64 ports early, and 320 not at all, after addresses were added live',
  async () => {
    const run = await timeWait(200, 4);
    expect(run.statuses).toEqual([{ '200': 800 }, { '200': 200 }, { '200': 800 }]);
    expect(run.opened, 'a connection each').toBeGreaterThanOrEqual(1800);
    // 800 connections, of which the first 64 and one cool-down's worth each second found a rested port.
    expect(run.early[0]).toBeGreaterThan(400);
    expect(run.early[1]).toBe(0);
    expect(run.addresses).toBe(5);
  },
  60_000,
);
