/** Where the next connection comes from: nowhere in particular (the kernel chooses), an address in turn, or a lease of the ledger. */
import { type Ending, type Lease, PortLedger } from '../core/port-ledger.ts';
import { type PortRange, PortSet } from '../core/port-range.ts';
import type { Job, SourcePorts } from './job.ts';
import type { LedgerPorts } from './tally.ts';

/** What is given to connect(). */
export interface Source {
  readonly localAddress?: string;
  readonly localPort?: number;
  readonly lease: Lease | null;
}

export interface SourceChooser {
  /** Null: every port is in use. `now` is in seconds. */
  acquire(now: number): Source | null;
  release(source: Source, ending: Ending, now: number): void;
  /** Somebody else has the port. Whether another one is worth trying. */
  taken(source: Source, now: number): boolean;
  ports(now: number): readonly LedgerPorts[];
}

const kernelChoice = (addresses: readonly string[]): SourceChooser => {
  const sources: readonly Source[] =
    addresses.length === 0 ? [{ lease: null }] : addresses.map((localAddress) => ({ localAddress, lease: null }));
  let turn = 0;
  return {
    acquire: () => sources[turn++ % sources.length]!,
    release: () => {},
    taken: () => false,
    ports: () => [],
  };
};

/** Every `of`th port beginning with the `index`th: the part of one process. */
const partOf = (ports: readonly PortRange[], { index, of }: Job['share']): readonly PortRange[] => {
  if (of === 1) return ports;
  const part = new PortSet();
  let n = 0;
  for (const range of PortSet.of(ports).ranges()) {
    for (let port = range.low; port <= range.high; port++) if (n++ % of === index) part.add(port);
  }
  return part.ranges();
};

const ledgerChoice = (from: Extract<SourcePorts, { kind: 'ledger' }>, server: string, share: Job['share']): SourceChooser => {
  const ledger = new PortLedger({
    addresses: from.addresses,
    ports: partOf(from.ports, share),
    monitorPorts: 0,
    cooldown: from.cooldown,
  });
  return {
    acquire: (now) => {
      const lease = ledger.acquireEarly(server, now);
      return lease === null ? null : { localAddress: lease.address, localPort: lease.port, lease };
    },
    release: (source, ending, now) => {
      if (source.lease !== null) ledger.release(source.lease, ending, now);
    },
    taken: (source, now) => {
      if (source.lease === null) return false;
      ledger.hold(source.lease, now);
      return true;
    },
    ports: (now) =>
      ledger.stats(now).map(({ address, capacity, used, free, cooling, held_by_others, early_reuses }) => ({
        address,
        capacity,
        used,
        free,
        cooling,
        held_by_others,
        early_reuses,
      })),
  };
};

/** The chooser of one process. */
export const chooserOf = (job: Job): SourceChooser =>
  job.sourcePorts.kind === 'kernel'
    ? kernelChoice(job.sourcePorts.addresses)
    : ledgerChoice(job.sourcePorts, `${job.target.address} ${job.target.port}`, job.share);
