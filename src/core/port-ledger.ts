/**
 * Which source port the next connection to a server uses, decided by us and not by the kernel.
 *
 * For every server and source address there is one port space: the same port number is good once for each of them. The model
 * is HAProxy's FIFO ring (port_range.h), with what that lacks: a cool-down by how the connection ended, several source
 * addresses for one server chosen by free ports, ports of its own for health monitors, and knowledge of ports that others
 * hold. Time is an argument: seconds on any clock that never goes back.
 *
 *   ledger ─ server "10.0.1.11:80" ─ source address 10.0.0.5 ─ CoolingPorts (traffic), CoolingPorts (monitors)
 *                                  └ source address 10.0.0.6 ─ …
 *
 * Everything is O(1) in the number of ports and linear in the number of source addresses, which a scan of a few counters
 * serves faster than any ordered structure would.
 */
import { type CoolDowns, CoolingPorts, type Ending, queueOf } from './cooling-ports.ts';
import { type PortRange, PortSet } from './port-range.ts';

export type { Ending } from './cooling-ports.ts';

/** Rest of a port in seconds by how its connection ended. When we closed first there is none: the kernel's own TIME_WAIT reopens. */
export interface CoolDown {
  /** The server closed first: it holds TIME_WAIT. */
  readonly fin: number;
  readonly rst: number;
  /** The end is unknown: the server may still hold the connection. */
  readonly half_open: number;
}

export interface LedgerOptions {
  readonly addresses: readonly string[];
  readonly ports: readonly PortRange[];
  /** How many of `ports`, from the highest down, each (address, server) keeps for its health monitors. */
  readonly monitorPorts: number;
  readonly cooldown: CoolDown;
  /** After how many seconds a port that somebody else held is tried again. Default 60. */
  readonly heldRetry?: number;
  /** False for a worker's ledger: it owns no port, all come by `borrow`. Default true. */
  readonly owner?: boolean;
}

/** A port in use. Give it back with `release`. */
export interface Lease {
  readonly address: string;
  readonly port: number;
  readonly server: string;
  /** Its cool-down was not over. */
  readonly early: boolean;
  readonly monitor: boolean;
}

/** Ports lent to a worker. */
export interface PortBlock {
  readonly address: string;
  readonly server: string;
  readonly ports: readonly number[];
}

/**
 * What is known of one port space beyond which ports are free, for the ledger that comes after this one: columns, a row for each
 * port that cools, was refused, or is lent.
 */
export interface KnownPorts {
  readonly address: string;
  readonly server: string;
  readonly ports: Uint16Array;
  /** Index of `queueOf`: how its connection ended. */
  readonly queues: Uint8Array;
  /** Milliseconds since. */
  readonly rested: Uint32Array;
}

/** One port space of the ledger. used + free + cooling + held_by_others + lent = capacity. */
export interface LedgerSpace {
  readonly address: string;
  readonly server: string;
  readonly capacity: number;
  readonly used: number;
  readonly free: number;
  readonly cooling: number;
  readonly held_by_others: number;
  /** Out to workers. */
  readonly lent: number;
  readonly early_reuses: number;
  /** How often a connection found neither a free nor a cooling port here. */
  readonly misses: number;
  readonly monitor_ports: number;
  readonly monitor_used: number;
  /** No new connections: the address is drained or the server is gone. */
  readonly draining: boolean;
}

class Space {
  readonly traffic: CoolingPorts;
  readonly monitors: CoolingPorts;
  readonly address: string;
  readonly server: string;
  lent = 0;
  early = 0;
  misses = 0;
  draining = false;

  constructor(address: string, server: string, traffic: CoolingPorts, monitors: CoolingPorts) {
    this.address = address;
    this.server = server;
    this.traffic = traffic;
    this.monitors = monitors;
  }

  /** Nothing is out, cools, or is known about it that would be forgotten with it. */
  get idle(): boolean {
    return this.traffic.out === 0 && this.monitors.out === 0 && this.traffic.cooling === 0 && this.traffic.held === 0;
  }
}

class PortLease implements Lease {
  readonly space: Space;
  readonly index: number;
  readonly address: string;
  readonly port: number;
  readonly server: string;
  readonly early: boolean;
  readonly monitor: boolean;
  live = true;

  constructor(space: Space, index: number, port: number, early: boolean, monitor: boolean) {
    this.space = space;
    this.index = index;
    this.address = space.address;
    this.port = port;
    this.server = space.server;
    this.early = early;
    this.monitor = monitor;
  }
}

/** The lease as this ledger made it, once: whoever reports an end a second time is not heard. */
const settle = (lease: Lease): PortLease | null => {
  if (!(lease instanceof PortLease)) throw new TypeError('not a lease of a PortLedger');
  if (!lease.live) return null;
  lease.live = false;
  return lease;
};

/** Where only ports are left that were refused when last used: the address that has most of them. */
const mostSuspects = (spaces: readonly Space[], kind: 'traffic' | 'monitors'): Space | null => {
  let best: Space | null = null;
  for (const space of spaces) if (!space.draining && space[kind].suspects > (best?.[kind].suspects ?? 0)) best = space;
  return best;
};

/** Explicit source ports by source address and server. Time is an argument, in seconds of any one clock. */
export class PortLedger {
  /** Port of each index: the monitors' ports after the others. */
  private readonly ports: Uint16Array;
  private readonly indexOf = new Uint16Array(65536).fill(0xffff);
  private readonly trafficSize: number;
  private readonly owner: boolean;
  private coolDowns: CoolDowns;
  private readonly heldRetry: number;
  private readonly draining = new Map<string, boolean>();
  private readonly servers = new Map<string, Space[]>();

  constructor(options: LedgerOptions) {
    const set = PortSet.of(options.ports);
    set.delete(0);
    const all = [...set.within({ low: 1, high: 65535 })];
    if (!Number.isInteger(options.monitorPorts) || options.monitorPorts < 0 || options.monitorPorts > all.length)
      throw new RangeError(`monitorPorts must be 0 to ${all.length}, the number of ports`);
    this.ports = Uint16Array.from(all);
    this.trafficSize = all.length - options.monitorPorts;
    all.forEach((port, index) => {
      this.indexOf[port] = index;
    });
    this.owner = options.owner ?? true;
    this.heldRetry = options.heldRetry ?? 60;
    this.coolDowns = this.milliseconds(options.cooldown);
    for (const address of options.addresses) this.draining.set(address, false);
  }

  /**
   * The traffic port that has been unused longest, on the address that has most free ports towards `server`; one that was refused
   * when last used only if there is no other; null if none is free. `proven`: rather one that has been used before, to tell
   * whether a server refuses everybody or only a port it still holds.
   */
  acquire(server: string, now: number, proven = false): Lease | null {
    let best: Space | null = null;
    let bestFree = 0;
    let bestRest = -2;
    for (const space of this.spaces(server)) {
      space.traffic.ripen(now, this.coolDowns);
      const free = proven ? space.traffic.proven : space.traffic.free;
      if (space.draining || free === 0 || free < bestFree) continue;
      // As many free ports: farthest reuse first across addresses too.
      const rest = space.traffic.longestRest(now, proven);
      if (free === bestFree && rest <= bestRest) continue;
      best = space;
      bestFree = free;
      bestRest = rest;
    }
    if (best === null && proven) return this.acquire(server, now);
    best ??= mostSuspects(this.spaces(server), 'traffic');
    if (best === null) return null;
    const index = best.traffic.take(now, proven);
    return new PortLease(best, index, this.ports[index]!, false, false);
  }

  /** The free port that `acquire` gives; else the one that has cooled longest, counted as an early reuse; null (a miss) if all are in use. */
  acquireEarly(server: string, now: number, proven = false): Lease | null {
    const free = this.acquire(server, now, proven);
    if (free !== null) return free;
    let best: Space | null = null;
    let bestRest = -2;
    for (const space of this.spaces(server)) {
      if (space.draining) continue;
      const rest = space.traffic.longestCooling(now);
      if (rest <= bestRest) continue;
      best = space;
      bestRest = rest;
    }
    if (best === null) {
      for (const space of this.spaces(server)) if (!space.draining) space.misses++;
      return null;
    }
    const index = best.traffic.takeEarly(now);
    best.early++;
    return new PortLease(best, index, this.ports[index]!, true, false);
  }

  /** A port kept for health monitors: unused longest over all addresses, a refused one last; null if all are in use or held by others. */
  acquireMonitor(server: string, now: number, proven = false): Lease | null {
    let best: Space | null = null;
    let bestRest = -2;
    for (const space of this.spaces(server)) {
      if (space.draining) continue;
      space.monitors.ripen(now, this.coolDowns);
      const rest = space.monitors.longestRest(now, proven);
      if (rest <= bestRest) continue;
      best = space;
      bestRest = rest;
    }
    if (best === null && proven) return this.acquireMonitor(server, now);
    best ??= mostSuspects(this.spaces(server), 'monitors');
    if (best === null) return null;
    const index = best.monitors.take(now, proven);
    return new PortLease(best, index, this.ports[this.trafficSize + index]!, false, true);
  }

  /** Ends a lease. Reporting the same lease again changes nothing. */
  release(lease: Lease, ending: Ending, now: number): void {
    const mine = settle(lease);
    if (mine === null) return;
    // Monitors' ports know no cool-down; but a refused one is suspect here too.
    if (mine.monitor) mine.space.monitors.put(mine.index, ending === 'refused' ? queueOf.refused : queueOf.we_closed, now);
    else mine.space.traffic.put(mine.index, queueOf[ending], now);
  }

  /** Ends a lease whose port turned out to be held by somebody else (EADDRINUSE at bind): skipped until `heldRetry` has passed. */
  hold(lease: Lease, now: number): void {
    const mine = settle(lease);
    if (mine === null) return;
    (mine.monitor ? mine.space.monitors : mine.space.traffic).put(mine.index, queueOf.held, now);
  }

  /** Adds a source address, or ends its draining. */
  addAddress(address: string): void {
    this.draining.set(address, false);
    for (const [server, spaces] of this.servers) {
      const known = spaces.find((s) => s.address === address);
      if (known === undefined) spaces.push(this.open(address, server));
      else known.draining = false;
    }
  }

  /** No new connections from this address. Its ports in use stay in use until they are released. */
  drainAddress(address: string): void {
    if (!this.draining.has(address)) return;
    this.draining.set(address, true);
    for (const spaces of this.servers.values()) for (const space of spaces) if (space.address === address) space.draining = true;
  }

  /** Source addresses that take new connections. */
  get addresses(): readonly string[] {
    return [...this.draining].filter(([, draining]) => !draining).map(([address]) => address);
  }

  /** Ports for traffic of each (address, server). */
  get capacity(): number {
    return this.trafficSize;
  }

  /** Changes the cool-downs. Ports that are free stay free. */
  setCooldown(cooldown: CoolDown): void {
    this.coolDowns = this.milliseconds(cooldown);
  }

  /** Forgets drained addresses, and servers that are not among `servers`, as soon as nothing of theirs is in use or cools. */
  forget(servers: ReadonlySet<string>, now: number): void {
    const kept = new Set<string>();
    for (const [server, spaces] of this.servers) {
      for (const space of spaces) space.traffic.ripen(now, this.coolDowns);
      const left = spaces.filter((space) => !(space.draining && space.idle));
      // A server goes as a whole: with some of its addresses missing it would have fewer ports if it came back.
      if (!servers.has(server) && left.every((space) => space.idle)) this.servers.delete(server);
      else {
        spaces.splice(0, spaces.length, ...left);
        for (const space of left) kept.add(space.address);
      }
    }
    for (const [address, draining] of this.draining) if (draining && !kept.has(address)) this.draining.delete(address);
  }

  /** Every port space that was used so far. */
  stats(now: number): readonly LedgerSpace[] {
    const rows: LedgerSpace[] = [];
    for (const spaces of this.servers.values()) {
      for (const space of spaces) {
        const { traffic, monitors } = space;
        traffic.ripen(now, this.coolDowns);
        rows.push({
          address: space.address,
          server: space.server,
          capacity: traffic.present,
          used: traffic.out - space.lent,
          free: traffic.free + traffic.suspects,
          cooling: traffic.cooling,
          held_by_others: traffic.held,
          lent: space.lent,
          early_reuses: space.early,
          misses: space.misses,
          monitor_ports: monitors.present,
          monitor_used: monitors.out,
          draining: space.draining,
        });
      }
    }
    return rows;
  }

  /** What a later ledger must know so as not to use a port sooner than this one would have. */
  remember(now: number): readonly KnownPorts[] {
    const known: KnownPorts[] = [];
    for (const spaces of this.servers.values()) {
      for (const { address, server, traffic, lent } of spaces) {
        traffic.ripen(now, this.coolDowns);
        const count = traffic.cooling + traffic.suspects + lent;
        if (count === 0) continue;
        const rows = { ports: new Uint16Array(count), queues: new Uint8Array(count), rested: new Uint32Array(count) };
        let row = 0;
        traffic.remember(now, (index, queue, rested) => {
          rows.ports[row] = this.ports[index]!;
          rows.queues[row] = queue;
          rows.rested[row++] = rested;
        });
        known.push({ address, server, ...rows });
      }
    }
    return known;
  }

  /**
   * Takes over what an earlier ledger remembered `since` seconds ago, before it has used those ports itself: they go on cooling.
   * Addresses and ports that are not this ledger's are passed over. Returns how many ports still cool.
   */
  learn(known: readonly KnownPorts[], since: number, now: number): number {
    let cooling = 0;
    for (const { address, server, ports, queues, rested } of known) {
      if (!this.draining.has(address)) continue;
      const { traffic } = this.spaces(server).find((s) => s.address === address)!;
      ports.forEach((port, row) => {
        const index = this.indexOf[port]!;
        if (index < this.trafficSize) traffic.learn(index, queues[row]!, rested[row]! + since * 1000, now);
      });
      traffic.ripen(now, this.coolDowns);
      cooling += traffic.cooling;
    }
    return cooling;
  }

  /** Up to `count` free ports for a worker, unused longest first; from the address with most free ports if `address` is null. Null if none is free. */
  lend(server: string, address: string | null, count: number, now: number): PortBlock | null {
    let best: Space | null = null;
    for (const space of this.spaces(server)) {
      if (space.draining || (address !== null && space.address !== address)) continue;
      space.traffic.ripen(now, this.coolDowns);
      if (space.traffic.free > (best?.traffic.free ?? 0)) best = space;
    }
    best ??= mostSuspects(
      this.spaces(server).filter((space) => address === null || space.address === address),
      'traffic',
    );
    if (best === null) return null;
    const ports: number[] = [];
    while (ports.length < count && best.traffic.free + best.traffic.suspects > 0) ports.push(this.ports[best.traffic.takeLent(now)]!);
    best.lent += ports.length;
    return { address: best.address, server, ports };
  }

  /** Lent ports come back: with `we_closed` free at once; by default as after a worker that died, their connections' end unknown. */
  takeBack(block: PortBlock, now: number, ending: Ending = 'half_open'): void {
    const space = this.spaces(block.server).find((s) => s.address === block.address);
    if (space === undefined) return;
    for (const port of block.ports) {
      const index = this.indexOf[port]!;
      if (index < this.trafficSize && space.traffic.putLent(index, queueOf[ending], now)) space.lent--;
    }
  }

  /** A worker's side of `lend`: these ports are here now, free. */
  borrow(block: PortBlock, now: number): void {
    if (!this.draining.has(block.address)) this.addAddress(block.address);
    const space = this.spaces(block.server).find((s) => s.address === block.address)!;
    for (const port of block.ports) {
      const index = this.indexOf[port]!;
      if (index < this.trafficSize) space.traffic.arrive(index, now);
    }
  }

  /** A worker's side of `takeBack`: up to `count` free ports leave, one block for each address they are of. */
  giveBack(server: string, count: number, now: number): readonly PortBlock[] {
    const blocks: PortBlock[] = [];
    let left = count;
    for (const space of this.spaces(server)) {
      space.traffic.ripen(now, this.coolDowns);
      const ports: number[] = [];
      for (; left > 0 && space.traffic.free + space.traffic.suspects > 0; left--) {
        const index = space.traffic.take(now);
        space.traffic.depart(index);
        ports.push(this.ports[index]!);
      }
      if (ports.length > 0) blocks.push({ address: space.address, server, ports });
    }
    return blocks;
  }

  private spaces(server: string): Space[] {
    let spaces = this.servers.get(server);
    if (spaces === undefined) {
      spaces = [...this.draining.keys()].map((address) => this.open(address, server));
      this.servers.set(server, spaces);
    }
    return spaces;
  }

  private open(address: string, server: string): Space {
    const traffic = new CoolingPorts(this.trafficSize, this.owner);
    const monitors = new CoolingPorts(this.ports.length - this.trafficSize, this.owner);
    const space = new Space(address, server, traffic, monitors);
    space.draining = this.draining.get(address) === true;
    return space;
  }

  private milliseconds(cooldown: CoolDown): CoolDowns {
    return [0, cooldown.fin * 1000, cooldown.rst * 1000, cooldown.half_open * 1000, this.heldRetry * 1000];
  }
}
