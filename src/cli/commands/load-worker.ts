/** What `plimsoll load` starts when one process is not enough. Of no use by hand. */
import { ExitCode, PlimsollError } from '../../core/errors.ts';
import type { ToWorker } from '../../load/messages.ts';
import { serveWorker } from '../../load/worker.ts';
import type { CommandSpec } from '../command.ts';

export const loadWorker: CommandSpec = {
  name: 'load-worker',
  hidden: true,
  summary: 'a process of plimsoll load',
  synopsis: '',
  takes: [0, 0],
  options: [],
  notes: ['Started by plimsoll load, never by hand.'],
  examples: [],
  run: async () => {
    const { process: self } = globalThis;
    if (self.send === undefined)
      throw new PlimsollError('missing_argument', { command: 'load-worker', argument: 'a parent: plimsoll load --workers N' });
    await serveWorker({
      send: (message) => void (self.connected && self.send!(message, undefined, undefined, () => {})),
      onMessage: (listener) => void self.on('message', (message) => listener(message as ToWorker)),
      onDisconnect: (listener) => void self.once('disconnect', listener),
    });
    if (self.connected) self.disconnect();
    return ExitCode.ok;
  },
};
