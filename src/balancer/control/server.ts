/** The balancer's side of `balance.sock`. */
import { createServer, type Socket } from 'node:net';
import { PlimsollError } from '../../core/errors.ts';
import type { HostServices } from '../processes/host.ts';
import { type ControlAnswer, type ControlRequest, type ControlResults, longestRequest, parseRequest } from './protocol.ts';

export interface ControlOptions {
  readonly path: string;
  readonly answer: (request: ControlRequest) => Promise<ControlResults[keyof ControlResults]>;
  readonly listenAt: HostServices['listenAt'];
  /** SO_PEERCRED, or null where the platform does not say. */
  readonly peerUser: HostServices['peerUser'];
  /** Who the process will be: owns the socket. */
  readonly owner: { readonly uid: number; readonly gid: number } | null;
}

/** Opens the socket, mode 0660. Throws already_running if somebody answers there; a stale file is replaced. */
export const openControl = async (options: ControlOptions): Promise<{ close(): void }> => {
  const server = createServer((socket) => serve(socket, options));
  await options.listenAt(server, options.path, options.owner, new PlimsollError('already_running', { socket: options.path }));
  return { close: () => server.close() };
};

const serve = (socket: Socket, options: ControlOptions): void => {
  socket.setEncoding('utf8');
  socket.on('error', () => socket.destroy());
  let rest = '';
  let queue: Promise<void> = Promise.resolve();
  socket.on('data', (chunk: string) => {
    rest += chunk;
    for (let end = rest.indexOf('\n'); end >= 0; end = rest.indexOf('\n')) {
      const line = rest.slice(0, end);
      rest = rest.slice(end + 1);
      queue = queue.then(async () => {
        const answer = await reply(line, socket, options);
        if (!socket.destroyed) socket.write(`${JSON.stringify(answer)}\n`);
      });
    }
    if (rest.length > longestRequest) socket.destroy();
  });
};

const reply = async (line: string, socket: Socket, options: ControlOptions): Promise<ControlAnswer> => {
  try {
    const request = parseRequest(line);
    if (request === null) throw new PlimsollError('control_malformed', { reason: 'no such request' });
    if (request.request !== 'state') authorize(socket, options);
    return { ok: true, result: await options.answer(request) };
  } catch (error) {
    if (error instanceof PlimsollError) return { ok: false, code: error.code, facts: error.facts };
    return { ok: false, code: 'internal', facts: { reason: String((error as Error)?.message ?? error) } };
  }
};

/** Changes are taken from root and from the user the balancer runs as. */
const authorize = (socket: Socket, options: ControlOptions): void => {
  const descriptor = (socket as unknown as { readonly _handle?: { readonly fd?: number } })._handle?.fd;
  if (options.peerUser === null || descriptor === undefined || descriptor < 0) return;
  const uid = options.peerUser(descriptor);
  if (uid === null || uid === 0 || uid === process.geteuid?.()) return;
  throw new PlimsollError('control_denied', { socket: options.path, uid });
};
