/** `plimsoll lab`: the incidents, made to happen on purpose in network namespaces, and ended. */
import { cpus, release } from 'node:os';
import { ExitCode, PlimsollError } from '../../core/errors.ts';
import { didYouMean } from '../../core/nearest.ts';
import { findLeftovers, removeLeftovers, requireAll, runScenario, type Scale, type Scenario, scenarios } from '../../lab/index.ts';
import { labDocument } from '../../wire/lab.ts';
import type { CommandSpec, Given } from '../command.ts';
import { renderAfter, renderBefore, renderLabList } from '../render/lab.ts';
import { progressOf } from '../render/lab-progress.ts';
import type { Shell } from '../shell.ts';

const actions = ['list', 'run', 'clean'] as const;

const scenarioOf = (name: string | undefined): Scenario => {
  if (name === undefined) throw new PlimsollError('missing_argument', { command: 'lab', argument: 'a scenario: plimsoll lab run NAME' });
  const found = scenarios.find((s) => s.name === name);
  if (found === undefined) {
    throw new PlimsollError('lab_unknown_scenario', {
      name,
      nearest: didYouMean(
        name,
        scenarios.map((s) => s.name),
      ),
    });
  }
  return found;
};

const runOne = async (given: Given, shell: Shell): Promise<number> => {
  const scenario = scenarioOf(given.positionals[1]);
  const scale: Scale = given.flag('fast') ? 'fast' : 'full';
  const progress = progressOf(shell, scenario.takes[scale]);
  const startedAt = new Date().toISOString();
  const flags = ['fast', 'keep', 'json'].filter((name) => given.flag(name)).map((name) => ` --${name}`);
  const keep = given.flag('keep');
  try {
    const ran = await runScenario(scenario, {
      scale,
      keep,
      own: [process.execPath, process.argv[1]!],
      line: `plimsoll lab run ${scenario.name}${flags.join('')}`,
      env: shell.env,
      interrupted: shell.interrupted,
      onStep: progress.step,
      onPredicted: (predictions) => shell.stderr.write(renderBefore(scenario, scale, predictions, shell)),
    });
    progress.end();
    if (ran === null) {
      shell.stderr.write(keep ? 'interrupted; plimsoll lab clean removes what was kept\n' : 'interrupted; everything it made is removed\n');
      return ExitCode.interrupted;
    }
    const about = {
      scenario: scenario.name,
      title: scenario.title,
      fast: scale === 'fast',
      startedAt,
      seconds: { expected: scenario.takes[scale], taken: ran.seconds },
      host: { kernel: release(), cpus: cpus().length, node: process.version },
      kept: ran.kept,
    };
    shell.stdout.write(given.flag('json') ? `${JSON.stringify(labDocument(about, ran.experiment))}\n` : renderAfter(scenario, ran, shell));
    return ExitCode.ok;
  } catch (error) {
    progress.end();
    throw error;
  }
};

const clean = async (shell: Shell): Promise<number> => {
  const found = findLeftovers(true);
  const count = found.namespaces.length + found.folders.length;
  if (count > 0) {
    requireAll('lab clean', [], 'plimsoll lab clean', shell.env['PATH']);
    await removeLeftovers(found);
  }
  for (const name of [...found.namespaces, ...found.folders]) shell.stdout.write(`removed ${name}\n`);
  if (count === 0) shell.stdout.write('nothing to remove: no run of the lab that is over has left anything\n');
  return ExitCode.ok;
};

const run = async (given: Given, shell: Shell): Promise<number> => {
  const [action, name] = given.positionals;
  if (!actions.some((a) => a === action))
    throw new PlimsollError('lab_unknown_action', { action: action!, nearest: didYouMean(action!, actions) });
  if (action !== 'run' && name !== undefined) throw new PlimsollError('excess_argument', { command: 'lab', argument: name });
  const option = action === 'run' ? undefined : lab.options.find((o) => given.flag(o.name));
  if (option !== undefined) {
    throw new PlimsollError('unknown_option', {
      command: `lab ${action!}`,
      option: `--${option.name}`,
      nearest: 'it belongs to plimsoll lab run',
    });
  }
  if (action === 'run') return runOne(given, shell);
  if (action === 'clean') return clean(shell);
  shell.stdout.write(renderLabList(scenarios, shell));
  return ExitCode.ok;
};

export const lab: CommandSpec = {
  name: 'lab',
  summary: 'Make source-port exhaustion happen on purpose, in network namespaces, and see it end',
  synopsis: 'list | run NAME | clean',
  takes: [1, 2],
  options: [
    { name: 'fast', description: 'the same story with fewer ports, within 20 s' },
    { name: 'keep', description: 'leave the namespaces, configurations, logs and captures of the run; plimsoll lab clean removes them' },
    { name: 'json', description: 'print one plimsoll.lab/1 document' },
  ],
  notes: [
    'Needs root: CAP_NET_ADMIN, CAP_NET_RAW and CAP_SYS_ADMIN. Everything happens in network namespaces named plimsoll-…, which are removed at the end, also after Ctrl-C; after kill -9 the next run or lab clean removes them. No setting of the host is touched.',
    'Exit codes: 66 for an unknown scenario, 69 when a program that the scenario needs is not installed, 77 without the privileges, 130 when interrupted.',
  ],
  examples: [
    ['plimsoll lab list', 'says which scenarios there are, how long each takes and what it needs'],
    ['sudo plimsoll lab run time-wait-churn --fast', 'runs one, small'],
    ['sudo plimsoll lab run close-wait-leak --json', 'prints what was predicted and measured as a document'],
    ['sudo plimsoll lab clean', 'removes what killed runs and --keep left'],
  ],
  run,
};
