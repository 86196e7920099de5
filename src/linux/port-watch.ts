/**
 * Watching connect() as it happens: searches that found no port, and who opens connections.
 *
 * The kernel has no counter for a failed port search. Tracepoint sock:inet_sock_set_state shows it: a socket that goes from
 * SYN_SENT to CLOSE without ever having had a source port. It also shows each connection's start (CLOSE to SYN_SENT) in the
 * process that makes it, and whether its port was bound before. It is read through perf_event_open: a few milliseconds to
 * set up, nothing is left behind however we end. The tracepoint knows no namespace; the process that caused it does.
 */

import { readFileSync, statSync } from 'node:fs';
import { cpus } from 'node:os';
import { formatIPv4, formatIPv6 } from '../core/address.ts';
import type { FailedSearch, Opening, Reading } from '../core/host-sample.ts';
import { TcpState } from '../core/tcp-state.ts';
import { errnoName, type Ffi } from './ffi.ts';
import { type HostRoot, readText } from './proc.ts';

const PERF_TYPE_TRACEPOINT = 2;
const PERF_SAMPLE_TID = 1 << 1;
const PERF_SAMPLE_RAW = 1 << 10;
const PERF_RECORD_LOST = 2;
const PERF_RECORD_SAMPLE = 9;
const PERF_FLAG_FD_CLOEXEC = 8;
const IOC_ENABLE = 0x2400;
const IOC_SET_FILTER = 0x40082406;
const AF_INET = 2;
const PAGE = 4096;

/** Ring sizes in pages (a power of two). Failures must not be lost to a flood of openings, so they have rings of their own. */
const FAILURE_PAGES = 16;
const OPENING_PAGES = 64;

const FAILED_SEARCH = `oldstate == ${TcpState.synSent} && newstate == ${TcpState.close} && sport == 0 && protocol == 6`;
const OPENED = `oldstate == ${TcpState.close} && newstate == ${TcpState.synSent} && protocol == 6`;

/** Byte offsets of the tracepoint's fields in its raw record, from its `format` file. */
interface Layout {
  readonly id: number;
  readonly family: number;
  readonly sport: number;
  readonly dport: number;
  readonly saddr: number;
  readonly daddr: number;
  readonly saddr6: number;
  readonly daddr6: number;
}

/** Reads `ID: 123` and `field:__u16 sport; offset:26; size:2;` lines. Null if a field is missing. */
export const parseFormat = (text: string): Layout | null => {
  const offsets = new Map<string, number>();
  for (const match of text.matchAll(/field:[^;]*?(\w+)(?:\[\d+\])?;\s*offset:(\d+);/g)) offsets.set(match[1]!, Number(match[2]));
  const id = Number(/^ID: (\d+)/m.exec(text)?.[1] ?? Number.NaN);
  const at = (name: string): number => offsets.get(name) ?? Number.NaN;
  const layout: Layout = {
    id,
    family: at('family'),
    sport: at('sport'),
    dport: at('dport'),
    saddr: at('saddr'),
    daddr: at('daddr'),
    saddr6: at('saddr_v6'),
    daddr6: at('daddr_v6'),
  };
  return Object.values(layout).every(Number.isInteger) ? layout : null;
};

export interface StateChange {
  readonly pid: number;
  readonly source: string;
  readonly sourcePort: number;
  readonly destination: string;
  readonly destinationPort: number;
}

/** One raw record of the tracepoint. Null if it is cut short. */
export const decodeChange = (raw: Uint8Array, pid: number, layout: Layout): StateChange | null => {
  if (raw.length < Math.max(layout.saddr6, layout.daddr6) + 16) return null;
  const view = new DataView(raw.buffer, raw.byteOffset, raw.length);
  const v4 = view.getUint16(layout.family, true) === AF_INET;
  const address = (at4: number, at6: number): string =>
    v4 ? formatIPv4(view.getUint32(at4, false)) : formatIPv6(raw.subarray(at6, at6 + 16));
  return {
    pid,
    source: address(layout.saddr, layout.saddr6),
    sourcePort: view.getUint16(layout.sport, true),
    destination: address(layout.daddr, layout.daddr6),
    destinationPort: view.getUint16(layout.dport, true),
  };
};

/** The records of one perf ring since the last call. `bytes` is the mapping: a control page, then the data pages. */
class Ring {
  private readonly data: Uint8Array;
  private readonly control: DataView;
  lost = 0;

  constructor(bytes: Uint8Array) {
    this.control = new DataView(bytes.buffer, bytes.byteOffset, PAGE);
    this.data = bytes.subarray(PAGE);
  }

  read(visit: (pid: number, raw: Uint8Array) => void): void {
    const head = Number(this.control.getBigUint64(1024, true));
    let tail = Number(this.control.getBigUint64(1032, true));
    const size = this.data.length;
    while (tail < head) {
      const at = tail % size;
      // Records are 8-byte aligned, so a header never wraps; its body may.
      const header = new DataView(this.data.buffer, this.data.byteOffset + at, 8);
      const type = header.getUint32(0, true);
      const length = header.getUint16(6, true);
      if (length < 8) break;
      const record =
        at + length <= size
          ? this.data.slice(at, at + length)
          : Uint8Array.from([...this.data.subarray(at), ...this.data.subarray(0, at + length - size)]);
      const view = new DataView(record.buffer);
      if (type === PERF_RECORD_LOST && length >= 24) this.lost += Number(view.getBigUint64(16, true));
      // Header, pid and tid, size of the raw part, the raw part.
      if (type === PERF_RECORD_SAMPLE && length >= 20) visit(view.getUint32(8, true), record.subarray(20, 20 + view.getUint32(16, true)));
      tail += length;
    }
    this.control.setBigUint64(1032, BigInt(tail), true);
  }
}

const eventAttributes = (id: number): Uint8Array => {
  const bytes = new Uint8Array(112);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, PERF_TYPE_TRACEPOINT, true);
  view.setUint32(4, bytes.length, true);
  view.setBigUint64(8, BigInt(id), true);
  view.setBigUint64(16, 1n, true); // every event
  view.setBigUint64(24, BigInt(PERF_SAMPLE_TID | PERF_SAMPLE_RAW), true);
  view.setUint32(40, 1, true); // disabled until its filter is set
  return bytes;
};

const cString = (text: string): Uint8Array => new Uint8Array([...new TextEncoder().encode(text), 0]);

const TRACEPOINT = 'events/sock/inet_sock_set_state/format';

const layoutOf = (text: string): Reading<Layout> => {
  const layout = parseFormat(text);
  return layout === null
    ? { status: 'unsupported', hint: 'the tracepoint inet_sock_set_state has another form here' }
    : { status: 'ok', value: layout };
};

/**
 * The tracepoint's `format`: from where tracefs is mounted, which needs CAP_DAC_READ_SEARCH to read, else from a tracefs mounted
 * nowhere, which needs CAP_SYS_ADMIN to mount. Nothing on the host changes.
 */
const readFormat = (ffi: Ffi): Reading<Layout> => {
  const mounted = readText(`/sys/kernel/tracing/${TRACEPOINT}`);
  if (mounted !== null) return layoutOf(mounted);
  const tracefs = ffi.mountDetached('tracefs');
  if (tracefs < 0) {
    const code = errnoName(ffi.errno());
    return code === 'EPERM' || code === 'EACCES'
      ? {
          status: 'denied',
          hint: 'watching failed port searches needs root (CAP_PERFMON, and CAP_SYS_ADMIN or a tracefs it may read): nothing else in Linux counts them',
        }
      : { status: 'unsupported', hint: `tracefs cannot be opened: ${code}` };
  }
  try {
    return layoutOf(readFileSync(`/proc/self/fd/${tracefs}/${TRACEPOINT}`, 'utf8'));
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? 'unreadable';
    if (code === 'EACCES')
      return { status: 'denied', hint: 'watching failed port searches needs root (CAP_DAC_READ_SEARCH beside CAP_SYS_ADMIN)' };
    return { status: 'absent', hint: `the kernel has no tracepoint sock:inet_sock_set_state (${code})` };
  } finally {
    ffi.close(tracefs);
  }
};

/** A running watch. Call `poll` a few times a second, for a process that is gone cannot be named; `stop` ends it. */
export class PortWatch {
  private readonly rings: { readonly failures: boolean; readonly ring: Ring }[] = [];
  private readonly release: (() => void)[] = [];
  private readonly names = new Map<number, string>();
  private readonly homes = new Map<number, string | null>();
  private readonly failed: FailedSearch[] = [];
  private readonly opened = new Map<string, Opening>();
  private readonly root: HostRoot;
  private readonly layout: Layout;
  /** Our own connects (the port probe) are not the host's. */
  private readonly self = process.pid;

  private constructor(root: HostRoot, layout: Layout) {
    this.root = root;
    this.layout = layout;
  }

  /** Starts watching the whole host. Never throws: without the rights or the kernel for it, says so. */
  static start(ffi: Reading<Ffi>, root: HostRoot): Reading<PortWatch> {
    if (ffi.status !== 'ok') return ffi;
    const layout = readFormat(ffi.value);
    if (layout.status !== 'ok') return layout;
    const watch = new PortWatch(root, layout.value);
    const problem = watch.attach(ffi.value);
    if (problem === null) return { status: 'ok', value: watch };
    watch.stop();
    return problem === 'EACCES' || problem === 'EPERM'
      ? { status: 'denied', hint: 'perf_event_open needs root (CAP_PERFMON): failed port searches are not counted' }
      : { status: 'unsupported', hint: `perf_event_open: ${problem}` };
  }

  private attach(ffi: Ffi): string | null {
    for (let cpu = 0; cpu < cpus().length; cpu++) {
      for (const failures of [true, false]) {
        const fd = ffi.perfEventOpen(eventAttributes(this.layout.id), -1, cpu, -1, PERF_FLAG_FD_CLOEXEC);
        if (fd < 0) {
          // A core that is offline has nothing to say.
          if (errnoName(ffi.errno()) === 'ENODEV') continue;
          return errnoName(ffi.errno());
        }
        this.release.push(() => void ffi.close(fd));
        if (ffi.ioctl(fd, IOC_SET_FILTER, cString(failures ? FAILED_SEARCH : OPENED)) < 0) return errnoName(ffi.errno());
        const mapping = ffi.mmap(fd, PAGE * (1 + (failures ? FAILURE_PAGES : OPENING_PAGES)));
        if (mapping === null) return errnoName(ffi.errno());
        this.release.push(() => mapping.unmap());
        if (ffi.ioctl(fd, IOC_ENABLE, null) < 0) return errnoName(ffi.errno());
        this.rings.push({ failures, ring: new Ring(mapping.bytes) });
      }
    }
    return this.rings.length > 0 ? null : 'no core to watch';
  }

  /** Takes what happened since the last call. */
  poll(): void {
    for (const { failures, ring } of this.rings) {
      ring.read((pid, raw) => {
        if (pid === this.self) return;
        const change = decodeChange(raw, pid, this.layout);
        if (change === null) return;
        const command = this.command(pid);
        if (failures) {
          this.failed.push({
            source: change.source,
            destination: change.destination,
            destinationPort: change.destinationPort,
            pid,
            command,
            namespace: this.home(pid),
          });
          return;
        }
        const bound = change.sourcePort !== 0;
        const namespace = this.home(pid);
        const key = `${pid} ${change.destination} ${change.destinationPort} ${bound}`;
        const known = this.opened.get(key);
        this.opened.set(key, {
          destination: change.destination,
          destinationPort: change.destinationPort,
          pid,
          command,
          bound,
          weight: (known?.weight ?? 0) + 1,
          namespace,
        });
      });
    }
  }

  /** What happened since the last call of this. */
  take(): { readonly failedSearches: readonly FailedSearch[]; readonly openings: readonly Opening[] } {
    this.poll();
    const openings = [...this.opened.values()];
    this.opened.clear();
    // A number is given to another process after a while, and a process may change its name.
    this.names.clear();
    this.homes.clear();
    return { failedSearches: this.failed.splice(0), openings };
  }

  /** Records that did not fit the rings. */
  get lost(): number {
    return this.rings.reduce((sum, { ring }) => sum + ring.lost, 0);
  }

  stop(): void {
    this.rings.length = 0;
    for (const release of this.release.splice(0).reverse()) release();
  }

  private command(pid: number): string {
    const known = this.names.get(pid);
    if (known !== undefined) return known;
    const name = readText(`${this.root.proc}/${pid}/comm`) ?? '(gone)';
    this.names.set(pid, name);
    return name;
  }

  private home(pid: number): string | null {
    const known = this.homes.get(pid);
    if (known !== undefined) return known;
    let id: string | null = null;
    try {
      id = String(statSync(`${this.root.proc}/${pid}/ns/net`).ino);
    } catch {
      // Gone before we could ask.
    }
    this.homes.set(pid, id);
    return id;
  }
}
