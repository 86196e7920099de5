import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import type { BalancerState } from '../../../src/balancer/engine.ts';
import { showDocument, showRequest, showTables } from '../../../src/balancer/show/index.ts';
import { safe } from '../../../src/cli/terminal.ts';
import { state } from './state.ts';

const shown = (words: string, of: BalancerState = state): string => showTables(of, showRequest(words.split(' ')), safe);

/** What the shell prints for `words | filter`. */
const piped = (words: string, filter: string): readonly string[] => {
  const { stdout, status } = spawnSync('sh', ['-c', filter], { input: shown(words), encoding: 'utf8' });
  expect(status).toBe(0);
  return stdout.trimEnd().split('\n');
};

test('a virtual service is the two-column table of the design, to the letter', () => {
  expect(shown('virtualservice web').split('\n').slice(0, 10)).toEqual([
    '+-----------------------------+--------------------------------------+',
    '| Field                       | Value                                |',
    '+-----------------------------+--------------------------------------+',
    '| name                        | web                                  |',
    '| oper_status                 |                                      |',
    '|   state                     | OPER_UP                              |',
    '|   reason                    | 1 of 2 servers up                    |',
    '|   last_changed_time         | 2026-11-20T10:15:03Z                 |',
    '| open_conns                  | 812                                  |',
    '| open_requests               | 17                                   |',
  ]);
});

describe('the pipelines of the article', () => {
  test('on a virtual service print state, connections, requests and drops, and nothing else', () => {
    expect(piped('virtualservice web detail', 'grep -E "state|open_conns|open_requests|connections_dropped"')).toEqual([
      '|   state                     | OPER_UP                              |',
      '| open_conns                  | 812                                  |',
      '| open_requests               | 17                                   |',
      '| connections_dropped         | 0                                    |',
    ]);
  });

  test('on the servers of a pool print one framed block for each server', () => {
    const block = (ip: string, is: string): readonly string[] => [
      '+',
      '+',
      `ip_addr ${ip}`,
      'se_uuid lb1:4711',
      `state ${is}`,
      'open_conns 3',
      '+',
    ];
    const printed = piped('pool web server detail', 'grep -E "(\\+--|ip_addr|se_uuid|open_conns|state)"');
    expect(printed.map((line) => line.replace(/[-|+\s]+/g, ' ').trim() || '+')).toEqual([
      ...block('10.0.1.11', 'OPER_UP'),
      ...block('10.0.1.12', 'OPER_DOWN'),
    ]);
  });
});

test('a server begins with address, port, carrier, state and connections, then the counters by cause', () => {
  const fields = [...shown('pool web server detail').matchAll(/^\| (\s*\w+) /gm)].map((m) => m[1]);
  expect(fields.slice(0, 6)).toEqual(['Field', 'ip_addr', 'port', 'se_uuid', 'state', 'open_conns']);
  for (const field of ['conn_dropped_before_syn_sent', 'collisions', '  local', '  remote', '  network']) expect(fields).toContain(field);
});

test('a SNAT pool in detail has a row for each address and server', () => {
  const text = shown('snatpool egress detail');
  expect(text).toMatch(/\| addresses +\| 10\.0\.0\.5 active +\|\n\| addresses +\| 10\.0\.0\.6 draining/);
  const rows = text.split('\n').filter((l) => /^\| 10\.0\.0\.\d/.test(l));
  expect(
    rows.map((r) =>
      r
        .split('|')
        .slice(1, -1)
        .map((c) => c.trim()),
    ),
  ).toEqual([
    ['10.0.0.5', '10.0.1.11:80', '3', '2', '1', '1', '4', '5', '1', '0'],
    ['10.0.0.5', '10.0.1.12:80', '3', '2', '1', '1', '4', '5', '1', '0'],
  ]);
});

test('every table is a rectangle, also with nothing in it', () => {
  const empty: BalancerState = { ...state, virtual_services: [], pools: [], health_monitors: [], snat_pools: [], events: [] };
  const requests = [
    'virtualservice',
    'virtualservice web',
    'virtualservice web detail',
    'pool',
    'pool web',
    'pool web detail',
    'pool web server',
    'pool web server detail',
  ];
  const more = [
    'healthmonitor',
    'healthmonitor tcp',
    'healthmonitor tcp detail',
    'snatpool',
    'snatpool egress',
    'snatpool egress detail',
    'events',
    'events web',
  ];
  for (const words of [...requests, ...more])
    for (const block of shown(words).split(/(?<=\+)\n(?=\+-+.*\n\|)/)) {
      const lines = block.trimEnd().split('\n');
      expect(new Set(lines.map((l) => l.length)).size, `${words}\n${block}`).toBe(1);
    }
  for (const kind of ['virtualservice', 'pool', 'healthmonitor', 'snatpool', 'events'])
    expect(shown(kind, empty)).toMatch(/^\+-.*\n\| \w+.*\n\+-.*\n$/);
});

test('text from outside cannot forge a row or move the cursor', () => {
  const lines = shown('events').split('\n');
  expect(lines.filter((l) => l !== '' && !/^[|+].*[|+]$/.test(l))).toEqual([]);
  expect(shown('events')).toContain('evil\\x1b[31m\\x0atext');
});

test('events of a name are those whose subject has it', () => {
  expect(shown('events b').match(/server_down|queue_started|reloaded/g)).toEqual(['server_down']);
  expect(shown('events').match(/server_down|queue_started|reloaded/g)).toHaveLength(3);
});

test('--json is the same choice with every field', () => {
  expect(showDocument(state, showRequest(['pool', 'web', 'server']))).toEqual({
    schema: 'plimsoll.show/1',
    taken_at: state.taken_at,
    kind: 'pool',
    items: state.pools[0]!.servers,
  });
  expect(showDocument(state, showRequest(['virtualservice'])).items).toEqual(state.virtual_services);
  expect(showDocument(state, showRequest(['events', 'b'])).items).toHaveLength(1);
});

test('docs/reference/show.md explains every field', () => {
  const page = readFileSync('docs/reference/show.md', 'utf8');
  const keys = new Set<string>();
  const collect = (value: unknown): void => {
    if (Array.isArray(value)) value.forEach(collect);
    else if (typeof value === 'object' && value !== null)
      for (const [key, each] of Object.entries(value)) {
        if (!/^\d/.test(key)) keys.add(key);
        collect(each);
      }
  };
  collect([state.virtual_services, state.pools, state.health_monitors, state.snat_pools, state.events]);
  expect([...keys].filter((key) => !page.includes(`\`${key}\``))).toEqual([]);
});

describe('a wrong request', () => {
  test.each([
    [['pol'], 'show_what', 64, 'did you mean "pool"?'],
    [['pool', 'wbe', 'detail'], 'show_not_found', 66, 'did you mean "web"?'],
    [['snatpool', 'nothing'], 'show_not_found', 66, 'there is: egress'],
    [['virtualservice', 'web', 'server'], 'excess_argument', 64, 'plimsoll show --help shows how it is called'],
    [['pool', 'web', 'details'], 'excess_argument', 64, 'plimsoll show --help shows how it is called'],
  ] as const)('%j is told with the nearest right one', (words, code, exit, hint) => {
    let raised: unknown;
    try {
      showTables(state, showRequest(words), safe);
    } catch (error) {
      raised = error;
    }
    expect(raised).toMatchObject({ code, exit, hint });
  });
});
