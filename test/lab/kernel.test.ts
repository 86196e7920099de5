/** The stories of the kernel and of the boxes in between. */
import { expect } from 'vitest';
import { story, toldBy } from './scenarios.ts';

story('handshake-collision', 'half of the SYNs are reset and healthy servers go down, and stay up afterwards', (row, document) => {
  const [before, after] = row('healthy servers taken out of service') as number[];
  expect(before).toBeGreaterThan(2);
  expect(after).toBe(0);
  expect((row('requests that failed') as number[])[1]).toBe(0);
  expect((row('collisions recognised as such') as number[])[1]).toBeGreaterThan(0);
  expect(toldBy(document, 'plimsoll explain')).toEqual(expect.arrayContaining(['syn_on_established', 'syn_on_half_closed']));
});

story('conntrack-snat', 'the box loses SYNs from 95 %, and none with a second address', (row, document) => {
  const dropped = row('SYNs the box dropped (insert_failed)') as number[];
  expect(dropped[0]).toBeGreaterThan(0);
  expect(dropped[1]).toBe(0);
  expect(document.predictions[0]!.runs).toHaveLength(4);
  expect(toldBy(document, 'plimsoll doctor')).toContain('snat_ports_short');
});

story('shared-bind', 'ten destinations share the ports of one until they are named', (row, document) => {
  expect(row('what failed')[0]).toBe('EADDRINUSE connect');
  expect(row('what failed')[2]).toBe('EADDRNOTAVAIL connect');
  expect(toldBy(document, 'plimsoll doctor')).toContain('shared_bind_pool');
});

story('close-wait-leak', 'the doctor names it before the first failure, and a restart changes nothing', (row, document) => {
  const [leaked, again, mended] = row('connections until the first failure');
  expect([leaked, again, mended]).toEqual([400, 400, null]);
  const [named] = row('the doctor named it with ports in use') as number[];
  expect(named).toBeLessThan(400);
  expect(toldBy(document, 'plimsoll doctor')).toContain('close_wait_leak');
});
