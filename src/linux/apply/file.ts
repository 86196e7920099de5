/** Files that are there whole or not at all, also after a crash or a power cut. */
import { closeSync, fsyncSync, openSync, readFileSync, renameSync, rmSync, unlinkSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';

/** The text of a file; null if there is none. Other failures are thrown: what cannot be read cannot be restored. */
export const readIfThere = (path: string): string | null => {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw error;
  }
};

const syncFolder = (path: string): void => {
  const fd = openSync(dirname(path), 'r');
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
};

/** Replaces (or makes) the file: written beside it, synced, renamed over it. Readers see the old text or the new one. */
export const replaceFile = (path: string, text: string, mode: number): void => {
  const beside = `${path}.new`;
  // A rest of one that was killed before it renamed; whoever holds the transaction's lock owns that name.
  rmSync(beside, { force: true });
  const fd = openSync(beside, 'wx', mode);
  try {
    writeFileSync(fd, text);
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
  renameSync(beside, path);
  syncFolder(path);
};

/** Removes the file, if it is there. */
export const removeFile = (path: string): void => {
  try {
    unlinkSync(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    return;
  }
  syncFolder(path);
};
