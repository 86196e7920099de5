/** Where `balance.sock` and `agent.sock` are: /run/plimsoll for root, the user's runtime directory otherwise. */
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { OptionSpec } from './command.ts';
import type { Shell } from './shell.ts';

/** The option of every command that talks to a socket. */
export const socketOption: OptionSpec = {
  name: 'socket',
  value: 'FILE',
  description:
    'the control socket (or PLIMSOLL_SOCKET; default /run/plimsoll/balance.sock, as a user $XDG_RUNTIME_DIR/plimsoll/balance.sock)',
};

/** The path of the socket called `name`; `given` is what the command line says. */
export const runtimeSocket = (name: 'balance' | 'agent', given: string | null, env: Shell['env']): string => {
  if (given !== null) return given;
  const named = env['PLIMSOLL_SOCKET'];
  if (named !== undefined && named !== '') return named;
  const runtime = env['XDG_RUNTIME_DIR'];
  const base = process.geteuid?.() === 0 ? '/run' : runtime !== undefined && runtime !== '' ? runtime : tmpdir();
  return join(base, 'plimsoll', `${name}.sock`);
};
