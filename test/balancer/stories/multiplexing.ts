/**
 * The story of the article: thousands of clients that keep their connections and say little. One-to-one, each of them holds a
 * source port towards the servers; multiplexed, they share a few. Switched while they are connected.
 */
import { until } from '../../support/poll.ts';
import { Clients, makeNetwork, servers, startBackend } from './network.ts';
import type { Answer } from './programs/client.ts';
import { Plimsoll } from './proxies.ts';

const configuration = `version: 1
virtual_services: [{ name: web, listen: "10.78.0.2:8080", application_profile: http, pool: web }]
application_profiles: [{ name: http, type: http, connection_multiplexing: false, client_idle_timeout: 10m }]
pools:
  - name: web
    servers: [{ name: a, address: "${servers[0]}:80" }]
    health_monitors: [tcp]
    snat_pool: egress
    connections: { max_per_server: 32, idle_timeout: 10m }
snat_pools: [{ name: egress, addresses: [10.77.0.5], ports: [1024-7999, 9000-30000] }]
health_monitors: [{ name: tcp, type: tcp, send_interval: 1s, receive_timeout: 1s }]
`;

export interface Multiplexing {
  readonly clients: number;
  /** Established connections to the server, as the kernel counts them. */
  readonly oneToOne: number;
  readonly multiplexed: number;
  /** Different answers (status and body) in each mode. */
  readonly answers: readonly [readonly string[], readonly string[]];
  readonly failed: number;
}

export const multiplexing = async (count: number, args: readonly string[]): Promise<Multiplexing> => {
  const network = makeNetwork();
  try {
    const backend = await startBackend(network, ['--idle', '600000']);
    const proxy = await Plimsoll.start(network, { configuration, args });
    const clients = await Clients.start(network);
    // Those of the moment's probe are not counted: their ports are the monitors' own.
    const connections = (): number =>
      network.balancer.exec('ss', '-Htn', 'state', 'established', 'dst', `${servers[0]}:80`, 'sport', '<', ':29990').split('\n').length - 1;
    const kinds = (answers: readonly Answer[]): readonly string[] => [...new Set(answers.map((a) => `${a.status} ${a.body}`))];
    const first = await clients.order({ kind: 'open', count, path: '/same', timeout: 20_000 });
    const oneToOne = connections();
    await proxy.run('set', 'virtualservice', 'web', 'connection_multiplexing=on');
    const second = await clients.order({ kind: 'again', lanes: 100, path: '/same', timeout: 20_000 });
    await until('the one-to-one connections to be gone', () => connections() <= 32, 5000).catch(() => {});
    const multiplexed = connections();
    await Promise.all([clients.end(), backend.end(), proxy.end()]);
    return {
      clients: count,
      oneToOne,
      multiplexed,
      answers: [kinds(first), kinds(second)],
      failed: [...first, ...second].filter((a) => a.error !== null).length,
    };
  } finally {
    network.destroy();
  }
};
