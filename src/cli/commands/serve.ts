/** `plimsoll serve`: the agent that goes on looking, with its dashboard, API and metrics. */
import { hostname } from 'node:os';
import { fileURLToPath } from 'node:url';
import { Agent } from '../../agent/agent.ts';
import { usualSettings } from '../../agent/alerts/rules.ts';
import { openLogbook } from '../../agent/logbook.ts';
import { keepSmall } from '../../agent/memory.ts';
import { Observer } from '../../agent/sampling/observer.ts';
import { canonicalAddress, isLoopback } from '../../core/address.ts';
import type { Diagnosis } from '../../core/diagnosis.ts';
import { ExitCode, PlimsollError } from '../../core/errors.ts';
import { parseDuration } from '../../core/quantity.ts';
import { findNamespaces } from '../../linux/netns.ts';
import { liveRoot } from '../../linux/proc.ts';
import { Sampler } from '../../linux/sampler.ts';
import { loadAgentSettings } from '../agent-configuration.ts';
import { balancerAccess } from '../balancer-access.ts';
import { readLedgers } from '../balancer-ledgers.ts';
import type { CommandSpec, Given } from '../command.ts';
import { renderDoctor } from '../render/doctor.ts';
import { runtimeSocket } from '../runtime-socket.ts';
import type { Shell } from '../shell.ts';
import { painter, safe } from '../terminal.ts';
import { version } from '../version.ts';

const defaultListen = '127.0.0.1:7575';
/** Seconds between two readings of what is dear: how long connections have been silent, who holds them. */
const IDLE_EVERY = 15;
const LISTEN_EXAMPLE = `${defaultListen} or --listen [::1]:7575`;

/** The address to listen on: one, never a name but localhost, for a name may mean several. Port 0 is any that is free. */
const parseListen = (text: string): { readonly host: string; readonly port: number } | null => {
  const [, v6, v4, digits] = /^(?:\[([^\]]+)\]|([^:]+)):(\d{1,5})$/.exec(text) ?? [];
  const host = canonicalAddress(v6 ?? (v4 === 'localhost' ? '127.0.0.1' : (v4 ?? '')));
  const port = Number(digits);
  return host !== null && port <= 65535 ? { host, port } : null;
};

/** Whether standard error is the journal, which knows levels (sd-daemon(3)). */
const inJournal = (env: Shell['env']): boolean => env['JOURNAL_STREAM'] !== undefined;

/** Throws with every mistake printed, `file:line:column`, one a line. */
const printMistakes = (error: unknown, shell: Shell): never => {
  if (error instanceof PlimsollError && error.code === 'bad_configuration') {
    for (const line of String(error.facts['mistakes']).split('\n')) shell.stderr.write(`${safe(line)}\n`);
  }
  throw error;
};

/** Prints the doctor's verdict at the second look: the first knows no rates. */
const verdictOnce = (shell: Shell): ((diagnosis: Diagnosis) => void) => {
  let looks = 0;
  return (diagnosis) => {
    if (++looks === 2) shell.stdout.write(renderDoctor(diagnosis, shell));
  };
};

const run = async (given: Given, shell: Shell): Promise<number> => {
  keepSmall();
  const listen = given.value('listen', 'an address and a port', LISTEN_EXAMPLE, parseListen)!;
  const interval = given.value('interval', 'a duration from 200ms to 60s', '1s', (text) => {
    const seconds = parseDuration(text);
    return seconds !== null && seconds >= 0.2 && seconds <= 60 ? seconds : null;
  })!;
  const top = given.value('top', 'a whole number from 1 to 1000', '20', (t) =>
    /^[1-9]\d{0,3}$/.test(t) && Number(t) <= 1000 ? Number(t) : null,
  )!;
  const tokenFile = given.text('token-file');
  const cert = given.text('tls-cert');
  const key = given.text('tls-key');
  if ((cert === null) !== (key === null))
    throw new PlimsollError('missing_option', {
      command: 'serve',
      option: cert === null ? '--tls-cert' : '--tls-key',
      example: 'for example --tls-cert cert.pem --tls-key key.pem',
    });
  const tls = cert === null || key === null ? null : { cert, key };
  const loopback = isLoopback(listen.host);
  if (!loopback && tokenFile === null) throw new PlimsollError('agent_needs_token', { listen: given.text('listen')! });

  const { newToken, readTokenFile } = await import('../../agent/http/token.ts');
  const token = tokenFile === null ? newToken() : readTokenFile(tokenFile);
  const balancerSocket = given.text('balancer') ?? runtimeSocket('balance', null, shell.env);
  const complain = (text: string): void => shell.stderr.write(`${safe(`plimsoll serve: ${text}`)}\n`);
  const file = given.text('config');
  const settings = file === null ? usualSettings : await loadAgentSettings(file).catch((error: unknown) => printMistakes(error, shell));
  const logbook = await openLogbook({
    folder: given.text('data'),
    settings,
    host: hostname(),
    version,
    // Under systemd the journal takes the level off the line and keeps it.
    say: (line, level) => shell.stderr.write(`${inJournal(shell.env) ? `<${level}>` : ''}${safe(line)}\n`),
  });
  const find = () => findNamespaces(liveRoot, given.text('netns'));
  const sampler = new Sampler(find());
  const agent = new Agent({
    version,
    host: hostname(),
    interval,
    looking: new Observer({
      sampler,
      ledgers: () => readLedgers(balancerSocket),
      interval,
      top,
      idleEvery: IDLE_EVERY,
      namespaces: find,
      remembered: (id) => logbook.remembered(id),
    }),
    logbook,
    onLook: given.flag('doctor') ? verdictOnce(shell) : () => {},
    balancer: balancerAccess(balancerSocket),
    complain,
  });
  const { startHttp } = await import('../../agent/http/index.ts');
  const http = await startHttp({
    view: agent,
    listen,
    hosts: [hostname().toLowerCase(), ...given.texts('host').map((h) => h.toLowerCase())],
    token,
    tls,
    socket: runtimeSocket('agent', given.text('socket'), {}),
    assets: fileURLToPath(new URL('./web/', import.meta.url)),
    complain,
  });
  const paint = painter(shell.stderr, shell.env);
  const page = tokenFile === null ? `${http.url}/#token=${token}` : `${http.url}/ (token in ${safe(tokenFile)})`;
  shell.stderr.write(`plimsoll serve: ${paint('bold', page)}\n`);
  if (!loopback && tls === null)
    shell.stderr.write(
      `${paint('yellow', 'warning:')} the token and everything asked crosses the network unencrypted: add --tls-cert and --tls-key\n`,
    );
  if (!http.dashboard) shell.stderr.write('the dashboard is not built (node scripts/build.mjs builds it): API and metrics only\n');
  try {
    await agent.run(shell.interrupted);
  } finally {
    await http.close();
  }
  return ExitCode.ok;
};

export const serve: CommandSpec = {
  name: 'serve',
  summary: 'Keep looking: dashboard, API, history, metrics and alerts for this host',
  synopsis: '',
  takes: [0, 0],
  options: [
    {
      name: 'listen',
      value: 'ADDRESS:PORT',
      fallback: defaultListen,
      description: 'where the dashboard and the API are; beyond this host only with --token-file',
    },
    {
      name: 'interval',
      value: 'DURATION',
      fallback: '1s',
      description: 'time between two looks; it looks less often by itself where a look takes long',
    },
    {
      name: 'top',
      value: 'N',
      fallback: '20',
      description: 'how many port spaces to diagnose and to show in events and metrics, the fullest first',
    },
    {
      name: 'netns',
      value: 'NAME',
      description: 'look into all | pid:N | name:NAME instead of the caller’s network namespace; containers have their own ports',
    },
    {
      name: 'config',
      short: 'c',
      value: 'FILE',
      description: 'take alert rules and the webhook from the section agent: of this file; without it the usual rules hold',
    },
    {
      name: 'data',
      value: 'DIR',
      description: 'keep history here: by the second for an hour, by the minute for 30 days; without it an hour in memory',
    },
    {
      name: 'token-file',
      value: 'FILE',
      description: 'keep the token here instead of making one at every start; made, mode 0600, if it is not there',
    },
    { name: 'doctor', description: 'print the doctor’s verdict once, as soon as there were two looks' },
    { name: 'tls-cert', value: 'FILE', description: 'serve TLS with this certificate chain (PEM)' },
    { name: 'tls-key', value: 'FILE', description: 'and this key' },
    {
      name: 'host',
      value: 'NAME',
      repeatable: true,
      description: 'a further name that the agent answers to; addresses, localhost and the host’s name are known',
    },
    {
      name: 'socket',
      value: 'FILE',
      description: 'the agent’s own socket (default /run/plimsoll/agent.sock, as a user $XDG_RUNTIME_DIR/plimsoll/agent.sock)',
    },
    {
      name: 'balancer',
      value: 'FILE',
      description: 'the balancer’s control socket (or PLIMSOLL_SOCKET; default balance.sock beside the agent’s)',
    },
  ],
  notes: [
    'On loopback everybody on this host may read, without process names; the printed token shows those too and permits changes of the balancer. Beyond loopback everything but /healthz and /readyz needs the token.',
    'Without root it sees every socket, but names only the processes of its own user; docs/guide/serve.md says which capability buys what.',
    'Exit codes: 64 for options that do not go together, 69 when the port or the socket is taken, 77 for a token file that others may read.',
  ],
  examples: [
    ['plimsoll serve', 'the dashboard at the address it prints'],
    ['plimsoll serve --listen 0.0.0.0:7575 --token-file /etc/plimsoll/token --tls-cert cert.pem --tls-key key.pem', 'for other hosts'],
    ['curl -s http://127.0.0.1:7575/api/v1/report | jq .verdict', 'the verdict, from anywhere on this host'],
  ],
  run,
};
