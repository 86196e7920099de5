/** The commands that change a running balancer: `reload`, `drain`, `enable`, `disable`, `set`. */
import { ask } from '../../balancer/control/client.ts';
import type { ControlRequest } from '../../balancer/control/protocol.ts';
import { canonicalAddress } from '../../core/address.ts';
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

const EXAMPLE = 'for example plimsoll set virtualservice web connection_multiplexing=on or plimsoll set snatpool egress address+=10.0.0.6';

const multiplexing = (name: string, assignment: string): { readonly request: ControlRequest; readonly done: string } => {
  const [key, value] = assignment.split('=') as [string, string?];
  const on = words[value ?? ''];
  if (key !== 'connection_multiplexing' || on === undefined) {
    throw new PlimsollError('bad_value', {
      option: 'set',
      value: assignment,
      expected: 'connection_multiplexing=on or =off',
      example: EXAMPLE,
    });
  }
  return {
    request: { request: 'set', virtual_service: name, connection_multiplexing: on },
    done: `connection_multiplexing=${on ? 'on' : 'off'} for virtual service ${name}`,
  };
};

const snatAddress = (name: string, assignment: string): { readonly request: ControlRequest; readonly done: string } => {
  const [, given] = /^address\+?=(.+)$/.exec(assignment) ?? [];
  const address = given === undefined ? null : canonicalAddress(given);
  if (address === null)
    throw new PlimsollError('bad_value', { option: 'set', value: assignment, expected: 'address+=ADDRESS', example: EXAMPLE });
  return { request: { request: 'add_address', snat_pool: name, address }, done: `${address} is a source address of SNAT pool ${name}` };
};

export const set: CommandSpec = {
  name: 'set',
  summary: 'Change a setting of the running balancer',
  synopsis: 'virtualservice NAME connection_multiplexing=on|off | snatpool NAME address+=ADDRESS',
  takes: [3, 3],
  options: [socketOption],
  notes: [
    'Takes effect for requests to come and lasts until the next reload, which goes by the file. An address must be on this host already.',
    changeNote,
  ],
  examples: [
    ['plimsoll set virtualservice web connection_multiplexing=on', 'many clients share few server connections from now on'],
    ['plimsoll set snatpool egress address+=10.0.0.6', 'every pool that uses egress has the ports of one more source address'],
  ],
  run: async (given, shell) => {
    const [kind, name, assignment] = given.positionals as readonly [string, string, string];
    if (kind !== 'virtualservice' && kind !== 'snatpool')
      throw new PlimsollError('bad_value', { option: 'set', value: kind, expected: 'virtualservice or snatpool', example: EXAMPLE });
    const { request, done } = kind === 'virtualservice' ? multiplexing(name, assignment) : snatAddress(name, assignment);
    await ask(runtimeSocket('balance', given.text('socket'), shell.env), request);
    shell.stderr.write(`${safe(done)}\n`);
    return ExitCode.ok;
  },
};
