/**
 * Connections at exact times: evenly spaced, each held for an exact while, closed by an exact side. Many such streams run at once
 * in one process, by system-call sockets, so that a prediction about them can be held against the kernel to the port.
 */

import type { SocketTable } from '../../src/core/socket-table.ts';
import { TcpState } from '../../src/core/tcp-state.ts';
import { ffi } from '../../src/linux/ffi.ts';
import { walkSockets } from '../../src/linux/sock-diag/walk.ts';
import type { Namespace } from './netns.ts';
import { acceptAll, close, Errno, listen, open, reset } from './sockets.ts';

export interface StreamOptions {
  readonly client: Namespace;
  readonly server: Namespace;
  /** Empty: the kernel chooses the address. */
  readonly sources: readonly string[];
  readonly destinations: readonly (readonly [address: string, port: number])[];
  /** Connections per second over all pairs of source and destination, in turn. */
  readonly rate: number;
  readonly duration: number;
  readonly closer: 'client' | 'server' | 'reset';
  readonly choice: 'connect' | 'bind' | 'explicit';
  /** The ports of an `explicit` choice. */
  readonly range: readonly [low: number, high: number];
}

/** Opens what is due, closes what is due; `failures` and `openings` are seconds since the start. */
export class Stream {
  readonly failures: number[] = [];
  readonly openings: number[] = [];
  readonly errors = new Set<string>();
  /** The latest that a connect was behind its time. */
  lateness = 0;
  private readonly options: StreamOptions;
  private readonly listeners: readonly number[];
  /** Connections in the order in which they end. */
  private readonly held: {
    readonly ends: number;
    readonly client: number;
    readonly server: number;
    readonly port: number;
    readonly pair: number;
  }[] = [];
  private ended = 0;
  private next = 0;
  private readonly freePorts: number[][] = [];

  constructor(options: StreamOptions) {
    this.options = options;
    this.listeners = options.server.run(() => options.destinations.map(([address, port]) => listen(address, port)));
    const pairs = Math.max(1, options.sources.length) * options.destinations.length;
    const [low, high] = options.range;
    for (let i = 0; i < pairs; i++) this.freePorts.push(Array.from({ length: high - low + 1 }, (_, n) => low + n));
  }

  /** Does what is due at `now` seconds after the start. */
  step(now: number): void {
    while (this.ended < this.held.length && this.held[this.ended]!.ends <= now) this.end(this.held[this.ended++]!);
    while (this.next / this.options.rate <= now) {
      this.lateness = Math.max(this.lateness, now - this.next / this.options.rate);
      this.begin(this.next++, now);
    }
  }

  /** Ends what is open, without a trace. */
  stop(): void {
    for (const c of this.held.slice(this.ended)) {
      reset(c.client);
      close(c.server);
    }
    this.ended = this.held.length;
    close(...this.listeners);
  }

  private begin(index: number, now: number): void {
    const { client, server, sources, destinations, choice, duration } = this.options;
    const pair = index % this.freePorts.length;
    const which = pair % destinations.length;
    const source = sources[Math.floor(pair / destinations.length)];
    const [address, port] = destinations[which]!;
    const chosen = choice === 'explicit' ? this.freePorts[pair]!.shift() : 0;
    if (chosen === undefined) {
      this.failures.push(now);
      this.errors.add('no port left in the list');
      return;
    }
    let fd: number;
    try {
      fd = client.run(() =>
        source === undefined
          ? open(address, port)
          : open(address, port, { bind: [source, chosen], noPort: choice === 'connect', reuseAddress: choice === 'explicit' }),
      );
    } catch (error) {
      this.failures.push(now);
      this.errors.add(error instanceof Errno ? `${error.call} ${error.code}` : String(error));
      if (chosen > 0) this.freePorts[pair]!.push(chosen);
      return;
    }
    this.openings.push(now);
    const [accepted] = server.run(() => acceptAll(this.listeners[which]!));
    if (accepted === undefined) throw new Error('a connection did not reach its listener');
    // From when it was due, not from when it came: a late start must not make late ends of all that follow.
    const connection = { ends: index / this.options.rate + duration, client: fd, server: accepted, port: chosen, pair };
    if (duration === 0) this.end(connection);
    else this.held.push(connection);
  }

  private end(c: { readonly client: number; readonly server: number; readonly port: number; readonly pair: number }): void {
    if (this.options.closer === 'reset') {
      reset(c.client);
      close(c.server);
    } else if (this.options.closer === 'client') close(c.client, c.server);
    else close(c.server, c.client);
    if (c.port > 0) this.freePorts[c.pair]!.push(c.port);
  }
}

/** Sockets of a namespace now. */
export const socketsOf = (namespace: Namespace): SocketTable => {
  const c = ffi();
  if (c.status !== 'ok') throw new Error(c.hint);
  return namespace.run(() => walkSockets(c.value, { info: false }));
};

/** Ports of `range` held towards one of `ports` (from one of `sources`, if any are named), TIME_WAITs older than `reuse` seconds left out. */
export const usedPorts = (
  table: SocketTable,
  stream: { readonly ports: ReadonlySet<number>; readonly sources: ReadonlySet<string>; readonly range: readonly [number, number] },
  reuse: number | null,
): number => {
  let used = 0;
  for (let row = 0; row < table.count; row++) {
    const local = table.localPort[row]!;
    if (!stream.ports.has(table.remotePort[row]!) || local < stream.range[0] || local > stream.range[1]) continue;
    if (stream.sources.size > 0 && !stream.sources.has(table.addresses.text(table.local[row]!))) continue;
    if (reuse !== null && table.state[row] === TcpState.timeWait && 60 - table.expires[row]! / 1000 > reuse) continue;
    used++;
  }
  return used;
};
