/**
 * The parent of workers: it holds what must outlive any of them (listening descriptors, the ledgers, health) and serves no
 * client itself. A worker that dies loses its own requests; its ports come back, a new one takes its place, and connections
 * that nobody has accepted yet wait in the shared descriptors.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { Socket } from 'node:net';
import { formatEndpoint } from '../../core/address.ts';
import { PlimsollError } from '../../core/errors.ts';
import type { PortBlock } from '../../core/port-ledger.ts';
import type { Configuration } from '../configuration/index.ts';
import { EmbeddedEngine } from '../embedded/engine.ts';
import type { BalancerEvent, BalancerState } from '../engine.ts';
import type { Front } from './front.ts';
import { Lending } from './lending.ts';
import { mergeStates } from './merge.ts';
import type { CertificateText, FromWorker, ToWorker } from './messages.ts';
import type { PortKnowledge } from './port-memory.ts';
import { Shortages } from './shortages.ts';

export interface SupervisorOptions {
  readonly workers: number;
  readonly announce: (event: BalancerEvent) => void;
  readonly configurationFile: string;
  /** A listening descriptor that accepts nothing by itself. */
  readonly listen: (address: string, port: number) => number;
  /** The program and arguments of a worker. */
  readonly program: { readonly module: string; readonly args: readonly string[] };
}

interface Worker {
  readonly id: number;
  readonly child: ChildProcess;
  readonly startedAt: number;
  up: boolean;
  readonly known: Set<string>;
}

/** Milliseconds a worker may take to answer. */
const patience = 5000;
/** Milliseconds before a worker that died young is replaced: doubled each time, up to the most. */
const restartDelay = { young: 5000, first: 500, most: 30_000 } as const;

export const supervise = (options: SupervisorOptions): Front => new Supervisor(options);

class Supervisor implements Front {
  private readonly options: SupervisorOptions;
  private readonly engine: EmbeddedEngine;
  /** Listening descriptors by `address:port`. A Socket object owns each: it can be passed on, and never accepts. */
  private readonly holders = new Map<string, Socket>();
  private readonly workers = new Map<number, Worker>();
  private readonly lendings = new Map<string, Lending>();
  private readonly shortages = new Shortages((event) => this.engine.events.take(event));
  private readonly answers = new Map<number, { readonly worker: number; resolve(message: FromWorker | null): void }>();
  private configuration: Configuration | null = null;
  private certificates: Record<string, CertificateText> = {};
  private nextId = 1;
  private serving = false;
  private stopping = false;
  private delay = 0;

  constructor(options: SupervisorOptions) {
    this.options = options;
    this.engine = new EmbeddedEngine({
      listenAt: () => null,
      announce: options.announce,
      configurationFile: options.configurationFile,
    });
    this.engine.onWell = (pool, server) => this.tell({ to: 'well', pool, server });
    this.engine.onHealth = (pool, server, up, reason) => this.tell({ to: 'health', pool, server, up, reason });
  }

  async apply(configuration: Configuration): Promise<readonly string[]> {
    const wanted = new Set(configuration.virtual_services.map((v) => formatEndpoint(v.listen.address, v.listen.port)));
    const opened: string[] = [];
    let warnings: readonly string[];
    try {
      for (const { listen } of configuration.virtual_services) {
        const key = formatEndpoint(listen.address, listen.port);
        if (this.holders.has(key)) continue;
        this.holders.set(key, new Socket({ fd: this.options.listen(listen.address, listen.port), readable: false, writable: false }));
        opened.push(key);
      }
      warnings = await this.engine.apply(configuration);
    } catch (cause) {
      for (const key of opened) this.dropHolder(key);
      if (cause instanceof PlimsollError) throw cause;
      const error = cause as NodeJS.ErrnoException & { address?: string; port?: number };
      throw new PlimsollError(
        'listen_failed',
        { listen: `${error.address}:${error.port}`, reason: error.code ?? error.message },
        { cause },
      );
    }
    this.configuration = configuration;
    this.certificates = Object.fromEntries(
      [...this.engine.certificates].map(([name, { cert, key }]) => [name, { cert: cert.toString('latin1'), key: key.toString('latin1') }]),
    );
    for (const [name, snat] of this.engine.snatPools) {
      if (this.lendings.get(name)?.ledger !== snat.ledger) this.lendings.set(name, new Lending(snat.ledger, snat.shape));
    }
    for (const name of this.lendings.keys()) if (!this.engine.snatPools.has(name)) this.lendings.delete(name);
    await Promise.all([...this.workers.values()].map((worker) => this.configure(worker)));
    for (const key of this.holders.keys()) if (!wanted.has(key)) this.dropHolder(key);
    return warnings;
  }

  async serve(): Promise<void> {
    this.serving = true;
    await Promise.all(Array.from({ length: this.options.workers }, () => this.start()));
  }

  administer(pool: string, server: string, to: 'enabled' | 'disabled' | 'draining'): void {
    this.engine.administer(pool, server, to);
    this.tell({ to: 'administer', pool, server, administration: to });
  }

  setMultiplexing(service: string, on: boolean): void {
    this.engine.setMultiplexing(service, on);
    this.tell({ to: 'multiplexing', service, on });
  }

  async applySnatPools(configuration: Configuration): Promise<void> {
    this.engine.applySnatPools(configuration);
    this.configuration = configuration;
    await Promise.all([...this.workers.values()].map((worker) => this.configure(worker)));
    const now = this.engine.clock.seconds();
    for (const [name, lending] of this.lendings)
      for (const { worker, block } of lending.serveWaiting(now)) this.lend(worker, name, lending, block);
  }

  async state(): Promise<BalancerState> {
    const states = await Promise.all([...this.workers.values()].map((worker) => this.ask(worker, (id) => ({ to: 'state', id }))));
    return mergeStates(
      this.engine.state(),
      states.flatMap((s) => (s?.from === 'state' ? [s.state] : [])),
    );
  }

  note(kind: 'started' | 'reloaded' | 'reload_refused', text: string): void {
    this.engine.events.add(kind, 'balancer', null, text);
  }

  warn(snatPool: string, warnings: readonly string[]): void {
    this.engine.setWarnings(snatPool, warnings);
  }

  portKnowledge(): PortKnowledge {
    return this.engine.portKnowledge();
  }

  learnPorts(knowledge: PortKnowledge, since: number): number {
    return this.engine.learnPorts(knowledge, since);
  }

  async stop(grace: number): Promise<void> {
    this.stopping = true;
    if (grace > 0) this.engine.events.add('stopping', 'balancer', null, `up to ${grace} s for open requests`);
    for (const key of [...this.holders.keys()]) this.dropHolder(key);
    const gone = [...this.workers.values()].map(({ child }) => new Promise<void>((resolve) => child.once('exit', () => resolve())));
    this.tell({ to: 'stop', grace });
    const late = setTimeout(
      () => {
        for (const { child } of this.workers.values()) child.kill('SIGKILL');
      },
      (grace + 2) * 1000,
    );
    await Promise.all(gone);
    clearTimeout(late);
    await this.engine.stop(0);
  }

  private dropHolder(key: string): void {
    this.holders.get(key)?.destroy();
    this.holders.delete(key);
  }

  private async start(): Promise<void> {
    const id = this.nextId++;
    const child = fork(this.options.program.module, this.options.program.args, { serialization: 'json' });
    const worker: Worker = { id, child, startedAt: Date.now(), up: false, known: new Set() };
    this.workers.set(id, worker);
    const up = new Promise<void>((resolve) => {
      child.on('message', (message) => this.heard(worker, message as FromWorker, resolve));
      child.once('exit', (code, signal) => {
        resolve();
        this.died(worker, signal ?? `exit code ${code}`);
      });
      child.on('error', () => resolve());
    });
    await up;
    if (!this.workers.has(id)) return;
    worker.up = true;
    await this.configure(worker);
    this.engine.events.add('worker_started', `worker ${child.pid}`, null, 'serves clients');
  }

  /** Gives a worker its listeners, the configuration, and what it must know of servers. */
  private async configure(worker: Worker): Promise<void> {
    if (!worker.up) return;
    for (const [key, holder] of this.holders) {
      if (worker.known.has(key)) continue;
      worker.known.add(key);
      // The handle itself, not the Socket around it: what arrives must listen, and a Socket would try to read.
      const handle = (holder as unknown as { readonly _handle: Socket })._handle;
      worker.child.send({ to: 'listener', key } satisfies ToWorker, handle);
    }
    for (const key of worker.known) if (!this.holders.has(key)) worker.known.delete(key);
    const answer = await this.ask(worker, (id) => ({
      to: 'apply',
      id,
      configuration: this.configuration!,
      share: this.options.workers,
      certificates: this.certificates,
    }));
    // What a worker did not make its own it must not be told about.
    if (answer?.from === 'applied' && answer.error !== null) throw new PlimsollError(answer.error.code, answer.error.facts);
    for (const [name, { pool }] of this.engine.pools) {
      for (const server of pool.servers) {
        if (server.health.state !== 'OPER_INITIALIZING')
          this.send(worker, { to: 'health', pool: name, server: server.name, up: server.up, reason: server.health.reason });
        if (server.administration !== 'enabled')
          this.send(worker, { to: 'administer', pool: name, server: server.name, administration: server.administration });
      }
    }
    for (const [name, service] of this.engine.services)
      this.send(worker, { to: 'multiplexing', service: name, on: service.settings.multiplexing });
  }

  private heard(worker: Worker, message: FromWorker, up: () => void): void {
    const now = this.engine.clock.seconds();
    switch (message.from) {
      case 'up':
        up();
        return;
      case 'applied':
      case 'state':
        this.answers.get(message.id)?.resolve(message);
        this.answers.delete(message.id);
        return;
      case 'event':
        if (message.event.kind === 'ports_short' || message.event.kind === 'ports_recovered') this.shortages.take(worker.id, message.event);
        else this.engine.events.take(message.event);
        return;
      case 'want': {
        const lending = this.lendings.get(message.snatPool);
        if (lending === undefined) return;
        const block = lending.want(worker.id, message.server, this.options.workers, now);
        this.lend(worker.id, message.snatPool, lending, block ?? { address: '', server: message.server, ports: [] });
        if (block === null)
          for (const other of this.workers.values())
            if (other !== worker) this.send(other, { to: 'recall', snatPool: message.snatPool, server: message.server });
        return;
      }
      case 'return': {
        const lending = this.lendings.get(message.snatPool);
        if (lending === undefined || lending.shape !== message.shape) return;
        const next = lending.returned(worker.id, message.block, message.ending, now);
        if (next !== null) this.lend(next.worker, message.snatPool, lending, next.block);
        return;
      }
    }
  }

  private lend(worker: number, snatPool: string, lending: Lending, block: PortBlock): void {
    const to = this.workers.get(worker);
    if (to !== undefined) this.send(to, { to: 'ports', snatPool, shape: lending.shape, block });
  }

  private died(worker: Worker, how: string): void {
    this.workers.delete(worker.id);
    this.shortages.died(worker.id);
    for (const [id, answer] of this.answers) {
      if (answer.worker !== worker.id) continue;
      answer.resolve(null);
      this.answers.delete(id);
    }
    const now = this.engine.clock.seconds();
    for (const [name, lending] of this.lendings)
      for (const { worker: to, block } of lending.died(worker.id, now)) this.lend(to, name, lending, block);
    if (this.stopping || !this.serving) return;
    this.engine.events.add('worker_died', `worker ${worker.child.pid}`, 'local', `${how}; a new one takes its place`);
    const young = Date.now() - worker.startedAt < restartDelay.young;
    const delay = young ? this.delay : 0;
    this.delay = young ? Math.min(restartDelay.most, Math.max(restartDelay.first, this.delay * 2)) : 0;
    setTimeout(() => {
      if (!this.stopping) void this.start().catch(() => {});
    }, delay);
  }

  private tell(message: ToWorker): void {
    for (const worker of this.workers.values()) this.send(worker, message);
  }

  private send(worker: Worker, message: ToWorker): void {
    if (worker.child.connected) worker.child.send(message, () => {});
  }

  private ask(worker: Worker, message: (id: number) => ToWorker): Promise<FromWorker | null> {
    const id = this.nextId++;
    return new Promise((resolve) => {
      const timer = setTimeout(() => {
        this.answers.delete(id);
        resolve(null);
      }, patience);
      this.answers.set(id, {
        worker: worker.id,
        resolve: (answer) => {
          clearTimeout(timer);
          resolve(answer);
        },
      });
      this.send(worker, message(id));
    });
  }
}
