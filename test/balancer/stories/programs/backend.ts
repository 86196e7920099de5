/**
 * The servers of a story, as a program in their namespace: `backend ADDRESS:PORT… [--slow MS] [--idle MS] [--close]`.
 * A request for /slow takes `slow` ms; a connection without requests is closed after `idle` ms; with --close the server closes
 * after each answer, so that it is the one to hold TIME_WAIT. A line on stdin is answered with the counts so far.
 */
import { createServer } from 'node:http';
import { createInterface } from 'node:readline';

const args = process.argv.slice(2);
const number = (name: string, fallback: number): number => {
  const at = args.indexOf(name);
  return at < 0 ? fallback : Number(args[at + 1]);
};
const slow = number('--slow', 1000);
const idle = number('--idle', 60_000);
const close = args.includes('--close');

const requests = new Map<string, number>();
const endpoints = args.filter((a) => /^[\d.]+:\d+$/.test(a));
let listening = 0;
for (const endpoint of endpoints) {
  const [host, port] = endpoint.split(':') as [string, string];
  const server = createServer((request, response) => {
    const path = request.url ?? '';
    requests.set(path, (requests.get(path) ?? 0) + 1);
    const answer = (): void => {
      // The same answer whoever asks, so that ways to get it can be compared.
      const body = `hello ${path}\n`;
      response.writeHead(200, { 'content-type': 'text/plain', 'content-length': body.length, ...(close ? { connection: 'close' } : {}) });
      response.end(body);
    };
    if (path.startsWith('/slow')) setTimeout(answer, slow);
    else answer();
  });
  server.keepAliveTimeout = idle;
  server.maxRequestsPerSocket = 0;
  server.on('connection', (socket) => socket.on('error', () => {}));
  server.listen({ host, port: Number(port), backlog: 8192 }, () => {
    if (++listening === endpoints.length) process.stdout.write('ready\n');
  });
}
const lines = createInterface({ input: process.stdin });
lines.on('line', () => process.stdout.write(`${JSON.stringify(Object.fromEntries(requests))}\n`));
lines.on('close', () => process.exit(0));
