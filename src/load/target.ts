/** What is loaded: `http://`, `https://` or `tcp://`, read strictly and resolved once. */
import { lookup } from 'node:dns/promises';
import { canonicalAddress, formatEndpoint } from '../core/address.ts';
import { PlimsollError } from '../core/errors.ts';
import { ByteClass, byteClass } from '../core/http/byte-table.ts';
import type { Request, Target } from './job.ts';

/** A target as typed, before its name is resolved. */
export interface Address {
  readonly protocol: 'http' | 'https' | 'tcp';
  readonly host: string;
  readonly port: number;
  /** Path and query, as sent. */
  readonly path: string;
}

const defaultPorts = { http: 80, https: 443, tcp: null } as const;

/** Null if `text` is none. No user, no fragment; tcp has a port and no path. */
export const parseTarget = (text: string): Address | null => {
  const match = /^(https?|tcp):\/\/(?:\[([0-9a-fA-F:.]+)\]|([^\s/:?#[\]@]+))(?::(\d{1,5}))?([/?][^\s#]*)?$/.exec(text);
  if (match === null) return null;
  const protocol = match[1] as Address['protocol'];
  const port = match[4] === undefined ? defaultPorts[protocol] : Number(match[4]);
  const path = match[5] ?? '';
  if (port === null || port < 1 || port > 65535 || (protocol === 'tcp' && path !== '')) return null;
  for (let i = 0; i < path.length; i++) if (path.charCodeAt(i) > 255 || !is(path, i, ByteClass.target)) return null;
  const host = match[2] === undefined ? match[3]! : canonicalAddress(match[2]);
  if (host === null || !/^[\x21-\x7e]+$/.test(host)) return null;
  return { protocol, host, port, path: path.startsWith('/') ? path : `/${path}` };
};

const is = (text: string, at: number, bit: number): boolean => (byteClass[text.charCodeAt(at)]! & bit) !== 0;

/** Throws destination_unresolved. */
export const resolveTarget = async (address: Address, verify: boolean): Promise<Target> => {
  const { protocol, host, port } = address;
  let ip = canonicalAddress(host);
  if (ip === null) {
    try {
      ip = canonicalAddress((await lookup(host)).address);
    } catch (cause) {
      throw new PlimsollError('destination_unresolved', { host, reason: (cause as NodeJS.ErrnoException).code ?? 'no answer' }, { cause });
    }
  }
  if (ip === null) throw new PlimsollError('destination_unresolved', { host, reason: 'its address is not understood' });
  return { protocol: protocol === 'tcp' ? 'tcp' : 'http', address: ip, port, host, tls: protocol === 'https' ? { verify } : null };
};

/** `K: V` as a field line; null if it is none, or one that frames the message. */
export const parseField = (text: string): readonly [name: string, value: string] | null => {
  const match = /^([^:\s]+):[ \t]*(.*?)[ \t]*$/.exec(text);
  if (match === null) return null;
  const [, name, value] = match as unknown as [string, string, string];
  for (let i = 0; i < name.length; i++) if (name.charCodeAt(i) > 127 || !is(name, i, ByteClass.token)) return null;
  for (let i = 0; i < value.length; i++) if (value.charCodeAt(i) > 255 || !is(value, i, ByteClass.fieldValue)) return null;
  return /^(content-length|transfer-encoding|connection)$/i.test(name) ? null : [name, value];
};

export const parseMethod = (text: string): string | null =>
  /^[A-Za-z!#$%&'*+.^_`|~-]{1,32}$/.test(text) && !/^connect$/i.test(text) ? text : null;

/** The request as bytes, once and for all. `body` is bytes as latin1 text. */
export const makeRequest = (
  address: Address,
  method: string,
  fields: readonly (readonly [name: string, value: string])[],
  body: string | null,
): Request => {
  const port = address.port === defaultPorts[address.protocol] ? '' : `:${address.port}`;
  const host = address.host.includes(':') ? formatEndpoint(address.host, '').slice(0, -1) : address.host;
  const has = (name: string): boolean => fields.some(([n]) => n.toLowerCase() === name);
  const lines = [
    ...(has('host') ? [] : [`Host: ${host}${port}`]),
    ...(has('user-agent') ? [] : ['User-Agent: plimsoll-load']),
    ...(has('accept') ? [] : ['Accept: */*']),
    ...fields.map(([name, value]) => `${name}: ${value}`),
    ...(body === null ? [] : [`Content-Length: ${body.length}`]),
  ];
  const head = `${method} ${address.path} HTTP/1.1\r\n${lines.join('\r\n')}\r\n`;
  return { text: `${head}\r\n${body ?? ''}`, closing: `${head}Connection: close\r\n\r\n${body ?? ''}`, head: method === 'HEAD' };
};
