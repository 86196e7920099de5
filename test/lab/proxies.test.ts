/** The stories with a proxy of the incident in them. */
import { expect } from 'vitest';
import { story, toldBy } from './scenarios.ts';

story('idle-one-to-one', 'idle clients take every port and both servers, and share 64 connections afterwards', (row, document) => {
  const [refusedBefore, refusedAfter] = row('clients that were refused') as number[];
  expect(refusedBefore).toBeGreaterThan(0);
  expect(refusedAfter).toBe(0);
  const [downsBefore, downsAfter] = row('healthy servers taken out of service') as number[];
  expect(downsBefore).toBeGreaterThanOrEqual(2);
  expect(downsAfter).toBe(0);
  expect(toldBy(document, 'plimsoll doctor')).toContain('connections_at_once');
});

story('time-wait-churn', 'HAProxy runs out, later with a wider range, and not with reuse or multiplexing', (row, document) => {
  const failed = row('failed') as number[];
  expect(failed[0]).toBe(250);
  expect(failed[1]).toBeGreaterThan(0);
  expect(failed.slice(2)).toEqual([0, 0]);
  expect((row('server connections made') as number[])[3]).toBeLessThan(250);
  expect(toldBy(document, 'plimsoll doctor')).toContain('time_wait_churn');
});

story(
  'single-snat-address',
  'the first port repeats at the same count in three runs, and five times later with five addresses',
  (row, document) => {
    expect(document.predictions.find((p) => p.key === 'one_address')!.runs).toHaveLength(3);
    const resent = row('SYNs that had to be sent again') as number[];
    const repeats = row('connections on repeated ports') as number[];
    expect(repeats[0]).toBeGreaterThan(0);
    expect(resent[0]).toBeGreaterThan(0);
    expect([repeats[2], resent[2]]).toEqual([0, 0]);
    expect((row('requests that failed') as number[])[1]).toBeGreaterThan(40);
    const kinds = toldBy(document, 'plimsoll explain');
    expect(kinds.some((k) => ['paws_rejected', 'syn_on_time_wait', 'port_reused_early'].includes(k))).toBe(true);
  },
);
