/** How a scenario speaks to its servers and clients: one line of JSON in, one line of JSON out; the end of input ends them. */
import { createInterface } from 'node:readline';

export const serveOrders = <Order>(carryOut: (order: Order) => unknown): void => {
  const lines = createInterface({ input: process.stdin });
  lines.on('line', (line) => {
    void Promise.resolve(carryOut(JSON.parse(line) as Order)).then((answer) => process.stdout.write(`${JSON.stringify(answer)}\n`));
  });
  lines.on('close', () => process.exit(0));
};
