/**
 * The strict reader of HTTP/1.1 heads (RFC 9112): one pass over the bytes, one latin1 string per head.
 *
 * It validates every byte, finds how the body is framed, and leaves the head as it is to be passed on: hop-by-hop fields gone,
 * everything else untouched and in order. What it refuses never reaches the other side. One `Head` is filled again and again:
 * take what you need before the next scan.
 *
 * Buffers: the byte after the last must be readable and belong to no class (a zero), so that no loop needs a bounds check.
 */
import { ByteClass, type Bytes, byteClass, COLON, CR, HTAB, LF, SP } from './byte-table.ts';
import { badRequest, malformedResponse, type Refusal } from './refusal.ts';

/** Sizes in bytes, beyond which a head is refused. The defaults of Apache and nginx, rounded up. */
export const headLimits = { head: 32768, line: 8192, fields: 128 } as const;

/** What `scan…` says when the head has not arrived completely, and when it is refused. */
export const INCOMPLETE = 0;
export const REFUSED = -1;

const bytesOf = (text: string): Uint8Array => Uint8Array.from(text, (c) => c.charCodeAt(0));
const HOST = bytesOf('host');
const TE = bytesOf('te');
const EXPECT = bytesOf('expect');
const UPGRADE = bytesOf('upgrade');
const CONNECTION = bytesOf('connection');
const KEEP_ALIVE = bytesOf('keep-alive');
const AUTHORIZATION = bytesOf('authorization');
const CONTENT_LENGTH = bytesOf('content-length');
const HTTP2_SETTINGS = bytesOf('http2-settings');
const X_FORWARDED_FOR = bytesOf('x-forwarded-for');
const PROXY_CONNECTION = bytesOf('proxy-connection');
const WWW_AUTHENTICATE = bytesOf('www-authenticate');
const TRANSFER_ENCODING = bytesOf('transfer-encoding');
const X_FORWARDED_PROTO = bytesOf('x-forwarded-proto');
const CHUNKED = bytesOf('chunked');
const CLOSE = bytesOf('close');
const CONTINUE = bytesOf('100-continue');
const NTLM = bytesOf('ntlm');
const NEGOTIATE = bytesOf('negotiate');

/** Whether the bytes at `at` are `name`, letters of either case. `name` is lower case. */
const same = (b: Uint8Array, at: number, name: Uint8Array): boolean => {
  for (let i = 0; i < name.length; i++) {
    const byte = b[at + i]!;
    if ((byte >= 65 && byte <= 90 ? byte | 32 : byte) !== name[i]) return false;
  }
  return true;
};

/** Fields that a Connection option must not take away: they frame or route the message. */
const untouchable = new Set(['content-length', 'transfer-encoding', 'host', 'x-forwarded-for', 'x-forwarded-proto']);

export class Head {
  /** Set when a scan answered REFUSED. */
  refusal: Refusal = badRequest.requestLine;
  /** 0 or 1, of HTTP/1.x. */
  minor = 1;
  /** Request: the method and target as received. */
  method = '';
  target = '';
  /** Response. */
  status = 0;
  /** The head to pass on: first line and kept field lines, each with its CRLF, without the empty line. */
  text = '';
  /** -1 if there is no Content-Length. */
  contentLength = -1;
  chunked = false;
  /** Whether the sender's connection persists after this message (RFC 9112 9.3). */
  keepAlive = true;
  /** Connection: upgrade and an Upgrade field that may be passed on. */
  upgrade = false;
  expectContinue = false;
  /** Credentials or a challenge of a scheme that authenticates the connection (NTLM, Negotiate). */
  authenticatesConnection = false;
  /** X-Forwarded-For as received, several lines joined. */
  forwardedFor = '';
  hosts = 0;

  // Only while scanning: where the run of kept field lines begins, and what was kept before it.
  private keeping = true;
  private runStart = 0;
  private kept = '';
  private nominated: string[] | null = null;
  private upgradeValue = '';
  private upgradeToken = false;

  private reset(): void {
    this.contentLength = -1;
    this.chunked = false;
    this.upgrade = false;
    this.expectContinue = false;
    this.authenticatesConnection = false;
    this.forwardedFor = '';
    this.hosts = 0;
    this.kept = '';
    this.nominated = null;
    this.upgradeValue = '';
    this.upgradeToken = false;
  }

  /**
   * Reads a request head from `b[start, end)`; `dropForwarded` takes out X-Forwarded-For and -Proto.
   * The index after it, INCOMPLETE, or REFUSED with the reason in `refusal`.
   */
  scanRequest(b: Bytes, start: number, end: number, dropForwarded: boolean): number {
    this.reset();
    this.keeping = true;
    let i = start;
    // RFC 9112 2.2: an empty line before the request line is ignored, once.
    if (b[i] === CR && b[i + 1] === LF && i + 1 < end) i += 2;
    const from = i;
    while ((byteClass[b[i]!]! & ByteClass.token) !== 0) i++;
    if (i >= end) return this.unfinished(from, end, badRequest.headTooLarge);
    if (b[i] !== SP || i === from)
      return this.refuse(i - from > 0 && b[i] !== CR && b[i] !== LF ? badRequest.method : badRequest.requestLine);
    const methodEnd = i;
    if (methodEnd - from > 32) return this.refuse(badRequest.method);
    i++;
    const targetStart = i;
    while ((byteClass[b[i]!]! & ByteClass.target) !== 0) i++;
    if (i - targetStart > headLimits.line) return this.refuse(badRequest.targetTooLong);
    if (i >= end) return INCOMPLETE;
    if (b[i] !== SP) return this.refuse(b[i] === CR || b[i] === LF ? badRequest.requestLine : badRequest.target);
    const targetEnd = i;
    if (targetEnd === targetStart) return this.refuse(badRequest.requestLine);
    i++;
    // "HTTP/1.x" CR LF
    if (i + 10 > end) {
      const arrived = b.toString('latin1', i, end);
      if ('HTTP/1.1\r\n'.startsWith(arrived) || 'HTTP/1.0\r\n'.startsWith(arrived)) return INCOMPLETE;
      if (/^HTTP\/1\.[01]/.test(arrived)) return this.refuse(badRequest.lineEnd);
      return this.refuse(/^HTTP\/\d/.test(arrived) ? badRequest.version : badRequest.requestLine);
    }
    if (b[i] !== 72 || b[i + 1] !== 84 || b[i + 2] !== 84 || b[i + 3] !== 80 || b[i + 4] !== 47) return this.refuse(badRequest.requestLine);
    const minor = b[i + 7]! - 48;
    if (b[i + 5] !== 49 || b[i + 6] !== 46 || (minor !== 0 && minor !== 1)) {
      return this.refuse((byteClass[b[i + 5]!]! & ByteClass.digit) !== 0 ? badRequest.version : badRequest.requestLine);
    }
    if (b[i + 8] !== CR || b[i + 9] !== LF)
      return this.refuse(b[i + 8] === LF || b[i + 8] === CR ? badRequest.lineEnd : badRequest.requestLine);
    this.minor = minor;
    this.keepAlive = minor === 1;
    i += 10;
    this.runStart = i;
    i = this.scanFields(b, i, end, true, dropForwarded);
    if (i <= 0) return i === INCOMPLETE ? this.unfinished(from, end, badRequest.headTooLarge) : i;
    if (i - from > headLimits.head) return this.refuse(badRequest.headTooLarge);
    const all = b.toString('latin1', from, i);
    this.method = all.slice(0, methodEnd - from);
    this.target = all.slice(targetStart - from, targetEnd - from);
    if (this.hosts > 1 || (this.hosts === 0 && minor === 1)) return this.refuse(badRequest.host);
    if (this.chunked && this.contentLength >= 0) return this.refuse(badRequest.bothLengths);
    if (this.chunked && minor === 0) return this.refuse(badRequest.transferEncodingOld);
    if (minor === 0) this.expectContinue = false;
    if (this.method === 'CONNECT') return this.refuse(badRequest.connectMethod);
    // The kept lines: from the beginning of the head, the request line included, to before the empty line.
    const fields = this.kept + all.slice(this.runStart - from, i - from - 2);
    const first = b[targetStart];
    if (first === 47 /* / */ && minor === 1) this.text = all.slice(0, targetEnd - from + 11) + fields;
    else if (first === 47) this.text = `${all.slice(0, targetEnd - from)} HTTP/1.1\r\n${fields}`;
    else if (this.target === '*' && this.method === 'OPTIONS') this.text = `OPTIONS * HTTP/1.1\r\n${fields}`;
    else {
      const absolute = /^https?:\/\/([^/?#]+)([^#]*)$/i.exec(this.target);
      if (absolute === null || !/^[\w.~%!$&'()*+,;=:[\]-]+$/.test(absolute[1]!)) return this.refuse(badRequest.target);
      // RFC 9112 3.2.2: the authority of an absolute target is the host, whatever Host says.
      const rest = absolute[2]!;
      const path = rest === '' || rest[0] === '?' ? `/${rest}` : rest;
      this.text = `${this.method} ${path} HTTP/1.1\r\nHost: ${absolute[1]}\r\n${withoutFields(fields, ['host'])}`;
    }
    // HTTP/1.0 may do without Host; what we pass on is HTTP/1.1 and may not (RFC 9112 3.2).
    if (this.hosts === 0 && (first === 47 || first === 42)) this.text += 'Host: \r\n';
    if (this.nominated !== null) {
      if (this.nominated.some((name) => untouchable.has(name))) return this.refuse(badRequest.connection);
      this.text = withoutNominated(this.text, this.nominated);
    }
    this.settleUpgrade();
    return i;
  }

  /**
   * Reads a response head from `b[start, end)`. As `scanRequest`; every refusal is `malformedResponse`. Without `passOn` it only finds
   * how the message is framed and leaves `text` alone, for those who are where it ends.
   */
  scanResponse(b: Bytes, start: number, end: number, passOn = true): number {
    this.reset();
    this.keeping = passOn;
    let i = start;
    // "HTTP/1.x NNN"
    if (end - i < 13)
      return end - i > 5 && !b.toString('latin1', i, end).startsWith('HTTP/1') ? this.refuse(malformedResponse) : INCOMPLETE;
    if (b[i] !== 72 || b[i + 1] !== 84 || b[i + 2] !== 84 || b[i + 3] !== 80 || b[i + 4] !== 47 || b[i + 5] !== 49 || b[i + 6] !== 46) {
      return this.refuse(malformedResponse);
    }
    const minor = b[i + 7]! - 48;
    const hundreds = b[i + 9]! - 48;
    const tens = b[i + 10]! - 48;
    const ones = b[i + 11]! - 48;
    if ((minor !== 0 && minor !== 1) || b[i + 8] !== SP || hundreds < 1 || hundreds > 9 || tens < 0 || tens > 9 || ones < 0 || ones > 9) {
      return this.refuse(malformedResponse);
    }
    this.minor = minor;
    this.keepAlive = minor === 1;
    this.status = hundreds * 100 + tens * 10 + ones;
    i += 12;
    // The reason phrase, which may be missing together with its space (RFC 9112 4).
    if (b[i] === SP) while ((byteClass[b[i]!]! & ByteClass.fieldValue) !== 0) i++;
    if (i + 1 >= end) return this.unfinished(start, end, malformedResponse);
    if (b[i] !== CR || b[i + 1] !== LF) return this.refuse(malformedResponse);
    const lineEnd = i;
    i += 2;
    this.runStart = i;
    i = this.scanFields(b, i, end, false, false);
    if (i === REFUSED) return this.refuse(malformedResponse);
    if (i === INCOMPLETE) return this.unfinished(start, end, malformedResponse);
    if (i - start > headLimits.head || (this.chunked && (this.contentLength >= 0 || minor === 0))) return this.refuse(malformedResponse);
    if (!passOn) return i;
    const all = b.toString('latin1', start, i);
    // Without this the line would claim what we do not keep: our connection to the client is HTTP/1.1 whatever the server speaks.
    const line = minor === 1 ? all.slice(0, lineEnd + 2 - start) : `HTTP/1.1${all.slice(8, lineEnd + 2 - start)}`;
    this.text = line + this.kept + all.slice(this.runStart - start, i - start - 2);
    if (this.nominated !== null) {
      if (this.nominated.some((name) => untouchable.has(name))) return this.refuse(malformedResponse);
      this.text = withoutNominated(this.text, this.nominated);
    }
    this.settleUpgrade();
    return i;
  }

  private refuse(refusal: Refusal): typeof REFUSED {
    this.refusal = refusal;
    return REFUSED;
  }

  private unfinished(from: number, end: number, tooLarge: Refusal): number {
    return end - from > headLimits.head ? this.refuse(tooLarge) : INCOMPLETE;
  }

  private settleUpgrade(): void {
    // An upgrade to h2c would let the client speak past everything that is checked here, so it is never passed on.
    this.upgrade = this.upgradeToken && this.upgradeValue !== '' && !/\bh2c\b/i.test(this.upgradeValue);
    if (this.upgrade) this.text += `Connection: Upgrade\r\nUpgrade: ${this.upgradeValue}\r\n`;
  }

  /** Takes the line `[from, to)` out of what is kept. */
  private drop(b: Bytes, from: number, to: number): void {
    if (!this.keeping) return;
    if (from > this.runStart) this.kept += b.toString('latin1', this.runStart, from);
    this.runStart = to;
  }

  private scanFields(b: Bytes, i: number, end: number, request: boolean, dropForwarded: boolean): number {
    let fields = 0;
    const most = i + headLimits.head;
    for (;;) {
      if (b[i] === CR) {
        if (i + 1 >= end) return INCOMPLETE;
        return b[i + 1] === LF ? i + 2 : this.refuse(badRequest.lineEnd);
      }
      const from = i;
      while ((byteClass[b[i]!]! & ByteClass.token) !== 0) i++;
      if (i >= end) return INCOMPLETE;
      if (b[i] !== COLON || i === from) {
        if (i === from && (b[i] === SP || b[i] === HTAB)) return this.refuse(badRequest.folded);
        return this.refuse(b[i] === LF || b[i] === CR ? badRequest.lineEnd : badRequest.fieldName);
      }
      const length = i - from;
      i++;
      while (b[i] === SP || b[i] === HTAB) i++;
      const value = i;
      while ((byteClass[b[i]!]! & ByteClass.fieldValue) !== 0) i++;
      if (i - from > headLimits.line) return this.refuse(badRequest.lineTooLong);
      if (i + 1 >= end) {
        if (i < end && b[i] !== CR) return this.refuse(b[i] === LF ? badRequest.lineEnd : badRequest.fieldValue);
        return INCOMPLETE;
      }
      if (b[i] !== CR || b[i + 1] !== LF) return this.refuse(b[i] === LF || b[i] === CR ? badRequest.lineEnd : badRequest.fieldValue);
      if (i > most) return this.refuse(badRequest.headTooLarge);
      if (++fields > headLimits.fields) return this.refuse(badRequest.tooManyFields);
      let valueEnd = i;
      while (valueEnd > value && (b[valueEnd - 1] === SP || b[valueEnd - 1] === HTAB)) valueEnd--;
      i += 2;
      switch (length) {
        case 2:
          if (request && same(b, from, TE)) this.drop(b, from, i);
          break;
        case 4:
          if (request && same(b, from, HOST)) {
            this.hosts++;
            for (let at = value; at < valueEnd; at++) if ((byteClass[b[at]!]! & ByteClass.host) === 0) return this.refuse(badRequest.host);
          }
          break;
        case 6:
          if (request && same(b, from, EXPECT)) {
            if (valueEnd - value !== 12 || !same(b, value, CONTINUE)) return this.refuse(badRequest.expectation);
            this.expectContinue = true;
            if (this.minor === 0) this.drop(b, from, i);
          }
          break;
        case 7:
          if (same(b, from, UPGRADE)) {
            const more = b.toString('latin1', value, valueEnd);
            this.upgradeValue = this.upgradeValue === '' ? more : `${this.upgradeValue}, ${more}`;
            this.drop(b, from, i);
          }
          break;
        case 10:
          if (same(b, from, CONNECTION)) {
            if (!this.readConnection(b, value, valueEnd)) return this.refuse(badRequest.fieldValue);
            this.drop(b, from, i);
          } else if (same(b, from, KEEP_ALIVE)) this.drop(b, from, i);
          break;
        case 13:
          if (request && same(b, from, AUTHORIZATION)) this.readScheme(b, value, valueEnd);
          break;
        case 14:
          if (same(b, from, CONTENT_LENGTH)) {
            if (this.contentLength >= 0 || valueEnd === value || valueEnd - value > 15) return this.refuse(badRequest.contentLength);
            let n = 0;
            for (let at = value; at < valueEnd; at++) {
              const digit = b[at]! - 48;
              if (digit < 0 || digit > 9) return this.refuse(badRequest.contentLength);
              n = n * 10 + digit;
            }
            this.contentLength = n;
          } else if (request && same(b, from, HTTP2_SETTINGS)) this.drop(b, from, i);
          break;
        case 15:
          if (dropForwarded && same(b, from, X_FORWARDED_FOR)) {
            const more = b.toString('latin1', value, valueEnd);
            this.forwardedFor = this.forwardedFor === '' ? more : `${this.forwardedFor}, ${more}`;
            this.drop(b, from, i);
          }
          break;
        case 16:
          if (same(b, from, PROXY_CONNECTION)) this.drop(b, from, i);
          else if (!request && same(b, from, WWW_AUTHENTICATE)) this.readScheme(b, value, valueEnd);
          break;
        case 17:
          if (same(b, from, TRANSFER_ENCODING)) {
            if (this.chunked) return this.refuse(badRequest.transferEncoding);
            if (valueEnd - value !== 7 || !same(b, value, CHUNKED)) {
              return this.refuse(valueEnd === value ? badRequest.transferEncoding : badRequest.coding);
            }
            this.chunked = true;
          } else if (dropForwarded && same(b, from, X_FORWARDED_PROTO)) this.drop(b, from, i);
          break;
      }
    }
  }

  private readScheme(b: Bytes, value: number, valueEnd: number): void {
    let end = value;
    while (end < valueEnd && (byteClass[b[end]!]! & ByteClass.token) !== 0) end++;
    if ((end - value === 4 && same(b, value, NTLM)) || (end - value === 9 && same(b, value, NEGOTIATE)))
      this.authenticatesConnection = true;
  }

  /** The options of one Connection field; false if one is no token. */
  private readConnection(b: Bytes, value: number, valueEnd: number): boolean {
    let at = value;
    while (at < valueEnd) {
      if (b[at] === 44 || b[at] === SP || b[at] === HTAB) {
        at++;
        continue;
      }
      const from = at;
      while (at < valueEnd && (byteClass[b[at]!]! & ByteClass.token) !== 0) at++;
      const length = at - from;
      if (length === 0) return false;
      if (length === 5 && same(b, from, CLOSE)) this.keepAlive = false;
      else if (length === 10 && same(b, from, KEEP_ALIVE)) {
        // Only HTTP/1.0 needs to say it; `close` beside it wins.
        if (this.minor === 0) this.keepAlive = true;
      } else if (length === 7 && same(b, from, UPGRADE)) this.upgradeToken = true;
      else if (this.nominated === null) this.nominated = [b.toString('latin1', from, at).toLowerCase()];
      else this.nominated.push(b.toString('latin1', from, at).toLowerCase());
    }
    return true;
  }
}

/** `head` without its field lines of these names (lower case); its first line stays. */
const withoutNominated = (head: string, names: readonly string[]): string => {
  const lineEnd = head.indexOf('\r\n') + 2;
  return head.slice(0, lineEnd) + withoutFields(head.slice(lineEnd), names);
};

const withoutFields = (fields: string, names: readonly string[]): string =>
  fields
    .split('\r\n')
    .filter((line) => !names.includes(line.slice(0, line.indexOf(':')).toLowerCase()))
    .join('\r\n');
