/**
 * IP addresses in one canonical text form: IPv4 dotted quad; IPv6 as RFC 5952; an IPv4-mapped IPv6 address (::ffff:a.b.c.d)
 * is the IPv4 address it maps, because to the port search they are one address.
 */

/** `10.0.0.7` from four octets packed big-endian into an unsigned 32-bit number. */
export const formatIPv4 = (value: number): string => `${value >>> 24}.${(value >>> 16) & 255}.${(value >>> 8) & 255}.${value & 255}`;

/** RFC 5952 text of sixteen bytes; the IPv4 text if they are an IPv4-mapped address. */
export const formatIPv6 = (bytes: ArrayLike<number>): string => {
  const groups = Array.from({ length: 8 }, (_, i) => ((bytes[2 * i] as number) << 8) | (bytes[2 * i + 1] as number));
  if (groups.slice(0, 5).every((g) => g === 0) && groups[5] === 0xffff) return formatIPv4(((groups[6]! << 16) | groups[7]!) >>> 0);
  let start = -1;
  let length = 1;
  for (let i = 0; i < 8; i++) {
    let run = 0;
    while (i + run < 8 && groups[i + run] === 0) run++;
    if (run > length) {
      start = i;
      length = run;
    }
    i += run;
  }
  const hex = (part: readonly number[]): string => part.map((g) => g.toString(16)).join(':');
  return start < 0 ? hex(groups) : `${hex(groups.slice(0, start))}::${hex(groups.slice(start + length))}`;
};

const parseOctets = (text: string): number[] | null => {
  const parts = text.split('.');
  if (parts.length !== 4) return null;
  const octets = parts.map((p) => (/^(0|[1-9]\d{0,2})$/.test(p) ? Number(p) : 256));
  return octets.every((o) => o < 256) ? octets : null;
};

/** The sixteen bytes of an IPv6 address, or null. Accepts an embedded dotted quad; not a zone. */
const parseIPv6 = (text: string): number[] | null => {
  const halves = text.split('::');
  if (halves.length > 2 || !/^[0-9a-f:.]+$/i.test(text)) return null;
  const expand = (half: string | undefined): number[] | null => {
    if (half === undefined || half === '') return [];
    const bytes: number[] = [];
    const groups = half.split(':');
    for (const [i, group] of groups.entries()) {
      if (group.includes('.')) {
        const octets = i === groups.length - 1 ? parseOctets(group) : null;
        if (octets === null) return null;
        bytes.push(...octets);
      } else {
        if (!/^[0-9a-f]{1,4}$/i.test(group)) return null;
        const value = Number.parseInt(group, 16);
        bytes.push(value >> 8, value & 255);
      }
    }
    return bytes;
  };
  const head = expand(halves[0]);
  const tail = expand(halves[1]);
  if (head === null || tail === null) return null;
  const missing = 16 - head.length - tail.length;
  if (halves.length === 1 ? missing !== 0 : missing < 2) return null;
  return [...head, ...new Array<number>(missing).fill(0), ...tail];
};

/** The canonical text of an address, or null if `text` is none. */
export const canonicalAddress = (text: string): string | null => {
  const octets = parseOctets(text);
  if (octets !== null) return octets.join('.');
  const bytes = text.includes(':') ? parseIPv6(text) : null;
  return bytes === null ? null : formatIPv6(bytes);
};

/** The bytes of a canonical address: 4 for IPv4, 16 for IPv6; null if it is none. */
export const addressBytes = (text: string): readonly number[] | null => parseOctets(text) ?? (text.includes(':') ? parseIPv6(text) : null);

/** Whether the kernel calls it loopback for tcp_tw_reuse=2: 127/8 or ::1 (net/ipv4/tcp_ipv4.c, tcp_twsk_unique). */
export const isLoopback = (address: string): boolean => address.startsWith('127.') || address === '::1';

/** Whether it is the unspecified address of its family. */
export const isUnspecified = (address: string): boolean => address === '0.0.0.0' || address === '::';

/** `10.0.0.7:443` or `[2001:db8::7]:443`. */
export const formatEndpoint = (address: string, port: number | string): string =>
  address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;

/** Splits `host:port`, `[v6]:port`. Null if the port is missing or not 1-65535. The host may be a name. */
export const parseEndpoint = (text: string): { readonly host: string; readonly port: number } | null => {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([^:[\]\s]+)):(\d{1,5})$/.exec(text);
  if (match === null) return null;
  const port = Number(match[3]);
  if (port < 1 || port > 65535) return null;
  const host = match[1] ?? match[2]!;
  return { host: canonicalAddress(host) ?? host, port };
};

/**
 * Every address of `10.0.0.5-10.0.0.9`, `10.0.0.5` or a comma list of such. Null if one is malformed, its ends are of two
 * families, reversed, or it holds more than `limit` addresses (IPv6 ranges may differ in the last 32 bits only).
 */
export const parseAddressRange = (text: string, limit = 4096): readonly string[] | null => {
  const addresses: string[] = [];
  for (const part of text.split(',')) {
    const [low, high = low] = part.trim().split('-') as [string, string?];
    const from = addressBytes(low ?? '');
    const to = addressBytes(high ?? '');
    if (from === null || to === null || from.length !== to.length) return null;
    const prefix = from.length - 4;
    if (from.slice(0, prefix).some((b, i) => b !== to[i])) return null;
    const tail = (bytes: readonly number[]): number => bytes.slice(prefix).reduce((value, b) => value * 256 + b, 0);
    const first = tail(from);
    const last = tail(to);
    if (last < first || addresses.length + last - first + 1 > limit) return null;
    for (let value = first; value <= last; value++) {
      addresses.push(
        prefix === 0
          ? formatIPv4(value)
          : formatIPv6([...from.slice(0, prefix), (value >>> 24) & 255, (value >>> 16) & 255, (value >>> 8) & 255, value & 255]),
      );
    }
  }
  return addresses;
};
