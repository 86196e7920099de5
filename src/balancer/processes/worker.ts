/**
 * A worker: serves clients on listeners it was given, over ports it was lent, towards servers whose health it is told. It
 * ends when its parent says so, and when its parent is gone.
 */
import { queueOf } from '../../core/cooling-ports.ts';
import { PlimsollError } from '../../core/errors.ts';
import type { PortBlock } from '../../core/port-ledger.ts';
import type { AccessLog } from '../embedded/access-log.ts';
import { EmbeddedEngine } from '../embedded/engine.ts';
import type { Certificate, ListenAt } from '../embedded/listener.ts';
import type { EventKind } from '../engine.ts';
import type { FromWorker, ToWorker } from './messages.ts';

/** Seconds for requests to finish when the parent is gone without a word. */
const orphanGrace = 5;
/** What only a worker can notice; the rest the parent has said already. */
const ownKinds: ReadonlySet<EventKind> = new Set([
  'ports_short',
  'ports_recovered',
  'address_absent',
  'ports_warning',
  'accept_paused',
  'access_log_failed',
  'access_log_recovered',
]);
/** Free ports beyond these are returned: others may need them. */
const spare = 64;

/** The side of the process that is a worker's: its IPC channel. */
export interface WorkerChannel {
  send(message: FromWorker): void;
  onMessage(listener: (message: ToWorker, handle: unknown) => void): void;
  onDisconnect(listener: () => void): void;
}

/** Runs until the parent ends it. */
export const runWorker = async (channel: WorkerChannel, accessLog: AccessLog | null): Promise<void> => {
  const handles = new Map<string, unknown>();
  /** `pool server` → until when an answer is awaited, and until when it is known that there are none. */
  const asked = new Map<string, number>();
  const dry = new Map<string, number>();
  let certificates: Readonly<Record<string, { readonly cert: string; readonly key: string }>> = {};

  const give = (snatPool: string, shape: string, block: PortBlock): void =>
    channel.send({ from: 'return', snatPool, shape, block, ending: 'we_closed' });
  const engine: EmbeddedEngine = new EmbeddedEngine({
    monitors: false,
    accessLog,
    announce: (event) => {
      if (ownKinds.has(event.kind)) channel.send({ from: 'event', event });
    },
    listenAt: (service, key): ListenAt => {
      const handle = handles.get(key);
      if (handle === undefined) throw new PlimsollError('listen_failed', { listen: key, reason: `no listener for ${service.name}` });
      return { handle };
    },
    certificate: (service): Certificate => {
      const text = certificates[service.name]!;
      return { cert: Buffer.from(text.cert), key: Buffer.from(text.key) };
    },
    lender: {
      want: (snatPool, server) => {
        const key = `${snatPool} ${server}`;
        if (engine.clock.now < (dry.get(key) ?? 0)) return false;
        // Asked once and not again until an answer came or a while has passed.
        if (engine.clock.now < (asked.get(key) ?? 0)) return true;
        asked.set(key, engine.clock.now + 250);
        channel.send({ from: 'want', snatPool, server });
        return true;
      },
      asking: (snatPool, server) => engine.clock.now < (asked.get(`${snatPool} ${server}`) ?? 0),
      surrender: give,
    },
  });

  let applying: Promise<void> = Promise.resolve();
  let stopped: () => void = () => {};
  const over = new Promise<void>((resolve) => {
    stopped = resolve;
  });
  /** Every port goes home, those that cool with the reason. */
  const settle = (): void => {
    for (const snat of engine.snatPools.values()) {
      for (const { address, server, ports, queues } of snat.ledger.remember(engine.clock.seconds())) {
        for (const ending of ['fin', 'rst', 'half_open', 'refused'] as const) {
          const ended = [...ports].filter((_, row) => queues[row] === queueOf[ending]);
          if (ended.length > 0)
            channel.send({ from: 'return', snatPool: snat.name, shape: snat.shape, block: { address, server, ports: ended }, ending });
        }
      }
      snat.returnOf(() => true);
    }
  };
  const stop = (grace: number): void => void engine.stop(grace).then(settle).then(stopped);

  const stopReturning = engine.clock.onTick(() => {
    for (const snat of engine.snatPools.values()) snat.returnSpare(spare);
  });
  channel.onDisconnect(() => stop(orphanGrace));
  channel.onMessage((message, handle) => {
    switch (message.to) {
      case 'listener':
        handles.set(message.key, handle);
        return;
      case 'apply':
        applying = applying.then(async () => {
          certificates = message.certificates;
          engine.share = message.share;
          try {
            await engine.apply(message.configuration);
            channel.send({ from: 'applied', id: message.id, error: null });
          } catch (error) {
            const told = error instanceof PlimsollError ? error : new PlimsollError('internal', { reason: String(error) });
            channel.send({ from: 'applied', id: message.id, error: { code: told.code, facts: told.facts } });
          }
        });
        return;
      case 'health':
        engine.setHealth(message.pool, message.server, message.up, message.reason);
        return;
      case 'well':
        engine.foundWell(message.pool, message.server);
        return;
      case 'administer':
        engine.administer(message.pool, message.server, message.administration);
        return;
      case 'multiplexing':
        engine.setMultiplexing(message.service, message.on);
        return;
      case 'ports': {
        const snat = engine.snatPools.get(message.snatPool);
        if (snat === undefined || snat.shape !== message.shape) return give(message.snatPool, message.shape, message.block);
        const key = `${message.snatPool} ${message.block.server}`;
        asked.delete(key);
        if (message.block.ports.length === 0) dry.set(key, engine.clock.now + 250);
        else {
          dry.delete(key);
          snat.ledger.borrow(message.block, engine.clock.seconds());
        }
        engine.portsFreed(snat);
        return;
      }
      case 'recall':
        engine.recall(message.snatPool, message.server);
        return;
      case 'state':
        channel.send({ from: 'state', id: message.id, state: engine.state() });
        return;
      case 'stop':
        stop(message.grace);
        return;
    }
  });
  channel.send({ from: 'up' });
  await over;
  stopReturning();
};
