/** Why a message is refused: what the client is told, and what the access log and the counters say. */

export interface Refusal {
  readonly status: 400 | 408 | 413 | 414 | 417 | 431 | 501 | 502 | 503 | 504 | 505;
  /** Fixed text, never bytes of the message. */
  readonly reason: string;
}

const refuse = (status: Refusal['status'], reason: string): Refusal => ({ status, reason });

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

export const timedOut = {
  header: refuse(408, 'the request head did not arrive in time'),
  body: refuse(408, 'the request body did not arrive in time'),
} as const satisfies Record<string, Refusal>;

/** Everything wrong with a server's answer that its client is told about. */
export const badResponse = {
  malformed: refuse(502, 'the server sent a malformed response'),
  closed: refuse(502, 'the server closed the connection before it answered'),
  reset: refuse(502, 'the server reset the connection before it answered'),
  connect: refuse(502, 'no server could be connected to'),
  late: refuse(504, 'the server did not answer in time'),
  connectLate: refuse(504, 'no server accepted the connection in time'),
  network: refuse(502, 'no server could be reached'),
} as const satisfies Record<string, Refusal>;

/** Why there was no server connection to be had. */
export const unavailable = {
  noServer: refuse(503, 'no server of the pool is up'),
  queueFull: refuse(503, 'the queue is full'),
  queueTimeout: refuse(503, 'no server connection became free in time'),
  portsTimeout: refuse(503, 'no source port became free in time'),
  stopping: refuse(503, 'the balancer is stopping'),
  unknownPool: refuse(503, 'the virtual service has no pool'),
} as const satisfies Record<string, Refusal>;

const reasonPhrases: Readonly<Record<number, string>> = {
  400: 'Bad Request',
  408: 'Request Timeout',
  413: 'Content Too Large',
  414: 'URI Too Long',
  417: 'Expectation Failed',
  431: 'Request Header Fields Too Large',
  501: 'Not Implemented',
  502: 'Bad Gateway',
  503: 'Service Unavailable',
  504: 'Gateway Timeout',
  505: 'HTTP Version Not Supported',
};

/** The whole response as latin1 text. `detail` is appended to the reason; it must be our own words. */
export const refusalResponse = (refusal: Refusal, close: boolean, head: boolean, detail = ''): string => {
  const body = `${refusal.status} ${reasonPhrases[refusal.status]}: ${refusal.reason}${detail === '' ? '' : ` (${detail})`}\n`;
  return (
    `HTTP/1.1 ${refusal.status} ${reasonPhrases[refusal.status]}\r\nContent-Type: text/plain\r\nContent-Length: ${body.length}\r\n` +
    `${refusal.status === 503 ? 'Retry-After: 1\r\n' : ''}Cache-Control: no-store\r\n${close ? 'Connection: close\r\n' : ''}\r\n${head ? '' : body}`
  );
};
