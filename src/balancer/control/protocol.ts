/**
 * What is said over `balance.sock`: one JSON object a line each way, one answer for each request, in order. An error crosses
 * as its code and facts, so that the command that asked shows the same words as if it had happened there.
 */
import { canonicalAddress } from '../../core/address.ts';
import type { ErrorCode, ErrorFacts } from '../../core/errors.ts';
import type { BalancerState } from '../engine.ts';

export type ControlRequest =
  | { readonly request: 'state' }
  | { readonly request: 'reload' }
  | { readonly request: 'administer'; readonly pool: string; readonly server: string; readonly to: 'enabled' | 'disabled' | 'draining' }
  | { readonly request: 'set'; readonly virtual_service: string; readonly connection_multiplexing: boolean }
  | { readonly request: 'add_address'; readonly snat_pool: string; readonly address: string };

/** What each request is answered with. */
export interface ControlResults {
  readonly state: BalancerState;
  readonly reload: { readonly warnings: readonly string[] };
  readonly administer: Record<string, never>;
  readonly set: Record<string, never>;
  readonly add_address: Record<string, never>;
}

export type ControlAnswer =
  | { readonly ok: true; readonly result: ControlResults[keyof ControlResults] }
  | { readonly ok: false; readonly code: ErrorCode; readonly facts: ErrorFacts };

/** A request is shorter than this, in bytes. */
export const longestRequest = 4096;

const text = (value: unknown): value is string => typeof value === 'string' && value.length > 0 && value.length < 256;

/** The request in one line, or null if it is none. */
export const parseRequest = (line: string): ControlRequest | null => {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    return null;
  }
  if (typeof value !== 'object' || value === null) return null;
  const r = value as Readonly<Record<string, unknown>>;
  switch (r['request']) {
    case 'state':
    case 'reload':
      return { request: r['request'] };
    case 'administer': {
      const { pool, server, to } = r;
      if (!text(pool) || !text(server) || (to !== 'enabled' && to !== 'disabled' && to !== 'draining')) return null;
      return { request: 'administer', pool, server, to };
    }
    case 'set': {
      const { virtual_service, connection_multiplexing } = r;
      if (!text(virtual_service) || typeof connection_multiplexing !== 'boolean') return null;
      return { request: 'set', virtual_service, connection_multiplexing };
    }
    case 'add_address': {
      const { snat_pool, address } = r;
      const canonical = text(address) ? canonicalAddress(address) : null;
      if (!text(snat_pool) || canonical === null) return null;
      return { request: 'add_address', snat_pool, address: canonical };
    }
    default:
      return null;
  }
};
