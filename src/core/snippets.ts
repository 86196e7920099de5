/**
 * What to write into an application's own configuration so that it reuses connections or chooses ports well. Printed, never
 * applied. Sources: the HAProxy 2.6 configuration manual, the nginx 1.22 module documentation, Envoy's v3 API reference, the
 * Node 20 `http` and undici 7 documentation, Go's net/http, the JDK 17 networking properties and Apache HttpClient 5.
 */
import type { RemedyCode } from './remedy/codes.ts';

/** Lines for one product that bring about one remedy. */
export interface Snippet {
  readonly product: string;
  /** Lines to paste, with comments in the product's own syntax. */
  readonly text: string;
}

interface Product {
  readonly name: string;
  /** Process names it runs under, as /proc/PID/comm shows them (at most 15 characters). */
  readonly commands: RegExp;
  readonly texts: Partial<Readonly<Record<RemedyCode, string>>>;
}

const lines = (...text: readonly string[]): string => text.join('\n');

const haproxy: Product = {
  name: 'HAProxy',
  commands: /^haproxy/,
  texts: {
    multiplexing: lines(
      'backend web',
      '    http-reuse always            # the default "safe" does not share for the first request of a client',
      '    no option http-server-close  # nor "option httpclose": both close towards the server',
      '    server a 10.0.1.11:80 pool-max-conn 32',
    ),
    shorten_idle_timeout: lines(
      'defaults',
      '    timeout http-keep-alive 10s  # an idle client lets go of its server connection',
      '    timeout tunnel 1h            # what upgraded and TCP connections may idle',
      'backend web',
      '    server a 10.0.1.11:80 pool-purge-delay 5s pool-max-conn 32',
    ),
    add_source_addresses: lines(
      'backend web                      # one server line per source address, all for the same server',
      '    server a1 10.0.1.11:80 source 10.0.0.5',
      '    server a2 10.0.1.11:80 source 10.0.0.6',
    ),
    cool_down_ports: lines(
      'backend web                      # HAProxy picks from this range itself; reserve it in ip_local_reserved_ports',
      '    server a 10.0.1.11:80 source 10.0.0.5:10000-29999',
    ),
  },
};

const nginx: Product = {
  name: 'nginx',
  commands: /^(nginx|openresty|angie)/,
  texts: {
    multiplexing: lines(
      'upstream web {',
      '    server 10.0.1.11:80;',
      '    keepalive 32;                     # idle connections each worker keeps',
      '}',
      'location / {',
      '    proxy_pass http://web;',
      '    proxy_http_version 1.1;           # both lines are needed: 1.0 and "Connection: close" are the defaults',
      '    proxy_set_header Connection "";',
      '}',
    ),
    shorten_idle_timeout: lines(
      'upstream web {',
      '    server 10.0.1.11:80;',
      '    keepalive 32;',
      '    keepalive_timeout 10s;            # idle connections to the server',
      '}',
      'keepalive_timeout 10s;                # idle clients',
      'proxy_read_timeout 60s;               # silent upgraded connections',
    ),
    add_source_addresses: lines(
      'split_clients "$request_id" $source_address {',
      '    50%  10.0.0.5;',
      '    *    10.0.0.6;',
      '}',
      'location / {',
      '    proxy_pass http://web;',
      '    proxy_bind $source_address;       # nginx sets IP_BIND_ADDRESS_NO_PORT by itself since 1.11.4',
      '}',
    ),
  },
};

const envoy: Product = {
  name: 'Envoy',
  commands: /^(envoy|pilot-agent|istio-proxy)/,
  texts: {
    multiplexing: lines(
      'clusters:',
      '- name: web',
      '  typed_extension_protocol_options:',
      '    envoy.extensions.upstreams.http.v3.HttpProtocolOptions:',
      '      "@type": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions',
      '      common_http_protocol_options: { idle_timeout: 60s }  # and no max_requests_per_connection: 1',
      '      explicit_http_config: { http2_protocol_options: {} } # where the server speaks HTTP/2',
      '  circuit_breakers: { thresholds: [{ max_connections: 32 }] }',
    ),
    shorten_idle_timeout: lines(
      'typed_extension_protocol_options:',
      '  envoy.extensions.upstreams.http.v3.HttpProtocolOptions:',
      '    "@type": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions',
      '    common_http_protocol_options: { idle_timeout: 10s }    # the default is 1 h',
    ),
    bind_address_no_port: lines(
      'upstream_bind_config:',
      '  source_address: { address: 10.0.0.5, port_value: 0 }',
      '  socket_options:                                          # IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT',
      '  - { level: 0, name: 24, int_value: 1, state: STATE_PREBIND }',
    ),
    local_port_range_option: lines(
      'upstream_bind_config:',
      '  source_address: { address: 10.0.0.5, port_value: 0 }',
      '  socket_options:                                          # IPPROTO_IP, IP_LOCAL_PORT_RANGE, high << 16 | low',
      '  - { level: 0, name: 51, int_value: -297304064, state: STATE_PREBIND } # 32768-60999',
    ),
    add_source_addresses: lines(
      'upstream_bind_config:',
      '  source_address: { address: 10.0.0.5, port_value: 0 }',
      '  extra_source_addresses:',
      '  - address: { address: 10.0.0.6, port_value: 0 }',
    ),
  },
};

const node: Product = {
  name: 'Node.js',
  commands: /^(node|nodejs|MainThread|npm|bun|deno)/,
  texts: {
    multiplexing: lines(
      "import { Agent, setGlobalDispatcher } from 'undici';",
      'setGlobalDispatcher(new Agent({ connections: 32 })); // fetch; per origin',
      '',
      "import http from 'node:http';",
      'const agent = new http.Agent({ keepAlive: true, maxSockets: 32 }); // one for all requests, not one per request',
      'http.get(url, { agent });',
    ),
    shorten_idle_timeout: lines(
      'const agent = new http.Agent({ keepAlive: true, maxSockets: 32, maxFreeSockets: 8, timeout: 10_000 });',
      'new Agent({ connections: 32, keepAliveTimeout: 4_000 }); // undici; the server’s Keep-Alive header still wins',
    ),
    bind_address_no_port: lines(
      '// Node binds localAddress with port 0 and has no option for IP_BIND_ADDRESS_NO_PORT: all destinations share one pool.',
      '// Leave localAddress out and let a route choose the address:',
      'ip route replace 10.0.1.0/24 dev eth0 src 10.0.0.5',
      '// or choose the port too, from ports that ip_local_reserved_ports keeps free:',
      "net.connect({ host, port, localAddress: '10.0.0.5', localPort: nextPort() });",
    ),
    add_source_addresses: lines(
      '// With localAddress alone all destinations share one pool of ports: give localPort too, from reserved ports.',
      "net.connect({ host, port, localAddress: '10.0.0.6', localPort: nextPort('10.0.0.6') });",
    ),
    fix_leak: lines(
      "socket.on('end', () => socket.end());           // with allowHalfOpen the other half is yours to close",
      'response.resume();                              // a body nobody reads holds its connection',
    ),
  },
};

const java: Product = {
  name: 'Java',
  commands: /^(java|jsvc|catalina)/,
  texts: {
    multiplexing: lines(
      '-Dhttp.maxConnections=32                        # HttpURLConnection keeps 5 per host by default',
      '-Djdk.httpclient.connectionPoolSize=32          # java.net.http.HttpClient: share one client, not one per request',
      '',
      'PoolingHttpClientConnectionManager pool =       // Apache HttpClient 5: 5 per route by default',
      '    PoolingHttpClientConnectionManagerBuilder.create().setMaxConnPerRoute(32).setMaxConnTotal(256).build();',
    ),
    shorten_idle_timeout: lines(
      '-Djdk.httpclient.keepalive.timeout=10           # seconds; JDK 17 has 1200, JDK 21 has 30',
      '',
      'client = HttpClients.custom().setConnectionManager(pool).evictIdleConnections(TimeValue.ofSeconds(10)).build();',
    ),
    fix_leak: lines(
      'try (CloseableHttpResponse response = client.execute(request)) {',
      '    EntityUtils.consume(response.getEntity());',
      '}',
    ),
  },
};

/** A Go program carries its own name, so it is what an unknown name is asked about. */
const go: Product = {
  name: 'Go',
  commands: /^(?!python|ruby|perl|php|sh$|bash|curl|wget|ssh|wrk|hey$|ab$|postgres|redis|mysqld|sshd|systemd|dotnet|beam|erl)/,
  texts: {
    multiplexing: lines(
      'transport := http.DefaultTransport.(*http.Transport).Clone()',
      'transport.MaxIdleConnsPerHost = 32                 // 2 by default: the rest is closed after every burst',
      'transport.MaxConnsPerHost = 32',
      'client := &http.Client{Transport: transport}       // one for all requests',
      'io.Copy(io.Discard, response.Body)                 // a body not read to its end closes the connection',
      'response.Body.Close()',
    ),
    shorten_idle_timeout: lines('transport.IdleConnTimeout = 10 * time.Second         // 90 s by default'),
    bind_address_no_port: lines(
      'dialer := &net.Dialer{',
      '    LocalAddr: &net.TCPAddr{IP: net.ParseIP("10.0.0.5")},',
      '    Control: func(_, _ string, c syscall.RawConn) error {',
      '        return c.Control(func(fd uintptr) { unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1) })',
      '    },',
      '}',
    ),
    local_port_range_option: lines(
      'dialer := &net.Dialer{',
      '    Control: func(_, _ string, c syscall.RawConn) error { // IP_LOCAL_PORT_RANGE, Linux 6.3; no search wall from 6.8',
      '        return c.Control(func(fd uintptr) { unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, 51, 60999<<16|32768) })',
      '    },',
      '}',
    ),
    fix_leak: lines('defer response.Body.Close()', 'io.Copy(io.Discard, response.Body)'),
  },
};

const products: readonly Product[] = [haproxy, nginx, envoy, node, java, go];

/**
 * The lines that bring `remedy` about in the product that runs as `command`. Empty where the product is not known or offers no
 * such setting. A name that belongs to none of the others is taken for a Go program's.
 */
export const snippetsFor = (command: string, remedy: RemedyCode): readonly Snippet[] => {
  const product = products.find((p) => p.commands.test(command));
  const text = product?.texts[remedy];
  return product === undefined || text === undefined ? [] : [{ product: product.name, text }];
};
