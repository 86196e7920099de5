/**
 * A finding: a condition users are told about, on a host or in a capture. Data only; the words and thresholds of each
 * finding live with its definition in `finding/`.
 */
import type { FindingCode } from './finding/codes.ts';
import type { RemedyCode } from './remedy/codes.ts';

export type Severity = 'info' | 'warning' | 'critical';

/** One measured fact behind a finding. `source` names where it was read: `sock_diag`, `/proc/net/netstat`, `packet 17`. */
export interface Evidence {
  readonly name: string;
  readonly value: number | string;
  readonly unit: string;
  readonly source: string;
}

export interface Finding {
  readonly code: FindingCode;
  readonly severity: Severity;
  readonly title: string;
  /** Two or three sentences in plain words, with the numbers. */
  readonly text: string;
  /** What it is about: a port space's id, a listener and client, a namespace, a 4-tuple. */
  readonly subject: string;
  readonly evidence: readonly Evidence[];
  readonly remedies: readonly RemedyCode[];
}
