/** Why a message is refused: a status for whoever has to answer, and a reason in fixed words. */

export interface Refusal {
  readonly status: 400 | 408 | 413 | 414 | 417 | 431 | 501 | 502 | 503 | 504 | 505;
  /** Fixed text, never bytes of the message. */
  readonly reason: string;
}

export const refuse = (status: Refusal['status'], reason: string): Refusal => ({ status, reason });

/** Everything the strict scanner can object to in a request. */
export const badRequest = {
  requestLine: refuse(400, 'malformed request line'),
  method: refuse(400, 'malformed method'),
  target: refuse(400, 'malformed request target'),
  targetTooLong: refuse(414, 'request target too long'),
  version: refuse(505, 'only HTTP/1.0 and HTTP/1.1 are spoken here'),
  lineEnd: refuse(400, 'a line does not end in CRLF'),
  fieldName: refuse(400, 'malformed field name'),
  fieldValue: refuse(400, 'control character in a field value'),
  folded: refuse(400, 'folded field line'),
  headTooLarge: refuse(431, 'request head too large'),
  lineTooLong: refuse(431, 'field line too long'),
  tooManyFields: refuse(431, 'too many field lines'),
  host: refuse(400, 'missing, repeated or malformed Host'),
  contentLength: refuse(400, 'malformed or repeated Content-Length'),
  bothLengths: refuse(400, 'both Content-Length and Transfer-Encoding'),
  transferEncoding: refuse(400, 'malformed or repeated Transfer-Encoding'),
  transferEncodingOld: refuse(400, 'Transfer-Encoding in an HTTP/1.0 request'),
  coding: refuse(501, 'a transfer coding other than chunked'),
  connection: refuse(400, 'Connection names a field that frames the message'),
  expectation: refuse(417, 'unknown expectation'),
  connectMethod: refuse(501, 'CONNECT is not offered'),
  chunk: refuse(400, 'malformed chunk'),
  trailer: refuse(400, 'malformed trailer'),
  trailerTooLarge: refuse(431, 'trailers too large'),
} as const satisfies Record<string, Refusal>;

/** A response that is none: what exactly is wrong with it helps nobody who waits for it. */
export const malformedResponse: Refusal = refuse(502, 'the server sent a malformed response');
