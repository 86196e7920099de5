/** What would make a run fail from its first request on is said before it, in words: nothing is left behind by asking. */
import { createSocket } from 'node:dgram';
import { formatEndpoint } from '../core/address.ts';
import { PlimsollError } from '../core/errors.ts';
import { formatRange } from '../core/port-range.ts';
import { Connection } from './connection.ts';
import type { Job } from './job.ts';
import { type Failure, failureOf } from './outcome.ts';
import { chooserOf, type Source } from './source-ports.ts';

/** Whether a socket may be bound to `address`: UDP asks the same question of the host and touches no TCP port. */
const bindable = (address: string): Promise<string | null> =>
  new Promise((resolve) => {
    const socket = createSocket({ type: address.includes(':') ? 'udp6' : 'udp4' });
    const answer = (error: NodeJS.ErrnoException | null): void => {
      socket.removeAllListeners();
      socket.close(() => resolve(error === null ? null : (error.code ?? 'UNKNOWN')));
    };
    socket.once('error', answer);
    socket.bind({ address, port: 0, exclusive: true }, () => answer(null));
  });

/** Opens one connection and closes it with RST; how that failed, or null. */
const tryOnce = (job: Job, source: Source, stop: AbortSignal): Promise<Failure | null> =>
  new Promise((resolve) => {
    const c: Connection = new Connection(job.target, source, 0, 0, {
      opened: () => answer(null),
      failed: (_c, error) => answer(failureOf(error)),
      answered: () => {},
      ended: () => {},
      received: () => {},
    });
    const timer = setTimeout(() => answer({ cause: 'timeout', code: 'TIMEOUT', call: 'connect' }), job.timeout * 1000);
    const onStop = (): void => answer(null);
    stop.addEventListener('abort', onStop);
    const answer = (failure: Failure | null): void => {
      stop.removeEventListener('abort', onStop);
      clearTimeout(timer);
      if (c.state !== 'closed') c.close(true);
      resolve(failure);
    };
  });

const words: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'it answers with RST: nobody listens there, or a firewall refuses (ECONNREFUSED)',
  TIMEOUT: 'it does not answer',
  ETIMEDOUT: 'it does not answer (ETIMEDOUT)',
  ENETUNREACH: 'there is no route to it (ENETUNREACH)',
  EHOSTUNREACH: 'no host answers at that address (EHOSTUNREACH)',
};

/** Throws source_absent, load_no_port, load_denied, load_tls or load_unreachable. `range`: what the kernel chooses from, for the message. */
export const preflight = async (job: Job, range: string, stop: AbortSignal): Promise<void> => {
  const { sourcePorts, target } = job;
  for (const address of sourcePorts.addresses) {
    const code = await bindable(address);
    if (code !== null) throw new PlimsollError('source_absent', { address, reason: code });
  }
  const chooser = chooserOf({ ...job, share: { index: 0, of: 1 } });
  const endpoint = formatEndpoint(target.address, target.port);
  for (let tries = 0; ; tries++) {
    const source = chooser.acquire(tries);
    const failure = source === null ? null : await tryOnce(job, source, stop);
    if (source !== null && failure === null) return;
    if (failure === null || failure.cause === 'local_port') {
      if (source !== null && failure !== null && chooser.taken(source, tries)) continue;
      const own = sourcePorts.kind === 'ledger' ? sourcePorts.ports.map(formatRange).join(',') : range;
      throw new PlimsollError('load_no_port', { range: own, endpoint, reason: failure?.code ?? `others hold all ${tries}` });
    }
    if (failure.code === 'EACCES' || failure.code === 'EPERM')
      throw new PlimsollError('load_denied', { endpoint, reason: `${failure.code} from ${failure.call}` });
    const reason = words[failure.code] ?? `${failure.code} from ${failure.call}`;
    throw new PlimsollError(target.tls !== null && failure.cause === 'other' ? 'load_tls' : 'load_unreachable', { endpoint, reason });
  }
};
