/** Options of every command that looks at this host: which namespace, which destinations, how many port spaces. */
import { lookup } from 'node:dns/promises';
import { canonicalAddress, parseEndpoint } from '../core/address.ts';
import { PlimsollError } from '../core/errors.ts';
import type { AskedDestination } from '../core/port-spaces.ts';
import type { Sampler } from '../linux/sampler.ts';
import type { Given, OptionSpec } from './command.ts';

export const toOption: OptionSpec = {
  name: 'to',
  value: 'HOST:PORT',
  repeatable: true,
  description: 'report this destination even if no socket goes there yet; may be repeated',
};

export const netnsOption: OptionSpec = {
  name: 'netns',
  value: 'NAME',
  description: 'look into all | pid:N | name:NAME instead of the caller’s network namespace; containers have their own ports',
};

/** `--top`. */
export const readTop = (given: Given): number =>
  given.value('top', 'a whole number from 1 to 1000', '10', (t) => (/^[1-9]\d{0,3}$/.test(t) && Number(t) <= 1000 ? Number(t) : null))!;

const resolveDestination = async (text: string, sampler: Sampler): Promise<AskedDestination> => {
  const endpoint = parseEndpoint(text);
  if (endpoint === null) {
    throw new PlimsollError('bad_value', {
      option: '--to',
      value: text,
      expected: 'HOST:PORT',
      example: 'for example --to 10.0.0.7:443 or --to [2001:db8::7]:443',
    });
  }
  let address = canonicalAddress(endpoint.host);
  if (address === null) {
    try {
      address = canonicalAddress((await lookup(endpoint.host)).address);
    } catch (cause) {
      throw new PlimsollError(
        'destination_unresolved',
        { host: endpoint.host, reason: (cause as NodeJS.ErrnoException).code ?? 'no answer' },
        { cause },
      );
    }
  }
  const source = address === null ? null : sampler.sourceTowards(address, endpoint.port);
  if (address === null || source === null)
    throw new PlimsollError('destination_unresolved', { host: endpoint.host, reason: 'there is no route to it' });
  return { source, destination: address, destinationPort: endpoint.port };
};

/** Every `--to`, with the source address that the first namespace's routes give. */
export const readDestinations = (given: Given, sampler: Sampler): Promise<readonly AskedDestination[]> =>
  Promise.all(given.texts('to').map((text) => resolveDestination(text, sampler)));
