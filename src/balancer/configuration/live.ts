/** Changes of a configuration that is running, held against the same rules as the file. */
import { PlimsollError } from '../../core/errors.ts';
import { checkConsistency } from './consistency.ts';
import type { Configuration } from './schema.ts';

/** The configuration whose SNAT pool `name` has one address more. Throws not_configured and not_settable. */
export const withSnatAddress = (configuration: Configuration, name: string, address: string): Configuration => {
  const pool = configuration.snat_pools.find((p) => p.name === name);
  if (pool === undefined) {
    const names = configuration.snat_pools.map((p) => p.name);
    throw new PlimsollError('not_configured', {
      what: 'SNAT pool',
      name,
      known: names.length === 0 ? 'this balancer has none' : `there are: ${names.join(', ')}`,
    });
  }
  if (pool.addresses.includes(address)) return configuration;
  const changed = { ...pool, addresses: [...pool.addresses, address] };
  const next = { ...configuration, snat_pools: configuration.snat_pools.map((p) => (p === pool ? changed : p)) };
  const mistakes: string[] = [];
  // Last, so that what is wrong is said of the pool it clashes with.
  checkConsistency(
    { ...next, snat_pools: [...next.snat_pools.filter((p) => p !== changed), changed] },
    {
      mistake: (_holder, _key, message) => mistakes.push(message),
      warning: () => {},
      line: () => 'the file',
    },
  );
  if (mistakes.length > 0) throw new PlimsollError('not_settable', { name, reason: mistakes.join('; ') });
  return next;
};
