/** Network namespaces: which there are, what people call them, and how to be in one. */
import { closeSync, openSync, readdirSync, statSync } from 'node:fs';
import { PlimsollError } from '../core/errors.ts';
import { didYouMean } from '../core/nearest.ts';
import { errnoName, type Ffi } from './ffi.ts';
import type { HostRoot } from './proc.ts';

export interface NetworkNamespace {
  /** Inode number: what the kernel calls it in `net:[4026531840]`. */
  readonly id: string;
  /** `host` for the first process's, the name under /run/netns, else `pid:N` of some process in it. */
  readonly name: string;
  /** A file that setns() takes; null for the one we are in. */
  readonly path: string | null;
}

const CLONE_NEWNET = 0x40000000;

const inode = (path: string): string | null => {
  try {
    return String(statSync(path).ino);
  } catch {
    return null;
  }
};

const named = (root: HostRoot): NetworkNamespace[] => {
  let names: string[] = [];
  try {
    names = readdirSync(`${root.run}/netns`);
  } catch {
    // No namespace was ever named.
  }
  return names.flatMap((name) => {
    const path = `${root.run}/netns/${name}`;
    const id = inode(path);
    return id === null ? [] : [{ id, name, path }];
  });
};

/** The namespace this process is in. */
export const ownNamespace = (root: HostRoot): NetworkNamespace => {
  const id = inode(`${root.proc}/self/ns/net`) ?? '0';
  const first = inode(`${root.proc}/1/ns/net`);
  const known = named(root).find((n) => n.id === id)?.name;
  // Without the right to look at the first process, a namespace without a name is taken for the host's.
  const name = known ?? (first === null || first === id ? 'host' : `pid:${process.pid}`);
  return { id, name, path: null };
};

/** Every namespace that a process is in or that has a name; our own first. Processes we may not look at are passed over. */
export const allNamespaces = (root: HostRoot): readonly NetworkNamespace[] => {
  const own = ownNamespace(root);
  const found = new Map<string, NetworkNamespace>([[own.id, own]]);
  for (const ns of named(root)) if (!found.has(ns.id)) found.set(ns.id, ns);
  const first = inode(`${root.proc}/1/ns/net`);
  for (const entry of readdirSync(root.proc)) {
    if (!/^\d+$/.test(entry)) continue;
    const path = `${root.proc}/${entry}/ns/net`;
    const id = inode(path);
    if (id !== null && !found.has(id)) found.set(id, { id, name: id === first ? 'host' : `pid:${entry}`, path });
  }
  return [...found.values()];
};

/** What `--netns` asks for: `all`, `pid:N`, `name:NAME`, or a bare name. Throws namespace_not_found. */
export const findNamespaces = (root: HostRoot, wanted: string | null): readonly NetworkNamespace[] => {
  if (wanted === null) return [ownNamespace(root)];
  if (wanted === 'all') return allNamespaces(root);
  const own = ownNamespace(root);
  const pid = /^pid:(\d+)$/.exec(wanted)?.[1];
  if (pid !== undefined) {
    const path = `${root.proc}/${pid}/ns/net`;
    const id = inode(path);
    if (id === null)
      throw new PlimsollError('namespace_not_found', { name: wanted, nearest: `no process ${pid}, or its namespace may not be looked at` });
    return [id === own.id ? own : { id, name: named(root).find((n) => n.id === id)?.name ?? wanted, path }];
  }
  const name = wanted.startsWith('name:') ? wanted.slice(5) : wanted;
  const known = named(root);
  const match = known.find((n) => n.name === name);
  if (match === undefined) {
    const names = ['all', ...known.map((n) => n.name)];
    throw new PlimsollError('namespace_not_found', { name: wanted, nearest: didYouMean(name, names) });
  }
  return [match.id === own.id ? { ...own, name: match.name } : match];
};

/**
 * Runs `work` with this thread in `namespace`, then comes back. Only synchronous work is inside. /proc/net and /proc/sys/net
 * show the namespace of the thread that reads them. Throws namespace_denied.
 */
export const inNamespace = <T>(ffi: Ffi | null, namespace: NetworkNamespace, work: () => T): T => {
  if (namespace.path === null) return work();
  if (ffi === null) throw new PlimsollError('namespace_denied', { name: namespace.name, reason: 'setns() needs the C library' });
  let away: number;
  try {
    away = openSync(namespace.path, 'r');
  } catch (cause) {
    throw new PlimsollError(
      'namespace_denied',
      { name: namespace.name, reason: (cause as NodeJS.ErrnoException).code ?? 'it cannot be opened' },
      { cause },
    );
  }
  const home = openSync('/proc/self/ns/net', 'r');
  const enter = (fd: number): void => {
    if (ffi.setns(fd, CLONE_NEWNET) < 0)
      throw new PlimsollError('namespace_denied', { name: namespace.name, reason: errnoName(ffi.errno()) });
  };
  try {
    enter(away);
    let result: T;
    try {
      result = work();
    } catch (error) {
      enter(home);
      throw error;
    }
    // Staying in the wrong namespace would make every later reading a lie: failing to come back is an error.
    enter(home);
    return result;
  } finally {
    closeSync(away);
    closeSync(home);
  }
};
