/**
 * `plimsoll balance` from its first listener to its last answer: control socket, user, reload, graceful stop.
 *
 * Order at the start: control socket (is another one running?), listeners, then the user is dropped to; nothing that needs
 * root comes later, so a reload that needs it is refused with the reason.
 */
import { execFileSync } from 'node:child_process';
import { accessSync, chownSync, constants, statSync } from 'node:fs';
import { isLoopback } from '../../core/address.ts';
import { PlimsollError } from '../../core/errors.ts';
import { formatNumber } from '../../core/quantity.ts';
import { hostWarnings } from '../configuration/host.ts';
import { type Configuration, loadConfiguration } from '../configuration/index.ts';
import { withSnatAddress } from '../configuration/live.ts';
import type { ControlRequest, ControlResults } from '../control/protocol.ts';
import { openControl } from '../control/server.ts';
import type { Front } from './front.ts';
import type { HostServices } from './host.ts';
import { openPortMemory, type PortMemory } from './port-memory.ts';

export interface RunOptions {
  readonly file: string;
  readonly socketPath: string;
  /** Seconds that requests may take to finish after SIGTERM. */
  readonly grace: number;
  readonly host: HostServices;
  readonly front: Front;
  /** Files that are written while it runs: the user that is dropped to is made their owner, as nginx does. */
  readonly writes: readonly string[];
  readonly interrupted: AbortSignal;
  /** Calls back at every SIGHUP. */
  readonly onHangup: (listener: () => void) => void;
  /** Called once when clients are served. */
  readonly ready: (configuration: Configuration) => void;
}

/** Milliseconds between two writings of what the ledgers know: what a crash may forget. */
const saveEvery = 1000;

/** Beside the control socket: `balance.ports` of `balance.sock`. */
const portMemoryPath = (socketPath: string): string => `${socketPath.replace(/\.sock$/, '')}.ports`;

/** Runs until interrupted. Throws PlimsollError if it cannot start. */
export const runBalancer = async (options: RunOptions): Promise<void> => {
  const { file, front, host } = options;
  const prepare = async (): Promise<{ readonly configuration: Configuration; readonly owner: Ids | null }> => {
    const loaded = await loadConfiguration(file);
    return { configuration: loaded.configuration, owner: resolveUser(loaded.configuration.user) };
  };
  const { configuration, owner } = await prepare().catch(async (error: unknown) => {
    // It ticks since it was made, and would keep this process for ever.
    await front.stop(0);
    throw error;
  });
  let running = configuration;

  const adopt = (next: Configuration): void => {
    const ports = next.snat_pools.length === 0 ? null : host.ports();
    for (const pool of next.snat_pools) front.warn(pool.name, ports === null ? [] : hostWarnings(pool, ports));
  };
  let reloading: Promise<unknown> = Promise.resolve();
  const reload = (): Promise<ControlResults['reload']> => {
    const next = reloading.then(async () => {
      try {
        const loaded = await loadConfiguration(file);
        if (loaded.configuration.user !== running.user && process.geteuid?.() !== 0) {
          throw new PlimsollError('user_unknown', {
            user: loaded.configuration.user ?? 'root',
            reason: 'the user is changed by a restart only',
          });
        }
        const kept = await front.apply(loaded.configuration);
        running = loaded.configuration;
        adopt(running);
        front.note('reloaded', file);
        return { warnings: [...loaded.warnings.map((w) => `${file}:${w.line}:${w.column}: ${w.message}`), ...kept] };
      } catch (error) {
        const mistakes = error instanceof PlimsollError ? String(error.facts['mistakes'] ?? '') : '';
        front.note(
          'reload_refused',
          `nothing was changed: ${mistakes === '' ? (error as Error).message : mistakes.split('\n').join('; ')}`,
        );
        throw error;
      }
    });
    reloading = next.catch(() => {});
    return next;
  };

  const addAddress = (name: string, address: string): Promise<Record<string, never>> => {
    const next = reloading.then(async () => {
      const extended = withSnatAddress(running, name, address);
      const here = host.ports()?.addresses ?? null;
      if (here !== null && !here.includes(address) && !isLoopback(address))
        throw new PlimsollError('not_settable', { name, reason: `${address} is not on this host: add it to an interface first` });
      await front.applySnatPools(extended);
      running = extended;
      adopt(running);
      return {};
    });
    reloading = next.catch(() => {});
    return next;
  };

  const answer = async (request: ControlRequest): Promise<ControlResults[keyof ControlResults]> => {
    switch (request.request) {
      case 'state':
        return front.state();
      case 'reload':
        return reload();
      case 'administer':
        front.administer(request.pool, request.server, request.to);
        return {};
      case 'set':
        front.setMultiplexing(request.virtual_service, request.connection_multiplexing);
        return {};
      case 'add_address':
        return addAddress(request.snat_pool, request.address);
    }
  };
  let control: { close(): void } | null = null;
  let memory: PortMemory | null = null;
  let saving: NodeJS.Timeout | undefined;
  try {
    control = await openControl({ path: options.socketPath, answer, listenAt: host.listenAt, peerUser: host.peerUser, owner });
    await front.apply(configuration);
    memory = openPortMemory(portMemoryPath(options.socketPath), owner);
    const cooling = memory.earlier === null ? 0 : front.learnPorts(memory.earlier.knowledge, memory.earlier.since);
    if (owner !== null) {
      handOver(options.writes, owner);
      become(configuration.user!, owner);
    }
    mayWrite(options.writes);
    await front.serve();
    adopt(configuration);
    const left = [
      ...(cooling > 0 ? [`${formatNumber(cooling)} source ports still cool from before`] : []),
      ...(memory.trouble === null ? [] : [`cooling ports will not outlive this process: ${memory.trouble}`]),
    ];
    front.note('started', [file, ...left].join('; '));
    saving = setInterval(() => memory?.save(front.portKnowledge()), saveEvery);
    options.onHangup(() => void reload().catch(() => {}));
    options.ready(configuration);
    await new Promise<void>((resolve) => {
      if (options.interrupted.aborted) resolve();
      else options.interrupted.addEventListener('abort', () => resolve(), { once: true });
    });
  } finally {
    control?.close();
    clearInterval(saving);
    await front.stop(options.interrupted.aborted ? options.grace : 0);
    memory?.save(front.portKnowledge());
    memory?.close();
  }
};

/** The ids of `user` as id(1) knows them, whatever name service the host uses. Null if there is nobody to become. */
const resolveUser = (user: string | null): Ids | null => {
  if (user === null || process.geteuid?.() !== 0) return null;
  const id = (which: '-u' | '-g'): number =>
    Number(execFileSync('id', [which, '--', user], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] }));
  try {
    return { uid: id('-u'), gid: id('-g') };
  } catch (cause) {
    throw new PlimsollError('user_unknown', { user, reason: 'id(1) knows no such user' }, { cause });
  }
};

interface Ids {
  readonly uid: number;
  readonly gid: number;
}

/** Devices and pipes stay whose they are. */
const handOver = (files: readonly string[], owner: Ids): void => {
  for (const file of files) if (statSync(file).isFile()) chownSync(file, owner.uid, owner.gid);
};

/** Throws for a file that this user cannot write: better at the start than at the first request. */
const mayWrite = (files: readonly string[]): void => {
  for (const file of files) {
    try {
      accessSync(file, constants.W_OK);
    } catch (cause) {
      throw new PlimsollError('unwritable', { path: file, reason: (cause as NodeJS.ErrnoException).code ?? String(cause) }, { cause });
    }
  }
};

/** For good: groups, group, user, in the only order that works. */
const become = (user: string, owner: Ids): void => {
  try {
    (process as unknown as { initgroups(user: string, group: number): void }).initgroups(user, owner.gid);
    process.setgid!(owner.gid);
    process.setuid!(owner.uid);
  } catch (cause) {
    throw new PlimsollError('user_unknown', { user, reason: (cause as NodeJS.ErrnoException).code ?? (cause as Error).message }, { cause });
  }
};
