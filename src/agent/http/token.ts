/** The token: made at the start, or kept in a file that nobody else may read. */
import { randomBytes } from 'node:crypto';
import { closeSync, constants, fstatSync, openSync, readSync, writeSync } from 'node:fs';
import { PlimsollError } from '../../core/errors.ts';

/** 256 bits. */
export const newToken = (): string => randomBytes(32).toString('base64url');

const SHORTEST = 32;
const LONGEST = 512;

/**
 * The token in the file at `path`; the file is made, mode 0600, if it is not there. It must be a plain file of ours (or root's)
 * that nobody else may read or write. Throws token_unusable.
 */
export const readTokenFile = (path: string): string => {
  const unusable = (reason: string, cause?: unknown): PlimsollError => new PlimsollError('token_unusable', { path, reason }, { cause });
  let descriptor: number;
  try {
    descriptor = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch (cause) {
    const code = (cause as NodeJS.ErrnoException).code ?? String(cause);
    if (code !== 'ENOENT') throw unusable(code === 'ELOOP' ? 'it is a symbolic link' : code, cause);
    return makeTokenFile(path, unusable);
  }
  try {
    // Of the open file, not of the name: what is checked is what is read.
    const status = fstatSync(descriptor);
    const user = process.geteuid?.() ?? status.uid;
    if (!status.isFile()) throw unusable('it is no plain file');
    if ((status.mode & 0o077) !== 0) throw unusable(`its mode is 0${(status.mode & 0o777).toString(8)}: others may use it`);
    if (status.uid !== user && status.uid !== 0) throw unusable(`it belongs to user ${status.uid}`);
    const bytes = Buffer.alloc(LONGEST + 2);
    const token = bytes.toString('utf8', 0, readSync(descriptor, bytes)).replace(/\r?\n$/, '');
    if (!/^[\w.~+/=-]+$/.test(token) || token.length < SHORTEST || token.length > LONGEST)
      throw unusable(`it holds no token of ${SHORTEST} to ${LONGEST} letters and digits`);
    return token;
  } finally {
    closeSync(descriptor);
  }
};

const makeTokenFile = (path: string, unusable: (reason: string, cause?: unknown) => PlimsollError): string => {
  const token = newToken();
  try {
    const descriptor = openSync(path, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL, 0o600);
    writeSync(descriptor, `${token}\n`);
    closeSync(descriptor);
  } catch (cause) {
    throw unusable((cause as NodeJS.ErrnoException).code ?? String(cause), cause);
  }
  return token;
};
