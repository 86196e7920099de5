/** The balancer's side of `balance.sock`. */
import { chmodSync, chownSync, mkdirSync, unlinkSync } from 'node:fs';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { dirname } from 'node:path';
import { PlimsollError } from '../../core/errors.ts';
import { type ControlAnswer, type ControlRequest, type ControlResults, longestRequest, parseRequest } from './protocol.ts';

export interface ControlOptions {
  readonly path: string;
  readonly answer: (request: ControlRequest) => Promise<ControlResults[keyof ControlResults]>;
  /** The user at the other end of a unix socket (SO_PEERCRED), or null where the platform does not say. */
  readonly peerUser: ((descriptor: number) => number | null) | null;
  /** Who the process will be: owns the socket. */
  readonly owner: { readonly uid: number; readonly gid: number } | null;
}

/** Whether somebody answers at a unix socket. */
const answers = (path: string): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = connect(path);
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', (error: NodeJS.ErrnoException) => resolve(error.code === 'EACCES' || error.code === 'EAGAIN'));
  });

/** Opens the socket, mode 0660. Throws already_running if somebody answers there; a stale file is replaced. */
export const openControl = async (options: ControlOptions): Promise<{ close(): void }> => {
  const { path } = options;
  try {
    if (mkdirSync(dirname(path), { recursive: true, mode: 0o755 }) !== undefined && options.owner !== null) {
      chownSync(dirname(path), options.owner.uid, options.owner.gid);
    }
  } catch (cause) {
    throw new PlimsollError(
      'unwritable',
      { path: dirname(path), reason: (cause as NodeJS.ErrnoException).code ?? String(cause) },
      { cause },
    );
  }
  const server = createServer((socket) => serve(socket, options));
  try {
    await listen(server, path);
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== 'EADDRINUSE') {
      throw new PlimsollError('unwritable', { path, reason: (cause as NodeJS.ErrnoException).code ?? String(cause) }, { cause });
    }
    if (await answers(path)) throw new PlimsollError('already_running', { socket: path });
    unlinkSync(path);
    await listen(server, path);
  }
  if (options.owner !== null) chownSync(path, options.owner.uid, options.owner.gid);
  return { close: () => server.close() };
};

const listen = (server: Server, path: string): Promise<void> =>
  new Promise((resolve, reject) => {
    server.once('error', reject);
    // The file is made with the umask: no moment in which others may connect.
    const before = process.umask(0o117);
    server.listen(path, () => {
      server.off('error', reject);
      server.on('error', () => {});
      resolve();
    });
    process.umask(before);
    server.once('listening', () => chmodSync(path, 0o660));
  });

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
