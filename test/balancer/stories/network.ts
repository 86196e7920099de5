/**
 * Where the stories happen:
 *
 *   clients 10.78.0.1 ── 10.78.0.2 balancer 10.77.0.1, .5-.9 ── 10.77.0.11, .12 servers
 *
 * Three namespaces, so that the clients' own source ports are never those that run out.
 */
import { execFileSync } from 'node:child_process';
import { linked, type Namespace, type NamespaceOptions, namespace } from '../../support/namespace.ts';
import { type Program, startNode } from './program.ts';
import type { Answer, Order } from './programs/client.ts';

export const front = '10.78.0.2';
export const servers = ['10.77.0.11', '10.77.0.12'] as const;
export const sources = ['10.77.0.5', '10.77.0.6', '10.77.0.7', '10.77.0.8', '10.77.0.9'] as const;

export interface Network {
  readonly clients: Namespace;
  readonly balancer: Namespace;
  readonly servers: Namespace;
  destroy(): void;
}

export const makeNetwork = (balancer: NamespaceOptions = {}): Network => {
  const [middle, right] = linked(balancer);
  const left = namespace();
  execFileSync('ip', ['-n', left.name, 'link', 'add', 'eth0', 'type', 'veth', 'peer', 'name', 'eth1', 'netns', middle.name]);
  left.addAddress('10.78.0.1/24', 'eth0');
  middle.addAddress(`${front}/24`, 'eth1');
  execFileSync('ip', ['-n', left.name, 'link', 'set', 'eth0', 'up']);
  execFileSync('ip', ['-n', middle.name, 'link', 'set', 'eth1', 'up']);
  for (const address of servers) right.addAddress(`${address}/24`, 'eth0');
  for (const address of sources) middle.addAddress(`${address}/24`, 'eth0');
  return {
    clients: left,
    balancer: middle,
    servers: right,
    destroy: () => {
      for (const ns of [left, middle, right]) ns.destroy();
    },
  };
};

/** Clients of `target`. */
export class Clients {
  private readonly program: Program;
  private constructor(program: Program) {
    this.program = program;
  }

  static async start(network: Network, target = `${front}:8080`): Promise<Clients> {
    const program = await startNode(network.clients, 'test/balancer/stories/programs/client.ts', [target]);
    await program.said(/^ready$/);
    return new Clients(program);
  }

  async order(order: Order): Promise<readonly Answer[]> {
    return JSON.parse(await this.program.ask(JSON.stringify(order))) as Answer[];
  }

  end(): Promise<void> {
    return this.program.end();
  }
}

/** Both servers on port 80. */
export const startBackend = async (network: Network, args: readonly string[] = []): Promise<Program> => {
  const program = await startNode(network.servers, 'test/balancer/stories/programs/backend.ts', [
    ...servers.map((s) => `${s}:80`),
    ...args,
  ]);
  await program.said(/^ready$/);
  return program;
};

/** How many of `answers` have each status; no answer counts under its error. */
export const tally = (answers: readonly Answer[]): Readonly<Record<string, number>> => {
  const counts: Record<string, number> = {};
  for (const answer of answers) {
    const key = answer.error ?? String(answer.status);
    counts[key] = (counts[key] ?? 0) + 1;
  }
  return counts;
};
