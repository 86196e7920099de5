/** The balancer in one process. */
import { EmbeddedEngine, type EngineOptions } from '../embedded/engine.ts';
import type { Front } from './front.ts';

export const singleProcess = (options: EngineOptions): Front => {
  const engine = new EmbeddedEngine(options);
  return {
    apply: (configuration) => engine.apply(configuration),
    serve: async () => {},
    administer: (pool, server, to) => engine.administer(pool, server, to),
    setMultiplexing: (name, on) => engine.setMultiplexing(name, on),
    applySnatPools: async (configuration) => engine.applySnatPools(configuration),
    state: async () => engine.state(),
    note: (kind, text) => engine.events.add(kind, 'balancer', null, text),
    warn: (pool, warnings) => engine.setWarnings(pool, warnings),
    portKnowledge: () => engine.portKnowledge(),
    learnPorts: (knowledge, since) => engine.learnPorts(knowledge, since),
    stop: (grace) => engine.stop(grace),
  };
};
