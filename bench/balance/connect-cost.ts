/**
 * What connect() costs when 90 % of a port space is in use, as a program in a namespace: a free port
 * of a PortLedger, bound explicitly, against the kernel's own choice. Prints one line of JSON: microseconds, p50.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { PortLedger } from '../../src/core/port-ledger.ts';
import { close, listen, open } from '../../test/support/sockets.ts';

const to = '10.66.0.1';
const from = '10.66.0.5';
const size = 28232;
const samples = 600;
const range = { low: 1024, high: 1023 + size };

/**
 * Other processes hold the connections: one may have too few descriptors. Theirs wait in the listener's queue, established and
 * never accepted, which needs no descriptor at all.
 */
const holders = async (kind: 'ledger' | 'kernel', port: number, share: number): Promise<() => Promise<void>> => {
  const total = Math.floor(size * share);
  const children = [0, 1].map((half) => {
    const first = half === 0 ? 0 : total >> 1;
    const count = half === 0 ? total >> 1 : total - (total >> 1);
    return spawn(process.execPath, [process.argv[1]!, 'hold', kind, String(port), String(first), String(count)], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
  });
  await Promise.all(children.map((child) => once(child.stdout!, 'data')));
  return async () => {
    await Promise.all(
      children.map((child) => {
        const gone = once(child, 'exit');
        child.kill('SIGKILL');
        return gone;
      }),
    );
  };
};

const hold = (kind: string, towards: number, first: number, count: number): void => {
  for (let i = first; i < first + count; i++) {
    if (kind === 'ledger') open(to, towards, { bind: [from, range.low + i], reuseAddress: true });
    else {
      // As the kernel fills a range, all even ports first, but without its search, which would take a minute.
      const port = i < size / 2 ? 32768 + 2 * i : 32769 + 2 * (i - size / 2);
      open(to, towards, { portRange: [port, port] });
    }
  }
  process.stdout.write('held\n');
  process.stdin.resume();
};

const timed = (connect: () => number): number => {
  const took: number[] = [];
  for (let i = 0; i < samples; i++) {
    const start = process.hrtime.bigint();
    const fd = connect();
    took.push(Number(process.hrtime.bigint() - start) / 1000);
    // With FIN: the port stays taken for a while, as after any connection, and the next connection gets another one.
    close(fd);
  }
  took.sort((a, b) => a - b);
  return took[samples >> 1]!;
};

const byLedger = async (port: number, share: number): Promise<number> => {
  const listener = listen(to, port);
  const server = `${to}:${port}`;
  const ledger = new PortLedger({ addresses: [from], ports: [range], monitorPorts: 0, cooldown: { fin: 65, rst: 16, half_open: 30 } });
  // The ledger hands ports out in order, so those are the ones the holders have.
  for (let i = 0; i < Math.floor(size * share); i++) ledger.acquire(server, 0);
  const release = await holders('ledger', port, share);
  const p50 = timed(() => {
    const lease = ledger.acquireEarly(server, 0)!;
    return open(to, port, { bind: [lease.address, lease.port], reuseAddress: true });
  });
  close(listener);
  await release();
  return p50;
};

const byKernel = async (port: number, share: number): Promise<number> => {
  const listener = listen(to, port);
  const release = await holders('kernel', port, share);
  const p50 = timed(() => open(to, port));
  close(listener);
  await release();
  return p50;
};

const compare = async (rounds: number): Promise<void> => {
  const result = { ledgerEmpty: [] as number[], ledgerFull: [] as number[], kernelEmpty: [] as number[], kernelFull: [] as number[] };
  let port = 63000;
  for (let i = 0; i < rounds; i++) {
    result.ledgerEmpty.push(await byLedger(port++, 0));
    result.ledgerFull.push(await byLedger(port++, 0.9));
    result.kernelEmpty.push(await byKernel(port++, 0));
    result.kernelFull.push(await byKernel(port++, 0.9));
  }
  process.stdout.write(`${JSON.stringify(result)}\n`);
  process.exit(0);
};

const [what, ...rest] = process.argv.slice(2);
if (what === 'hold') hold(rest[0]!, Number(rest[1]), Number(rest[2]), Number(rest[3]));
else void compare(Number(what ?? 3));
