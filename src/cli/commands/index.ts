/** Every command, in the order of the help. */
import type { CommandSpec } from '../command.ts';
import { disable, drain, enable, reload, set } from './administer.ts';
import { balance } from './balance.ts';
import { balanceWorker } from './balance-worker.ts';
import { doctor } from './doctor.ts';
import { explain } from './explain.ts';
import { plan } from './plan.ts';
import { show } from './show.ts';
import { tune } from './tune.ts';

export const commands: readonly CommandSpec[] = [
  doctor,
  plan,
  tune,
  explain,
  balance,
  show,
  reload,
  drain,
  enable,
  disable,
  set,
  balanceWorker,
];
