/**
 * What must outlive the balancer: which source ports its servers may still hold. Written every second and at the end, read by
 * the next start, so that a restart reuses no port sooner than the balancer would have without it. It is a hint: whatever is
 * wrong with the file, the balancer starts, and finds out port by port as it would have with none.
 *
 * One line of JSON (when it was written, and the SNAT pool, address, server and number of ports of each port space), then for
 * each space its columns: ports (16 bit), how their connections ended (8), and milliseconds since (32), as this host stores them.
 * Binary, because in a busy minute there are hundreds of thousands.
 */
import { closeSync, constants, fchownSync, fstatSync, ftruncateSync, openSync, readFileSync, writeSync } from 'node:fs';
import { queueOf } from '../../core/cooling-ports.ts';
import type { KnownPorts } from '../../core/port-ledger.ts';

/** What the ledgers of the SNAT pools know, by the pool's name. */
export type PortKnowledge = ReadonlyMap<string, readonly KnownPorts[]>;

const schema = 'plimsoll.ports/1';
/** A larger file is not ours: every port of a hundred port spaces takes less. */
const largestFile = 64 << 20;
const bytesPerPort = 7;

interface Heading {
  readonly schema: string;
  /** Milliseconds of the wall clock: the only one that both processes share. */
  readonly at: number;
  readonly spaces: readonly { readonly pool: string; readonly address: string; readonly server: string; readonly ports: number }[];
}

/** The file's bytes, in pieces. */
export const writeKnowledge = (knowledge: PortKnowledge, at: number): readonly Uint8Array[] => {
  const spaces = [...knowledge].flatMap(([pool, known]) => known.map((k) => ({ pool, ...k })));
  const heading: Heading = {
    schema,
    at,
    spaces: spaces.map(({ pool, address, server, ports }) => ({ pool, address, server, ports: ports.length })),
  };
  const bytes = (column: Uint16Array | Uint8Array | Uint32Array): Uint8Array => new Uint8Array(column.buffer);
  return [
    Buffer.from(`${JSON.stringify(heading)}\n`),
    ...spaces.flatMap(({ ports, queues, rested }) => [bytes(ports), bytes(queues), bytes(rested)]),
  ];
};

const isHeading = (value: unknown): value is Heading => {
  const heading = value as Partial<Heading> | null;
  return (
    typeof heading === 'object' &&
    heading?.schema === schema &&
    Number.isFinite(heading.at) &&
    Array.isArray(heading.spaces) &&
    heading.spaces.every(
      (s) =>
        typeof s?.pool === 'string' &&
        typeof s.address === 'string' &&
        typeof s.server === 'string' &&
        Number.isInteger(s.ports) &&
        s.ports >= 0 &&
        s.ports <= 65536,
    )
  );
};

/** What `bytes` say, and when (milliseconds). Null if they are not the whole of such a file. */
export const readKnowledge = (bytes: Buffer): { readonly knowledge: PortKnowledge; readonly at: number } | null => {
  const end = bytes.indexOf(10);
  let heading: unknown;
  try {
    heading = JSON.parse(bytes.toString('utf8', 0, Math.max(0, end)));
  } catch {
    return null;
  }
  if (!isHeading(heading)) return null;
  const total = heading.spaces.reduce((sum, space) => sum + space.ports, 0);
  if (bytes.length !== end + 1 + total * bytesPerPort) return null;
  let offset = end + 1;
  const column = (size: number): ArrayBuffer => {
    const copy = new ArrayBuffer(size);
    new Uint8Array(copy).set(bytes.subarray(offset, offset + size));
    offset += size;
    return copy;
  };
  const knowledge = new Map<string, KnownPorts[]>();
  for (const { pool, address, server, ports: count } of heading.spaces) {
    const ports = new Uint16Array(column(2 * count));
    const queues = new Uint8Array(column(count));
    const rested = new Uint32Array(column(4 * count));
    if (queues.some((queue) => queue === queueOf.held || queue > queueOf.refused)) return null;
    const known = knowledge.get(pool) ?? [];
    known.push({ address, server, ports, queues, rested });
    knowledge.set(pool, known);
  }
  return { knowledge, at: heading.at };
};

export interface PortMemory {
  /** What the last process left, and how many seconds ago; null if there is nothing to be had. */
  readonly earlier: { readonly knowledge: PortKnowledge; readonly since: number } | null;
  /** Why nothing is written; null if it is. */
  readonly trouble: string | null;
  save(knowledge: PortKnowledge): void;
  close(): void;
}

/** Opens the file, for as long as the process runs: once the user has been dropped to, its folder may be out of reach. */
export const openPortMemory = (path: string, owner: { readonly uid: number; readonly gid: number } | null): PortMemory => {
  let fd: number;
  try {
    fd = openSync(path, constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW | constants.O_NONBLOCK, 0o600);
  } catch (error) {
    const trouble = (error as NodeJS.ErrnoException).code ?? String(error);
    return { earlier: null, trouble, save: () => {}, close: () => {} };
  }
  const { size, uid, nlink } = fstatSync(fd);
  const mine = fstatSync(fd).isFile() && nlink === 1 && [0, process.geteuid?.(), owner?.uid].includes(uid);
  if (!mine) {
    closeSync(fd);
    return { earlier: null, trouble: `${path} is somebody else's`, save: () => {}, close: () => {} };
  }
  if (owner !== null) fchownSync(fd, owner.uid, owner.gid);
  const read = size > largestFile ? null : readKnowledge(readFileSync(fd));
  let trouble: string | null = null;
  return {
    // A clock that was set back in between: nothing has rested.
    earlier: read === null ? null : { knowledge: read.knowledge, since: Math.max(0, Date.now() - read.at) / 1000 },
    get trouble() {
      return trouble;
    },
    save: (knowledge) => {
      try {
        let position = 0;
        for (const piece of writeKnowledge(knowledge, Date.now())) position += writeSync(fd, piece, 0, piece.length, position);
        ftruncateSync(fd, position);
      } catch (error) {
        // A full disk is no reason to stop serving; half a file is read as none.
        trouble = (error as NodeJS.ErrnoException).code ?? String(error);
      }
    },
    close: () => closeSync(fd),
  };
};
