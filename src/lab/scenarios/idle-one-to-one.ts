/** Idle keep-alive clients, a server connection for each: the ports are held by connections that do nothing. */
import type { Asked, Opened } from '../peers/client.ts';
import type { ServerCounts } from '../peers/server.ts';
import { type PlanReading, type Scale, type Scenario, say } from '../scenario.ts';
import type { Stage } from '../stage.ts';
import { Balancer } from './balancer.ts';
import { downs, startHaproxy } from './haproxy.ts';
import { FRONT, portRange, serverAddress, threeHosts } from './network.ts';

const LOW = 20000;
const SERVERS = 2;
/** `ports`: of the proxy towards each server. `rate`: clients a second that arrive and stay. */
const sizes = { fast: { ports: 200, clients: 600, rate: 300 }, full: { ports: 2500, clients: 7000, rate: 500 } } as const;
/** How long a server takes to answer, in seconds, and the connections that the balancer keeps to each. */
const ANSWER = 0.05;
const SHARED = 32;
const endpoints = Array.from({ length: SERVERS }, (_, i) => `${serverAddress(i)}:80`);

const configuration = `version: 1
virtual_services: [{ name: web, listen: "${FRONT}:8081", application_profile: http, pool: web }]
application_profiles: [{ name: http, type: http, connection_multiplexing: true, client_idle_timeout: 300s }]
pools:
  - name: web
    servers: [${endpoints.map((e, i) => `{ name: ${'ab'[i]}, address: "${e}" }`).join(', ')}]
    health_monitors: [tcp]
    connections: { max_per_server: ${SHARED} }
    queue: { depth: 10000, timeout: 30s }
health_monitors: [{ name: tcp, type: tcp, send_interval: 300ms, receive_timeout: 1s }]
`;

const run = async (stage: Stage, scale: Scale) => {
  const { ports, clients: count, rate } = sizes[scale];
  stage.step(say`making clients, a proxy with ${ports} source ports towards each of two servers, and the servers`);
  const hosts = await threeHosts(stage, SERVERS, portRange(LOW, ports));
  await hosts.clients.set({ 'net.ipv4.ip_local_port_range': '1024 65535' });
  const servers = await stage.peer(hosts.servers, 'server', { listen: endpoints, answerAfter: ANSWER * 1000 });
  const clients = await stage.peer(hosts.clients, 'client', {});
  const counts = (): Promise<ServerCounts> => servers.ask<ServerCounts>({ do: 'counts' });
  /** All clients arrive, ask once and stay; then all of them ask once more. */
  const use = async (port: number, onIdle: () => Promise<void>) => {
    const arrived = await stage.unlessInterrupted(
      clients.ask<Opened>({ do: 'open', to: [`${FRONT}:${port}`], count, rate, ask: true, timeout: 30_000 }),
    );
    const idle = await counts();
    await onIdle();
    const again = await stage.unlessInterrupted(clients.ask<Asked>({ do: 'ask', timeout: 30_000 }));
    const busy = await counts();
    await clients.ask({ do: 'reset' });
    return { arrived, idle, again, busy };
  };

  stage.step(say`before: HAProxy with http-reuse never; ${count} clients arrive, ask once, and stay`);
  const haproxy = await startHaproxy(
    stage,
    hosts.proxy,
    8080,
    `listen web
  bind ${FRONT}:8080
  http-reuse never
  retries 0
  option tcp-check
${endpoints.map((e, i) => `  server ${'ab'[i]} ${e} check inter 300ms fastinter 300ms downinter 300ms`).join('\n')}
`,
  );
  let worst: Awaited<ReturnType<Stage['askDoctor']>> | null = null;
  const before = await use(8080, async () => {
    await stage.until('HAProxy to judge its servers', () => downs(haproxy) >= SERVERS, 15);
    // What is silent for 30 s is idle to the doctor.
    if (scale === 'full') await stage.pause(31);
    worst = await stage.askDoctor(
      hosts.proxy,
      say`with ${count} clients there that ask nothing${scale === 'full' ? '' : ' (it calls a connection idle after 30 s, which --fast does not wait for)'}`,
    );
  });
  const falseDowns = downs(haproxy);
  await haproxy.end();
  await stage.until('the ports to be free', async () => (await counts()).open === 0);

  stage.step(say`after: plimsoll balance with connection multiplexing; the same ${count} clients`);
  const balancer = await Balancer.start(stage, hosts.proxy, 8081, configuration);
  const held = (await counts()).open;
  const after = await use(8081, async () => {});
  const monitors = await balancer.monitors();
  const mistaken = balancer.downs();
  await Promise.all([balancer.program.end(), clients.end(), servers.end()]);

  const peak = after.busy.open - held;
  const oneAddress = Object.values(before.idle.sources).length === 1;
  const rest = before.idle.open;
  return {
    measured: { served: [before.arrived.opened], shared: [peak] },
    comparison: {
      settings: ['before: HAProxy, no reuse', 'after: balance, multiplexing'],
      rows: [
        { what: 'clients that were answered', unit: '', values: [before.arrived.opened, after.arrived.opened] },
        { what: 'clients that were refused', unit: '', values: [count - before.arrived.opened, count - after.arrived.opened] },
        { what: 'server connections while all clients are idle', unit: '', values: [rest, after.idle.open] },
        { what: 'server connections while all ask at once', unit: '', values: [before.busy.open, after.busy.open] },
        { what: 'healthy servers taken out of service', unit: '', values: [falseDowns, mistaken] },
        {
          what: 'health checks that failed',
          unit: '',
          values: [null, monitors.reduce((sum, m) => sum + m.refused + m.timeout + m.bad_response, 0)],
        },
      ],
    },
    told: [worst!],
    lessons: [
      say`Every client held a server connection of its own${oneAddress ? ', all from one address' : ''}: ${rest} connections for ${count} clients of which none was asking anything. Then no port was left, not for clients and not for health checks: HAProxy took healthy servers out of service ${falseDowns} times.`,
      say`The balancer let the same ${count} clients share ${after.busy.open} server connections while all asked at once, refused none, and took no server out of service.`,
      'More ports or more addresses would have moved the wall, not removed it: idle clients cost nothing once connections are shared.',
    ],
    next: [
      { text: 'Count what your proxy holds idle', command: 'plimsoll doctor' },
      {
        text: 'How many shared connections carry your load',
        command: 'plimsoll plan --rate 2k/s --upstream-latency 50ms --solve connections',
      },
      { text: 'Run the balancer with your servers', command: 'plimsoll balance -c plimsoll.yaml --check' },
    ],
  };
};

export const idleOneToOne: Scenario = {
  name: 'idle-one-to-one',
  title: 'Idle clients that each hold a server connection',
  story:
    'A load balancer opens a server connection for each client connection and closes it when the client goes. Thousands of idle keep-alive clients then hold thousands of source ports towards each server, all from one address; when none is left, health monitors fail too and healthy servers are marked down.',
  remedy: 'connection multiplexing: the same clients through plimsoll balance',
  takes: { fast: 8, full: 90 },
  programs: ['haproxy'],
  forecasts: (scale) => {
    const { ports, rate } = sizes[scale];
    return [
      {
        key: 'served',
        subject: 'clients that get a server connection before the ports run out',
        unit: 'clients',
        plan: [
          '--rate',
          `${rate}/s`,
          '--duration',
          '1h',
          '--closer',
          'server',
          '--destinations',
          `${SERVERS}`,
          '--range',
          `${LOW}-${LOW + ports - 1}`,
        ],
        read: (p: PlanReading) => Math.round((p.total.exhausts_after ?? 0) * rate),
      },
      {
        key: 'shared',
        subject: say`server connections with multiplexing, while all ask at once and a server takes ${ANSWER * 1000} ms`,
        unit: 'connections',
        plan: ['--rate', `${(SERVERS * SHARED) / ANSWER}/s`, '--upstream-latency', `${ANSWER * 1000}ms`, '--destinations', `${SERVERS}`],
        read: (p: PlanReading) => p.total.plateau.established,
      },
    ];
  },
  run,
};
