/** Every scenario, in the order of `lab list`. */
import type { Scenario } from '../scenario.ts';
import { closeWaitLeak } from './close-wait-leak.ts';
import { conntrackSnat } from './conntrack-snat.ts';
import { handshakeCollision } from './handshake-collision.ts';
import { idleOneToOne } from './idle-one-to-one.ts';
import { sharedBind } from './shared-bind.ts';
import { singleSnatAddress } from './single-snat-address.ts';
import { timeWaitChurn } from './time-wait-churn.ts';

export const scenarios: readonly Scenario[] = [
  idleOneToOne,
  handshakeCollision,
  singleSnatAddress,
  timeWaitChurn,
  sharedBind,
  conntrackSnat,
  closeWaitLeak,
];
