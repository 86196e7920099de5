/** Everything a client is told instead of an answer, and what the access log and the counters say then. What the scanner objects to is in core/http. */
import { malformedResponse, type Refusal, refuse } from '../../../core/http/refusal.ts';

export const timedOut = {
  header: refuse(408, 'the request head did not arrive in time'),
  body: refuse(408, 'the request body did not arrive in time'),
} as const satisfies Record<string, Refusal>;

/** Everything wrong with a server's answer that its client is told about. */
export const badResponse = {
  malformed: malformedResponse,
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
