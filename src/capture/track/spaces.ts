/** Every port space of a capture, by source and destination, and how many of them are worth remembering. */
import { Destination, PortUse } from './port-use.ts';
import { TupleTable } from './tuple-table.ts';

/** Spaces that are kept whatever came of them. Beyond, those without an answered handshake go when nothing of them is under way. */
const mostSpaces = 100_000;

const portKey = (family: number, port: number): number => port | (family === 6 ? 0x10000 : 0);

export class Spaces {
  private readonly table: TupleTable;
  /** By index; null where one was dropped. */
  private readonly list: (PortUse | null)[] = [];
  private readonly free: number[] = [];
  private serial = 0;
  private readonly destinationTable: TupleTable;
  private readonly destinations: (Destination | null)[] = [];
  private readonly freeDestinations: number[] = [];
  /** Dropped because there were too many: addresses that tried and were never answered. */
  dropped = 0;

  constructor(seed: number) {
    this.table = new TupleTable(seed);
    this.destinationTable = new TupleTable(seed);
  }

  /** The space of that index, which must not have been dropped. */
  at(index: number): PortUse {
    return this.list[index]!;
  }

  /** Those that are kept. */
  all(): readonly PortUse[] {
    return this.list.filter((use) => use !== null);
  }

  /** The space from `source` towards `address` and `port`, made if it is new. */
  of(family: number, source: number, address: number, port: number): PortUse {
    const key = portKey(family, port);
    const known = this.table.get(source, address, key);
    if (known >= 0) return this.list[known]!;
    let index = this.destinationTable.get(address, key, 0);
    if (index < 0) {
      index = this.freeDestinations.pop() ?? this.destinations.length;
      this.destinations[index] = new Destination();
      this.destinationTable.set(address, key, 0, index);
    }
    const at = this.free.pop() ?? this.list.length;
    const use = new PortUse(at, this.serial++, family, source, address, port, this.destinations[index]!);
    use.destination.spaces++;
    this.list[at] = use;
    this.table.set(source, address, key, at);
    return use;
  }

  /** Nothing of `use` is remembered any more: drops it if there are too many. A flood of forged sources must not be kept whole. */
  leave(use: PortUse): void {
    if (this.list.length - this.free.length <= mostSpaces || use.answered > 0 || use.series !== null) return;
    const { source, destinationAddress: address, destination } = use;
    const key = portKey(use.family, use.destinationPort);
    this.table.delete(source, address, key);
    this.list[use.index] = null;
    this.free.push(use.index);
    this.dropped++;
    if (--destination.spaces > 0 || destination.accepted > 0) return;
    const index = this.destinationTable.get(address, key, 0);
    this.destinationTable.delete(address, key, 0);
    this.destinations[index] = null;
    this.freeDestinations.push(index);
  }
}
