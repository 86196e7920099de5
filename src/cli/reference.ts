/** `docs/reference/commands.md`, rendered from the same table as the help. Written by scripts/docs.mjs, held current by a test. */
import type { CommandSpec } from './command.ts';
import { commandHelp } from './help.ts';

/** The page: what each command's --help prints, word for word. */
export const commandsReference = (all: readonly CommandSpec[]): string => {
  const specs = all.filter((s) => s.hidden !== true);
  return [
    '# Commands',
    '',
    'This is what `plimsoll COMMAND --help` prints, written by `node scripts/docs.mjs`. Data goes to stdout; progress, hints and errors go to',
    'stderr. `--json` prints one versioned document. What the exit codes mean is in [exit-codes.md](exit-codes.md).',
    '',
    '| command | what it does |',
    '|---|---|',
    ...specs.map((s) => `| [\`plimsoll ${s.name}\`](#plimsoll-${s.name}) | ${s.summary.replaceAll('|', '\\|')} |`),
    '',
    ...specs.flatMap((s) => [`## \`plimsoll ${s.name}\``, '', '```text', commandHelp(s).trimEnd(), '```', '']),
  ].join('\n');
};
