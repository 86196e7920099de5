/**
 * How a scenario speaks to its servers and clients: one line of JSON in, one line of JSON out, the answers in the order of the
 * questions; the end of input ends them.
 */
import { createInterface } from 'node:readline';

export const serveOrders = <Order>(carryOut: (order: Order) => unknown): void => {
  const lines = createInterface({ input: process.stdin });
  let last: Promise<unknown> = Promise.resolve();
  lines.on('line', (line) => {
    const answer = Promise.resolve(carryOut(JSON.parse(line) as Order));
    last = last.then(async () => process.stdout.write(`${JSON.stringify(await answer)}\n`));
  });
  lines.on('close', () => process.exit(0));
};
