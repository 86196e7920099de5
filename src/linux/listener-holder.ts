/** Who listens where we cannot: for the message about a taken port. */

import { TcpState } from '../core/tcp-state.ts';
import { ownNamespace } from './netns.ts';
import { findOwners } from './owners.ts';
import { type HostRoot, liveRoot } from './proc.ts';
import { readProcSockets } from './sock-diag/procfs.ts';

/** `nginx (pid 812)`, or null if the listener is not found or is somebody's whose processes we may not look at. */
export const listenerHolder = (port: number, root: HostRoot = liveRoot): string | null => {
  const table = readProcSockets(root);
  const inodes = new Set<number>();
  for (let row = 0; row < table.count; row++)
    if (table.state[row] === TcpState.listen && table.localPort[row] === port && table.inode[row] !== 0) inodes.add(table.inode[row]!);
  const [owner] = findOwners(root, inodes, ownNamespace(root).id).owners.values();
  return owner === undefined ? null : `${owner.command} (pid ${owner.pid})`;
};
