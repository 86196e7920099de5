/**
 * The restart story: servers that close first hold TIME_WAIT for a minute, and the balancer is restarted in the meantime. A box
 * before the servers counts SYNs onto what they hold, and refuses them: what the kernel of the servers said it held when
 * the balancer had stopped.
 */
import { rmSync, statSync } from 'node:fs';
import { until } from '../../support/poll.ts';
import { Clients, makeNetwork, servers, sources, startBackend, tally } from './network.ts';
import { Plimsoll } from './proxies.ts';

const configuration = (ports: string): string => `version: 1
virtual_services: [{ name: web, listen: "10.78.0.2:8080", application_profile: http, pool: web }]
application_profiles: [{ name: http, type: http }]
pools: [{ name: web, servers: [{ name: a, address: "${servers[0]}:80" }], health_monitors: [], snat_pool: egress }]
snat_pools: [{ name: egress, addresses: [${sources[0]}], ports: [${ports}], monitor_ports: 0 }]
`;

export interface Restart {
  /** TIME_WAITs that the servers held when the balancer was started again. */
  readonly held: number;
  /** SYNs onto one of them. */
  readonly collisions: number;
  readonly statuses: Readonly<Record<string, number>>;
  /** Early reuses that the new process has counted. */
  readonly early: number;
  /** What the new process said of it. */
  readonly said: string;
}

export interface RestartOptions {
  readonly workers: number;
  readonly signal: 'SIGTERM' | 'SIGKILL';
  /** False: the box only counts. */
  readonly refuses?: boolean;
  /** Take away what the old process has written: as it was without it. */
  readonly forgetful?: boolean;
  /** The pool's ports, before and after. */
  readonly ports: readonly [before: string, after: string];
  /** Requests before, and after. */
  readonly requests: readonly [before: number, after: number];
}

export const restart = async (options: RestartOptions): Promise<Restart> => {
  const network = makeNetwork();
  try {
    const backend = await startBackend(network, ['--close']);
    const args = ['--workers', String(options.workers)];
    const first = await Plimsoll.start(network, { configuration: configuration(options.ports[0]), args });
    const clients = await Clients.start(network);
    const ask = async (count: number): Promise<Readonly<Record<string, number>>> =>
      tally(await clients.order({ kind: 'many', count, lanes: 4, path: '/', timeout: 10_000 }));
    await ask(options.requests[0]);
    const file = first.socket.replace(/\.sock$/, '.ports');
    if (options.signal === 'SIGKILL') {
      // A crash forgets what happened since the last writing: not what this story is about.
      const asked = Date.now();
      await until('the ports to be written', () => statSync(file).mtimeMs > asked + 100);
    }
    await first.end(options.signal);
    if (options.forgetful) rmSync(file);

    const peers = network.servers
      .exec('ss', '-Htn', 'state', 'time-wait', 'sport', '=', ':80')
      .split('\n')
      .flatMap((line) => line.match(/10\.77\.0\.5:\d+/) ?? []);
    const rule = (...words: string[]): string => network.servers.exec('nft', words.join(' '));
    rule('add table inet box');
    rule('add set inet box held { type ipv4_addr . inet_service; }');
    rule(`add element inet box held { ${peers.map((peer) => peer.replace(':', ' . ')).join(', ')} }`);
    rule('add chain inet box in { type filter hook input priority 0; }');
    rule(
      'add rule inet box in tcp flags & (syn|ack) == syn ip saddr . tcp sport @held counter',
      options.refuses === false ? '' : 'reject with tcp reset',
    );

    const second = await Plimsoll.start(network, { configuration: configuration(options.ports[1]), args, socket: first.socket });
    const statuses = await ask(options.requests[1]);
    const early = (await second.show('snat_pools'))[0]!.use.reduce((sum, row) => sum + row.early_reuses, 0);
    const said = (await second.show('events')).find((event) => event.kind === 'started')?.text ?? '';
    const counted = /counter packets (\d+)/.exec(network.servers.exec('nft', 'list', 'chain', 'inet', 'box', 'in'))!;
    await Promise.all([clients.end(), backend.end(), second.end()]);
    return { held: peers.length, collisions: Number(counted[1]), statuses, early, said };
  } finally {
    network.destroy();
  }
};
