/** A host with something of everything on it, in two namespaces of the real kernel: what the screenshots show. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Churn, churn } from '../../support/churn.ts';
import { linked, type Namespace } from '../../support/namespace.ts';
import { acceptAll, finish, listen, open } from '../../support/sockets.ts';
import { program } from './agent.ts';

export interface World {
  readonly client: Namespace;
  readonly server: Namespace;
  readonly balancerSocket: string;
  stop(): void;
}

const RANGE = [40_000, 43_999] as const;

const httpServer = `
  const http = require('node:http');
  for (const port of [8081, 8082]) http.createServer((_, answer) => setTimeout(() => answer.end('ok'), 20)).listen(port, '10.77.0.2');
`;

/** Clients that ask now and then over connections they keep: what multiplexing is for. */
const httpClients = `
  const http = require('node:http');
  for (let i = 0; i < 60; i++) {
    const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
    const ask = () => http.get({ agent, host: '127.0.0.1', port: 8080 }, (answer) => { answer.resume(); answer.on('end', () => setTimeout(ask, 400)); }).on('error', () => setTimeout(ask, 500));
    setTimeout(ask, i * 7);
  }
`;

const markup = `
  process.title = '<b>&amp;<i>';
  const net = require('node:net');
  for (let i = 0; i < 40; i++) net.connect({ host: '10.77.0.2', port: 9300 });
`;

const configuration = `
version: 1
virtual_services:
  - { name: shop, listen: 127.0.0.1:8080, application_profile: http, pool: shop }
application_profiles:
  - { name: http, type: http, connection_multiplexing: false }
pools:
  - name: shop
    servers: [{ name: a, address: 10.77.0.2:8081 }, { name: b, address: 10.77.0.2:8082 }, { name: gone, address: 10.77.0.2:8099 }]
    health_monitors: [tcp]
    snat_pool: egress
snat_pools:
  - { name: egress, addresses: [10.77.0.1], ports: [20000-20255] }
health_monitors:
  - { name: tcp, type: tcp, send_interval: 1s, receive_timeout: 500ms, successful_checks: 1, failed_checks: 1 }
`;

const manyOpen = (client: Namespace, server: Namespace, port: number, count: number, peerCloses = false): void => {
  const listener = server.run(() => listen('10.77.0.2', port));
  for (let i = 0; i < count; i++) {
    client.run(() => open('10.77.0.2', port));
    const accepted = server.run(() => acceptAll(listener));
    if (peerCloses) finish(...accepted);
  }
};

/** Starts it; `folder` takes the balancer's files. Needs root. */
export const makeWorld = (folder: string): World => {
  const [client, server] = linked({ range: RANGE, sysctls: { 'net.ipv4.ip_local_reserved_ports': '41000-41063,42500-42503' } });
  server.addAddress('fd77:2001:db8:1234:5678:9abc:def0:2', 'eth0');
  client.addAddress('fd77:2001:db8:1234:5678:9abc:def0:1', 'eth0');
  for (const ns of [client, server]) ns.exec('ip', 'route', 'replace', 'fd77:2001:db8:1234::/64', 'dev', 'eth0');
  // Listeners inside the range block their ports.
  client.run(() => {
    for (let i = 0; i < 24; i++) listen('127.0.0.1', 43_300 + i * 3);
  });
  const loads: Churn[] = [];
  const churning = (port: number, rate: number): void => {
    const listener = server.run(() => listen('10.77.0.2', port));
    loads.push(churn(client, '10.77.0.2', port, listener, { rate }));
  };
  churning(80, 88);
  churning(8443, 30);
  churning(9092, 6);
  manyOpen(client, server, 5432, 1400);
  manyOpen(client, server, 6379, 320);
  manyOpen(client, server, 9200, 600, true);
  for (let port = 10_001; port <= 10_060; port++) manyOpen(client, server, port, 1 + (port % 7));
  const v6 = 'fd77:2001:db8:1234:5678:9abc:def0:2';
  const listener = server.run(() => listen(v6, 9400));
  client.run(() => {
    for (let i = 0; i < 25; i++) open(v6, 9400);
  });
  server.run(() => acceptAll(listener));
  server.run(() => listen('10.77.0.2', 9300));
  server.spawn(process.execPath, ['-e', httpServer]);
  client.spawn(process.execPath, ['-e', markup]);
  mkdirSync(folder, { recursive: true });
  const file = join(folder, 'plimsoll.yaml');
  const balancerSocket = join(folder, 'balance.sock');
  writeFileSync(file, configuration);
  const balancer = client.spawn(process.execPath, [program, 'balance', '-c', file], { ...process.env, PLIMSOLL_SOCKET: balancerSocket });
  for (const stream of [balancer.stdout!, balancer.stderr!]) stream.resume();
  client.spawn(process.execPath, ['-e', httpClients]);
  return {
    client,
    server,
    balancerSocket,
    stop: () => {
      for (const load of loads) load.stop();
      client.destroy();
      server.destroy();
    },
  };
};
