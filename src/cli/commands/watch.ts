/** `plimsoll watch`: the doctor's look, live in the terminal. */
import { Observer } from '../../agent/sampling/observer.ts';
import { ExitCode } from '../../core/errors.ts';
import { A_WAIT, parseWait } from '../../core/quantity.ts';
import { findNamespaces } from '../../linux/netns.ts';
import { liveRoot } from '../../linux/proc.ts';
import { Sampler } from '../../linux/sampler.ts';
import { reportDocument } from '../../wire/report.ts';
import { readLedgers } from '../balancer-ledgers.ts';
import type { CommandSpec, Given } from '../command.ts';
import { netnsOption, readDestinations, readTop, toOption } from '../host-options.ts';
import { runtimeSocket, socketOption } from '../runtime-socket.ts';
import type { Shell } from '../shell.ts';
import { painter } from '../terminal.ts';
import { asciiOnly, toAscii } from '../watch/ascii.ts';
import { watchLive } from '../watch/live.ts';
import { oneLine } from '../watch/one-line.ts';

/** Seconds between two readings of what is dear: owners, idle times. */
const DEAR_EVERY = 5;
/** More often, and looking would be most of what the host does. In seconds. */
const LEAST_INTERVAL = 0.1;

/** A line or a document for each look, until it is interrupted (false) or `lasting` seconds are over (true). */
const watchLines = async (observer: Observer, lasting: number, json: boolean, ascii: boolean, shell: Shell): Promise<boolean> => {
  const stop = (): void => observer.close();
  shell.interrupted.addEventListener('abort', stop);
  if (shell.interrupted.aborted) stop();
  let end: NodeJS.Timeout | undefined;
  try {
    for (;;) {
      const seen = await observer.observe();
      if (seen === null) return !shell.interrupted.aborted;
      // From the first look on: whoever asks for a moment gets a line.
      if (Number.isFinite(lasting)) end ??= setTimeout(stop, lasting * 1000);
      const line = json ? JSON.stringify(reportDocument(seen.diagnosis)) : oneLine(seen);
      shell.stdout.write(`${ascii && !json ? toAscii(line) : line}\n`);
    }
  } finally {
    clearTimeout(end);
    shell.interrupted.removeEventListener('abort', stop);
    observer.close();
  }
};

const run = async (given: Given, shell: Shell): Promise<number> => {
  const interval = given.value('interval', `a duration of at least ${LEAST_INTERVAL * 1000}ms`, '1s', (text) => {
    const seconds = parseWait(text);
    return seconds === null || seconds < LEAST_INTERVAL ? null : seconds;
  })!;
  const lasting = given.value('for', A_WAIT, '60s', parseWait) ?? Number.POSITIVE_INFINITY;
  const top = readTop(given);
  const wanted = given.text('netns');
  const sampler = new Sampler(findNamespaces(liveRoot, wanted));
  const asked = await readDestinations(given, sampler);
  const socket = runtimeSocket('balance', given.text('socket'), shell.env);
  const observer = new Observer({
    sampler,
    ledgers: () => readLedgers(socket),
    interval,
    top,
    asked,
    idleEvery: DEAR_EVERY,
    ...(wanted === 'all' ? { namespaces: () => findNamespaces(liveRoot, wanted) } : {}),
  });
  const ascii = asciiOnly(shell.env);
  const { fullScreen } = shell;
  const json = given.flag('json');
  const drawable = !json && !given.flag('lines') && fullScreen !== undefined && !['', 'dumb'].includes(shell.env['TERM'] ?? '');
  const whole = drawable
    ? await watchLive(observer, fullScreen, {
        interval,
        lasting,
        paint: painter(shell.stdout, shell.env),
        ascii,
        interrupted: shell.interrupted,
      })
    : await watchLines(observer, lasting, json, ascii, shell);
  return whole ? ExitCode.ok : ExitCode.interrupted;
};

export const watch: CommandSpec = {
  name: 'watch',
  summary: 'The doctor’s look, live in the terminal: every port space with its line and forecast, sorted, filtered, opened',
  synopsis: '',
  takes: [0, 0],
  options: [
    {
      name: 'interval',
      value: 'DURATION',
      fallback: '1s',
      description: 'time between looks, at least 100ms; slower by itself where looking takes long',
    },
    { name: 'for', value: 'DURATION', description: 'end after this long' },
    toOption,
    netnsOption,
    {
      name: 'top',
      value: 'N',
      fallback: '50',
      description: 'how many port spaces to name owners, findings and remedies of, the fullest first',
    },
    { name: 'lines', description: 'print one line for each look, as into a pipe' },
    { name: 'json', description: 'print one plimsoll.report/1 document a line for each look' },
    socketOption,
  ],
  notes: [
    'Keys: ↑ ↓ select, enter opens a port space, esc goes back, s sorts, r reverses, / filters, p pauses, ? explains, q leaves.',
    'Into a pipe, on TERM=dumb and without a terminal it prints a line for each look. NO_COLOR is honoured; a locale without UTF-8 is drawn in ASCII.',
    'Exit codes: 0 when it was left or its time was over, 130 when interrupted.',
  ],
  examples: [
    ['plimsoll watch', 'this host, every second'],
    ['sudo plimsoll watch --netns all', 'the containers of this host too, with the names of their processes'],
    ['plimsoll watch --interval 10s >> ports.log', 'a line every ten seconds'],
    ['plimsoll watch --json --for 1m | jq .verdict', 'a document for each look'],
  ],
  run,
};
