/** A unix socket for the few: its folder made, its file never open to others, a dead one's file replaced. */
import { chmodSync, chownSync, mkdirSync, unlinkSync } from 'node:fs';
import { connect, type Server } from 'node:net';
import { dirname } from 'node:path';
import { PlimsollError } from '../core/errors.ts';

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

const unwritable = (path: string, cause: unknown): PlimsollError =>
  new PlimsollError('unwritable', { path, reason: (cause as NodeJS.ErrnoException).code ?? String(cause) }, { cause });

/**
 * Has `server` listen at `path`, mode 0660, owned by `owner` where there is one. Throws `running` if somebody answers there, and
 * unwritable; a stale file is replaced.
 */
export const listenOnSocket = async (
  server: Server,
  path: string,
  owner: { readonly uid: number; readonly gid: number } | null,
  running: PlimsollError,
): Promise<void> => {
  try {
    // One level, not `recursive`: Node 20 tries for ever where a parent takes no folders (/proc).
    mkdirSync(dirname(path), { mode: 0o755 });
    if (owner !== null) chownSync(dirname(path), owner.uid, owner.gid);
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== 'EEXIST') throw unwritable(dirname(path), cause);
  }
  try {
    await listen(server, path);
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== 'EADDRINUSE') throw unwritable(path, cause);
    if (await answers(path)) throw running;
    unlinkSync(path);
    await listen(server, path);
  }
  if (owner !== null) chownSync(path, owner.uid, owner.gid);
};
