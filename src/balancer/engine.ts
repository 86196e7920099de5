/**
 * What an engine shows of itself and what it can be told. `embedded/` is the only engine yet; this file is what a second one
 * would have to offer, and what `show/` renders. The state is one document, plain data, because it crosses a socket and, with
 * several workers, is the sum of theirs. Times are RFC 3339 text, durations seconds, sizes bytes.
 */

/** Whose failure it was. `client` is the peer on the other side: it left, or sent what no server may see. */
export type Cause = 'local' | 'remote' | 'network' | 'client';

/** Failures by cause. */
export type Failures = Readonly<Record<Cause, number>>;

/** As Avi's oper_status. */
export interface OperStatus {
  readonly state: 'OPER_UP' | 'OPER_DOWN' | 'OPER_DISABLED' | 'OPER_DRAINING' | 'OPER_INITIALIZING';
  readonly reason: string;
  readonly last_changed_time: string;
}

export interface VirtualServiceState {
  readonly name: string;
  readonly listen: string;
  readonly type: 'http' | 'tcp';
  readonly tls: boolean;
  readonly pool: string;
  readonly application_profile: string;
  readonly connection_multiplexing: boolean;
  readonly oper_status: OperStatus;
  /** Client connections now, and requests (for tcp: connections) that wait for or get an answer now. */
  readonly open_conns: number;
  readonly open_requests: number;
  /** Client connections closed by us before they got what they came for. */
  readonly connections_dropped: number;
  readonly total_conns: number;
  readonly total_requests: number;
  readonly responses: {
    readonly '1xx': number;
    readonly '2xx': number;
    readonly '3xx': number;
    readonly '4xx': number;
    readonly '5xx': number;
  };
  /** Requests that this balancer answered itself, by status. */
  readonly own_responses: Readonly<Record<string, number>>;
  readonly failures: Failures;
  readonly bytes_from_clients: number;
  readonly bytes_to_clients: number;
  /** Connections that carry an Upgrade tunnel now. */
  readonly tunnels: number;
}

export interface MonitorResult {
  readonly monitor: string;
  readonly class: 'up' | 'refused' | 'timeout' | 'bad_response' | 'local' | 'unknown';
  readonly detail: string;
  readonly at: string;
  readonly duration: number;
}

export interface ServerState {
  readonly name: string;
  readonly ip_addr: string;
  readonly port: number;
  /** Host and process that carries it. */
  readonly se_uuid: string;
  readonly weight: number;
  readonly oper_status: OperStatus;
  /** Server connections now: busy, idle in the pool, owned by one client, and being opened. */
  readonly open_conns: number;
  readonly open_requests: number;
  readonly busy_conns: number;
  readonly idle_conns: number;
  readonly bound_conns: number;
  readonly opening_conns: number;
  readonly complete_conns: number;
  readonly new_established_conns: number;
  readonly connections_dropped: number;
  /** Local failures: nothing left this host. */
  readonly conn_dropped_before_syn_sent: number;
  readonly conn_dropped_before_est: number;
  readonly conn_dropped_after_est: number;
  /** RST in the handshake after which another port worked at once. */
  readonly collisions: number;
  readonly evicted: number;
  readonly rx_tcp_resets: number;
  readonly health_check_failures: number;
  readonly num_requested: number;
  readonly num_reused: number;
  readonly retries: number;
  readonly failures: Failures;
  readonly last_results: readonly MonitorResult[];
}

export interface PoolState {
  readonly name: string;
  readonly algorithm: string;
  readonly snat_pool: string | null;
  readonly health_monitors: readonly string[];
  readonly oper_status: OperStatus;
  readonly num_servers: number;
  readonly num_servers_up: number;
  readonly num_servers_enabled: number;
  readonly open_conns: number;
  readonly open_requests: number;
  readonly queue: {
    readonly depth: number;
    readonly waiting: number;
    readonly oldest_wait: number;
    readonly queued: number;
    readonly served: number;
    readonly timed_out: number;
    readonly refused_full: number;
    readonly left: number;
  };
  readonly servers: readonly ServerState[];
}

export interface HealthMonitorState {
  readonly name: string;
  readonly type: 'tcp' | 'http';
  readonly send_interval: number;
  readonly receive_timeout: number;
  readonly successful_checks: number;
  readonly failed_checks: number;
  readonly path: string | null;
  readonly probes: number;
  readonly up: number;
  readonly refused: number;
  readonly timeout: number;
  readonly bad_response: number;
  readonly local: number;
  readonly collisions: number;
  readonly servers: readonly { readonly pool: string; readonly server: string; readonly last: MonitorResult | null }[];
}

/** One row per source address and server. */
export interface SnatUse {
  readonly address: string;
  readonly server: string;
  readonly capacity: number;
  readonly used: number;
  readonly free: number;
  readonly cooling: number;
  readonly held_by_others: number;
  readonly early_reuses: number;
  readonly misses: number;
  readonly monitor_ports: number;
  readonly monitor_ports_used: number;
}

export interface SnatPoolState {
  readonly name: string;
  readonly addresses: readonly { readonly address: string; readonly state: 'active' | 'draining' | 'absent' }[];
  readonly ports: readonly string[];
  readonly monitor_ports: number;
  readonly cooldown: { readonly fin: number; readonly rst: number; readonly half_open: number };
  /** What is wrong with the choice of ports on this host; empty if nothing. */
  readonly warnings: readonly string[];
  readonly use: readonly SnatUse[];
}

/** Something that changed or went wrong, kept with its time and reason. */
export interface BalancerEvent {
  readonly at: string;
  readonly kind: EventKind;
  /** `virtual_service NAME`, `pool NAME`, `pool NAME server NAME`, `snat_pool NAME`, `worker PID`, `balancer`. */
  readonly subject: string;
  readonly cause: Cause | null;
  readonly text: string;
}

export type EventKind =
  | 'started'
  | 'stopping'
  | 'reloaded'
  | 'reload_refused'
  | 'server_up'
  | 'server_down'
  | 'server_enabled'
  | 'server_disabled'
  | 'server_draining'
  | 'setting_changed'
  | 'queue_started'
  | 'queue_ended'
  | 'ports_short'
  | 'ports_recovered'
  | 'collision'
  | 'address_absent'
  | 'address_added'
  | 'address_drained'
  | 'ports_warning'
  | 'accept_paused'
  | 'certificate_kept'
  | 'access_log_failed'
  | 'access_log_recovered'
  | 'worker_started'
  | 'worker_died';

/** `plimsoll.balancer/1`: everything `show` knows. */
export interface BalancerState {
  readonly schema: 'plimsoll.balancer/1';
  readonly taken_at: string;
  readonly started_at: string;
  readonly host: string;
  readonly pid: number;
  readonly configuration_file: string;
  readonly workers: readonly { readonly pid: number; readonly open_conns: number; readonly started_at: string }[];
  readonly virtual_services: readonly VirtualServiceState[];
  readonly pools: readonly PoolState[];
  readonly health_monitors: readonly HealthMonitorState[];
  readonly snat_pools: readonly SnatPoolState[];
  readonly events: readonly BalancerEvent[];
}
