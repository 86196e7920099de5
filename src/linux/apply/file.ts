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

const besideOf = (path: string): string => `${path}.new`;

/** Removes what a writer that was killed before it renamed may have left beside the file. The transaction's lock makes it ours. */
export const discardRest = (path: string): void => rmSync(besideOf(path), { force: true });

/** Replaces (or makes) the file: written beside it, synced, renamed over it. Readers see the old text or the new one. */
export const replaceFile = (path: string, text: string, mode: number): void => {
  discardRest(path);
  const fd = openSync(besideOf(path), 'wx', mode);
  try {
    writeFileSync(fd, text);
    fsyncSync(fd);
    renameSync(besideOf(path), path);
  } catch (error) {
    discardRest(path);
    throw error;
  } finally {
    closeSync(fd);
  }
  syncFolder(path);
};

/** Removes the file, if it is there. */
export const removeFile = (path: string): void => {
  discardRest(path);
  try {
    unlinkSync(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    return;
  }
  syncFolder(path);
};
