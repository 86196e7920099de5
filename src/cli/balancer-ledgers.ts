/** The balancer's port ledgers, read over its control socket: the doctor counts them with the rest. */
import { ask } from '../balancer/control/client.ts';
import { formatEndpoint } from '../core/address.ts';
import { PlimsollError } from '../core/errors.ts';
import type { Reading } from '../core/host-sample.ts';
import type { LedgerUse } from '../core/ledger-spaces.ts';
import { parseRanges } from '../core/port-range.ts';

/** What the balancer behind `socket` uses; absent where none runs. */
export const readLedgers = async (socket: string): Promise<Reading<readonly LedgerUse[]>> => {
  try {
    const state = await ask(socket, { request: 'state' });
    const uses = state.snat_pools.flatMap((snat) => {
      const ranges = parseRanges(snat.ports.join(',')) ?? [];
      const range = { low: Math.min(...ranges.map((r) => r.low)), high: Math.max(...ranges.map((r) => r.high)) };
      return snat.use.map((use): LedgerUse => {
        const pool = state.pools.find(
          (p) => p.snat_pool === snat.name && p.servers.some((s) => formatEndpoint(s.ip_addr, s.port) === use.server),
        );
        const server = pool?.servers.find((s) => formatEndpoint(s.ip_addr, s.port) === use.server);
        return {
          label: pool === undefined ? snat.name : `${pool.name}/${server?.name ?? ''}`,
          address: use.address,
          server: use.server,
          range,
          ports: use.capacity,
          used: use.used,
          cooling: use.cooling,
          heldByOthers: use.held_by_others,
        };
      });
    });
    return { status: 'ok', value: uses };
  } catch (error) {
    const reason = error instanceof PlimsollError ? String(error.facts['reason']) : String(error);
    if (reason === 'EACCES' || reason === 'EPERM')
      return { status: 'denied', hint: `the balancer's socket ${socket} needs its group's rights: its port spaces are not counted` };
    return { status: 'absent', hint: 'no balancer of ours answers here' };
  }
};
