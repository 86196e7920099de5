/** A namespace with a few ports and one destination, filled and emptied by hand. */
import { type Namespace, namespace } from '../../support/netns.ts';
import { acceptAll, close, listen, openUntilFailure, reset } from '../../support/sockets.ts';

const PORT = 9000;

export class Filling {
  readonly namespace: Namespace;
  readonly range: readonly [number, number];
  private readonly listener: number;
  private clients: number[] = [];
  private servers: number[] = [];

  /** `ports` source ports from 40000 on. */
  constructor(ports: number) {
    this.range = [40_000, 40_000 + ports - 1];
    this.namespace = namespace({ range: this.range });
    this.listener = this.namespace.run(() => listen('127.0.0.1', PORT));
  }

  /** Its id in reports. */
  get space(): string {
    return `${this.namespace.name}/connect/127.0.0.1/127.0.0.1:${PORT}`;
  }

  /** Opens `count` more connections, or as many as there are ports; how many. */
  open(count: number): number {
    const { fds } = this.namespace.run(() => openUntilFailure('127.0.0.1', PORT, {}, count));
    this.clients.push(...fds);
    this.servers.push(...this.namespace.run(() => acceptAll(this.listener)));
    return fds.length;
  }

  /** Ends all connections without a trace. */
  empty(): void {
    reset(...this.clients);
    close(...this.servers);
    this.clients = [];
    this.servers = [];
  }

  destroy(): void {
    this.empty();
    close(this.listener);
    this.namespace.destroy();
  }
}
