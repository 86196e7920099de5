/** Avi's oper_status, by word and colour. */
import type { Pool } from './prediction.ts';

type OperStatus = Pool['oper_status'];

const look: Readonly<Record<OperStatus['state'], string>> = {
  OPER_UP: 'calm',
  OPER_DOWN: 'critical',
  OPER_DISABLED: 'warning',
  OPER_DRAINING: 'warning',
  OPER_INITIALIZING: '',
};

export const OperState = ({ status }: { readonly status: OperStatus }) => (
  <span class="row">
    <span class={`tag ${look[status.state]}`}>{status.state}</span>
    <span class="quiet small">{status.reason}</span>
  </span>
);
