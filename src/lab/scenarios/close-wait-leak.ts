/** An application that never closes: the other side has closed, ours has not, and no timer ends it. */
import type { Opened } from '../peers/client.ts';
import { type Scale, type Scenario, say, untilExhausted } from '../scenario.ts';
import type { Stage } from '../stage.ts';
import { portRange, serverAddress, twoHosts } from './network.ts';

const LOW = 20000;
const sizes = { fast: { ports: 400, rate: 80 }, full: { ports: 6000, rate: 150 } } as const;

/** A client's end; `count` and `rate` are added. */
const leaking = { do: 'open', to: [`${serverAddress(0)}:80`], leak: true, untilFailure: true, timeout: 10_000 } as const;

const run = async (stage: Stage, scale: Scale) => {
  const { ports, rate } = sizes[scale];
  stage.step(say`making an application with ${ports} source ports and a server that closes first`);
  const { client, servers } = await twoHosts(stage, 'application', 1, portRange(LOW, ports));
  const server = await stage.peer(servers, 'server', { listen: [`${serverAddress(0)}:80`], closes: 'at-once' });

  stage.step(say`before: it opens ${rate} connections a second and closes none`);
  let application = await stage.peer(client, 'client', {});
  let over: Opened | null = null;
  const first = stage.meanwhile(
    application.ask<Opened>({ ...leaking, count: ports * 2, rate }).then((opened) => {
      over = opened;
      return opened;
    }),
  );
  const named = await stage.until(
    'the doctor to name the leak',
    async () => {
      const told = await stage.askDoctor(client, '', '1s');
      return told.report.because.includes('close_wait_leak') ? told : null;
    },
    120,
  );
  const early = named.report.port_spaces[0]!;
  if (over !== null) throw new Error('the ports ran out before the doctor had looked');
  stage.step(say`the doctor names it with ${early.used} of ${early.capacity} ports in use; waiting for the first failure`);
  const leaked = await stage.unlessInterrupted(first);
  const worst = await stage.doctor(client);

  stage.step('a restart: the process is ended, and its ports are free');
  await application.end();
  const afterRestart = await stage.until('the ports to be free', async () => {
    const [space] = (await stage.doctor(client)).port_spaces;
    return space === undefined || (space.by_state['close_wait'] ?? 0) === 0 ? { used: space?.used ?? 0 } : null;
  });
  stage.step('… and the same application runs into the same wall again');
  application = await stage.peer(client, 'client', {});
  const again = await stage.unlessInterrupted(application.ask<Opened>({ ...leaking, count: ports * 2, rate: rate * 4 }));
  await application.end();

  stage.step('after: the application closes when the server has closed');
  application = await stage.peer(client, 'client', {});
  const many = ports * 2;
  const mended = await stage.unlessInterrupted(application.ask<Opened>({ ...leaking, leak: false, count: many, rate: rate * 4 }));
  const [still] = (await stage.doctor(client)).port_spaces;
  await Promise.all([application.end(), server.end()]);

  const failures = (o: Opened): string => (o.before_failure === null ? 'none' : Object.keys(o.failures).join(', '));
  return {
    measured: { first_failure: [leaked.before_failure ?? leaked.tried, again.before_failure ?? again.tried] },
    comparison: {
      settings: ['before', 'after a restart', 'after: it closes'],
      rows: [
        { what: 'connections opened', unit: '', values: [leaked.opened, again.opened, mended.opened] },
        {
          what: 'connections until the first failure',
          unit: '',
          values: [leaked.before_failure, again.before_failure, mended.before_failure],
        },
        { what: 'what failed', unit: '', values: [failures(leaked), failures(again), failures(mended)] },
        { what: 'ports held when it began', unit: '', values: [0, afterRestart.used, 0] },
        { what: 'ports held at the end', unit: '', values: [worst.port_spaces[0]?.used ?? 0, again.opened, still?.used ?? 0] },
        { what: 'the doctor named it with ports in use', unit: '', values: [early.used, null, null] },
        {
          what: 'that was before the failure, by its forecast',
          unit: 's',
          values: [early.forecast.seconds === null ? null : Math.round(early.forecast.seconds * 10) / 10, null, null],
        },
      ],
    },
    told: [{ ...named, when: say`with ${early.used} of ${early.capacity} ports in use, before anything failed` }],
    lessons: [
      say`The server closed every connection and the application none: each kept its source port, and number ${(leaked.before_failure ?? 0) + 1} found no port. CLOSE_WAIT has no timer.`,
      'A restart freed all ports at once and mended nothing: the same wall came after the same number of connections.',
      say`Until the first failure nothing an application measures is wrong. The doctor named the process with ${Math.round((100 * early.used) / early.capacity)} % of the ports in use.`,
    ],
    next: [
      { text: 'Look for it on a host', command: 'plimsoll doctor' },
      { text: 'See what a growth of so many a minute comes to', command: 'plimsoll plan --rate 60/m --duration 24h --closer server' },
    ],
  };
};

export const closeWaitLeak: Scenario = {
  name: 'close-wait-leak',
  title: 'An application that never closes',
  story:
    'The other side closes its connections, the application does not, and each stays in CLOSE_WAIT with its source port. Someone restarts it every few weeks, which frees the ports and hides the fault.',
  remedy: 'the application closes when the other side has closed',
  takes: { fast: 15, full: 75 },
  programs: [],
  forecasts: (scale) => {
    const { ports, rate } = sizes[scale];
    return [
      {
        key: 'first_failure',
        subject: 'connections until connect() fails',
        unit: 'connections',
        plan: ['--rate', `${rate}/s`, '--duration', '24h', '--closer', 'server', '--range', `${LOW}-${LOW + ports - 1}`],
        read: untilExhausted(rate),
      },
    ];
  },
  run,
};
