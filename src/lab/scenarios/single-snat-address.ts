/** Two load balancers behind one translated address: its ports come round again before the servers have let go of them. */
import { LabNamespace } from '../namespace.ts';
import type { ServerCounts } from '../peers/server.ts';
import { type Forecast, type PlanReading, type Scale, type Scenario, say } from '../scenario.ts';
import type { Stage } from '../stage.ts';
import { startHaproxy } from './haproxy.ts';
import { startNginx } from './nginx.ts';
import { failed, type LoadReading, shortConnections } from './traffic.ts';

const LOW = 20000;
const SERVER = '10.82.0.2';
const OUTSIDE = ['10.82.0.101', '10.82.0.102', '10.82.0.103', '10.82.0.104', '10.82.0.105'] as const;
const RUNS = 3;
/** `ports` of each translated address; `rate` of both load balancers together. */
const sizes = { fast: { ports: 90, rate: 250 }, full: { ports: 2000, rate: 400 } } as const;
/** Requests of a run, in ports of one address; and those that follow through five addresses, until the ports repeat there too. */
const FIRST = 2;
const MORE = 4;
/** How long a client and its load balancer wait for a connection, in seconds: longer than a first retransmission, shorter than a second. */
const PATIENCE = 1.2;

/** A server port for each run, so that none inherits TIME_WAITs. */
const settings = ['run 1', 'run 2', 'run 3', 'reset box', 'five addresses'] as const;
type Setting = (typeof settings)[number];
const serverPort = (s: Setting): number => 8001 + settings.indexOf(s);
const frontPort = (s: Setting): number => 9001 + settings.indexOf(s);

interface Hosts {
  readonly balancers: readonly LabNamespace[];
  readonly box: LabNamespace;
  readonly servers: LabNamespace;
}

const build = async (stage: Stage): Promise<Hosts> => {
  const [a, b, box, servers] = await Promise.all([
    stage.namespace('balancer-a'),
    stage.namespace('balancer-b'),
    stage.namespace('nat-box', { 'net.ipv4.ip_forward': 1 }),
    stage.namespace('servers'),
  ]);
  for (const [i, ns] of [a, b].entries()) {
    await LabNamespace.wire(ns, ['eth0', `10.83.${i + 1}.1/24`], box, [`inside${i}`, `10.83.${i + 1}.254/24`]);
    await ns.route(`10.83.${i + 1}.254`);
  }
  await LabNamespace.wire(servers, ['eth0', `${SERVER}/24`], box, ['outside', '10.82.0.254/24', ...OUTSIDE.map((o) => `${o}/24`)]);
  return { balancers: [a, b], box, servers };
};

/**
 * Translates to the first `count` addresses, dealt out in turn, and takes the ports of each in turn too, as the incident's device did.
 * (Linux left alone begins its search at a random port, and takes over one whose connection was closed as soon as 32 probes are left.)
 */
const translate = async (box: LabNamespace, count: number, ports: number): Promise<void> => {
  const rules = OUTSIDE.slice(0, count).map(
    (address, i) => `oifname outside meta l4proto tcp meta mark ${i} snat to ${address} : numgen inc mod ${ports} offset ${LOW}`,
  );
  await box.exec(
    'nft',
    `flush ruleset; table ip nat { chain post { type nat hook postrouting priority 100; oifname outside meta mark set numgen inc mod ${count}; ${rules.join('; ')}; }; }`,
  );
  await box.exec('conntrack', '-F');
};

/** A box in front of one server port that refuses a SYN from a port whose last connection ended less than a minute ago. */
const startResetBox = (servers: LabNamespace, port: number): Promise<string> =>
  servers.exec(
    'nft',
    `table ip box {
      set held { type ipv4_addr . inet_service; size 65535; flags dynamic,timeout; timeout 60s; }
      chain in { type filter hook input priority 0;
        tcp dport ${port} tcp flags & (syn|ack) == syn ip saddr . tcp sport @held counter reject with tcp reset
      }
      chain out { type filter hook output priority 0; tcp sport ${port} tcp flags & fin == fin add @held { ip daddr . tcp dport }; }
    }`,
  );

/** A counter of a namespace by its name in /proc/net/netstat. */
const counter = async (ns: LabNamespace, name: string): Promise<number> => {
  const lines = (await ns.exec('cat', '/proc/net/netstat')).split('\n').filter((l) => l.startsWith('TcpExt:'));
  const [names, values] = [lines[0]!.split(' '), lines[1]!.split(' ')];
  return Number(values[names.indexOf(name)] ?? 0);
};

const run = async (stage: Stage, scale: Scale) => {
  const { ports, rate } = sizes[scale];
  const requests = FIRST * ports;
  stage.step(say`making HAProxy and nginx behind a NAT box with ${ports} ports for each address, and a server that closes first`);
  const hosts = await build(stage);
  const { box } = hosts;
  const server = await stage.peer(hosts.servers, 'server', {
    listen: settings.map((s) => `${SERVER}:${serverPort(s)}`),
    closes: 'after-answer',
  });
  await Promise.all([
    startHaproxy(
      stage,
      hosts.balancers[0]!,
      frontPort('run 1'),
      settings
        .map(
          (s, i) =>
            `listen s${i}\n  retries 0\n  http-reuse never\n  timeout connect ${PATIENCE * 1000}ms\n  bind 127.0.0.1:${frontPort(s)}\n  server a ${SERVER}:${serverPort(s)}\n`,
        )
        .join(''),
    ),
    startNginx(
      stage,
      hosts.balancers[1]!,
      frontPort('run 1'),
      settings
        .map(
          (s) =>
            `  server { listen 127.0.0.1:${frontPort(s)}; location / { proxy_pass http://${SERVER}:${serverPort(s)}; proxy_next_upstream off; proxy_connect_timeout 2s; } }`,
        )
        .join('\n'),
    ),
  ]);

  const resent = async (): Promise<number> =>
    (await Promise.all(hosts.balancers.map((ns) => counter(ns, 'TCPSynRetrans')))).reduce((sum, n) => sum + n, 0);
  const measure = async (setting: Setting, times = FIRST) => {
    const before = await resent();
    const seconds = (times * ports) / rate;
    const loads = await Promise.all(
      hosts.balancers.map((ns) => shortConnections(stage, ns, `http://127.0.0.1:${frontPort(setting)}/`, rate / 2, seconds, PATIENCE)),
    );
    const counts = (await server.ask<ServerCounts>({ do: 'counts' })).by_endpoint[`${SERVER}:${serverPort(setting)}`]!;
    const sum = (of: (l: LoadReading) => number): number => loads.reduce((all, l) => all + of(l), 0);
    return {
      requests: sum((l) => l.scheduled),
      failed: sum(failed),
      slowest: Math.max(...loads.map((l) => l.latency.max ?? 0)),
      resent: (await resent()) - before,
      repeats: counts.repeats,
      fresh: counts.first_repeat === null ? counts.accepted : counts.first_repeat - 1,
    };
  };

  await translate(box, 1, ports);
  const capturing = await stage.capture(hosts.servers, 'eth0', 'one-address.pcap');
  const runs: Awaited<ReturnType<typeof measure>>[] = [];
  for (let i = 0; i < RUNS; i++) {
    stage.step(say`before, run ${i + 1} of ${RUNS}: ${requests} requests through one address`);
    runs.push(await measure(settings[i]!));
  }
  await capturing.end();
  const told = await stage.askDoctor(hosts.balancers[0]!, say`after ${RUNS} runs of ${requests} requests`);
  const capture = await stage.explain(capturing.file, 'taken at the server during the three runs');
  stage.step('the same in front of a box that refuses ports it has not let go of');
  await startResetBox(hosts.servers, serverPort('reset box'));
  const refused = await measure('reset box');
  stage.step(say`after: five addresses, the same ${requests} requests, and then more until a port repeats`);
  await translate(box, OUTSIDE.length, ports);
  const spread = await measure('five addresses');
  const onward = await measure('five addresses', MORE);
  await server.end();

  const mean = (of: (r: (typeof runs)[number]) => number): number => runs.reduce((sum, r) => sum + of(r), 0) / RUNS;
  const columns = [refused, spread, onward];
  const row = (what: string, unit: string, of: (r: (typeof runs)[number]) => number) => ({
    what,
    unit,
    values: [mean(of), ...columns.map(of)],
  });
  const first = mean((r) => r.fresh);
  const factor = onward.fresh / first;
  return {
    measured: { one_address: runs.map((r) => r.fresh), five_addresses: [onward.fresh] },
    comparison: {
      settings: ['before: one address', 'one, reset box', 'after: five', 'five, going on'],
      rows: [
        row('requests', '', (r) => r.requests),
        row('connections before the first port repeats', '', (r) => r.fresh),
        row('connections on repeated ports', '', (r) => r.repeats),
        row('SYNs that had to be sent again', '', (r) => r.resent),
        row('slowest request', 'ms', (r) => 1000 * r.slowest),
        row('requests that failed', '', (r) => r.failed),
      ],
    },
    told: [capture, told],
    lessons: [
      say`The NAT box takes its ports in turn, so the first ${Math.round(first)} connections are clean, and it starts at the same point every time: after ${runs.map((r) => say`${r.fresh}`).join(', ')} connections.`,
      say`From there on every port is one that the server still holds in TIME_WAIT. Two load balancers have two clocks for sequence numbers and timestamps, so to the server a new SYN can look old: ${Math.round(mean((r) => r.resent))} SYNs of a run had to be sent again, after 10 ms or a second. A box that resets instead refused ${refused.failed} of ${refused.requests} requests.`,
      say`With five addresses, dealt out in turn, the same requests met no used port (${spread.repeats} repeats, ${spread.resent} SYNs sent again). The first port repeated after ${onward.fresh} connections, ${factor.toFixed(1)} times as far: at ${rate}/s after ${(onward.fresh / rate).toFixed(1)} s instead of ${(first / rate).toFixed(1)} s. It holds for ever once that is longer than the server's 60 s.`,
    ],
    next: [
      {
        text: 'How many addresses your rate needs',
        command: 'plimsoll plan --rate 2k/s --closer server --snat 1024-65535 --solve addresses',
      },
      { text: 'Balance without a NAT box, from ports that have rested', command: 'plimsoll balance -c plimsoll.yaml --check' },
    ],
  };
};

export const singleSnatAddress: Scenario = {
  name: 'single-snat-address',
  title: 'Two load balancers behind one SNAT address',
  story:
    'A load test through a pair of load balancers fails almost at the same point every time. Both leave through one translated address; the servers close first and hold each port in TIME_WAIT for a minute. Once all ports have been used, each further connection meets one that the server has not let go of.',
  remedy: 'four more addresses, so that a port comes round five times later',
  takes: { fast: 16, full: 100 },
  programs: ['haproxy', 'nginx', 'nft', 'conntrack', 'tcpdump'],
  forecasts: (scale): readonly Forecast[] => {
    const { ports, rate } = sizes[scale];
    const forecast = (key: string, addresses: number): Forecast => ({
      key,
      subject: say`connections before the first port repeats, ${addresses === 1 ? 'one address' : `${addresses} addresses`}`,
      unit: 'connections',
      // To the server the translated address is the source, and the box, which takes its ports in turn, the one that names them.
      plan: [
        ...['--rate', `${rate}/s`, '--closer', 'server', '--sources', `${addresses}`],
        ...['--range', `${LOW}-${LOW + ports - 1}`, '--bind-style', 'explicit'],
      ],
      read: (p: PlanReading) => p.total.capacity,
    });
    return [forecast('one_address', 1), forecast('five_addresses', OUTSIDE.length)];
  },
  run,
};
