/**
 * The collision story: servers behind a box that resets a SYN onto a connection it still holds, and that hold such
 * connections, established and half-closed, on every second source port we may use. The servers themselves are well.
 */
import { acceptAll, close, finish, listen, open, reset } from '../../support/sockets.ts';
import { Clients, makeNetwork, type Network, servers, sources, startBackend, tally } from './network.ts';
import { Plimsoll } from './proxies.ts';

const low = 20000;
const high = 20063;
const monitors = ['m1', 'm2', 'm3', 'm4', 'm5'];

/** The box: it stands in front of the servers, and its table outlives their clients. */
const startBox = (network: Network): void => {
  network.servers.exec('nft', 'add table inet box');
  network.servers.exec('nft', 'add chain inet box in { type filter hook input priority 0; }');
  network.servers.exec('nft', 'add rule inet box in ct state established tcp flags & (syn|ack) == syn counter reject with tcp reset');
};

/** How many SYNs the box has reset. */
const resets = (network: Network): number =>
  Number(/packets (\d+)/.exec(network.servers.exec('nft', 'list', 'chain', 'inet', 'box', 'in'))?.[1] ?? 0);

/** Leaves each server with a connection on each of `ports` that its client has forgotten; every other one the client had half-closed. */
const leaveStale = (network: Network, ports: readonly number[]): readonly number[] => {
  const stale: number[] = [];
  for (const server of servers) {
    const listener = network.servers.run(() => listen(server, 80));
    const ours = network.balancer.run(() => ports.map((port) => open(server, 80, { bind: [sources[0], port], reuseAddress: true })));
    stale.push(...acceptAll(listener));
    finish(...ours.filter((_, i) => i % 2 === 1));
    network.balancer.exec('nft', 'add table inet mute');
    network.balancer.exec('nft', 'add chain inet mute out { type filter hook output priority 0; }');
    network.balancer.exec('nft', 'add rule inet mute out tcp flags & rst == rst drop');
    reset(...ours);
    network.balancer.exec('nft', 'delete table inet mute');
    close(listener);
  }
  return stale;
};

const configuration = `version: 1
virtual_services: [{ name: web, listen: "10.78.0.2:8080", application_profile: http, pool: web }]
application_profiles: [{ name: http, type: http }]
pools:
  - name: web
    servers: [${servers.map((s, i) => `{ name: ${'ab'[i]}, address: "${s}:80" }`).join(', ')}]
    health_monitors: [${monitors.join(', ')}]
    snat_pool: egress
    connections: { max_per_server: 16, max_reuse: 1 }
snat_pools: [{ name: egress, addresses: [${sources[0]}], ports: [${low}-${high}], monitor_ports: 16, cooldown: { fin: 200ms, rst: 200ms, half_open: 200ms } }]
health_monitors: [${monitors.map((name) => `{ name: ${name}, type: tcp, send_interval: 20ms, receive_timeout: 1s, failed_checks: 1 }`).join(', ')}]
`;

export interface Collision {
  readonly stale: number;
  readonly resets: number;
  readonly probes: number;
  readonly statuses: Readonly<Record<string, number>>;
  readonly monitorCollisions: number;
  /** Those of monitors and requests. */
  readonly collisions: number;
  readonly downs: number;
  readonly failedProbes: number;
}

/** Runs until there were at least `requests` requests and `probes` probes. */
export const collision = async (requests: number, probes: number): Promise<Collision> => {
  const network = makeNetwork();
  let proxy: Plimsoll | null = null;
  let stale: readonly number[] = [];
  try {
    startBox(network);
    stale = leaveStale(
      network,
      Array.from({ length: (high - low + 1) / 2 }, (_, i) => low + 2 * i),
    );
    const backend = await startBackend(network);
    proxy = await Plimsoll.start(network, { configuration });
    const clients = await Clients.start(network);
    const statuses: Record<string, number> = {};
    let asked = 0;
    let probed = 0;
    while (asked < requests || probed < probes) {
      const answers = await clients.order({ kind: 'many', count: 500, lanes: 8, path: '/', timeout: 20_000 });
      asked += answers.length;
      for (const [status, count] of Object.entries(tally(answers))) statuses[status] = (statuses[status] ?? 0) + count;
      probed = (await proxy.show('health_monitors')).reduce((sum, m) => sum + m.probes, 0);
    }
    const seen = await proxy.show('health_monitors');
    const pools = await proxy.show('pools');
    const result: Collision = {
      stale: stale.length,
      resets: resets(network),
      probes: seen.reduce((sum, m) => sum + m.probes, 0),
      statuses,
      monitorCollisions: seen.reduce((sum, m) => sum + m.collisions, 0),
      collisions: pools.flatMap((p) => p.servers).reduce((sum, s) => sum + s.collisions, 0),
      downs: proxy.downs(),
      failedProbes: seen.reduce((sum, m) => sum + m.refused + m.timeout + m.bad_response, 0),
    };
    await Promise.all([clients.end(), backend.end(), proxy.end()]);
    return result;
  } finally {
    close(...stale);
    network.destroy();
  }
};
