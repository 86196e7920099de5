/** Every finding there is, for hosts and captures. Users script against these codes: they are never renamed or reused. */

/** Conditions of a host (`doctor`, `watch`, `serve`). */
export const hostFindingCodes = [
  'port_space_exhausted',
  'port_space_filling',
  'failed_port_searches',
  'time_wait_churn',
  'idle_one_to_one',
  'close_wait_leak',
  'fin_wait_2_held',
  'syn_sent_dead_peer',
  'shared_bind_pool',
  'ports_blocked',
  'narrow_range',
  'search_wall_passed',
  'connections_at_once',
  'time_wait_overflow',
  'conntrack_table_full',
  'snat_ports_short',
  'collisions',
  'inbound_source_saturated',
] as const;

/** Conditions seen in a packet capture (`explain`). */
export const captureFindingCodes = [
  'syn_on_established',
  'syn_on_half_closed',
  'syn_on_time_wait',
  'challenge_ack',
  'syn_reset',
  'syn_ignored',
  'time_wait_accepted',
  'paws_rejected',
  'port_reused_early',
  'snat_syn_loss',
  'source_near_limit',
  'monitor_reset',
] as const;

export type HostFindingCode = (typeof hostFindingCodes)[number];
export type CaptureFindingCode = (typeof captureFindingCodes)[number];
export type FindingCode = HostFindingCode | CaptureFindingCode;
