/** The lab's servers and clients, which `plimsoll lab run` starts in its namespaces. Of no use by hand. */
import { ExitCode, PlimsollError } from '../../core/errors.ts';
import { play } from '../../lab/peers/index.ts';
import type { CommandSpec } from '../command.ts';

export const labPeer: CommandSpec = {
  name: 'lab-peer',
  hidden: true,
  summary: 'a server or client of a lab scenario',
  synopsis: 'ROLE SETTINGS',
  takes: [2, 2],
  options: [],
  notes: ['Started by plimsoll lab run, never by hand.'],
  examples: [],
  run: async (given, shell) => {
    if (!play(given.positionals[0]!, given.positionals[1]!))
      throw new PlimsollError('bad_value', {
        option: 'ROLE',
        value: given.positionals[0]!,
        expected: 'server or client',
        example: 'plimsoll lab run starts it',
      });
    await new Promise((done) => shell.interrupted.addEventListener('abort', done, { once: true }));
    return ExitCode.interrupted;
  },
};
