/** What the control socket and the signals act on: one engine in this process, or many behind a parent. */
import type { Configuration } from '../configuration/index.ts';
import type { BalancerState } from '../engine.ts';
import type { PortKnowledge } from './port-memory.ts';

export interface Front {
  /** What of it is not as the files say, in words. */
  apply(configuration: Configuration): Promise<readonly string[]>;
  /** Begins to serve clients; after the user has been dropped to. */
  serve(): Promise<void>;
  administer(pool: string, server: string, to: 'enabled' | 'disabled' | 'draining'): void;
  setMultiplexing(virtualService: string, on: boolean): void;
  /** Makes the SNAT pools of `configuration` the running ones, and nothing else of it. */
  applySnatPools(configuration: Configuration): Promise<void>;
  state(): Promise<BalancerState>;
  note(kind: 'started' | 'reloaded' | 'reload_refused', text: string): void;
  warn(snatPool: string, warnings: readonly string[]): void;
  /** What the ledgers know of ports that servers may still hold. */
  portKnowledge(): PortKnowledge;
  /** Has the ledgers know what earlier ones did `since` seconds ago; before `serve`. How many ports still cool. */
  learnPorts(knowledge: PortKnowledge, since: number): number;
  /** Lets requests finish for up to `grace` seconds. */
  stop(grace: number): Promise<void>;
}
