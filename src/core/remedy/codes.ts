/** Every remedy there is. Users script against these codes: they are never renamed or reused. */
export const remedyCodes = [
  'multiplexing',
  'add_source_addresses',
  'add_destinations',
  'widen_range',
  'tcp_tw_reuse',
  'peer_closes_first',
  'shorten_idle_timeout',
  'bind_address_no_port',
  'local_port_range_option',
  'free_blocked_ports',
  'shorten_fin_timeout',
  'fix_leak',
  'check_destination',
  'conntrack_settings',
  'cool_down_ports',
] as const;
export type RemedyCode = (typeof remedyCodes)[number];
