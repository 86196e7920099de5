import { expect } from 'vitest';
import { kernelTest } from '../../support/netns.ts';
import { collision } from './collision.ts';

kernelTest(
  'servers that still hold old connections on half of our ports, behind a box that resets: no false DOWN, no failed request, collisions counted',
  async () => {
    const run = await collision(5000, 5000);
    expect(run.stale).toBe(64);
    expect(run.resets, 'every stale connection was met').toBeGreaterThanOrEqual(64);
    expect(run.probes).toBeGreaterThanOrEqual(5000);
    expect(Object.keys(run.statuses)).toEqual(['200']);
    expect(run.statuses['200']).toBeGreaterThanOrEqual(5000);
    expect({ downs: run.downs, failedProbes: run.failedProbes }).toEqual({ downs: 0, failedProbes: 0 });
    expect(run.monitorCollisions, 'eight of the sixteen monitor ports of each server').toBeGreaterThanOrEqual(16);
    expect(run.collisions, 'each reset of the box counted once').toBe(run.resets);
  },
  120_000,
);
