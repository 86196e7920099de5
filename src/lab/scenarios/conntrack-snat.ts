/** A masquerading box near the end of its ports: it loses SYNs without a word, from 95 % on. */
import { LabNamespace } from '../namespace.ts';
import type { Opened } from '../peers/client.ts';
import type { Program } from '../program.ts';
import { type Forecast, type PlanReading, type Scale, type Scenario, say } from '../scenario.ts';
import type { Stage } from '../stage.ts';

const LOW = 20000;
/** The first SYN is lost the earlier the more ports there are: at 95 % of 1,000, at 90 % of 8,000, in the mean. */
const sizes = { fast: 1000, full: 2000 } as const;
/** Connections a second while it fills. */
const RATE = 1600;
/** Below a second: a SYN that was lost has not been sent again. In milliseconds. */
const TIMEOUT = 900;
const SERVER = '10.82.0.2:80';
const OUTSIDE = ['10.82.0.254', '10.82.0.253'] as const;
/** nf_conntrack_tcp_timeout_established of the last setting, in seconds; Linux has 5 days. */
const SHORT = 1;
const RUNS = 4;
/** Connections a second while the doctor looks. */
const RUSH = 1500;
/** Ports of the part about dead flows: so few that the box looks at all of them. */
const FEW = 100;

interface Box {
  readonly clients: LabNamespace;
  readonly box: LabNamespace;
  readonly servers: LabNamespace;
}

const build = async (stage: Stage): Promise<Box> => {
  const [clients, box, servers] = await Promise.all([
    stage.namespace('clients', { 'net.ipv4.ip_local_port_range': '1024 65535' }),
    stage.namespace('nat-box', { 'net.ipv4.ip_forward': 1 }),
    stage.namespace('servers'),
  ]);
  await LabNamespace.wire(clients, ['eth0', '10.81.0.1/24'], box, ['inside', '10.81.0.254/24']);
  await LabNamespace.wire(servers, ['eth0', '10.82.0.2/24'], box, ['outside', ...OUTSIDE.map((a) => `${a}/24`)]);
  await clients.route('10.81.0.254');
  return { clients, box, servers };
};

/** Translates to `addresses`, one after the other, and forgets everything from before. Without `ports` the box takes any, as usual. */
const translate = async (box: LabNamespace, addresses: readonly string[], ports?: number): Promise<void> => {
  const target = (a: string): string => `snat to ${a}${ports === undefined ? '' : `:${LOW}-${LOW + ports - 1}`}`;
  // A pool of addresses would be chosen from by a hash of both ends: one client and one server would use one of them for ever.
  const rules =
    addresses.length === 1
      ? [`oifname outside meta l4proto tcp ${target(addresses[0]!)}`]
      : [
          `oifname outside meta mark set numgen inc mod ${addresses.length}`,
          ...addresses.map((a, i) => `oifname outside meta l4proto tcp meta mark ${i} ${target(a)}`),
        ];
  await box.exec('nft', `flush ruleset; table ip nat { chain post { type nat hook postrouting priority 100; ${rules.join('; ')}; }; }`);
  await box.exec('conntrack', '-F');
};

/** Packets that conntrack has dropped because it could not insert them. */
const dropped = async (box: LabNamespace): Promise<number> =>
  [...(await box.exec('conntrack', '-S')).matchAll(/insert_failed=(\d+)/g)].reduce((sum, m) => sum + Number(m[1]), 0);

interface Filled extends Opened {
  readonly lost: number;
}

/** Opens `count` connections and holds them. */
const fill = async (stage: Stage, hosts: Box, clients: Program, count: number, timeout = TIMEOUT): Promise<Filled> => {
  const before = await dropped(hosts.box);
  const opened = await stage.unlessInterrupted(clients.ask<Opened>({ do: 'open', to: [SERVER], count, rate: RATE, timeout }));
  return { ...opened, lost: (await dropped(hosts.box)) - before };
};

const run = async (stage: Stage, scale: Scale) => {
  const ports = sizes[scale];
  stage.step(say`making clients, a NAT box with ${ports} ports of one address, and a server`);
  const hosts = await build(stage);
  const { box } = hosts;
  const server = await stage.peer(hosts.servers, 'server', { listen: [SERVER] });
  const clients = await stage.peer(hosts.clients, 'client', {});
  const empty = async (): Promise<void> => {
    await clients.ask({ do: 'reset' });
  };

  stage.step('many clients at once through one address; asking the doctor on the box');
  await translate(box, [OUTSIDE[0]]);
  const rush = stage.meanwhile(clients.ask<Opened>({ do: 'open', to: [SERVER], count: 15_000, rate: RUSH, timeout: 10_000 }));
  const warned = await stage.until(
    'the doctor to see the ports of the NAT run short',
    async () => {
      const told = await stage.askDoctor(box, '', '500ms');
      return told.report.because.includes('snat_ports_short') ? told : null;
    },
    60,
  );
  const [early] = warned.report.port_spaces;
  await Promise.all([clients.ask({ do: 'stop' }), stage.unlessInterrupted(rush)]);
  await empty();

  const runs: Filled[] = [];
  for (let i = 1; i <= RUNS; i++) {
    stage.step(say`before, run ${i} of ${RUNS}: ${ports} connections through one address with ${ports} ports`);
    await translate(box, [OUTSIDE[0]], ports);
    runs.push(await fill(stage, hosts, clients, ports));
    await empty();
  }

  stage.step('after: the same connections through two addresses, taken in turn');
  await translate(box, OUTSIDE, ports);
  const two = await fill(stage, hosts, clients, ports);
  await empty();

  stage.step('dead flows: both ends vanish, and the box remembers the connections for 5 days');
  await translate(box, [OUTSIDE[0]], FEW);
  /** Fills the ports, then both ends forget their connections; their RSTs never reach the box, for which all are open. */
  const vanish = async (): Promise<void> => {
    await fill(stage, hosts, clients, FEW);
    const ends = [hosts.clients, hosts.servers];
    for (const ns of ends)
      await ns.exec('nft', 'table ip mute { chain out { type filter hook output priority 0; tcp flags & rst == rst drop; }; }');
    await Promise.all([empty(), server.ask({ do: 'forget' })]);
    for (const ns of ends) await ns.exec('nft', 'delete table ip mute');
  };
  await vanish();
  const stuck = await fill(stage, hosts, clients, FEW);
  await empty();
  stage.step(say`after: the box forgets silent connections after ${SHORT} s`);
  await box.set({ 'net.netfilter.nf_conntrack_tcp_timeout_established': SHORT });
  await translate(box, [OUTSIDE[0]], FEW);
  await vanish();
  await stage.pause(SHORT + 0.5);
  // An entry that has expired and was not yet swept can still cost a SYN: the one a second later passes.
  const freed = await fill(stage, hosts, clients, FEW, 4000);
  await Promise.all([clients.end(), server.end()]);

  const first = (f: Filled): number => f.before_failure ?? f.tried;
  const first3 = runs.map(first);
  const average = (of: (f: Filled) => number): number => Math.round(runs.reduce((sum, f) => sum + of(f), 0) / RUNS);
  return {
    measured: { first_lost: first3, dead_flows: [stuck.opened], forgotten: [freed.opened] },
    comparison: {
      settings: ['before', 'two addresses', 'before: dead flows', `forgotten after ${SHORT} s`],
      rows: [
        { what: 'connections tried', unit: '', values: [ports, two.tried, stuck.tried, freed.tried] },
        { what: 'opened at the first SYN', unit: '', values: [average((f) => f.opened), two.opened, stuck.opened, freed.opened] },
        {
          what: 'opened before the first SYN was lost',
          unit: '',
          values: [average(first), two.before_failure, stuck.before_failure, freed.before_failure],
        },
        { what: 'SYNs the box dropped (insert_failed)', unit: '', values: [average((f) => f.lost), two.lost, stuck.lost, freed.lost] },
      ],
    },
    told: [
      {
        ...warned,
        when: say`with ${early?.used} of ${early?.capacity} ports of the NAT's address in use and ${Math.round(early?.open_rate ?? 0)} new connections a second`,
      },
    ],
    lessons: [
      say`The box looks at no more than 240 ports for a new connection. Long before all are taken that is sometimes not enough: the first SYN was lost after ${first3.map((n) => say`${n}`).join(', ')} of ${ports} connections. Nobody is told: the client sends its SYN again after 1, 3 and 7 s, and with luck that one passes.`,
      'A second address doubles the ports, if connections are dealt out in turn. A plain pool in nftables is chosen from by a hash of client and server, so one busy client towards one busy server uses one address of it.',
      say`Where the client vanished, the box remembers the connection for 5 days. With a timeout of ${SHORT} s the ports were back; on a real box an hour is plenty (net.netfilter.nf_conntrack_tcp_timeout_established).`,
    ],
    next: [
      { text: 'On the NAT box: how full is it towards each destination', command: 'plimsoll doctor' },
      { text: 'How long the ports of an address last', command: 'plimsoll plan --rate 600/s --snat 1024-65535 --snat-addresses 2' },
    ],
  };
};

const room = (plan: PlanReading): number => plan.total.capacity;

export const conntrackSnat: Scenario = {
  name: 'conntrack-snat',
  title: 'A NAT box that loses SYNs from 95 % on',
  story:
    'Many clients leave through one masquerading box. When its ports towards one server are nearly all in use, some new connections take 1, 3 or 7 seconds and others time out, while every host looks healthy: it looks exactly like a fault at the far end.',
  remedy: 'a second address; and for flows whose client has vanished, a shorter timeout',
  takes: { fast: 18, full: 25 },
  programs: ['nft', 'conntrack'],
  forecasts: (scale): readonly Forecast[] => {
    const plan = (ports: number): readonly string[] => [
      '--rate',
      `${RATE}/s`,
      '--duration',
      '24h',
      '--range',
      '1024-65535',
      '--snat',
      `${LOW}-${LOW + ports - 1}`,
    ];
    return [
      {
        key: 'first_lost',
        subject: 'connections through one address until the first SYN is lost',
        unit: 'connections',
        plan: plan(sizes[scale]),
        read: room,
      },
      {
        key: 'dead_flows',
        subject: 'new connections while dead flows hold all ports: the plan has room for none beyond 100',
        unit: 'connections',
        plan: plan(FEW),
        read: (p) => p.total.capacity - FEW,
      },
      {
        key: 'forgotten',
        subject: 'new connections through 100 ports once dead flows are forgotten',
        unit: 'connections',
        plan: plan(FEW),
        read: room,
      },
    ];
  },
  run,
};
