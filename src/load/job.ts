/** What one process is told to do: plain data, so that it can go through a pipe. Times are seconds, rates per second. */
import type { CoolDown } from '../core/port-ledger.ts';
import type { PortRange } from '../core/port-range.ts';
import type { Stretch } from './arrivals.ts';

export interface Target {
  readonly protocol: 'http' | 'tcp';
  /** Resolved, canonical. */
  readonly address: string;
  readonly port: number;
  /** As given: what TLS asks for by name, and the Host field. */
  readonly host: string;
  /** Null without TLS. `verify`: whether the certificate must be good. */
  readonly tls: { readonly verify: boolean } | null;
}

/** The bytes of a request as latin1 text. `closing` is the same with `Connection: close`. */
export interface Request {
  readonly text: string;
  readonly closing: string;
  /** A response to HEAD has no body whatever its head says (RFC 9112 6.3). */
  readonly head: boolean;
}

export type Traffic =
  /** Arrivals by the clock, whatever the server does; at most `most` connections at once. */
  | { readonly kind: 'open'; readonly profile: readonly Stretch[]; readonly most: number }
  /** So many connections, each asking again as soon as it is answered. */
  | { readonly kind: 'closed'; readonly connections: number; readonly seconds: number }
  /** So many connections opened, at `rate` per second or as fast as it goes, and held until `seconds` after the last. */
  | { readonly kind: 'idle'; readonly connections: number; readonly rate: number | null; readonly seconds: number };

/** Who chooses source ports: the kernel (at connect(), or at bind() where an address is named), or the ledger. */
export type SourcePorts =
  | { readonly kind: 'kernel'; readonly addresses: readonly string[] }
  | {
      readonly kind: 'ledger';
      readonly addresses: readonly string[];
      readonly ports: readonly PortRange[];
      readonly cooldown: CoolDown;
    };

export interface Job {
  readonly target: Target;
  readonly request: Request;
  readonly traffic: Traffic;
  /** Null: as many as the server allows. */
  readonly requestsPerConnection: number | null;
  readonly closer: 'client' | 'server';
  /** How long a tcp connection lives before it is closed. */
  readonly hold: number;
  readonly timeout: number;
  readonly sourcePorts: SourcePorts;
  /** Which process this is, of how many: what each takes of the arrivals, connections and ports. */
  readonly share: { readonly index: number; readonly of: number };
}
