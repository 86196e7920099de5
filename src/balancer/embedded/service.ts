/** A virtual service at work: its settings as they are now, its clients, its counters. */
import type { Cause } from '../engine.ts';
import type { AccessLog } from './access-log.ts';
import type { Clock } from './clock.ts';
import type { Pool } from './pool/pool.ts';

/** An application profile with every time in milliseconds. */
export interface ServiceSettings {
  readonly name: string;
  readonly listen: string;
  readonly type: 'http' | 'tcp';
  readonly tls: boolean;
  readonly profile: string;
  readonly multiplexing: boolean;
  readonly forwarded: 'replace' | 'append' | 'off';
  readonly clientHeaderTimeout: number;
  readonly clientBodyTimeout: number;
  readonly clientIdleTimeout: number;
  readonly serverTimeout: number;
  readonly tunnelIdleTimeout: number;
  readonly halfClosedTimeout: number;
  readonly tcpKeepalive: number;
}

export interface ServiceCounters {
  total_conns: number;
  total_requests: number;
  open_requests: number;
  connections_dropped: number;
  tunnels: number;
  bytes_from_clients: number;
  bytes_to_clients: number;
  /** By hundreds of the status. */
  readonly responses: number[];
  readonly own: Record<string, number>;
  readonly failures: Record<Cause, number>;
}

/** One client connection, as the service sees it. */
export interface Session {
  /** Milliseconds on the clock after which `expired` is called. */
  deadline: number;
  /** Whether TCP keep-alive was switched on; done by the sweep, so that short connections do not pay for it. */
  readonly acceptedAt: number;
  keepalive: boolean;
  expired(now: number): void;
  enableKeepalive(idle: number): void;
  /** Closes when it next idles; now, if it idles. */
  retire(): void;
  /** Gives its own server connection to everybody, if it idles. */
  settle(): void;
  /** Closes now. */
  abort(): void;
}

/** Milliseconds that a connection must have lived before it gets TCP keep-alive. */
const keepaliveAfter = 2000;

export class Service {
  settings: ServiceSettings;
  pool: Pool;
  readonly sessions = new Set<Session>();
  readonly clock: Clock;
  readonly log: AccessLog | null;
  readonly counters: ServiceCounters = {
    total_conns: 0,
    total_requests: 0,
    open_requests: 0,
    connections_dropped: 0,
    tunnels: 0,
    bytes_from_clients: 0,
    bytes_to_clients: 0,
    responses: [0, 0, 0, 0, 0, 0],
    own: {},
    failures: { local: 0, remote: 0, network: 0, client: 0 },
  };
  stopping = false;

  constructor(settings: ServiceSettings, pool: Pool, clock: Clock, log: AccessLog | null) {
    this.settings = settings;
    this.pool = pool;
    this.clock = clock;
    this.log = log;
  }

  tick(now: number): void {
    const young = now - keepaliveAfter;
    for (const session of this.sessions) {
      if (now > session.deadline) session.expired(now);
      else if (!session.keepalive && session.acceptedAt < young) {
        session.keepalive = true;
        session.enableKeepalive(this.settings.tcpKeepalive);
      }
    }
  }

  /** No more requests: idle clients are closed, the others after their answer. */
  retire(): void {
    this.stopping = true;
    for (const session of [...this.sessions]) session.retire();
  }

  /** Multiplexing was switched on: clients that idle on a connection of their own give it up. */
  settle(): void {
    for (const session of this.sessions) session.settle();
  }

  abort(): void {
    for (const session of [...this.sessions]) session.abort();
  }
}
