/** `plimsoll doctor`: two looks at this host, one verdict. */
import { Observer } from '../../agent/sampling/observer.ts';
import type { Diagnosis, Verdict } from '../../core/diagnosis.ts';
import { ExitCode, PlimsollError } from '../../core/errors.ts';
import type { AskedDestination } from '../../core/port-spaces.ts';
import { A_WAIT, formatDuration, parseWait } from '../../core/quantity.ts';
import { findNamespaces } from '../../linux/netns.ts';
import { liveRoot } from '../../linux/proc.ts';
import { Sampler } from '../../linux/sampler.ts';
import { reportDocument } from '../../wire/report.ts';
import { readLedgers } from '../balancer-ledgers.ts';
import type { CommandSpec, Given } from '../command.ts';
import { netnsOption, readDestinations, readTop, toOption } from '../host-options.ts';
import { renderDoctor } from '../render/doctor.ts';
import { runtimeSocket, socketOption } from '../runtime-socket.ts';
import type { Shell } from '../shell.ts';

/** Milliseconds the port probe may take: with one look the user waits for nothing else. */
const PROBE_BUDGET = { oneLook: 15, twoLooks: 400 } as const;

/** The monitoring-plugin exit codes. */
const exitOf: Readonly<Record<Verdict, number>> = { ok: 0, warning: 1, critical: 2, unknown: 3 };

const severity: Readonly<Record<Verdict, number>> = { unknown: 0, ok: 1, warning: 2, critical: 3 };
const worse = (a: Diagnosis | null, b: Diagnosis): Diagnosis => {
  if (a === null) return b;
  const rank = severity[b.verdict] - severity[a.verdict];
  return rank > 0 || (rank === 0 && (b.spaces[0]?.usedRatio ?? 0) >= (a.spaces[0]?.usedRatio ?? 0)) ? b : a;
};

interface Request {
  readonly interval: number;
  readonly lasting: number;
  readonly top: number;
  readonly asked: readonly AskedDestination[];
  /** The balancer's control socket. */
  readonly socket: string;
}

/** Looks at the host as asked and returns the worst of what it saw; null if interrupted. */
const examine = async (sampler: Sampler, request: Request, shell: Shell): Promise<Diagnosis | null> => {
  const { interval, lasting, top, asked, socket } = request;
  const twice = interval > 0;
  const observer = new Observer({
    sampler,
    ledgers: () => readLedgers(socket),
    interval,
    top,
    asked,
    idleEvery: 0,
    pollEvery: 0.02,
    probeBudget: twice ? PROBE_BUDGET.twoLooks : PROBE_BUDGET.oneLook,
  });
  const stop = (): void => observer.close();
  shell.interrupted.addEventListener('abort', stop);
  if (shell.interrupted.aborted) stop();
  try {
    const started = performance.now();
    // Of two looks the first is only what the second is compared with.
    if (twice && (await observer.observe()) === null) return null;
    let worst: Diagnosis | null = null;
    do {
      const seen = await observer.observe();
      if (seen === null) return null;
      worst = worse(worst, seen.diagnosis);
    } while (twice && performance.now() - started < lasting * 1000);
    return worst;
  } finally {
    shell.interrupted.removeEventListener('abort', stop);
    observer.close();
  }
};

const run = async (given: Given, shell: Shell): Promise<number> => {
  const interval = given.value('interval', A_WAIT, '2s', parseWait)!;
  const lasting = given.value('for', A_WAIT, '60s', parseWait) ?? 0;
  if (interval === 0 && lasting > 0) throw new PlimsollError('options_conflict', { first: '--for', second: '--interval 0s' });
  const top = readTop(given);
  const sampler = new Sampler(findNamespaces(liveRoot, given.text('netns')));
  const asked = await readDestinations(given, sampler);
  const waiting = Math.max(interval, lasting);
  if (waiting > 0 && shell.stderr.isTerminal) shell.stderr.write(`looking for ${formatDuration(waiting)} …\r`);
  const diagnosis = await examine(
    sampler,
    { interval, lasting, top, asked, socket: runtimeSocket('balance', given.text('socket'), shell.env) },
    shell,
  );
  if (waiting > 0 && shell.stderr.isTerminal) shell.stderr.write('\u001b[2K\r');
  if (diagnosis === null) return ExitCode.interrupted;
  shell.stdout.write(given.flag('json') ? `${JSON.stringify(reportDocument(diagnosis))}\n` : renderDoctor(diagnosis, shell));
  return exitOf[diagnosis.verdict];
};

export const doctor: CommandSpec = {
  name: 'doctor',
  summary: 'Tell which source → destination is running out of source ports, when, why, and what each remedy would buy',
  synopsis: '',
  takes: [0, 0],
  options: [
    { name: 'json', description: 'print the document plimsoll.report/1' },
    {
      name: 'interval',
      value: 'DURATION',
      fallback: '2s',
      description: 'time between the two looks; 0s takes one look and reads rates off the ages of TIME_WAITs',
    },
    { name: 'for', value: 'DURATION', description: 'go on looking for this long, one look every interval, and report the worst' },
    toOption,
    netnsOption,
    { name: 'top', value: 'N', fallback: '10', description: 'how many port spaces to list, the fullest first' },
    socketOption,
  ],
  notes: [
    'Exit codes are a monitoring plugin’s: 0 OK, 1 WARNING (a port space 80 % full or running out within the hour, or a warning finding), 2 CRITICAL (95 %, within 5 minutes, or a critical finding), 3 UNKNOWN (sockets could not be read).',
    'It changes nothing on the host. Without root it still sees every socket; it cannot name other users’ processes, count failed port searches, or read conntrack’s flows, and it says so.',
  ],
  examples: [
    ['plimsoll doctor', 'two looks two seconds apart, then the verdict'],
    ['plimsoll doctor --to 10.0.0.9:443', 'how many connections to that destination are still possible'],
    ['plimsoll doctor --netns all --json | jq .verdict', 'every container’s namespace, as a document'],
  ],
  run,
};
