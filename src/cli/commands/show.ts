/** `plimsoll show`: the balancer's state in the tables Avi's operators know. */
import { ask } from '../../balancer/control/client.ts';
import { showDocument, showRequest, showTables } from '../../balancer/show/index.ts';
import { ExitCode } from '../../core/errors.ts';
import type { CommandSpec } from '../command.ts';
import { runtimeSocket, socketOption } from '../runtime-socket.ts';
import { safe } from '../terminal.ts';

export const show: CommandSpec = {
  name: 'show',
  summary: 'Show the state of the running balancer',
  synopsis: 'virtualservice|pool|healthmonitor|snatpool|events [NAME] [server] [detail]',
  takes: [1, 4],
  options: [{ name: 'json', description: 'one versioned document instead of tables' }, socketOption],
  notes: ['Without NAME all of the kind are listed. Exit codes: 66 for an unknown name, 69 when no balancer runs.'],
  examples: [
    ['plimsoll show virtualservice web detail', 'one virtual service'],
    ['plimsoll show pool web server detail', 'a table for each server of pool web'],
    ['plimsoll show snatpool egress detail', 'source ports by address and server'],
  ],
  run: async (given, shell) => {
    const request = showRequest(given.positionals);
    const state = await ask(runtimeSocket('balance', given.text('socket'), shell.env), { request: 'state' });
    if (given.flag('json')) shell.stdout.write(`${JSON.stringify(showDocument(state, request), null, 2)}\n`);
    else shell.stdout.write(showTables(state, request, safe));
    return ExitCode.ok;
  },
};
