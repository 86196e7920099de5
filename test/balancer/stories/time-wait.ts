/**
 * The TIME_WAIT story: servers that close first, so that they hold each source port for a while, and more short connections
 * than the ports of one address can rest from. Then four more addresses are added while it runs.
 */
import { Clients, makeNetwork, servers, sources, startBackend, tally } from './network.ts';
import { Plimsoll } from './proxies.ts';

const configuration = (addresses: readonly string[]): string => `version: 1
virtual_services: [{ name: web, listen: "10.78.0.2:8080", application_profile: http, pool: web }]
application_profiles: [{ name: http, type: http }]
pools: [{ name: web, servers: [{ name: a, address: "${servers[0]}:80" }], health_monitors: [tcp], snat_pool: egress }]
snat_pools: [{ name: egress, addresses: [${addresses.join(', ')}], ports: [20000-20064], monitor_ports: 1, cooldown: { fin: 1s, rst: 1s, half_open: 1s } }]
health_monitors: [{ name: tcp, type: tcp, send_interval: 300ms, receive_timeout: 300ms }]
`;

export interface TimeWait {
  readonly statuses: readonly Readonly<Record<string, number>>[];
  /** Early reuses while there were 64 ports, and after there were 320. */
  readonly early: readonly [with64: number, with320: number];
  /** Where the connections of the second half came from. */
  readonly addresses: number;
  /** Server connections opened in all. */
  readonly opened: number;
}

export const timeWait = async (rate: number, seconds: number): Promise<TimeWait> => {
  const network = makeNetwork();
  try {
    const backend = await startBackend(network, ['--close']);
    const proxy = await Plimsoll.start(network, { configuration: configuration(sources.slice(0, 1)) });
    const clients = await Clients.start(network);
    const early = async (): Promise<number> => (await proxy.show('snat_pools'))[0]!.use.reduce((sum, row) => sum + row.early_reuses, 0);
    const few = await clients.order({ kind: 'rate', rate, seconds, path: '/', timeout: 5000 });
    const with64 = await early();
    // The change comes while connections are being made; the first second after it still draws on the old ports.
    const during = clients.order({ kind: 'rate', rate, seconds: 1, path: '/', timeout: 5000 });
    await proxy.reload(configuration(sources));
    const between = await during;
    const before = await early();
    // An address shows its use for as long as its ports cool, so it is looked for while they do.
    const used = new Set<string>();
    let over = false;
    const watching = (async (): Promise<void> => {
      while (!over) {
        for (const row of (await proxy.show('snat_pools'))[0]!.use) if (row.used + row.cooling > 0) used.add(row.address);
        await new Promise((next) => setTimeout(next, 200));
      }
    })();
    const many = await clients.order({ kind: 'rate', rate, seconds, path: '/', timeout: 5000 });
    over = true;
    await watching;
    const with320 = (await early()) - before;
    const opened = (await proxy.show('pools'))[0]!.servers[0]!.new_established_conns;
    await Promise.all([clients.end(), backend.end(), proxy.end()]);
    return {
      statuses: [tally(few), tally(between), tally(many)],
      early: [with64, with320],
      addresses: used.size,
      opened,
    };
  } finally {
    network.destroy();
  }
};
