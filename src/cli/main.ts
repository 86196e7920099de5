/** Dispatch: argv in, exit code out. The only place where an error becomes text. */
import { ExitCode, PlimsollError } from '../core/errors.ts';
import { didYouMean } from '../core/nearest.ts';
import { type CommandSpec, readArguments } from './command.ts';
import { loadCommand, loadCommands } from './commands/index.ts';
import { commandHelp, generalHelp } from './help.ts';
import type { Shell } from './shell.ts';
import { painter, safe } from './terminal.ts';
import { version } from './version.ts';

const find = async (name: string): Promise<CommandSpec> => {
  const spec = await loadCommand(name);
  if (spec !== null) return spec;
  const names = (await loadCommands()).filter((c) => c.hidden !== true).map((c) => c.name);
  throw new PlimsollError('unknown_command', { command: name, nearest: didYouMean(name, names) });
};

const dispatch = async (argv: readonly string[], shell: Shell): Promise<number> => {
  const [name, ...rest] = argv;
  if (name === undefined || name === '--help' || name === '-h' || name === 'help') {
    shell.stdout.write(rest[0] === undefined ? generalHelp(await loadCommands()) : commandHelp(await find(rest[0])));
    return ExitCode.ok;
  }
  if (name === '--version' || name === '-V') {
    shell.stdout.write(`${version}\n`);
    return ExitCode.ok;
  }
  const spec = await find(name);
  const end = rest.indexOf('--');
  if ((end < 0 ? rest : rest.slice(0, end)).some((a) => a === '--help' || a === '-h')) {
    shell.stdout.write(commandHelp(spec));
    return ExitCode.ok;
  }
  return spec.run(readArguments(spec, rest), shell);
};

/** Runs one command line and resolves to its exit code. Never rejects. */
export const main = async (argv: readonly string[], shell: Shell): Promise<number> => {
  try {
    return await dispatch(argv, shell);
  } catch (cause) {
    const error =
      cause instanceof PlimsollError
        ? cause
        : new PlimsollError('internal', { reason: String((cause as Error)?.stack ?? cause) }, { cause });
    const paint = painter(shell.stderr, shell.env);
    // A stack trace has lines of its own; everything else came from outside and may not forge one.
    const message = error.code === 'internal' ? error.message.split('\n').map(safe).join('\n') : safe(error.message);
    shell.stderr.write(`${paint('red', 'plimsoll:')} ${message}\n${error.hint === '' ? '' : `  ${safe(error.hint)}\n`}`);
    return error.exit;
  }
};
