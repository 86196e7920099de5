/**
 * The sockets of a namespace sorted by what they belong to: outbound ones by (source, destination, destination port), inbound
 * ones by (listener, client), and those that only block ports. One pass to classify, one to sort; no object per socket.
 */
import { PortSet } from './port-range.ts';
import { SocketFlag, type SocketTable } from './socket-table.ts';
import { TcpState } from './tcp-state.ts';

/** Rows `rows[start..end-1]` of the table share both addresses and `port`. */
export interface SocketGroup {
  /** Address ids. */
  readonly local: number;
  readonly remote: number;
  /** The remote port of outbound connections, the listener's port of inbound ones. */
  readonly port: number;
  readonly inbound: boolean;
  readonly start: number;
  readonly end: number;
}

export interface SocketGroups {
  readonly table: SocketTable;
  /** Row numbers, group by group. */
  readonly rows: Uint32Array;
  /** Most sockets first. */
  readonly outbound: readonly SocketGroup[];
  readonly inbound: readonly SocketGroup[];
  /** Rows of listeners, and of sockets that are bound and neither listen nor are connected. */
  readonly listeners: readonly number[];
  readonly bound: readonly number[];
  /** Ports of both: no automatic connect() takes them, whatever address they are bound to (inet_hashtables.c). */
  readonly taken: PortSet;
  /** Ports that some connection holds. */
  readonly connected: PortSet;
}

const hash = (local: number, remote: number, port: number): number => {
  let h = Math.imul(local, 0x9e3779b1) ^ Math.imul(remote, 0x85ebca6b) ^ Math.imul(port, 0xc2b2ae35);
  h ^= h >>> 15;
  return h >>> 0;
};

const INBOUND = 0x10000;

/** How a listening port takes connections: on every address, on every IPv6 address, on some addresses. */
const ANY = 1;
const ANY_V6 = 2;
const ADDRESSED = 4;

/** The group of each row, for one call at a time; large, and of no use afterwards. */
let groupOf = new Int32Array(4096);

/** Groups the sockets of `table`. */
export const groupSockets = (table: SocketTable): SocketGroups => {
  const { count, state, localPort, remotePort, local, remote } = table;
  const listeners: number[] = [];
  const bound: number[] = [];
  const taken = new PortSet();
  for (let row = 0; row < count; row++) {
    const s = state[row]!;
    if (s === TcpState.listen) listeners.push(row);
    else if (s === TcpState.close || s === TcpState.boundInactive) bound.push(row);
    else continue;
    taken.add(localPort[row]!);
  }

  // A connection on a listener's port came in through it: the listener's address is its own, or any.
  const any4 = table.addresses.intern(0, 0, 0xffff0000, 0);
  const any6 = table.addresses.intern(0, 0, 0, 0);
  const accepts = new Uint8Array(65536);
  const addressed = new Set<number>();
  for (const row of listeners) {
    const port = localPort[row]!;
    const address = local[row]!;
    if (address === any4) accepts[port]! |= ANY;
    else if (address === any6) accepts[port]! |= (table.flags[row]! & SocketFlag.v6only) === 0 ? ANY : ANY_V6;
    else {
      accepts[port]! |= ADDRESSED;
      addressed.add(address * 65536 + port);
    }
  }
  const isInbound = (row: number, port: number, address: number): boolean => {
    const how = accepts[port]!;
    if (how === 0) return false;
    if (how & ANY || (how & ANY_V6 && table.flags[row]! & SocketFlag.v6)) return true;
    return (how & ADDRESSED) !== 0 && addressed.has(address * 65536 + port);
  };

  const connected = new PortSet();
  if (groupOf.length < count) groupOf = new Int32Array(Math.ceil(1.25 * count));
  groupOf.fill(-1, 0, count);
  // The groups' keys as columns: comparing numbers side by side is most of the work here.
  let room = 512;
  let keyLocal = new Uint32Array(room);
  let keyRemote = new Uint32Array(room);
  /** The port, and above its 16 bits whether the group is inbound. */
  let keyPort = new Uint32Array(room);
  let sizes = new Uint32Array(room);
  let groupCount = 0;
  let slots = new Int32Array(1024).fill(-1);
  let mask = slots.length - 1;
  const grow = (): void => {
    room *= 4;
    const bigger = (column: Uint32Array<ArrayBuffer>): Uint32Array<ArrayBuffer> => {
      const empty = new Uint32Array(room);
      empty.set(column);
      return empty;
    };
    keyLocal = bigger(keyLocal);
    keyRemote = bigger(keyRemote);
    keyPort = bigger(keyPort);
    sizes = bigger(sizes);
    slots = new Int32Array(2 * room).fill(-1);
    mask = slots.length - 1;
    for (let g = 0; g < groupCount; g++) {
      let at = hash(keyLocal[g]!, keyRemote[g]!, keyPort[g]!) & mask;
      while (slots[at]! >= 0) at = (at + 1) & mask;
      slots[at] = g;
    }
  };
  for (let row = 0; row < count; row++) {
    const s = state[row]!;
    if (s === TcpState.listen || s === TcpState.close || s === TcpState.boundInactive) continue;
    const port = localPort[row]!;
    connected.add(port);
    const l = local[row]!;
    const r = remote[row]!;
    const p = isInbound(row, port, l) ? port | INBOUND : remotePort[row]!;
    let slot = hash(l, r, p) & mask;
    let g = slots[slot]!;
    while (g >= 0 && (keyPort[g] !== p || keyRemote[g] !== r || keyLocal[g] !== l)) {
      slot = (slot + 1) & mask;
      g = slots[slot]!;
    }
    if (g < 0) {
      if (groupCount === room) {
        grow();
        slot = hash(l, r, p) & mask;
        while (slots[slot]! >= 0) slot = (slot + 1) & mask;
      }
      g = groupCount++;
      slots[slot] = g;
      keyLocal[g] = l;
      keyRemote[g] = r;
      keyPort[g] = p;
    }
    sizes[g]!++;
    groupOf[row] = g;
  }

  // Counting sort: each group's rows side by side.
  const starts = new Uint32Array(groupCount + 1);
  for (let g = 0; g < groupCount; g++) starts[g + 1] = starts[g]! + sizes[g]!;
  const next = starts.slice(0, groupCount);
  const rows = new Uint32Array(starts[groupCount]!);
  for (let row = 0; row < count; row++) {
    const g = groupOf[row]!;
    if (g >= 0) rows[next[g]!++] = row;
  }
  const groups = Array.from(
    { length: groupCount },
    (_, g): SocketGroup => ({
      local: keyLocal[g]!,
      remote: keyRemote[g]!,
      port: keyPort[g]! & 0xffff,
      inbound: keyPort[g]! >= INBOUND,
      start: starts[g]!,
      end: starts[g + 1]!,
    }),
  );
  const bySize = (a: SocketGroup, b: SocketGroup): number => b.end - b.start - (a.end - a.start);
  return {
    table,
    rows,
    outbound: groups.filter((g) => !g.inbound).sort(bySize),
    inbound: groups.filter((g) => g.inbound).sort(bySize),
    listeners,
    bound,
    taken,
    connected,
  };
};
