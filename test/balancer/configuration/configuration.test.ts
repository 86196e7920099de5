import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { formatMistake, loadConfiguration, parseConfiguration } from '../../../src/balancer/configuration/index.ts';
import { example, least } from './example.ts';

const mistakesOf = (text: string): readonly string[] => parseConfiguration(text).mistakes.map((m) => formatMistake('f', m));

describe('a good file', () => {
  test('is read with seconds, ranges and single addresses', () => {
    const { configuration, mistakes, warnings } = parseConfiguration(example);
    expect({ mistakes, warnings }).toEqual({ mistakes: [], warnings: [] });
    expect(configuration).toMatchObject({
      version: 1,
      user: 'plimsoll',
      virtual_services: [
        { name: 'web', listen: { address: '0.0.0.0', port: 8080 }, application_profile: 'http', pool: 'web', tls: null },
        { listen: { address: '::1', port: 8443 }, tls: { cert: 'web.pem', key: 'web.key' } },
        { pool: 'db' },
      ],
      application_profiles: [
        { client_header_timeout: 10, tunnel_idle_timeout: 3600 },
        { type: 'tcp', connection_multiplexing: false },
      ],
      pools: [
        { servers: [{ weight: 1 }, { weight: 2 }], health_monitors: ['tcp', 'web'], queue: { depth: 1024, timeout: 15 } },
        { servers: [{ address: { address: '2001:db8::1', port: 5432 } }], snat_pool: null },
      ],
      snat_pools: [
        {
          addresses: ['10.0.0.5', '10.0.0.6', '10.0.0.7', '10.0.0.8', '10.0.0.9'],
          ports: [
            { low: 1024, high: 32767 },
            { low: 61000, high: 65535 },
          ],
          monitor_ports: 4,
          cooldown: { fin: 65, rst: 16, half_open: 30 },
        },
      ],
      health_monitors: [{ type: 'tcp' }, { type: 'http', path: '/healthz', expect: [{ low: 200, high: 399 }] }],
    });
  });

  test('is the one under examples/', () => {
    const { mistakes, warnings } = parseConfiguration(readFileSync('examples/balance/plimsoll.yaml', 'utf8'));
    expect({ mistakes, warnings }).toEqual({ mistakes: [], warnings: [] });
  });

  test('may leave out whatever has a default, and has then what the example spells out', () => {
    const short = parseConfiguration(least).configuration!;
    const long = parseConfiguration(example).configuration!;
    expect(short.application_profiles[0]).toEqual(long.application_profiles[0]);
    expect(short.pools[0]).toEqual({ ...long.pools[0], servers: [long.pools[0]!.servers[0]], health_monitors: [], snat_pool: null });
    const bare = `${least}snat_pools: [{ name: egress, addresses: [10.0.0.5-10.0.0.9] }]\nhealth_monitors: [{ name: tcp, type: tcp }, { name: web, type: http, path: /healthz }]\n`;
    expect(parseConfiguration(bare).configuration).toMatchObject({ snat_pools: long.snat_pools, health_monitors: long.health_monitors });
  });

  test('may say "queue:" and nothing after it', () => {
    const text = least.replace('}] }]', '}], queue: , snat_pool: }]');
    expect(parseConfiguration(text).configuration).toEqual(parseConfiguration(least).configuration);
  });

  test('may repeat itself by anchors and aliases', () => {
    const text = least
      .replace('[{ name: a, address: 10.0.1.11:80 }]', '&s [{ name: a, address: 10.0.1.11:80 }]')
      .replace(/\}\]\n$/, '}, { name: more, servers: *s }]\n');
    expect(parseConfiguration(text).configuration?.pools.map((p) => p.servers[0]!.name)).toEqual(['a', 'a']);
  });

  test('leaves the agent its own section', () => {
    expect(mistakesOf(`${least}agent: { whatever: [1, 2] }\n`)).toEqual([]);
  });

  test('with a handful of ports keeps a quarter for health monitors, and says so', () => {
    const { configuration, warnings } = parseConfiguration(
      `${least}snat_pools: [{ name: s, addresses: [10.0.0.5], ports: [20000-20003] }]\n`,
    );
    expect(configuration?.snat_pools[0]?.monitor_ports).toBe(1);
    expect(warnings.map((w) => w.message)).toEqual(['4 of 4 ports for health monitors would leave none for traffic: 1 kept']);
  });
});

describe('a bad file', () => {
  /** [what stands in the example, what stands there instead, the mistake after "f:line:column: "] */
  const cases: readonly (readonly [from: string, to: string, message: string])[] = [
    ['version: 1', 'version: 2', 'version: "2" is not 1'],
    ['user: plimsoll', 'user: [x]', 'user: a list is not a name (letters, digits, "_", "-" and ".", at most 63)'],
    ['user: plimsoll', 'usr: plimsoll', 'usr: there is no "usr" here; did you mean "user"?'],
    [
      'algorithm: least_connections',
      'algorithm: leastconn',
      'pools[0].algorithm: "leastconn" is not one of round_robin, least_connections, consistent_hash',
    ],
    ['type: http, conn', 'type: htp, conn', 'application_profiles[0].type: "htp" is not one of http, tcp; did you mean "http"?'],
    [
      'client_idle_timeout: 60s',
      'client_idle_timeout: 60',
      'application_profiles[0].client_idle_timeout: "60" is not a duration with its unit from 10 ms to 24 h, such as 300ms, 5s or 1m30s',
    ],
    [
      'connection_multiplexing: true',
      'connection_multiplexing: yes',
      'application_profiles[0].connection_multiplexing: "yes" is not true or false',
    ],
    ['weight: 2', 'weight: 1.5', 'pools[0].servers[1].weight: "1.5" is not a whole number from 1 to 256'],
    [
      '10.0.1.11:80',
      'backend:80',
      'pools[0].servers[0].address: "backend:80" is not an address and port, such as 10.0.1.11:80 or "[2001:db8::7]:443" (quoted; names are not resolved)',
    ],
    [
      '10.0.1.11:80',
      '10.0.1.11:65536',
      'pools[0].servers[0].address: "10.0.1.11:65536" is not an address and port, such as 10.0.1.11:80 or "[2001:db8::7]:443" (quoted; names are not resolved)',
    ],
    ['10.0.1.11:80', '10.0.1.12:80', 'pools[0].servers[1].address: "10.0.1.12:80" is in this pool already, in line 14'],
    ['name: b, ', 'name: a, ', 'pools[0].servers[1].name: "a" is the name of another one too, in line 14'],
    ['[tcp, web]', '[tcp, wev]', 'pools[0].health_monitors[1]: there is no "wev" among health_monitors; did you mean "web"?'],
    ['[tcp, web]', 'tcp', 'pools[0].health_monitors: "tcp" is not a list: write [tcp] or one "- …" a line'],
    ['snat_pool: egress', 'snat_pool: eggress', 'pools[0].snat_pool: there is no "eggress" among snat_pools; did you mean "egress"?'],
    [
      'application_profile: bytes',
      'application_profile: byts',
      'virtual_services[2].application_profile: there is no "byts" among application_profiles; did you mean "bytes"?',
    ],
    ['pool: db', 'pool: dv', 'virtual_services[2].pool: there is no "dv" among pools; did you mean "db"?'],
    ['"[::1]:8443"', '"[::]:8080"', 'virtual_services[1].listen: "[::]:8080" cannot be listened on beside "0.0.0.0:8080" in line 4'],
    ['10.0.0.1:5432', '10.0.0.1:8080', 'virtual_services[2].listen: "10.0.0.1:8080" cannot be listened on beside "0.0.0.0:8080" in line 4'],
    [
      '10.0.0.5-10.0.0.9',
      '10.0.0.9-10.0.0.5',
      'snat_pools[0].addresses[0]: "10.0.0.9-10.0.0.5" is not an address or a range of at most 4096, such as 10.0.0.5-10.0.0.9',
    ],
    ['61000-65535', '61000-65536', 'snat_pools[0].ports[1]: "61000-65536" is not a port or range within 1-65535, such as 1024-32767'],
    ['61000-65535', '32767-65535', 'snat_pools[0].ports[1]: "32767-65535" overlaps 1024-32767 of the same list'],
    [
      '[10.0.0.5-10.0.0.9]',
      '["2001:db8::5"]',
      'pools[0].servers[0].address: "10.0.1.11:80" cannot be reached from snat_pool "egress": it has no IPv4 address',
    ],
    ['path: /healthz', 'path: healthz', 'health_monitors[1].path: "healthz" is not a path that begins with "/"'],
    [
      'expect: [200-399]',
      'expect: [200-700]',
      'health_monitors[1].expect[0]: "200-700" is not a status or range within 100-599, such as 200-399',
    ],
    ['type: tcp, send', 'send', 'health_monitors[0]: type is missing: one of tcp, http'],
    ['queue: { depth: 1024, timeout: 15s }', 'queue: 15s', 'pools[0].queue: "15s" is not a mapping of depth, timeout'],
    ['name: one, address', 'address', 'pools[1].servers[0]: name is missing'],
  ];
  for (const [from, to, message] of cases) {
    test(`${from.trim()} → ${to.trim()} is told as one mistake at its place`, () => {
      const at = example.indexOf(from);
      expect(at, 'the example has it').toBeGreaterThanOrEqual(0);
      const text = example.replace(from, to);
      const mistakes = parseConfiguration(text).mistakes.filter((m) => `${m.path}: ${m.message}` === message);
      expect(mistakes, mistakesOf(text).join('\n')).toHaveLength(1);
      expect(parseConfiguration(text).configuration).toBeNull();
      const { line, column } = mistakes[0]!;
      const there = text.split('\n')[line - 1]!.slice(column - 1);
      const value = /(?:^|no )"((?:[^"\\]|\\.)+?)"(?: |$)/.exec(message)?.[1];
      if (value !== undefined) expect(there.replace(/^"/, '').startsWith(value), `"${there}" begins with ${value}`).toBe(true);
    });
  }

  test('has all its mistakes told at once, by line', () => {
    let text = example;
    for (const [from, to] of [cases[0]!, cases[3]!, cases[7]!, cases[14]!, cases[20]!, cases[24]!]) text = text.replace(from, to);
    const { mistakes } = parseConfiguration(text);
    expect(mistakes.map((m) => m.path)).toEqual([
      'version',
      'pools[0].algorithm',
      'pools[0].servers[1].weight',
      'pools[0].snat_pool',
      'snat_pools[0].ports[1]',
      'health_monitors[1].expect[0]',
    ]);
  });

  test('that gives one address and port to two SNAT pools says who has it already', () => {
    const text = `${least}snat_pools:\n  - { name: a, addresses: [10.0.0.5], ports: [2000-2999], monitor_ports: 1 }\n  - { name: b, addresses: [10.0.0.4-10.0.0.6], ports: [2999-3999], monitor_ports: 1 }\n`;
    expect(mistakesOf(text)).toEqual([
      'f:7:27: snat_pools[1].addresses: 10.0.0.5 ports 2999 (1) belong to snat_pool "a" too, in line 6: let both pools name one snat_pool, or share the ports out',
    ]);
  });

  test.each([
    [
      '',
      'f:1:1: nothing is not a mapping of version, user, virtual_services, application_profiles, pools, snat_pools, health_monitors, agent',
    ],
    ['a: [1', 'f:1:6: not YAML: Flow sequence in block collection must be sufficiently indented and end with a ]'],
    ['version: 1\nversion: 1\n', 'f:2:1: not YAML: Map keys must be unique'],
    ['a: &a [*a]\n', 'f:1:8: not usable: the alias "a" leads nowhere or to itself'],
    ['a: *b\n', 'f:1:4: not usable: the alias "b" leads nowhere or to itself'],
  ])('that is no configuration at all (%j) is refused with its place', (text, message) => {
    expect(mistakesOf(text)[0]).toBe(message);
  });

  test('made of aliases of aliases is refused before it fills the memory', () => {
    const bomb = Array.from({ length: 30 }, (_, i) => `a${i}: &a${i} [${i === 0 ? 'x' : `*a${i - 1}, *a${i - 1}`}]`).join('\n');
    expect(mistakesOf(`${bomb}\n`)[0]).toMatch(/more values than a configuration can have/);
  });

  test('whose text would forge lines is quoted in one line each', () => {
    for (const line of mistakesOf(least.replace('name: a,', 'name: "a\\nb: forged", "c\\nd": 1,'))) expect(line).not.toMatch(/\n/);
  });
});

test('loading a file says which file is bad, how often, and where', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'plimsoll-configuration-'));
  try {
    const path = join(dir, 'plimsoll.yaml');
    await expect(loadConfiguration(path)).rejects.toMatchObject({ code: 'file_not_found', exit: 66 });
    writeFileSync(path, least.replace('version: 1', 'version: 3').replace('type: http', 'type: ftp'));
    await expect(loadConfiguration(path)).rejects.toMatchObject({
      code: 'bad_configuration',
      exit: 78,
      facts: {
        count: 2,
        mistakes: `${path}:1:10: version: "3" is not 1\n${path}:3:44: application_profiles[0].type: "ftp" is not one of http, tcp; did you mean "http"?`,
      },
    });
    writeFileSync(path, example);
    expect((await loadConfiguration(path)).configuration.pools).toHaveLength(2);
  } finally {
    rmSync(dir, { recursive: true });
  }
});
