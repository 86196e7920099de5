/** What an audit looks at, and what it says of each setting. */

import type { PortRange } from '../port-range.ts';
import type { MeasuredSpace, NamespaceView } from '../port-spaces.ts';
import type { Change, Effect } from '../remedy/effect.ts';
import type { Risk } from '../remedy/remedy.ts';

/**
 * What a host mostly does, which decides what a setting can change: a server's TIME_WAITs sit on its listener's port, a NAT's ports
 * are conntrack's.
 */
export const roles = ['proxy', 'server', 'client', 'nat', 'idle'] as const;
export type Role = (typeof roles)[number];

/** Open files of one process that holds sockets. */
export interface FileLimit {
  readonly pid: number;
  readonly command: string;
  readonly sockets: number;
  /** RLIMIT_NOFILE, soft; infinite is null. */
  readonly soft: number | null;
}

/** What an audit is made from. */
export interface TuneFacts {
  readonly role: Role;
  readonly before: NamespaceView | null;
  readonly view: NamespaceView;
  readonly spaces: readonly MeasuredSpace[];
  /** Current values by name, as the kernel gives them; null where it has none. */
  readonly values: Readonly<Record<string, string | null>>;
  /** Ports that a balancer chooses from itself: they must be reserved where they lie in the automatic range. */
  readonly balancerPorts: readonly PortRange[];
  readonly fileLimits: readonly FileLimit[];
  /** Whether this is the namespace of the host: some settings exist only there. */
  readonly isHost: boolean;
}

/** Where a setting lives: in a network namespace, in the whole host, or in a process (which nobody can set from outside). */
export type Scope = 'namespace' | 'host' | 'process';

/** What the audit says of one setting. */
export interface Advice {
  readonly name: string;
  readonly scope: Scope;
  readonly current: string | null;
  /** Null: leave it. */
  readonly recommended: string | null;
  /** Why it should change, or why it should not. */
  readonly why: string;
  /** What people expect of this setting and it does not do. */
  readonly cannot: string;
  readonly risk: Risk;
}

/** What the changes together are to bring about in one port space. */
export interface Promised {
  readonly space: string;
  readonly changes: readonly Change[];
  readonly effect: Effect;
}

/** What `tune` says: advice by setting, and what following it promises for each space that is short. */
export interface Audit {
  readonly role: Role;
  readonly advice: readonly Advice[];
  readonly promised: readonly Promised[];
}

/** What the host does, by the sockets it has. */
export const inferRole = (view: NamespaceView): Role => {
  const held = (groups: NamespaceView['groups']['inbound']): number => groups.reduce((sum, g) => sum + g.end - g.start, 0);
  if ((view.sample.conntrack?.snatFlows?.length ?? 0) > 0) return 'nat';
  const inbound = held(view.groups.inbound);
  const outbound = held(view.groups.outbound);
  if (inbound + outbound === 0) return 'idle';
  if (inbound === 0) return 'client';
  return outbound * 20 < inbound ? 'server' : 'proxy';
};
