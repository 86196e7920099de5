/** `--filter`: segments of which one end has this address, this port, or both. */
import { canonicalAddress, parseEndpoint } from '../core/address.ts';
import type { AddressBook } from './decode/addresses.ts';
import type { Segment } from './decode/segment.ts';

export interface EndpointFilter {
  matches(segment: Segment, addresses: AddressBook): boolean;
}

/** `10.0.0.7`, `2001:db8::7`, `:443`, `443`, `10.0.0.7:443` or `[2001:db8::7]:443`. Null if it is none of these. */
export const parseFilter = (text: string): EndpointFilter | null => {
  const trimmed = text.trim();
  const portOnly = /^:?(\d{1,5})$/.exec(trimmed);
  const address = portOnly === null ? canonicalAddress(trimmed.replace(/^\[(.*)\]$/, '$1')) : null;
  const endpoint = portOnly === null && address === null ? parseEndpoint(trimmed) : null;
  const wantedAddress = address ?? (endpoint === null ? null : canonicalAddress(endpoint.host));
  const wantedPort = portOnly !== null ? Number(portOnly[1]) : (endpoint?.port ?? null);
  if (wantedPort === null && wantedAddress === null) return null;
  if (endpoint !== null && wantedAddress === null) return null;
  if (wantedPort !== null && (wantedPort < 1 || wantedPort > 65535)) return null;
  // IPv6 addresses are numbers of an address book: the answer for each is remembered, so that no text is made per packet.
  const known = new Map<number, boolean>();
  const isWanted = (family: number, value: number, addresses: AddressBook): boolean => {
    const key = family === 4 ? value : value + 0x1_0000_0000;
    let answer = known.get(key);
    if (answer === undefined) {
      answer = addresses.format(family, value) === wantedAddress;
      // A scan of millions of addresses must not be remembered whole.
      if (known.size > 65_536) known.clear();
      known.set(key, answer);
    }
    return answer;
  };
  return {
    matches: (s, addresses) => {
      const source = wantedPort === null || s.sourcePort === wantedPort;
      const destination = wantedPort === null || s.destinationPort === wantedPort;
      if (wantedAddress === null) return source || destination;
      return (source && isWanted(s.family, s.source, addresses)) || (destination && isWanted(s.family, s.destination, addresses));
    },
  };
};
