/** A configuration that uses every section, as DESIGN writes it down. */
export const example = `version: 1
user: plimsoll                                # dropped to after the listeners are open
virtual_services:
  - { name: web, listen: 0.0.0.0:8080, application_profile: http, pool: web }
  - { name: tls, listen: "[::1]:8443", application_profile: http, pool: web, tls: { cert: web.pem, key: web.key } }
  - { name: sql, listen: 10.0.0.1:5432, application_profile: bytes, pool: db }
application_profiles:
  - { name: http, type: http, connection_multiplexing: true, x_forwarded_for: replace,
      client_header_timeout: 10s, client_body_timeout: 30s, client_idle_timeout: 60s, server_timeout: 60s, tunnel_idle_timeout: 1h, half_closed_timeout: 30s, tcp_keepalive: 60s }
  - { name: bytes, type: tcp }
pools:
  - name: web
    algorithm: least_connections
    servers: [{ name: a, address: 10.0.1.11:80 }, { name: b, address: 10.0.1.12:80, weight: 2 }]
    health_monitors: [tcp, web]
    snat_pool: egress
    connections: { max_per_server: 32, connect_timeout: 3s, idle_timeout: 60s, max_reuse: 0 }
    queue: { depth: 1024, timeout: 15s }
  - name: db
    servers:
      - { name: one, address: "[2001:db8::1]:5432" }
snat_pools:
  - { name: egress, addresses: [10.0.0.5-10.0.0.9], ports: [1024-32767, 61000-65535], monitor_ports: 4, cooldown: { fin: 65s, rst: 16s, half_open: 30s } }
health_monitors:
  - { name: tcp, type: tcp, send_interval: 5s, receive_timeout: 2s, successful_checks: 2, failed_checks: 3 }
  - { name: web, type: http, path: /healthz, expect: [200-399], send_interval: 5s, receive_timeout: 2s, successful_checks: 2, failed_checks: 3 }
`;

/** The example without everything that has a default. */
export const least = `version: 1
virtual_services: [{ name: web, listen: 0.0.0.0:8080, application_profile: http, pool: web }]
application_profiles: [{ name: http, type: http }]
pools: [{ name: web, servers: [{ name: a, address: 10.0.1.11:80 }] }]
`;
