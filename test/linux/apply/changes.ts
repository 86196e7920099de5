/** What the tests of the transaction change: two settings with separators of their own and one plain. */
export const changes = [
  { name: 'net.ipv4.ip_local_reserved_ports', value: '8080,9000-9010' },
  { name: 'net.ipv4.ip_local_port_range', value: '1024 65535' },
  { name: 'net.ipv4.tcp_tw_reuse', value: '1' },
] as const;

/** The values before. */
export const initial = {
  'net.ipv4.ip_local_reserved_ports': '5000-5003',
  'net.ipv4.ip_local_port_range': '40000 49999',
  'net.ipv4.tcp_tw_reuse': '0',
} as const;
