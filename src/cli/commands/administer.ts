/** The commands that change a running balancer: `reload`, `drain`, `enable`, `disable`, `set`. */
import { ask } from '../../balancer/control/client.ts';
import { ExitCode, PlimsollError } from '../../core/errors.ts';
import type { CommandSpec } from '../command.ts';
import { runtimeSocket, socketOption } from '../runtime-socket.ts';
import { safe } from '../terminal.ts';

const changeNote =
  'Changes are taken from root and from the user the balancer runs as. Exit codes: 66 unknown name, 69 no balancer runs, 77 not permitted.';

export const reload: CommandSpec = {
  name: 'reload',
  summary: 'Have the running balancer read its configuration file again',
  synopsis: '',
  takes: [0, 0],
  options: [socketOption],
  notes: ['A file with a mistake changes nothing: every mistake is named, and the exit code is 78.', changeNote],
  examples: [['plimsoll reload', 'applies the changed file without dropping a request']],
  run: async (given, shell) => {
    try {
      const { warnings } = await ask(runtimeSocket('balance', given.text('socket'), shell.env), { request: 'reload' });
      for (const warning of warnings) shell.stderr.write(`${safe(warning)}\n`);
    } catch (error) {
      if (error instanceof PlimsollError && error.code === 'bad_configuration') {
        for (const line of String(error.facts['mistakes'] ?? '').split('\n')) shell.stderr.write(`${safe(line)}\n`);
      }
      throw error;
    }
    shell.stderr.write('reloaded\n');
    return ExitCode.ok;
  },
};

const administration = (name: string, to: 'enabled' | 'disabled' | 'draining', summary: string, note: string): CommandSpec => ({
  name,
  summary,
  synopsis: 'POOL SERVER',
  takes: [2, 2],
  options: [socketOption],
  notes: [note, changeNote],
  examples: [[`plimsoll ${name} web a`, `server a of pool web`]],
  run: async (given, shell) => {
    const [pool, server] = given.positionals as readonly [string, string];
    await ask(runtimeSocket('balance', given.text('socket'), shell.env), { request: 'administer', pool, server, to });
    shell.stderr.write(`${safe(server)} of pool ${safe(pool)} is ${to}\n`);
    return ExitCode.ok;
  },
});

export const drain = administration(
  'drain',
  'draining',
  'Send a server no new clients',
  'Requests, tunnels and one-to-one clients that it has are served to their end; idle shared connections are closed.',
);
export const enable = administration('enable', 'enabled', 'Use a server again', 'Undoes drain and disable.');
export const disable = administration(
  'disable',
  'disabled',
  'Take a server out of use',
  'Requests that it has are answered; clients that idle on a connection of their own to it are closed.',
);

const words: Readonly<Record<string, boolean>> = { on: true, true: true, off: false, false: false };

export const set: CommandSpec = {
  name: 'set',
  summary: 'Change a setting of the running balancer',
  synopsis: 'virtualservice NAME connection_multiplexing=on|off',
  takes: [3, 3],
  options: [socketOption],
  notes: ['Takes effect for requests to come and lasts until the next reload, which goes by the file.', changeNote],
  examples: [['plimsoll set virtualservice web connection_multiplexing=on', 'many clients share few server connections from now on']],
  run: async (given, shell) => {
    const [kind, name, assignment] = given.positionals as readonly [string, string, string];
    const [key, value] = assignment.split('=') as [string, string?];
    const example = 'for example plimsoll set virtualservice web connection_multiplexing=on';
    if (kind !== 'virtualservice')
      throw new PlimsollError('bad_value', {
        option: 'set',
        value: kind,
        expected: 'virtualservice, the only kind with settings',
        example,
      });
    const on = words[value ?? ''];
    if (key !== 'connection_multiplexing' || on === undefined) {
      throw new PlimsollError('bad_value', { option: 'set', value: assignment, expected: 'connection_multiplexing=on or =off', example });
    }
    await ask(runtimeSocket('balance', given.text('socket'), shell.env), {
      request: 'set',
      virtual_service: name,
      connection_multiplexing: on,
    });
    shell.stderr.write(`connection_multiplexing=${on ? 'on' : 'off'} for virtual service ${safe(name)}\n`);
    return ExitCode.ok;
  },
};
