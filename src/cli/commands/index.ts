/** Every command, in the order of the help. */
import type { CommandSpec } from '../command.ts';

export const commands: readonly CommandSpec[] = [];
