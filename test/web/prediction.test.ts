/** What the switch of connection multiplexing promises. */
import { describe, expect, test } from 'vitest';
import { measuredOf, type PoolReading, predict } from '../../src/web/balancer/prediction.ts';

const reading = (over: Partial<PoolReading>): PoolReading => ({
  at: 0,
  serverConnections: 60,
  openRequests: 3,
  opened: 100,
  requests: 1000,
  clients: 60,
  usedRatio: null,
  ...over,
});

describe('connection multiplexing', () => {
  test('on, needs as many server connections as requests were under way at once', () => {
    expect(predict(true, reading({}), 7, [])).toEqual({ serverConnections: 7, usedRatio: null });
  });

  test('on, never needs more than there are clients, and at least one', () => {
    expect(predict(true, reading({ clients: 4 }), 7, [])?.serverConnections).toBe(4);
    expect(predict(true, reading({ openRequests: 0 }), 0, [])?.serverConnections).toBe(1);
  });

  test('off, needs one for each client', () => {
    expect(predict(false, reading({ serverConnections: 7 }), 7, [])?.serverConnections).toBe(60);
  });

  test('is not predicted from nothing', () => {
    expect(predict(true, undefined, 0, [])).toBeNull();
  });

  test('is measured as rates over the readings since, and not from a counter that began anew', () => {
    expect(measuredOf([])).toBeNull();
    expect(measuredOf([reading({})])?.openRate).toBeNull();
    const later = reading({ at: 2000, opened: 110, requests: 1300, serverConnections: 8 });
    expect(measuredOf([reading({}), later])).toEqual({ serverConnections: 8, openRate: 5, requestRate: 150, usedRatio: null });
    expect(measuredOf([reading({}), reading({ at: 2000, opened: 3 })])?.openRate).toBeNull();
  });
});
