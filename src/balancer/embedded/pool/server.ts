/** A server of a pool as the engine sees it: may it be used, what is open to it, what happened so far. */
import type { OperStatus } from '../../engine.ts';
import { type Candidate, hashText } from './selection.ts';
import type { ServerConnection } from './server-connection.ts';

export type Administration = 'enabled' | 'disabled' | 'draining';

export interface ServerCounters {
  complete_conns: number;
  new_established_conns: number;
  conn_dropped_before_syn_sent: number;
  conn_dropped_before_est: number;
  conn_dropped_after_est: number;
  collisions: number;
  evicted: number;
  rx_tcp_resets: number;
  health_check_failures: number;
  num_requested: number;
  num_reused: number;
  retries: number;
  unsolicited: number;
  local: number;
  remote: number;
  network: number;
  client: number;
}

const noCounts = (): ServerCounters => ({
  complete_conns: 0,
  new_established_conns: 0,
  conn_dropped_before_syn_sent: 0,
  conn_dropped_before_est: 0,
  conn_dropped_after_est: 0,
  collisions: 0,
  evicted: 0,
  rx_tcp_resets: 0,
  health_check_failures: 0,
  num_requested: 0,
  num_reused: 0,
  retries: 0,
  unsolicited: 0,
  local: 0,
  remote: 0,
  network: 0,
  client: 0,
});

export class Server implements Candidate {
  readonly name: string;
  readonly address: string;
  readonly port: number;
  /** `ip:port`, as the ledger names it. */
  readonly key: string;
  readonly hash: number;
  weight: number;
  /** For selection: computed before each. */
  available = true;
  administration: Administration = 'enabled';
  health: OperStatus;
  /** Shared connections that wait for a request: the last one used is used next, so that the others can time out. */
  readonly idle: ServerConnection[] = [];
  /** Connections owned by a client that asks nothing now, oldest first: those that may be evicted. */
  readonly boundIdle = new Set<ServerConnection>();
  /** Everything open, opening or closing: what holds ports. */
  readonly connections = new Set<ServerConnection>();
  opening = 0;
  bound = 0;
  /** Requests it is busy with, including those whose connection is being opened. */
  load = 0;
  /** Handshakes answered with RST since the last one that worked. */
  refusals = 0;
  /** No port was to be had: not asked again before something changes. */
  short = false;
  readonly counters = noCounts();

  constructor(name: string, address: string, port: number, key: string, weight: number, health: OperStatus) {
    this.name = name;
    this.address = address;
    this.port = port;
    this.key = key;
    this.hash = hashText(key);
    this.weight = weight;
    this.health = health;
  }

  get up(): boolean {
    return this.health.state !== 'OPER_DOWN';
  }

  /** Whether new work may go to it. */
  get open(): boolean {
    return this.administration === 'enabled' && this.up;
  }

  /** What `show` says of it: the administrator's word goes before the monitor's. */
  get status(): OperStatus {
    if (this.administration === 'disabled') return { ...this.health, state: 'OPER_DISABLED', reason: 'disabled by command' };
    if (this.administration === 'draining') return { ...this.health, state: 'OPER_DRAINING', reason: 'draining by command' };
    return this.health;
  }
}
