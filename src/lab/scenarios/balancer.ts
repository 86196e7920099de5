/** `plimsoll balance` with its control socket, as its operators run it. */
import { join } from 'node:path';
import type { LabNamespace } from '../namespace.ts';
import type { Program } from '../program.ts';
import type { Stage } from '../stage.ts';

interface PoolState {
  readonly servers: readonly {
    readonly open_conns: number;
    readonly new_established_conns: number;
    readonly collisions: number;
  }[];
}

interface MonitorState {
  readonly probes: number;
  readonly collisions: number;
  readonly refused: number;
  readonly timeout: number;
  readonly bad_response: number;
}

export class Balancer {
  readonly program: Program;
  private readonly stage: Stage;
  private readonly ns: LabNamespace;
  private readonly socket: string;

  private constructor(stage: Stage, ns: LabNamespace, program: Program, socket: string) {
    this.stage = stage;
    this.ns = ns;
    this.program = program;
    this.socket = socket;
  }

  /** Starts it with the text of its plimsoll.yaml; resolves when it listens on `port`. */
  static async start(stage: Stage, ns: LabNamespace, port: number, configuration: string): Promise<Balancer> {
    const socket = join(stage.folder, 'balance.sock');
    const program = stage.startOwn(ns, ['balance', '-c', stage.file('plimsoll.yaml', configuration), '--socket', socket]);
    await stage.listening(ns, port, program);
    return new Balancer(stage, ns, program, socket);
  }

  async pools(): Promise<readonly PoolState[]> {
    return (await this.show<PoolState>('pool')).items;
  }

  async monitors(): Promise<readonly MonitorState[]> {
    return (await this.show<MonitorState>('healthmonitor')).items;
  }

  /** How often it has taken a server out of service. */
  downs(): number {
    return this.program.count(/ server_down /);
  }

  private show<T>(what: string): Promise<{ readonly items: readonly T[] }> {
    return this.stage.own(this.ns, ['show', what, '--socket', this.socket]);
  }
}
