/**
 * The reference pages follow from the definitions. `npx vitest run test/balancer/configuration -u` writes them anew; without -u
 * a page that is out of date fails.
 */

import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { z } from 'zod';
import { configurationSchema, hostWarnings, parseConfiguration } from '../../../src/balancer/configuration/index.ts';
import { example, least } from './example.ts';
import { configurationReference } from './reference.ts';

const docs = '../../../docs/reference';

test('docs/reference/plimsoll.schema.json is the schema of the definitions', async () => {
  await expect(`${JSON.stringify(configurationSchema, null, 2)}\n`).toMatchFileSnapshot(`${docs}/plimsoll.schema.json`);
});

test('docs/reference/configuration.md lists every field with its default', async () => {
  await expect(configurationReference()).toMatchFileSnapshot(`${docs}/configuration.md`);
});

describe('the schema, as another implementation of JSON Schema reads it,', () => {
  const schema = z.fromJSONSchema(JSON.parse(JSON.stringify(configurationSchema)));
  const accepts = (text: string): boolean => schema.safeParse(parse(text)).success;

  test.each([example, least])('accepts what we accept', (text) => {
    expect(parseConfiguration(text).mistakes).toEqual([]);
    expect(accepts(text)).toBe(true);
  });

  test.each([
    ['version: 1', 'version: 2'],
    ['type: http', 'type: htp'],
    ['pools:', 'pool:'],
    ['weight: 2', 'weight: 0'],
    ['client_idle_timeout: 60s', 'client_idle_timeout: 60'],
    ['client_idle_timeout: 60s', 'client_idle_timeout: soon'],
    ['[200-399]', '[20]'],
    ['queue: { depth: 1024', 'queue: { deep: 1024'],
    ['name: one, address', 'address'],
  ])('refuses %s → %s, as we do', (from, to) => {
    const text = example.replace(from, to);
    expect(text).not.toBe(example);
    expect(parseConfiguration(text).configuration).toBeNull();
    expect(accepts(text)).toBe(false);
  });
});

describe('a SNAT pool on a host', () => {
  const pool = { ...parseConfiguration(example).configuration!.snat_pools[0]!, addresses: ['10.0.0.5', '10.0.0.6'] };
  const host = { automatic: { low: 32768, high: 60999 }, reserved: [], addresses: ['127.0.0.1', '10.0.0.5', '10.0.0.6'] };

  test('that has its addresses and chooses other ports by itself has nothing to be warned of', () => {
    expect(hostWarnings(pool, host)).toEqual([]);
  });

  test('whose automatic range holds its ports is warned, with the setting that ends it', () => {
    const [warning] = hostWarnings(pool, { ...host, automatic: { low: 32000, high: 61999 }, reserved: [{ low: 32100, high: 32200 }] });
    expect(warning).toContain('ports 32000-32099,32201-32767,61000-61999 lie inside');
    expect(warning).toContain('net.ipv4.ip_local_reserved_ports=32100-32200,32000-32099,32201-32767,61000-61999');
  });

  test('that reserved its ports has nothing to be warned of', () => {
    expect(hostWarnings(pool, { ...host, automatic: { low: 32000, high: 60999 }, reserved: [{ low: 32000, high: 32767 }] })).toEqual([]);
  });

  test('that lacks an address is told which', () => {
    expect(hostWarnings(pool, { ...host, addresses: ['10.0.0.5'] })).toEqual(['not on this host: 10.0.0.6']);
    expect(hostWarnings(pool, { ...host, addresses: null })).toEqual([]);
  });
});
