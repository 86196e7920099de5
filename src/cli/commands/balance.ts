/** `plimsoll balance`: the load balancer that does not run out of source ports. */
import { appendFileSync } from 'node:fs';
import { hostWarnings } from '../../balancer/configuration/host.ts';
import { loadConfiguration } from '../../balancer/configuration/index.ts';
import { AccessLog } from '../../balancer/embedded/access-log.ts';
import { readCertificate } from '../../balancer/embedded/certificate.ts';
import type { BalancerEvent } from '../../balancer/engine.ts';
import { runBalancer } from '../../balancer/processes/run.ts';
import { singleProcess } from '../../balancer/processes/single.ts';
import { supervise } from '../../balancer/processes/supervisor.ts';
import { ExitCode, PlimsollError } from '../../core/errors.ts';
import { A_WAIT, parseWait } from '../../core/quantity.ts';
import { balancerHost } from '../balancer-host.ts';
import type { CommandSpec, Given } from '../command.ts';
import { runtimeSocket, socketOption } from '../runtime-socket.ts';
import type { Output, Shell } from '../shell.ts';
import { safe } from '../terminal.ts';

/** Seconds of `--grace` when it is not given. */
const defaultGrace = '30s';

const eventLine = (event: BalancerEvent): string =>
  safe(`${event.at} ${event.kind} ${event.subject}${event.cause === null ? '' : ` cause=${event.cause}`}: ${event.text}`);

const accessLog = (target: string | null, stdout: Output): AccessLog | null => {
  if (target === null) return null;
  if (target === '-') return new AccessLog((text) => stdout.write(text));
  try {
    appendFileSync(target, '');
  } catch (cause) {
    throw new PlimsollError('unwritable', { path: target, reason: (cause as NodeJS.ErrnoException).code ?? String(cause) }, { cause });
  }
  return new AccessLog((text) => appendFileSync(target, text));
};

/** Throws with every mistake printed, `file:line:column`, one a line. */
const printMistakes = (error: unknown, shell: Shell): never => {
  if (error instanceof PlimsollError && error.code === 'bad_configuration') {
    for (const line of String(error.facts['mistakes']).split('\n')) shell.stderr.write(`${safe(line)}\n`);
  }
  throw error;
};

const run = async (given: Given, shell: Shell): Promise<number> => {
  const file = given.text('config')!;
  const workers = given.value('workers', 'a number from 1 to 256', '4', (text) =>
    /^\d{1,3}$/.test(text) && +text >= 1 && +text <= 256 ? +text : null,
  )!;
  const grace = given.value('grace', A_WAIT, '30s', parseWait)!;
  const host = balancerHost();
  const { configuration, warnings } = await loadConfiguration(file).catch((error: unknown) => printMistakes(error, shell));
  for (const w of warnings) shell.stderr.write(`${safe(`${file}:${w.line}:${w.column}: warning: ${w.message}`)}\n`);
  if (given.flag('check')) {
    const ports = host.ports();
    for (const pool of configuration.snat_pools) {
      for (const text of ports === null ? [] : hostWarnings(pool, ports))
        shell.stderr.write(`${safe(`${file}: warning: snat_pool ${pool.name}: ${text}`)}\n`);
    }
    for (const { name, tls } of configuration.virtual_services) {
      try {
        if (tls !== null) readCertificate(tls);
      } catch (error) {
        // Who may check a file need not be who may read its keys.
        if (!(error instanceof PlimsollError) || error.code !== 'file_not_found') throw error;
        shell.stderr.write(`${safe(`${file}: warning: virtual_service ${name}: ${error.message}`)}\n`);
      }
    }
    shell.stderr.write(
      `${safe(file)} is good: ${configuration.virtual_services.length} virtual services, ${configuration.pools.length} pools\n`,
    );
    return ExitCode.ok;
  }
  const announce = (event: BalancerEvent): void => shell.stderr.write(`${eventLine(event)}\n`);
  const logTarget = given.text('access-log');
  const log = accessLog(logTarget, shell.stdout);
  if (workers > 1 && host.listen === null) {
    throw new PlimsollError('workers_unsupported', {
      workers,
      reason: 'without the C library a listener cannot be held without accepting from it',
    });
  }
  const front =
    workers === 1
      ? singleProcess({ announce, accessLog: log, configurationFile: file })
      : supervise({
          workers,
          announce,
          configurationFile: file,
          listen: host.listen!,
          program: { module: process.argv[1]!, args: ['balance-worker', ...(logTarget === null ? [] : ['--access-log', logTarget])] },
        });
  await runBalancer({
    file,
    socketPath: runtimeSocket('balance', given.text('socket'), shell.env),
    grace,
    host,
    front,
    writes: logTarget === null || logTarget === '-' ? [] : [logTarget],
    interrupted: shell.interrupted,
    onHangup: shell.onHangup ?? (() => {}),
    ready: (c) =>
      shell.stderr.write(
        `plimsoll balance: ${c.virtual_services.map((v) => `${v.name} on ${v.listen.address}:${v.listen.port}`).join(', ')}\n`,
      ),
  });
  return ExitCode.ok;
};

export const balance: CommandSpec = {
  name: 'balance',
  summary: 'Run the load balancer that does not run out of source ports',
  synopsis: '',
  takes: [0, 0],
  options: [
    { name: 'config', short: 'c', value: 'FILE', fallback: 'plimsoll.yaml', description: 'the configuration file' },
    { name: 'check', description: 'only say whether the file is good, and what about it does not go with this host' },
    {
      name: 'workers',
      value: 'N',
      fallback: '1',
      description: 'processes that serve clients; with 2 or more a parent holds listeners, ports and monitors',
    },
    { name: 'access-log', value: 'FILE', description: 'one JSON object for each request; - is standard output' },
    {
      name: 'grace',
      value: 'DURATION',
      fallback: defaultGrace,
      description: 'how long requests may take to finish after SIGTERM; a second signal ends at once',
    },
    socketOption,
  ],
  notes: [
    'SIGHUP or plimsoll reload applies the changed file without dropping a request; a file with a mistake changes nothing. Events go to standard error.',
    'Exit codes: 78 for a bad configuration, 69 when a listener cannot be opened, 66 when the file is not there.',
  ],
  examples: [
    ['plimsoll balance -c plimsoll.yaml --check', 'says everything that is wrong with the file'],
    ['plimsoll balance -c plimsoll.yaml --workers 4', 'serves, with four worker processes'],
    ['plimsoll show virtualservice web detail', 'shows how it is doing'],
  ],
  run,
};
