/** A backend that resets SYNs on connections it still holds: healthy servers look down. */
import type { LabNamespace } from '../namespace.ts';
import { type PlanReading, type Scale, type Scenario, say } from '../scenario.ts';
import type { Stage } from '../stage.ts';
import { Balancer } from './balancer.ts';
import { downs, startHaproxy } from './haproxy.ts';
import { FRONT, PROXY, serverAddress, type ThreeHosts, threeHosts } from './network.ts';
import { failed, shortConnections } from './traffic.ts';

const LOW = 20000;
const PORTS = 128;
const HIGH = LOW + PORTS - 1;
/** Held and free ports alternate in blocks of so many, so that several checks in a row fail. */
const BLOCK = 8;
const SERVERS = 2;
const RATE = 40;
const seconds = { fast: 3, full: 20 } as const;
/** Milliseconds between two health checks of a server, whoever makes them. */
const CHECK = 25;
const endpoints = Array.from({ length: SERVERS }, (_, i) => `${serverAddress(i)}:80`);

const held = Array.from({ length: PORTS / BLOCK / 2 }, (_, i): readonly [number, number] => [
  LOW + 2 * i * BLOCK,
  LOW + 2 * i * BLOCK + BLOCK - 1,
]);

/**
 * The box in front of the servers: it holds a connection from the server's SYN-ACK until the client's RST or the server's FIN, and
 * answers a SYN on one it holds with RST. (A rule on conntrack's state does not do: for a half-closed connection conntrack takes the
 * box's own RST for the end of it.)
 */
const startBox = (servers: LabNamespace): Promise<string> =>
  servers.exec(
    'nft',
    `table ip box {
      set held { type ipv4_addr . inet_service . ipv4_addr; size 65535; flags dynamic; }
      chain in { type filter hook input priority 0;
        tcp flags & (syn|ack) == syn ip saddr . tcp sport . ip daddr @held counter reject with tcp reset
        tcp flags & rst == rst delete @held { ip saddr . tcp sport . ip daddr }
      }
      chain out { type filter hook output priority 0;
        tcp flags & (syn|ack) == syn|ack add @held { ip daddr . tcp dport . ip saddr }
        tcp flags & fin == fin delete @held { ip daddr . tcp dport . ip saddr }
      }
    }`,
  );

const resetsOf = async (servers: LabNamespace): Promise<number> =>
  Number(/counter packets (\d+)/.exec(await servers.exec('nft', 'list', 'ruleset'))?.[1] ?? 0);

/** Opens connections from every held port and lets this side forget them; their RSTs never leave. Half of them were half-closed. */
const leaveHeld = async (stage: Stage, hosts: ThreeHosts): Promise<number> => {
  let count = 0;
  const client = await stage.peer(hosts.proxy, 'client', {});
  for (const ports of held) {
    const order = { do: 'open', to: endpoints, count: SERVERS * BLOCK, from: { address: PROXY, ports }, leak: true, timeout: 10_000 };
    count += (await client.ask<{ readonly opened: number }>(order)).opened;
  }
  await hosts.proxy.exec('nft', 'table ip mute { chain out { type filter hook output priority 0; tcp flags & rst == rst drop; }; }');
  await client.ask({ do: 'reset', halfClose: true });
  await hosts.proxy.exec('nft', 'delete table ip mute');
  await client.end();
  return count;
};

/** The balancer's file: the same ports, checked as often. */
const configuration = `version: 1
virtual_services: [{ name: web, listen: "${FRONT}:8081", application_profile: http, pool: web }]
application_profiles: [{ name: http, type: http }]
pools:
  - name: web
    servers: [${endpoints.map((e, i) => `{ name: ${'ab'[i]}, address: "${e}" }`).join(', ')}]
    health_monitors: [tcp]
    snat_pool: egress
    connections: { max_reuse: 1 }
snat_pools: [{ name: egress, addresses: [${PROXY}], ports: [${LOW}-${HIGH}], monitor_ports: 16, cooldown: { fin: 200ms, rst: 200ms, half_open: 200ms } }]
health_monitors: [{ name: tcp, type: tcp, send_interval: ${CHECK}ms, receive_timeout: 1s, successful_checks: 2, failed_checks: 3 }]
`;

const run = async (stage: Stage, scale: Scale) => {
  stage.step('making clients, a proxy, and servers behind a box that resets SYNs on connections it still holds');
  const hosts = await threeHosts(stage, SERVERS, {});
  await startBox(hosts.servers);
  const servers = await stage.peer(hosts.servers, 'server', { listen: endpoints });
  await servers.ask({ do: 'hold', on: true });
  const capturing = await stage.capture(hosts.proxy, 'eth0', 'collision.pcap');
  stage.step(say`leaving connections, half of them half-closed, on ${PORTS / 2} of ${PORTS} source ports`);
  const stale = await leaveHeld(stage, hosts);
  await servers.ask({ do: 'hold', on: false });

  stage.step(say`before: HAProxy with these ports, a health check every ${CHECK} ms, ${RATE} requests a second`);
  const haproxy = await startHaproxy(
    stage,
    hosts.proxy,
    8080,
    `listen web
  bind ${FRONT}:8080
  http-reuse never
  option httpclose
  option tcp-check
${endpoints.map((e, i) => `  server ${'ab'[i]} ${e} source ${PROXY}:${LOW}-${HIGH} check inter ${CHECK}ms fastinter ${CHECK}ms downinter ${CHECK}ms`).join('\n')}
`,
  );
  const load = await shortConnections(stage, hosts.clients, `http://${FRONT}:8080/`, RATE, seconds[scale]);
  const told = await stage.askDoctor(hosts.proxy, 'while SYNs are being reset');
  await haproxy.end();
  const flaps = downs(haproxy);
  await capturing.end();
  const resets = await resetsOf(hosts.servers);
  stage.step('explaining the capture');
  const explained = await stage.explain(capturing.file, "taken on the proxy's side while HAProxy ran");

  stage.step('after: plimsoll balance with the same ports, which tries a second port before it judges');
  const balancer = await Balancer.start(stage, hosts.proxy, 8081, configuration);
  const mended = await shortConnections(stage, hosts.clients, `http://${FRONT}:8081/`, RATE, seconds[scale]);
  const monitors = await balancer.monitors();
  const pools = await balancer.pools();
  const mistaken = balancer.downs();
  await balancer.program.end();
  const later = (await resetsOf(hosts.servers)) - resets;
  await servers.end();

  const { tried, reset } = explained.capture.handshakes;
  // The connections that were left there count among the handshakes of the capture.
  const share = (100 * reset) / (tried - stale);
  const sum = (of: (m: (typeof monitors)[number]) => number): number => monitors.reduce((all, m) => all + of(m), 0);
  const collisions = pools.flatMap((p) => p.servers).reduce((all, s) => all + s.collisions, 0);
  return {
    measured: { reset: [share], answered: [mended.ok] },
    comparison: {
      settings: ['before: HAProxy', 'after: balance'],
      rows: [
        { what: 'SYNs that the box reset', unit: '', values: [resets, later] },
        { what: 'healthy servers taken out of service', unit: '', values: [flaps, mistaken] },
        { what: 'requests', unit: '', values: [load.scheduled, mended.scheduled] },
        { what: 'requests that failed', unit: '', values: [failed(load), failed(mended)] },
        { what: 'health checks that failed', unit: '', values: [null, sum((m) => m.refused + m.timeout + m.bad_response)] },
        { what: 'collisions recognised as such', unit: '', values: [0, collisions] },
      ],
    },
    told: [explained, told],
    lessons: [
      say`The box still held ${stale} connections that this side had forgotten. Every SYN from one of their ports was answered with RST, ${resets} in all, and to HAProxy that is a server that refuses: it took two healthy servers out of service ${flaps} times.`,
      say`A closed port and a collision give the same errno. The balancer tries once more from another port: ${collisions} collisions recognised, ${mistaken} servers taken out of service, ${failed(mended)} of ${mended.scheduled} requests lost.`,
      'The host itself shows nothing of this: its ports are free, and the RST came from elsewhere. The capture shows it packet by packet.',
    ],
    next: [
      { text: 'Capture where the resets are seen', command: 'tcpdump -i any -s 128 -w collision.pcap tcp' },
      { text: 'and have it explained', command: 'plimsoll explain collision.pcap' },
    ],
  };
};

const reserved = held.map(([low, high]) => `${low}-${high}`).join(',');

export const handshakeCollision: Scenario = {
  name: 'handshake-collision',
  title: 'SYNs reset because the far side still holds the connection',
  story:
    'TCP health monitors fail now and then with a reset during the handshake. The device behind still holds connections from the same source address and port, established or half-closed, that the load balancer has forgotten; it answers a new SYN on one of them with RST, and a healthy server is marked down.',
  remedy: 'source ports that rest before they are used again, and a second try from another port before a server is judged',
  takes: { fast: 14, full: 50 },
  programs: ['haproxy', 'nft', 'tcpdump'],
  forecasts: (scale) => {
    const plan = ['--rate', `${RATE}/s`, '--closer', 'reset', '--range', `${LOW}-${HIGH}`, '--reserved', reserved];
    const requests = RATE * seconds[scale];
    return [
      {
        key: 'reset',
        subject: 'share of handshakes that are reset before: the ports the plan has not got, when every port comes in turn',
        unit: '%',
        plan,
        read: (p: PlanReading) => 100 * (1 - p.capacity / PORTS),
      },
      {
        key: 'answered',
        subject: say`requests answered of ${requests} afterwards, from the ports that are left`,
        unit: 'requests',
        plan,
        read: (p: PlanReading) => (p.exhausts_after === null ? requests : Math.min(requests, p.exhausts_after * RATE)),
      },
    ];
  },
  run,
};
