/** A proxy that closes first: each connection keeps its port for another minute, until no port is left. */
import type { ServerCounts } from '../peers/server.ts';
import { type Forecast, type PlanReading, type Scale, type Scenario, say } from '../scenario.ts';
import type { DoctorReading, Stage } from '../stage.ts';
import { startHaproxy } from './haproxy.ts';
import { FRONT, portRange, serverAddress, threeHosts } from './network.ts';
import { causes, failed, type LoadReading, shortConnections } from './traffic.ts';

const LOW = 1024;
/** `ports` and the wider range stand to each other as 28,232 to 64,512. Seconds are those of each setting. */
const sizes = {
  fast: { low: 20000, ports: 500, wider: 1142, threads: 1, rate: 250, seconds: { before: 3, wider: 5, reuse: 3, shared: 2 } },
  // Beyond half of 28,232 each connect() searches for 2 ms: at 600/s, which it takes to be done within a TIME_WAIT, that is 1.4 cores.
  full: { low: 32768, ports: 28232, wider: 64512, threads: 2, rate: 600, seconds: { before: 50, wider: 55, reuse: 50, shared: 20 } },
} as const;

type Setting = 'before' | 'wider' | 'reuse' | 'shared';
const settings: readonly Setting[] = ['before', 'wider', 'reuse', 'shared'];

/** Each setting has a server address of its own, so that it begins without TIME_WAITs. */
const port = (setting: Setting): number => 8080 + settings.indexOf(setting);
const endpoint = (setting: Setting): string => `${serverAddress(settings.indexOf(setting))}:80`;

/** Clients wait so long for an answer, in seconds: where the search for a port is slow, many wait at once. */
const PATIENCE = 60;

/** The port space of a setting in the proxy's report. */
const spaceOf = (report: DoctorReading, setting: Setting) =>
  report.port_spaces.find((s) => s.destination === serverAddress(settings.indexOf(setting)));

/** The automatic ports of a setting. */
const range = (setting: Setting, scale: Scale): readonly [low: number, size: number] => {
  const { low, ports, wider } = sizes[scale];
  return setting === 'wider' ? [scale === 'full' ? LOW : low, wider] : [low, ports];
};

const run = async (stage: Stage, scale: Scale) => {
  const { ports, wider, rate, seconds, threads } = sizes[scale];
  stage.step(say`making clients, HAProxy with ${ports} source ports, and a server`);
  const hosts = await threeHosts(stage, settings.length, portRange(...range('before', scale)));
  // The clients' own ports are not what this is about.
  await hosts.clients.set({ 'net.ipv4.ip_local_port_range': '1024 65535', 'net.ipv4.tcp_tw_reuse': 1 });
  const server = await stage.peer(hosts.servers, 'server', { listen: settings.map(endpoint) });
  // In tcp mode HAProxy passes the client's FIN on, and so closes first. In http mode it resets server connections, which leaves no TIME_WAIT.
  const relays = (['before', 'wider', 'reuse'] as const).map(
    (s) => `listen ${s}\n  mode tcp\n  retries 0\n  bind ${FRONT}:${port(s)}\n  server a ${endpoint(s)}\n`,
  );
  const shared = `listen shared\n  http-reuse always\n  bind ${FRONT}:${port('shared')}\n  server a ${endpoint('shared')}\n`;
  await startHaproxy(stage, hosts.proxy, port('shared'), [...relays, shared].join(''), threads);

  const measure = async (setting: Setting) => {
    const load = await shortConnections(stage, hosts.clients, `http://${FRONT}:${port(setting)}/`, rate, seconds[setting], PATIENCE);
    const space = spaceOf(await stage.doctor(hosts.proxy), setting);
    const { by_endpoint } = await server.ask<ServerCounts>({ do: 'counts' });
    return { load, used: space?.used ?? 0, connections: by_endpoint[endpoint(setting)]!.accepted };
  };

  stage.step(say`before: ${rate} requests a second for ${seconds.before} s, a connection each`);
  let over = false;
  const measuring = stage.meanwhile(measure('before').finally(() => (over = true)));
  const worst = await stage.until(
    'the ports to run out',
    async () => {
      const told = await stage.askDoctor(hosts.proxy, '');
      const space = spaceOf(told.report, 'before');
      // A machine that is too slow never gets there, and is told so.
      return space !== undefined && (over || space.used >= 0.95 * space.capacity) ? { ...told, space } : null;
    },
    3 * seconds.before + PATIENCE,
  );
  const before = await stage.unlessInterrupted(measuring);
  stage.step(say`wider range: ${wider} ports, the same requests for ${seconds.wider} s`);
  await hosts.proxy.set(portRange(...range('wider', scale)));
  const widened = await measure('wider');
  stage.step(say`tcp_tw_reuse=1, ${ports} ports again, ${seconds.reuse} s`);
  await hosts.proxy.set({ ...portRange(...range('reuse', scale)), 'net.ipv4.tcp_tw_reuse': 1 });
  const reused = await measure('reuse');
  stage.step(say`multiplexing (http-reuse always), ${ports} ports, ${seconds.shared} s`);
  await hosts.proxy.set({ 'net.ipv4.tcp_tw_reuse': 2 });
  const multiplexed = await measure('shared');
  await server.end();

  const all = [before, widened, reused, multiplexed];
  const loads: readonly LoadReading[] = all.map((m) => m.load);
  const late = loads.reduce((sum, l) => sum + l.missed + (l.errors['timeout'] ?? 0), 0);
  return {
    measured: { before: [before.load.ok], wider: [widened.load.ok], reuse: [reused.load.ok], shared: [multiplexed.load.ok] },
    comparison: {
      settings: ['before', 'wider range', 'tcp_tw_reuse=1', 'multiplexing'],
      rows: [
        { what: 'source ports', unit: '', values: [ports, wider, ports, ports] },
        { what: 'requests', unit: '', values: loads.map((l) => l.scheduled) },
        { what: 'answered', unit: '', values: loads.map((l) => l.ok) },
        { what: 'failed', unit: '', values: loads.map(failed) },
        { what: 'never sent: this machine was too slow', unit: '', values: loads.map((l) => l.missed) },
        { what: 'how the clients saw it', unit: '', values: loads.map(causes) },
        { what: 'server connections made', unit: '', values: all.map((m) => m.connections) },
        { what: 'ports in use at the end', unit: '', values: all.map((m) => m.used) },
      ],
    },
    told: [{ ...worst, when: say`with ${worst.space.used} of ${worst.space.capacity} ports in use` }],
    lessons: [
      ...(late > 0
        ? [
            say`This machine was too busy for ${rate} requests a second: ${late} were never sent or not answered in ${PATIENCE} s, so these figures say little.`,
          ]
        : []),
      failed(before.load) > 0
        ? say`Each connection kept its port for 60 s after it was closed, so the first ${ports} requests took all of them and ${failed(before.load)} after that failed. In HAProxy's words: Connect() failed for backend: no free ports (EADDRNOTAVAIL).`
        : say`The ports did not run out: beyond half of them each connect() searches so long that HAProxy, on a machine as busy as this one, opened fewer than ${Math.round(ports / 60)} a second, and the first TIME_WAITs ended in time. The clients paid for it with waiting. --fast, or a quiet machine, shows the failures.`,
      say`A range ${(wider / ports).toFixed(2)} times as wide ${failed(widened.load) > 0 ? `lasted ${(wider / ports).toFixed(2)} times as long and ended the same way` : 'carried it, with TIME_WAIT in more than half of it'}. It buys time; it does not change what a connection costs.`,
      say`tcp_tw_reuse=1 lets connect() take a TIME_WAIT after 1 s: ${reused.load.ok} of ${reused.load.scheduled} answered from ${ports} ports. It needs timestamps on both ends.`,
      say`With multiplexing the same requests took ${multiplexed.connections} server connections and no TIME_WAIT at all.`,
    ],
    next: [
      { text: 'See whether it is coming', command: 'plimsoll doctor' },
      { text: 'Work out what your rate needs', command: `plimsoll plan --rate ${rate}/s` },
      { text: 'Let this host be audited before changing sysctls', command: 'plimsoll tune --dry-run' },
    ],
  };
};

export const timeWaitChurn: Scenario = {
  name: 'time-wait-churn',
  title: 'A proxy that closes first fills its ports with TIME_WAIT',
  story:
    'A load test against HAProxy fails at the same point every time. Every request is a connection of its own, the proxy closes first, and each port then waits in TIME_WAIT for 60 s. When the last port is taken, connect() fails with EADDRNOTAVAIL although the server idles.',
  remedy: 'a wider range; then tcp_tw_reuse=1; then multiplexing, each measured',
  takes: { fast: 16, full: 190 },
  programs: ['haproxy'],
  forecasts: (scale): readonly Forecast[] => {
    const { rate, seconds } = sizes[scale];
    const forecast = (setting: Setting, how: string, ...more: readonly string[]): Forecast => {
      const [low, size] = range(setting, scale);
      const tries = rate * seconds[setting];
      return {
        key: setting,
        subject: say`requests answered of ${tries}, ${how}`,
        unit: 'requests',
        plan: ['--rate', `${rate}/s`, '--range', `${low}-${low + size - 1}`, ...more],
        read: (p: PlanReading) => (p.exhausts_after === null ? tries : Math.min(tries, Math.round(p.exhausts_after * rate))),
      };
    };
    return [
      forecast('before', 'before'),
      forecast('wider', 'wider range'),
      forecast('reuse', 'tcp_tw_reuse=1', '--tw-reuse', '1'),
      forecast('shared', 'multiplexing', '--upstream-latency', '5ms'),
    ];
  },
  run,
};
