/** The schema of `plimsoll.balancer/1`: the balancer's state as its socket, `show --json` and the API give it. */
import { z } from 'zod';

const count = z.int().min(0);
const seconds = z.number().min(0);
const failures = z.object({ local: count, remote: count, network: count, client: count }).readonly();
const operStatus = z
  .object({
    state: z.enum(['OPER_UP', 'OPER_DOWN', 'OPER_DISABLED', 'OPER_DRAINING', 'OPER_INITIALIZING']),
    reason: z.string(),
    last_changed_time: z.string(),
  })
  .readonly();

const virtualService = z
  .object({
    name: z.string(),
    listen: z.string(),
    type: z.enum(['http', 'tcp']),
    tls: z.boolean(),
    pool: z.string(),
    application_profile: z.string(),
    connection_multiplexing: z.boolean(),
    oper_status: operStatus,
    open_conns: count,
    open_requests: count,
    connections_dropped: count,
    total_conns: count,
    total_requests: count,
    responses: z.object({ '1xx': count, '2xx': count, '3xx': count, '4xx': count, '5xx': count }).readonly(),
    own_responses: z.record(z.string(), count).readonly(),
    failures,
    bytes_from_clients: count,
    bytes_to_clients: count,
    tunnels: count,
  })
  .readonly();

const monitorResult = z
  .object({
    monitor: z.string(),
    class: z.enum(['up', 'refused', 'timeout', 'bad_response', 'local', 'unknown']),
    detail: z.string(),
    at: z.string(),
    duration: z.number(),
  })
  .readonly();

const server = z
  .object({
    name: z.string(),
    ip_addr: z.string(),
    port: count,
    se_uuid: z.string(),
    weight: z.number(),
    oper_status: operStatus,
    open_conns: count,
    open_requests: count,
    busy_conns: count,
    idle_conns: count,
    bound_conns: count,
    opening_conns: count,
    complete_conns: count,
    new_established_conns: count,
    connections_dropped: count,
    conn_dropped_before_syn_sent: count,
    conn_dropped_before_est: count,
    conn_dropped_after_est: count,
    collisions: count,
    evicted: count,
    rx_tcp_resets: count,
    health_check_failures: count,
    num_requested: count,
    num_reused: count,
    retries: count,
    failures,
    last_results: z.array(monitorResult).readonly(),
  })
  .readonly();

const pool = z
  .object({
    name: z.string(),
    algorithm: z.string(),
    snat_pool: z.string().nullable(),
    health_monitors: z.array(z.string()).readonly(),
    oper_status: operStatus,
    num_servers: count,
    num_servers_up: count,
    num_servers_enabled: count,
    open_conns: count,
    open_requests: count,
    queue: z
      .object({
        depth: count,
        waiting: count,
        oldest_wait: seconds,
        queued: count,
        served: count,
        timed_out: count,
        refused_full: count,
        left: count,
      })
      .readonly(),
    servers: z.array(server).readonly(),
  })
  .readonly();

const healthMonitor = z
  .object({
    name: z.string(),
    type: z.enum(['tcp', 'http']),
    send_interval: seconds,
    receive_timeout: seconds,
    successful_checks: count,
    failed_checks: count,
    path: z.string().nullable(),
    probes: count,
    up: count,
    refused: count,
    timeout: count,
    bad_response: count,
    local: count,
    collisions: count,
    servers: z.array(z.object({ pool: z.string(), server: z.string(), last: monitorResult.nullable() }).readonly()).readonly(),
  })
  .readonly();

const snatPool = z
  .object({
    name: z.string(),
    addresses: z.array(z.object({ address: z.string(), state: z.enum(['active', 'draining', 'absent']) }).readonly()).readonly(),
    ports: z.array(z.string()).readonly(),
    monitor_ports: count,
    cooldown: z.object({ fin: seconds, rst: seconds, half_open: seconds }).readonly(),
    warnings: z.array(z.string()).readonly(),
    use: z
      .array(
        z
          .object({
            address: z.string(),
            server: z.string(),
            capacity: count,
            used: count,
            free: z.int(),
            cooling: count,
            held_by_others: count,
            early_reuses: count,
            misses: count,
            monitor_ports: count,
            monitor_ports_used: count,
          })
          .readonly(),
      )
      .readonly(),
  })
  .readonly();

const event = z
  .object({
    at: z.string(),
    kind: z.string(),
    subject: z.string(),
    cause: z.enum(['local', 'remote', 'network', 'client']).nullable(),
    text: z.string(),
  })
  .readonly();

export const balancerSchema = z
  .object({
    schema: z.literal('plimsoll.balancer/1'),
    taken_at: z.string(),
    started_at: z.string(),
    host: z.string(),
    pid: count,
    configuration_file: z.string(),
    workers: z.array(z.object({ pid: count, open_conns: count, started_at: z.string() }).readonly()).readonly(),
    virtual_services: z.array(virtualService).readonly(),
    pools: z.array(pool).readonly(),
    health_monitors: z.array(healthMonitor).readonly(),
    snat_pools: z.array(snatPool).readonly(),
    events: z.array(event).readonly(),
  })
  .readonly();
