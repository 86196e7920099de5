/** Every scenario, in the order of `lab list`. */
import type { Scenario } from '../scenario.ts';
import { closeWaitLeak } from './close-wait-leak.ts';
import { conntrackSnat } from './conntrack-snat.ts';
import { sharedBind } from './shared-bind.ts';

export const scenarios: readonly Scenario[] = [sharedBind, conntrackSnat, closeWaitLeak];
