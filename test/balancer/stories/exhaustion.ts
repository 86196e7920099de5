/**
 * The exhaustion story: fewer source ports than requests at once. Two servers, a check every 300 ms, 14 requests of a second
 * each, while the proxy has four source ports for each server, or the kernel six for each. Nothing is wrong with the servers.
 */
import type { NamespaceOptions } from '../../support/namespace.ts';
import { until } from '../../support/poll.ts';
import { Clients, makeNetwork, startBackend, tally } from './network.ts';
import { Plimsoll, type Ports, type Product, startProxy } from './proxies.ts';

export interface Exhaustion {
  readonly product: Product;
  readonly chooser: Ports['chooser'];
  readonly statuses: Readonly<Record<string, number>>;
  /** How often a healthy server was taken out of service. */
  readonly downs: number;
  readonly logLines: number;
  /** Seconds from the last answer, when all ports were back, to the next 200. */
  readonly recovery: number;
  /** Requests of those after the last answer that failed before one succeeded. */
  readonly failedAfter: number;
  /** Ours only: the causes of its events of queueing and short ports. */
  readonly causes: readonly (string | null)[];
}

/** `args` go to ours. */
export const exhaustion = async (product: Product, chooser: Ports['chooser'], args: readonly string[] = []): Promise<Exhaustion> => {
  const ports: Ports = chooser === 'proxy' ? { chooser, low: 20000, high: 20003 } : { chooser };
  const range: NamespaceOptions = chooser === 'kernel' ? { range: [30000, 30005] } : {};
  const network = makeNetwork(range);
  try {
    // As in the measurement this repeats: the server closes a connection 0.1 s after it fell idle.
    const backend = await startBackend(network, ['--slow', '1000', '--idle', '100']);
    const proxy = await startProxy(product, network, ports, args);
    const clients = await Clients.start(network);
    await until(
      'a first answer',
      async () => (await clients.order({ kind: 'burst', count: 1, path: '/', timeout: 2000 }))[0]!.status === 200,
    );
    // Until what the first answer used is free again, and the monitors have had their say.
    await new Promise((done) => setTimeout(done, 1000));
    const before = proxy.logLines();
    const answers = await clients.order({ kind: 'burst', count: 14, path: '/slow', timeout: 20_000 });
    const last = Math.max(...answers.map((a) => a.ended));
    let logLines = proxy.logLines() - before;
    const after = await clients.order({ kind: 'recover', every: 50, path: '/', timeout: 2000 });
    if (proxy instanceof Plimsoll) {
      // The peers' lines about the requests below are left out; ours count until it has said that the shortage is over.
      await proxy.program.said(/ports_recovered/, 5000);
      logLines = proxy.logLines() - before;
    }
    const causes =
      proxy instanceof Plimsoll ? (await proxy.show('events')).filter((e) => /^(queue|ports)_/.test(e.kind)).map((e) => e.cause) : [];
    await Promise.all([clients.end(), backend.end()]);
    await proxy.end();
    return {
      product,
      chooser,
      statuses: tally(answers),
      downs: proxy.downs(),
      logLines,
      recovery: (after.at(-1)!.ended - last) / 1000,
      failedAfter: after.length - 1,
      causes,
    };
  } finally {
    network.destroy();
  }
};
