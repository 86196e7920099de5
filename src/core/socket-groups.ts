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

/** How a listening port takes connections: on every address, on every IPv6 address, on some addresses. */
const ANY = 1;
const ANY_V6 = 2;
const ADDRESSED = 4;

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
  const groupOf = new Int32Array(count).fill(-1);
  const keys: { local: number; remote: number; port: number; inbound: boolean; size: number }[] = [];
  let slots = new Int32Array(1024).fill(-1);
  let mask = slots.length - 1;
  let last = -1;
  for (let row = 0; row < count; row++) {
    const s = state[row]!;
    if (s === TcpState.listen || s === TcpState.close || s === TcpState.boundInactive) continue;
    const port = localPort[row]!;
    connected.add(port);
    const l = local[row]!;
    const inbound = isInbound(row, port, l);
    const keyPort = inbound ? port : remotePort[row]!;
    const r = remote[row]!;
    // Neighbours in the kernel's table often belong together.
    if (last >= 0) {
      const k = keys[last]!;
      if (k.local === l && k.remote === r && k.port === keyPort && k.inbound === inbound) {
        k.size++;
        groupOf[row] = last;
        continue;
      }
    }
    let slot = (hash(l, r, keyPort) + (inbound ? 1 : 0)) & mask;
    for (;;) {
      const g = slots[slot]!;
      if (g < 0) {
        slots[slot] = last = keys.length;
        keys.push({ local: l, remote: r, port: keyPort, inbound, size: 1 });
        break;
      }
      const k = keys[g]!;
      if (k.local === l && k.remote === r && k.port === keyPort && k.inbound === inbound) {
        k.size++;
        last = g;
        break;
      }
      slot = (slot + 1) & mask;
    }
    groupOf[row] = last;
    if (keys.length * 2 > slots.length) {
      slots = new Int32Array(slots.length * 4).fill(-1);
      mask = slots.length - 1;
      keys.forEach((k, g) => {
        let at = (hash(k.local, k.remote, k.port) + (k.inbound ? 1 : 0)) & mask;
        while (slots[at]! >= 0) at = (at + 1) & mask;
        slots[at] = g;
      });
    }
  }

  // Counting sort: each group's rows side by side.
  const starts = new Uint32Array(keys.length + 1);
  keys.forEach((k, g) => {
    starts[g + 1] = starts[g]! + k.size;
  });
  const next = starts.slice(0, keys.length);
  const rows = new Uint32Array(starts[keys.length]!);
  for (let row = 0; row < count; row++) {
    const g = groupOf[row]!;
    if (g >= 0) rows[next[g]!++] = row;
  }
  const groups = keys.map(
    (k, g): SocketGroup => ({ local: k.local, remote: k.remote, port: k.port, inbound: k.inbound, start: starts[g]!, end: starts[g + 1]! }),
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
