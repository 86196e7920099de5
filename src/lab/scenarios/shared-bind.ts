/** bind(ip, 0) before connect(): ten destinations share the ports of one. */
import type { Opened, OpenOrder } from '../peers/client.ts';
import { type PlanReading, type Scale, type Scenario, say } from '../scenario.ts';
import type { Stage } from '../stage.ts';
import { PROXY, portRange, serverAddress, twoHosts } from './network.ts';

const LOW = 20000;
const DESTINATIONS = 10;
const sizes = { fast: 100, full: 1000 } as const;
const destinations = Array.from({ length: DESTINATIONS }, (_, i) => `${serverAddress(i)}:80`);

const opening = (ports: number, from: OpenOrder['from']): OpenOrder => ({
  do: 'open',
  to: destinations,
  count: (ports + 1) * DESTINATIONS,
  untilFailure: true,
  timeout: 10_000,
  ...(from === undefined ? {} : { from }),
});

const run = async (stage: Stage, scale: Scale) => {
  const ports = sizes[scale];
  stage.step(say`making an application with ${ports} source ports and ten servers`);
  const { client, servers } = await twoHosts(stage, 'application', DESTINATIONS, portRange(LOW, ports));
  const server = await stage.peer(servers, 'server', { listen: destinations });

  const attempt = async (from: OpenOrder['from'], look: boolean) => {
    const application = await stage.peer(client, 'client', {});
    const opened = await stage.unlessInterrupted(application.ask<Opened>(opening(ports, from)));
    const told = look ? await stage.askDoctor(client, say`with ${opened.opened} connections open to ten servers`, '500ms') : null;
    await application.ask({ do: 'reset' });
    await application.end();
    return { opened, told };
  };

  stage.step('before: it binds its address, lets bind() choose the port, and connects to the ten in turn');
  const bound = await attempt({ address: PROXY }, true);
  stage.step('after: it names the ports itself, from the same range, for each server anew');
  const named = await attempt({ address: PROXY, ports: [LOW, LOW + ports - 1] }, false);
  stage.step('for comparison: it does not bind, and connect() chooses');
  const free = await attempt(undefined, false);
  await server.end();

  const first = (o: Opened): number => o.before_failure ?? o.tried;
  const all = [bound.opened, named.opened, free.opened];
  return {
    measured: { bound: [first(bound.opened)], named: [first(named.opened)], automatic: [first(free.opened)] },
    comparison: {
      settings: ['before: bind(ip, 0)', 'after: explicit ports', 'no bind at all'],
      rows: [
        { what: 'connections until the first failure', unit: '', values: all.map(first) },
        { what: 'of these to each server', unit: '', values: all.map((o) => first(o) / DESTINATIONS) },
        { what: 'what failed', unit: '', values: all.map((o) => Object.keys(o.failures).join(', ') || 'none') },
      ],
    },
    told: [bound.told!],
    lessons: [
      say`bind(ip, 0) must find a port that nobody holds, for it does not know the destination: ten servers got ${first(bound.opened) / DESTINATIONS} connections each out of ${ports} ports. Node's localAddress and Envoy's upstream_bind_config do this.`,
      say`With named ports every server has the whole range again: ${DESTINATIONS} times as many connections. IP_BIND_ADDRESS_NO_PORT, which Node cannot set, gives the same, as the column without bind shows.`,
      'It fails with EADDRINUSE, which looks like two programs that want one port. It is not: the pool of the address is empty.',
    ],
    next: [
      { text: 'Find who binds before connecting', command: 'plimsoll doctor' },
      { text: 'See what it costs', command: 'plimsoll plan --rate 500/s --destinations 10 --bind-style bind' },
    ],
  };
};

const capacity = (plan: PlanReading): number => plan.total.capacity;

export const sharedBind: Scenario = {
  name: 'shared-bind',
  title: 'bind(ip, 0) makes ten destinations share the ports of one',
  story:
    'An application has several addresses and binds one before it connects. The kernel then chooses the port before it knows where the connection goes, so one pool serves all destinations, and it runs out with EADDRINUSE at a tenth of what was expected.',
  remedy: 'the application names the source port too, each port once per destination',
  takes: { fast: 5, full: 12 },
  programs: [],
  forecasts: (scale) => {
    const range = `${LOW}-${LOW + sizes[scale] - 1}`;
    const plan = (style: string): readonly string[] => [
      '--rate',
      '100/s',
      '--duration',
      '24h',
      '--closer',
      'server',
      '--destinations',
      `${DESTINATIONS}`,
      '--bind-style',
      style,
      '--range',
      range,
    ];
    const subject = (how: string): string => `connections to ten servers until one fails, ${how}`;
    return [
      { key: 'bound', subject: subject('bind(ip, 0)'), unit: 'connections', plan: plan('bind'), read: capacity },
      { key: 'named', subject: subject('explicit ports'), unit: 'connections', plan: plan('explicit'), read: capacity },
      { key: 'automatic', subject: subject('no bind'), unit: 'connections', plan: plan('connect'), read: capacity },
    ];
  },
  run,
};
