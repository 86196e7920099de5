/** What `plimsoll balance --workers N` starts N times. Of no use by hand. */
import { appendFileSync } from 'node:fs';
import { AccessLog } from '../../balancer/embedded/access-log.ts';
import type { FromWorker, ToWorker } from '../../balancer/processes/messages.ts';
import { runWorker } from '../../balancer/processes/worker.ts';
import { ExitCode, PlimsollError } from '../../core/errors.ts';
import type { CommandSpec } from '../command.ts';

export const balanceWorker: CommandSpec = {
  name: 'balance-worker',
  hidden: true,
  summary: 'a worker of plimsoll balance',
  synopsis: '',
  takes: [0, 0],
  options: [{ name: 'access-log', value: 'FILE', description: 'as for plimsoll balance' }],
  notes: ['Started by plimsoll balance --workers N, never by hand.'],
  examples: [],
  run: async (given, shell) => {
    const { process: self } = globalThis;
    if (self.send === undefined)
      throw new PlimsollError('missing_argument', { command: 'balance-worker', argument: 'a parent: plimsoll balance --workers N' });
    // A hangup is the parent's to answer: it reloads, and tells us.
    shell.onHangup?.(() => {});
    const target = given.text('access-log');
    const write = target === '-' ? shell.stdout.write : (text: string): void => appendFileSync(target!, text);
    await runWorker(
      {
        send: (message: FromWorker) => void (self.connected && self.send!(message, undefined, undefined, () => {})),
        onMessage: (listener) => void self.on('message', (message, handle) => listener(message as ToWorker, handle)),
        onDisconnect: (listener) => void self.once('disconnect', listener),
      },
      target === null ? null : new AccessLog(write),
    );
    if (self.connected) self.disconnect();
    return ExitCode.ok;
  },
};
