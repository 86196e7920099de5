/** Every command, in the order of the help. */
import type { CommandSpec } from '../command.ts';
import { balance } from './balance.ts';
import { doctor } from './doctor.ts';
import { explain } from './explain.ts';
import { plan } from './plan.ts';

export const commands: readonly CommandSpec[] = [doctor, plan, explain, balance];
