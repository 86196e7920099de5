/** Every command, in the order of the help. Each is loaded when it is called: a bundle of all of them takes longer to start. */
import type { CommandSpec } from '../command.ts';

const loaders: Readonly<Record<string, () => Promise<CommandSpec>>> = {
  doctor: async () => (await import('./doctor.ts')).doctor,
  watch: async () => (await import('./watch.ts')).watch,
  serve: async () => (await import('./serve.ts')).serve,
  plan: async () => (await import('./plan.ts')).plan,
  tune: async () => (await import('./tune.ts')).tune,
  explain: async () => (await import('./explain.ts')).explain,
  load: async () => (await import('./load.ts')).load,
  lab: async () => (await import('./lab.ts')).lab,
  balance: async () => (await import('./balance.ts')).balance,
  show: async () => (await import('./show.ts')).show,
  reload: async () => (await import('./administer.ts')).reload,
  drain: async () => (await import('./administer.ts')).drain,
  enable: async () => (await import('./administer.ts')).enable,
  disable: async () => (await import('./administer.ts')).disable,
  set: async () => (await import('./administer.ts')).set,
  'lab-peer': async () => (await import('./lab-peer.ts')).labPeer,
  'balance-worker': async () => (await import('./balance-worker.ts')).balanceWorker,
  'load-worker': async () => (await import('./load-worker.ts')).loadWorker,
};

/** The command of that name, or null. */
export const loadCommand = async (name: string): Promise<CommandSpec | null> => (Object.hasOwn(loaders, name) ? loaders[name]!() : null);

/** All of them. */
export const loadCommands = (): Promise<readonly CommandSpec[]> => Promise.all(Object.values(loaders).map((load) => load()));
