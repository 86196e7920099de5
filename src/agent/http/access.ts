/**
 * Who may ask what. The agent's own address is the only name it answers to, pages of other origins get nothing, a change needs
 * the token and a header that no form or link can send.
 *
 * DNS rebinding: a page of another site points its own name at 127.0.0.1 and is then of "the same origin". Its name is still in
 * the Host header. An address in it cannot be rebound, so addresses are taken, names only where they are known.
 */
import { createHash, timingSafeEqual } from 'node:crypto';
import { isIP } from 'node:net';
import { PlimsollError } from '../../core/errors.ts';
import { WRITE_HEADER } from '../../wire/api.ts';
import { Buckets } from './buckets.ts';

/** Who asks, as far as the transport tells. */
export interface Peer {
  /** The address, or null on the agent's unix socket. */
  readonly address: string | null;
  /** Who is at the other end of the unix socket, where the kernel told. */
  readonly user: number | null;
}

export interface AccessOptions {
  readonly token: string;
  /** Whether reads do without the token: the listener takes connections of this host only. */
  readonly openReads: boolean;
  /** Names that the agent answers to, beside localhost and every address. */
  readonly hosts: readonly string[];
  readonly scheme: 'http' | 'https';
}

/** What somebody may do. */
export interface Granted {
  readonly read: boolean;
  /** Process names, and changes together with the header. */
  readonly full: boolean;
}

/** Wrong tokens from one address: so many at once, and one more every so many seconds. */
const WRONG_TOKENS = { burst: 10, every: 6 };
/** Requests from one address. */
const REQUESTS = { burst: 400, every: 1 / 200 };

const digest = (text: string): Buffer => createHash('sha256').update(text).digest();

/** The host part of a Host header: lower case, without port and brackets; null if it is none. */
const hostName = (header: string): string | null => {
  const match = /^(?:\[([0-9a-f:.]{2,45})\]|([a-z0-9._-]{1,253}))(?::\d{1,5})?$/i.exec(header);
  return match === null ? null : (match[1] ?? match[2]!).toLowerCase().replace(/\.$/, '');
};

export class Access {
  private readonly options: AccessOptions;
  private readonly expected: Buffer;
  private readonly wrong = new Buckets(WRONG_TOKENS);
  private readonly requests = new Buckets(REQUESTS);
  /** What was turned away, by reason, for /metrics. */
  readonly refused = { host: 0, origin: 0, token: 0, rate: 0 };

  constructor(options: AccessOptions) {
    this.options = options;
    this.expected = digest(options.token);
  }

  /** Throws http_host or http_origin. */
  admit(
    peer: Peer,
    headers: { readonly host: string | undefined; readonly origin: string | undefined; readonly site: string | undefined },
  ) {
    const host = headers.host ?? '';
    const name = hostName(host);
    if (name === null || !(isIP(name) !== 0 || name === 'localhost' || this.options.hosts.includes(name) || peer.address === null)) {
      this.refused.host++;
      throw new PlimsollError('http_host', { host: host.slice(0, 255) });
    }
    const { origin, site } = headers;
    const own = `${this.options.scheme}://${host.toLowerCase()}`;
    if ((origin !== undefined && origin.toLowerCase() !== own) || site === 'cross-site' || site === 'same-site') {
      this.refused.origin++;
      throw new PlimsollError('http_origin', { origin: (origin ?? site ?? '').slice(0, 255) });
    }
  }

  /** What the token, the address or the user grants. Throws http_token_wrong, http_too_many. */
  grant(peer: Peer, authorization: string | undefined): Granted {
    if (peer.address === null) return { read: true, full: peer.user === 0 || (peer.user !== null && peer.user === process.geteuid?.()) };
    if (authorization === undefined) return { read: this.options.openReads, full: false };
    const token = /^Bearer +([\w.~+/=-]{1,512})$/i.exec(authorization)?.[1];
    // Digests are of one length whatever was sent, and comparing them takes as long wherever they differ.
    if (token !== undefined && timingSafeEqual(digest(token), this.expected)) return { read: true, full: true };
    this.refused.token++;
    // Only wrong ones are counted: nobody can lock out who has the right one.
    if (!this.wrong.take(peer.address)) {
      throw new PlimsollError('http_too_many', { what: 'wrong tokens', address: peer.address, seconds: WRONG_TOKENS.every });
    }
    throw new PlimsollError('http_token_wrong');
  }

  /** Throws http_too_many. Who has the token has an allowance apart from everybody else at the same address. */
  limit(peer: Peer, granted: Granted): void {
    if (peer.address === null || this.requests.take(granted.full ? 'token' : peer.address)) return;
    this.refused.rate++;
    throw new PlimsollError('http_too_many', { what: 'requests', address: peer.address, seconds: 1 });
  }

  /** Throws http_token_missing or http_write_header unless that may be done. */
  require(access: 'read' | 'write' | 'open', granted: Granted, writeHeader: string | undefined): void {
    if (access === 'open') return;
    if (access === 'read' && granted.read) return;
    if (!granted.full || !granted.read) {
      this.refused.token++;
      throw new PlimsollError('http_token_missing', { what: access === 'write' ? 'a change' : 'reading from another host' });
    }
    if (access === 'write' && writeHeader !== '1') {
      this.refused.origin++;
      throw new PlimsollError('http_write_header');
    }
  }
}

export const writeHeader = WRITE_HEADER.toLowerCase();
