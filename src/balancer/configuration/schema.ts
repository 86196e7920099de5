/**
 * `plimsoll.yaml`: every field, its default and its limits. Inside, times are seconds, ports ranges, and addresses one each.
 */
import { canonicalAddress, parseAddressRange, parseEndpoint } from '../../core/address.ts';
import {
  boolean,
  byKind,
  type Definition,
  duration,
  flat,
  foreign,
  integer,
  leaf,
  list,
  mapping,
  type Of,
  oneOf,
  optional,
  withDefault,
} from '../../core/configuration/definition.ts';
import { type PortRange, parseRange } from '../../core/port-range.ts';

const name = leaf(
  'a name (letters, digits, "_", "-" and ".", at most 63)',
  { type: 'string', pattern: '^[A-Za-z0-9_][A-Za-z0-9_.-]{0,62}$' },
  (text) => (/^[A-Za-z0-9_][A-Za-z0-9_.-]{0,62}$/.test(text) ? text : null),
);
const called = (description: string): Definition<string> => ({ ...name, schema: { ...name.schema, description } });

export interface Endpoint {
  /** Canonical. */
  readonly address: string;
  readonly port: number;
}
const endpoint = (example: string, description: string): Definition<Endpoint> =>
  leaf(
    `an address and port, such as ${example} or "[2001:db8::7]:443" (quoted; names are not resolved)`,
    { type: 'string', description },
    (text) => {
      const parsed = parseEndpoint(text);
      const address = parsed === null ? null : canonicalAddress(parsed.host);
      return address === null ? null : { address, port: parsed!.port };
    },
  );

const file = (description: string): Definition<string> =>
  leaf('a path', { type: 'string', minLength: 1, description }, (text) => (text === '' || text.includes('\0') ? null : text));

const day = 86400;

const virtualService = mapping(
  {
    name: called('What `plimsoll show virtualservice NAME` calls it.'),
    listen: endpoint('0.0.0.0:8080', 'Address and port that clients connect to.'),
    application_profile: called('The application profile that says how clients are served.'),
    pool: called('The pool that serves it.'),
    tls: optional(mapping({ cert: file('Certificate chain, PEM.'), key: file('Private key, PEM.') }, 'Clients speak TLS; it ends here.')),
  },
  'Where clients connect, and which pool serves them.',
);

const applicationProfile = mapping(
  {
    name: called('What virtual services call it.'),
    type: oneOf(['http', 'tcp'], 'http: HTTP/1.1, request by request. tcp: bytes, one server connection for each client connection.'),
    connection_multiplexing: withDefault(
      boolean('true: many clients share few server connections. false: every client connection owns one (http only; tcp is always so).'),
      true,
    ),
    x_forwarded_for: withDefault(
      oneOf(
        ['replace', 'append', 'off'],
        'What becomes of X-Forwarded-For: replaced by the client address, appended to, or left alone (http).',
      ),
      'replace',
    ),
    client_header_timeout: withDefault(duration(0.01, day, 'For the whole head of a request, from its first byte (http).'), '10s'),
    client_body_timeout: withDefault(duration(0.01, day, 'Between two pieces of a request body (http).'), '30s'),
    client_idle_timeout: withDefault(duration(0.01, day, 'Between two requests of one client connection (http).'), '60s'),
    server_timeout: withDefault(duration(0.01, day, 'For the server to begin its answer, and between two pieces of it (http).'), '60s'),
    tunnel_idle_timeout: withDefault(duration(0.01, 7 * day, 'Without a byte either way: Upgrade tunnels and tcp services.'), '1h'),
    half_closed_timeout: withDefault(duration(0.01, day, 'After one side has closed, for the other.'), '30s'),
    tcp_keepalive: withDefault(
      duration(0, day, 'Silence after which the kernel asks whether the peer is still there. 0 turns it off.'),
      '60s',
    ),
  },
  'How clients are served.',
);

const server = mapping(
  {
    name: called('What `plimsoll drain POOL SERVER` calls it.'),
    address: endpoint('10.0.1.11:80', 'Address and port of the server.'),
    weight: withDefault(integer(1, 256, 'Share of the load, relative to the others.'), 1),
  },
  'A member of the pool.',
);

const pool = mapping(
  {
    name: called('What virtual services call it.'),
    algorithm: withDefault(
      oneOf(['round_robin', 'least_connections', 'consistent_hash'], 'Which server is next; consistent_hash goes by client address.'),
      'least_connections',
    ),
    servers: list(server, 1, 'At least one.'),
    health_monitors: withDefault(list(name, 0, 'All of them must find a server well. None: servers are taken to be up.'), []),
    snat_pool: optional(called('Source addresses and ports of its connections. None: the kernel chooses.')),
    connections: withDefault(
      mapping(
        {
          max_per_server: withDefault(integer(1, 65535, 'Server connections at most, to each server, where clients share them.'), 32),
          connect_timeout: withDefault(duration(0.01, 600, 'For the handshake with a server.'), '3s'),
          idle_timeout: withDefault(duration(0.01, day, 'After which an unused server connection is closed.'), '60s'),
          max_reuse: withDefault(integer(0, 1e9, 'Requests after which a server connection is closed. 0: no limit.'), 0),
        },
        'Its server connections.',
      ),
      {},
    ),
    queue: withDefault(
      mapping(
        {
          depth: withDefault(integer(0, 1e6, 'Requests that may wait for a server connection. 0: none waits.'), 1024),
          timeout: withDefault(duration(0, 3600, 'For how long one waits before it is answered 503.'), '15s'),
        },
        'Requests that wait for a server connection, oldest first.',
      ),
      {},
    ),
  },
  'Servers that do the same work.',
);

const addressRange: Definition<readonly string[]> = leaf(
  'an address or a range of at most 4096, such as 10.0.0.5-10.0.0.9',
  { type: 'string' },
  (text) => (text.includes(',') ? null : parseAddressRange(text)),
);
const sourcePorts: Definition<PortRange> = leaf(
  'a port or range within 1-65535, such as 1024-32767',
  { type: ['string', 'integer'], pattern: '^\\d{1,5}(-\\d{1,5})?$', minimum: 1, maximum: 65535 },
  parseRange,
);

const snatPool = mapping(
  {
    name: called('What pools call it.'),
    addresses: flat(list(addressRange, 1, 'Source addresses; they must be on this host.')),
    ports: withDefault(
      list(
        sourcePorts,
        1,
        'Source ports, for each address and server. Keep them outside net.ipv4.ip_local_port_range, or reserve them there.',
      ),
      ['1024-32767', '61000-65535'],
    ),
    monitor_ports: withDefault(
      integer(0, 1024, 'How many of them, for each address and server, only health monitors use; a quarter if that would be all of them.'),
      4,
    ),
    cooldown: withDefault(
      mapping(
        {
          fin: withDefault(duration(0, 3600, 'The server closed first: it holds TIME_WAIT.'), '65s'),
          rst: withDefault(duration(0, 3600, 'The connection was reset.'), '16s'),
          half_open: withDefault(duration(0, 3600, 'The end is unknown: the server may still hold the connection.'), '30s'),
        },
        'How long a port rests by how its connection ended. When we closed first it does not.',
      ),
      {},
    ),
  },
  'Source addresses and ports for server connections.',
);

const statuses: Definition<PortRange> = leaf(
  'a status or range within 100-599, such as 200-399',
  { type: ['string', 'integer'], pattern: '^[1-5]\\d\\d(-[1-5]\\d\\d)?$', minimum: 100, maximum: 599 },
  (text) => {
    const range = parseRange(text);
    return range !== null && range.low >= 100 && range.high <= 599 ? range : null;
  },
);

const monitorFields = {
  name: called('What pools call it.'),
  send_interval: withDefault(duration(0.02, 3600, 'Between two probes of a server.'), '5s'),
  receive_timeout: withDefault(duration(0.01, 2400, 'For the answer to a probe.'), '2s'),
  successful_checks: withDefault(integer(1, 50, 'In a row, until a server that was down is up.'), 2),
  failed_checks: withDefault(integer(1, 50, 'In a row, until a server that was up is down. Failures of this host do not count.'), 3),
};
const healthMonitor = byKind(
  'type',
  {
    tcp: mapping({ ...monitorFields, type: oneOf(['tcp'], 'A handshake.') }, 'The server must accept a connection.'),
    http: mapping(
      {
        ...monitorFields,
        type: oneOf(['http'], 'A GET request.'),
        path: withDefault(
          leaf('a path that begins with "/"', { type: 'string', pattern: '^/[!-~]*$', description: 'What is asked for.' }, (text) =>
            /^\/[!-~]*$/.test(text) ? text : null,
          ),
          '/',
        ),
        expect: withDefault(list(statuses, 1, 'Answers that mean well.'), ['200-399']),
      },
      'The server must answer a request well.',
    ),
  },
  'How it is found out whether a server is well.',
);

export const configurationFile = mapping(
  {
    version: integer(1, 1, 'Of this format.'),
    user: optional(called('Who the process becomes after its listeners are open (needs root).')),
    virtual_services: list(virtualService, 1, 'At least one.'),
    application_profiles: list(applicationProfile, 1, 'At least one.'),
    pools: list(pool, 1, 'At least one.'),
    snat_pools: withDefault(list(snatPool, 0, 'None: the kernel chooses source ports.'), []),
    health_monitors: withDefault(list(healthMonitor, 0, 'None: servers are taken to be up.'), []),
    agent: foreign('Settings of plimsoll serve: docs/reference/alerts.md lists them.'),
  },
  'The configuration of plimsoll balance.',
);

export type VirtualService = Of<typeof virtualService>;
export type ApplicationProfile = Of<typeof applicationProfile>;
export type Server = Of<typeof server>;
export type Pool = Of<typeof pool>;
export type SnatPool = Of<typeof snatPool>;
export type HealthMonitor = Of<typeof healthMonitor>;
export type Configuration = Of<typeof configurationFile>;
