/** What parent and workers say to each other, over Node's IPC channel. Listening handles travel beside `listener`. */
import type { ErrorCode, ErrorFacts } from '../../core/errors.ts';
import type { Ending, PortBlock } from '../../core/port-ledger.ts';
import type { Configuration } from '../configuration/index.ts';
import type { Administration } from '../embedded/pool/server.ts';
import type { BalancerEvent, BalancerState } from '../engine.ts';

/** A certificate as PEM text: workers may not be allowed to read the files. */
export interface CertificateText {
  readonly cert: string;
  readonly key: string;
}

export type ToWorker =
  | { readonly to: 'listener'; readonly key: string }
  | {
      readonly to: 'apply';
      readonly id: number;
      readonly configuration: Configuration;
      readonly share: number;
      readonly certificates: Readonly<Record<string, CertificateText>>;
    }
  | { readonly to: 'health'; readonly pool: string; readonly server: string; readonly up: boolean; readonly reason: string }
  | { readonly to: 'well'; readonly pool: string; readonly server: string }
  | { readonly to: 'administer'; readonly pool: string; readonly server: string; readonly administration: Administration }
  | { readonly to: 'multiplexing'; readonly service: string; readonly on: boolean }
  | { readonly to: 'ports'; readonly snatPool: string; readonly shape: string; readonly block: PortBlock }
  | { readonly to: 'recall'; readonly snatPool: string; readonly server: string }
  | { readonly to: 'state'; readonly id: number }
  | { readonly to: 'stop'; readonly grace: number };

export type FromWorker =
  | { readonly from: 'up' }
  | { readonly from: 'applied'; readonly id: number; readonly error: { readonly code: ErrorCode; readonly facts: ErrorFacts } | null }
  | { readonly from: 'want'; readonly snatPool: string; readonly server: string }
  | { readonly from: 'return'; readonly snatPool: string; readonly shape: string; readonly block: PortBlock; readonly ending: Ending }
  | { readonly from: 'event'; readonly event: BalancerEvent }
  | { readonly from: 'state'; readonly id: number; readonly state: BalancerState };
