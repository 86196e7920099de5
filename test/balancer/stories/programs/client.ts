/**
 * HTTP clients of a story, as a program of its own: it runs in the clients' namespace and does what lines of JSON on its
 * stdin say, one reply line each. Raw sockets: it sees resets and closes as they are.
 */
import { connect, type Socket } from 'node:net';
import { createInterface } from 'node:readline';

export interface Answer {
  /** 0 if there was none. */
  readonly status: number;
  readonly body: string;
  /** Milliseconds from asking to the end of the answer. */
  readonly took: number;
  /** Why there was no answer. */
  readonly error: string | null;
  /** Milliseconds on the wall clock when it ended. */
  readonly ended: number;
}

export type Order =
  /** `count` requests at once, a connection each. */
  | { readonly kind: 'burst'; readonly count: number; readonly path: string; readonly timeout: number }
  /** One request every 1/rate s for `seconds`, a connection each. */
  | { readonly kind: 'rate'; readonly rate: number; readonly seconds: number; readonly path: string; readonly timeout: number }
  /** `count` requests through `lanes` at a time, a connection each. */
  | { readonly kind: 'many'; readonly count: number; readonly lanes: number; readonly path: string; readonly timeout: number }
  /** Opens `count` keep-alive connections and asks once on each. They stay open. */
  | { readonly kind: 'open'; readonly count: number; readonly path: string; readonly timeout: number }
  /** Asks once more on each open connection, `lanes` at a time. */
  | { readonly kind: 'again'; readonly lanes: number; readonly path: string; readonly timeout: number }
  /** Asks every `every` ms until an answer is 200, 300 times at most; the answers so far. */
  | { readonly kind: 'recover'; readonly every: number; readonly path: string; readonly timeout: number };

const [host, port] = process.argv[2]!.split(':') as [string, string];

class Connection {
  private readonly socket: Socket;
  private received = '';
  private finish: ((error: string | null) => void) | null = null;
  private failure: string | null = null;

  constructor() {
    this.socket = connect({ host, port: Number(port) });
    this.socket.setEncoding('latin1');
    this.socket.on('data', (text: string) => {
      this.received += text;
      if (this.whole() !== null) this.finish?.(null);
    });
    this.socket.on('error', (error: NodeJS.ErrnoException) => this.fail(error.code ?? error.message));
    this.socket.on('close', () => this.fail('closed'));
  }

  /** Status and body when the answer is complete. */
  private whole(): { readonly status: number; readonly body: string } | null {
    const end = this.received.indexOf('\r\n\r\n');
    if (end < 0) return null;
    const head = this.received.slice(0, end);
    const length = Number(/content-length: *(\d+)/i.exec(head)?.[1] ?? -1);
    const body = this.received.slice(end + 4);
    const closed = this.failure === 'closed';
    if (length < 0 ? !closed : body.length < length) return null;
    return { status: Number(head.slice(9, 12)), body: length < 0 ? body : body.slice(0, length) };
  }

  private fail(why: string): void {
    this.failure ??= why;
    this.finish?.(this.whole() === null ? this.failure : null);
  }

  ask(path: string, timeout: number, keep: boolean): Promise<Answer> {
    const start = performance.now();
    this.received = '';
    return new Promise((resolve) => {
      const timer = setTimeout(() => this.finish?.('timeout'), timeout);
      this.finish = (error) => {
        clearTimeout(timer);
        this.finish = null;
        const { status, body } = this.whole() ?? { status: 0, body: '' };
        if (!keep) this.socket.destroy();
        resolve({ status, body, took: performance.now() - start, error, ended: Date.now() });
      };
      if (this.failure !== null) this.finish(this.failure);
      else this.socket.write(`GET ${path} HTTP/1.1\r\nHost: story\r\n${keep ? '' : 'Connection: close\r\n'}\r\n`);
    });
  }
}

const once = (path: string, timeout: number): Promise<Answer> => new Connection().ask(path, timeout, false);
const pause = (ms: number): Promise<void> => new Promise((done) => setTimeout(done, ms));
let kept: Connection[] = [];

/** Calls `work` for 0 to count - 1, `lanes` at a time. */
const spread = async (count: number, lanes: number, work: (i: number) => Promise<Answer>): Promise<readonly Answer[]> => {
  const answers: Answer[] = new Array(count);
  let next = 0;
  const lane = async (): Promise<void> => {
    while (next < count) {
      const i = next++;
      answers[i] = await work(i);
    }
  };
  await Promise.all(Array.from({ length: lanes }, lane));
  return answers;
};

const carryOut = async (order: Order): Promise<readonly Answer[]> => {
  if (order.kind === 'burst') return Promise.all(Array.from({ length: order.count }, () => once(order.path, order.timeout)));
  if (order.kind === 'many') return spread(order.count, order.lanes, () => once(order.path, order.timeout));
  if (order.kind === 'open') {
    kept = [];
    return spread(order.count, 200, () => {
      const connection = new Connection();
      kept.push(connection);
      return connection.ask(order.path, order.timeout, true);
    });
  }
  if (order.kind === 'again') return spread(kept.length, order.lanes, (i) => kept[i]!.ask(order.path, order.timeout, true));
  if (order.kind === 'recover') {
    const answers: Answer[] = [];
    for (;;) {
      const answer = await once(order.path, order.timeout);
      answers.push(answer);
      if (answer.status === 200 || answers.length >= 300) return answers;
      await pause(order.every);
    }
  }
  let start = performance.now();
  const all: Promise<Answer>[] = [];
  for (let i = 0; i < order.rate * order.seconds; i++) {
    const wait = start + (i * 1000) / order.rate - performance.now();
    if (wait > 0) await pause(wait);
    // Never faster than the rate: a machine that stood still for a moment must not be made up for with a burst.
    else start -= wait;
    all.push(once(order.path, order.timeout));
  }
  return Promise.all(all);
};

const lines = createInterface({ input: process.stdin });
lines.on(
  'line',
  (line) => void carryOut(JSON.parse(line) as Order).then((answers) => process.stdout.write(`${JSON.stringify(answers)}\n`)),
);
lines.on('close', () => process.exit(0));
process.stdout.write('ready\n');
