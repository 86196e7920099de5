/** Every command, in the order of the help. */
import type { CommandSpec } from '../command.ts';
import { doctor } from './doctor.ts';

export const commands: readonly CommandSpec[] = [doctor];
