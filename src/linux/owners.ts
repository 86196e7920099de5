/** Which process holds a socket: by inode, looking only where it is likely, and only until all are found. */
import { readdirSync, readlinkSync, statSync } from 'node:fs';
import type { Owner, Reading } from '../core/host-sample.ts';
import { type HostRoot, readText } from './proc.ts';

/** The container a process is in, from its cgroup path: the 64 hex digits that every runtime puts there, first 12. */
export const containerOf = (cgroup: string): string | null =>
  /[/:-]([0-9a-f]{12})[0-9a-f]{52}(?:\.scope)?(?:\/|$)/m.exec(cgroup)?.[1] ?? null;

/** Name and container of a process; null if it is gone. */
export const describeProcess = (root: HostRoot, pid: number): Owner | null => {
  const command = readText(`${root.proc}/${pid}/comm`);
  if (command === null) return null;
  return { pid, command, container: containerOf(readText(`${root.proc}/${pid}/cgroup`) ?? '') };
};

interface Candidate {
  readonly pid: number;
  readonly sameNamespace: boolean;
  readonly descriptors: number;
}

/**
 * Finds the owners of `inodes`. Processes of namespace `namespaceId` with most descriptors are searched first (since Linux 6.2
 * the size of /proc/PID/fd is their number), and the search ends when none is missing: on a proxy that is after one process.
 * Denied for processes of other users without CAP_SYS_PTRACE: what was found is returned all the same.
 */
export const findOwners = (
  root: HostRoot,
  inodes: ReadonlySet<number>,
  namespaceId: string,
  /** Whether to stop with what is found: sockets that closed meanwhile are never found, and looking for them goes through every process. */
  late: () => boolean = () => false,
): { readonly owners: ReadonlyMap<number, Owner>; readonly reading: Reading<null> } => {
  const owners = new Map<number, Owner>();
  if (inodes.size === 0) return { owners, reading: { status: 'ok', value: null } };
  let denied = 0;
  const candidates: Candidate[] = [];
  for (const entry of readdirSync(root.proc)) {
    if (!/^\d+$/.test(entry)) continue;
    try {
      const sameNamespace = String(statSync(`${root.proc}/${entry}/ns/net`).ino) === namespaceId;
      candidates.push({ pid: Number(entry), sameNamespace, descriptors: statSync(`${root.proc}/${entry}/fd`).size });
    } catch (error) {
      // Gone, or not ours to look at.
      if ((error as NodeJS.ErrnoException).code === 'EACCES') denied++;
    }
  }
  candidates.sort((a, b) => Number(b.sameNamespace) - Number(a.sameNamespace) || b.descriptors - a.descriptors);
  const missing = new Set(inodes);
  for (const { pid } of candidates) {
    if (missing.size === 0 || late()) break;
    const folder = `${root.proc}/${pid}/fd`;
    let names: string[];
    try {
      names = readdirSync(folder);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'EACCES') denied++;
      continue;
    }
    let owner: Owner | null = null;
    for (const name of names) {
      let target: string;
      try {
        target = readlinkSync(`${folder}/${name}`);
      } catch {
        continue;
      }
      if (!target.startsWith('socket:[')) continue;
      const inode = Number(target.slice(8, -1));
      if (!missing.delete(inode)) continue;
      owner ??= describeProcess(root, pid);
      if (owner !== null) owners.set(inode, owner);
      if (missing.size === 0) break;
    }
  }
  return {
    owners,
    reading:
      missing.size > 0 && denied > 0
        ? {
            status: 'denied',
            hint: `${missing.size} of ${inodes.size} sockets belong to processes of other users: naming those needs root (CAP_SYS_PTRACE)`,
          }
        : { status: 'ok', value: null },
  };
};
