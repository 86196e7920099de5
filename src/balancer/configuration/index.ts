/** `plimsoll.yaml` into a `Configuration`: everything that is wrong with it at once, or the whole of it with its defaults. */
import { readFile } from 'node:fs/promises';
import type { Given } from '../../core/configuration/given.ts';
import { formatMistake, type Mistake, type Position, sortMistakes } from '../../core/configuration/mistake.ts';
import { PlimsollError } from '../../core/errors.ts';
import { checkConsistency, monitorPorts, portCount } from './consistency.ts';
import { readDocument } from './document.ts';
import { type Configuration, configurationFile } from './schema.ts';

export { formatMistake, type Mistake } from '../../core/configuration/mistake.ts';
export { type HostPorts, hostWarnings } from './host.ts';
export { configurationSchema } from './json-schema.ts';
export type { ApplicationProfile, Configuration, Endpoint, HealthMonitor, Pool, Server, SnatPool, VirtualService } from './schema.ts';

export interface Parsed {
  /** Null if there is a mistake. */
  readonly configuration: Configuration | null;
  readonly mistakes: readonly Mistake[];
  readonly warnings: readonly Mistake[];
}

/** Reads the text of a configuration file. Never throws. */
export const parseConfiguration = (text: string): Parsed => {
  const { given, mistakes: unreadable } = readDocument(text);
  if (given === null) return { configuration: null, mistakes: sortMistakes(unreadable), warnings: [] };
  return check(given);
};

const check = (given: Given): Parsed => {
  const mistakes: Mistake[] = [];
  const warnings: Mistake[] = [];
  const places = new WeakMap<object, Map<string | number, Position & { readonly path: string }>>();
  const report = (to: Mistake[], { line, column }: Position, path: string, message: string): void =>
    void to.push({ line, column, path, message });
  const draft = configurationFile.read(given, '', {
    report: (at, path, message) => report(mistakes, at, path, message),
    note: (holder, key, { line, column }, path) => {
      const known = places.get(holder) ?? new Map();
      places.set(holder, known.set(key, { line, column, path }));
    },
  });
  const place = (holder: object, key: string | number) => places.get(holder)?.get(key) ?? { line: 1, column: 1, path: '' };
  if (draft !== undefined) {
    checkConsistency(draft, {
      mistake: (holder, key, message) => report(mistakes, place(holder, key), place(holder, key).path, message),
      warning: (holder, key, message) => report(warnings, place(holder, key), place(holder, key).path, message),
      line: (holder, key) => `line ${place(holder, key).line}`,
    });
  }
  if (draft === undefined || mistakes.length > 0)
    return { configuration: null, mistakes: sortMistakes(mistakes), warnings: sortMistakes(warnings) };
  return { configuration: settled(draft), mistakes: [], warnings: sortMistakes(warnings) };
};

/** A tcp service has nothing to share a server connection by; a few ports are not all for health monitors. */
const settled = (configuration: Configuration): Configuration => ({
  ...configuration,
  application_profiles: configuration.application_profiles.map((profile) =>
    profile.type === 'tcp' ? { ...profile, connection_multiplexing: false } : profile,
  ),
  snat_pools: configuration.snat_pools.map((pool) => ({ ...pool, monitor_ports: monitorPorts(pool.monitor_ports, portCount(pool.ports)) })),
});

/**
 * Reads the file. Throws file_not_found, or bad_configuration with the facts `path`, `count` and `mistakes`: one per line,
 * as `file:line:column: …`.
 */
export const loadConfiguration = async (
  path: string,
): Promise<{ readonly configuration: Configuration; readonly warnings: readonly Mistake[] }> => {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (cause) {
    throw new PlimsollError('file_not_found', { path, reason: (cause as NodeJS.ErrnoException).code ?? String(cause) }, { cause });
  }
  const { configuration, mistakes, warnings } = parseConfiguration(text);
  if (configuration !== null) return { configuration, warnings };
  const lines = mistakes.map((mistake) => formatMistake(path, mistake));
  throw new PlimsollError('bad_configuration', { path, count: lines.length, s: lines.length === 1 ? '' : 's', mistakes: lines.join('\n') });
};
