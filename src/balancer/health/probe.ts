/**
 * One look at a server: a handshake, or a GET. The answer is a class, because only some of them say anything about the server.
 * An RST in the handshake is asked again at once from other ports: a closed port refuses all of them, a box that resets
 * collisions only those it still holds. Every probe ends with RST: no TIME_WAIT stays on either side, and the port is free at once.
 */
import { connect } from 'node:net';
import { performance } from 'node:perf_hooks';
import { Head, REFUSED } from '../../core/http/head.ts';
import type { Ending, Lease } from '../../core/port-ledger.ts';
import type { PortRange } from '../../core/port-range.ts';
import { connectFailure, type Failure } from '../failure.ts';

export type ProbeClass = 'up' | 'refused' | 'timeout' | 'bad_response' | 'local';

export interface ProbeResult {
  readonly class: ProbeClass;
  /** In our own words and the errno's name; never bytes of the server. */
  readonly detail: string;
  /** Seconds. */
  readonly duration: number;
  /** RSTs that ports met before another port met none. */
  readonly collisions: number;
}

export interface Target {
  readonly address: string;
  readonly port: number;
  readonly key: string;
}

export interface Question {
  readonly type: 'tcp' | 'http';
  /** Seconds. */
  readonly receive_timeout: number;
  readonly path?: string;
  readonly expect?: readonly PortRange[];
}

/** Where probes get their source ports. */
export interface MonitorPorts {
  /** `proven`: rather one that has worked before. */
  acquire(server: string, proven: boolean): Lease | null;
  release(lease: Lease, ending: Ending): void;
  hold(lease: Lease): void;
}

/** Further ports tried after an RST: two stale connections in a row are no rarity where there is one. */
const mostResets = 2;
/** Ports found taken, one after the other, before the probe gives up with `local`. */
const mostTaken = 16;

type Attempt = { readonly class: ProbeClass; readonly detail: string; readonly failure: Failure | null };

/** Probes `target`. `ports` null: the kernel chooses the source port. */
export const probe = async (target: Target, question: Question, ports: MonitorPorts | null): Promise<ProbeResult> => {
  const started = performance.now();
  const result = (attempt: Attempt, collisions: number): ProbeResult => ({
    class: attempt.class,
    detail: attempt.detail,
    duration: (performance.now() - started) / 1000,
    collisions,
  });
  let attempt = await attemptWithPort(target, question, ports, false);
  let resets = 0;
  while (attempt.class === 'refused' && resets < mostResets) {
    resets++;
    attempt = await attemptWithPort(target, question, ports, true);
  }
  // Without another port nothing is known about the server: the RST could have been a collision.
  return result(attempt, attempt.class === 'refused' || attempt.class === 'local' ? 0 : resets);
};

const attemptWithPort = async (target: Target, question: Question, ports: MonitorPorts | null, proven: boolean): Promise<Attempt> => {
  if (ports === null) return ask(target, question, null).then(({ attempt }) => attempt);
  for (let taken = 0; taken < mostTaken; taken++) {
    const lease = ports.acquire(target.key, proven);
    if (lease === null) return { class: 'local', detail: 'no monitor port left', failure: null };
    const { attempt, ending } = await ask(target, question, lease);
    if (attempt.failure?.kind !== 'port_taken') {
      ports.release(lease, ending);
      return attempt;
    }
    ports.hold(lease);
  }
  return { class: 'local', detail: 'every monitor port tried is taken on this host', failure: null };
};

const classOf: Readonly<Record<Failure['kind'], ProbeClass>> = {
  port_taken: 'local',
  no_port: 'local',
  address_absent: 'local',
  local_other: 'local',
  refused: 'refused',
  reset: 'bad_response',
  timeout: 'timeout',
  unreachable: 'timeout',
};

const mostBytes = 65536;

const ask = (target: Target, question: Question, lease: Lease | null): Promise<{ readonly attempt: Attempt; readonly ending: Ending }> =>
  new Promise((resolve) => {
    const socket = connect({
      host: target.address,
      port: target.port,
      ...(lease === null ? {} : { localAddress: lease.address, localPort: lease.port }),
    });
    let over = false;
    const done = (probeClass: ProbeClass, detail: string, ending: Ending, failure: Failure | null = null): void => {
      if (over) return;
      over = true;
      clearTimeout(timer);
      if (socket.connecting || failure !== null) socket.destroy();
      else socket.resetAndDestroy();
      resolve({ attempt: { class: probeClass, detail, failure }, ending });
    };
    const timer = setTimeout(
      () =>
        done(
          'timeout',
          socket.connecting ? 'no answer to the SYN in time' : 'no answer to the request in time',
          socket.connecting ? 'half_open' : 'we_closed',
        ),
      question.receive_timeout * 1000,
    );
    let connected = false;
    socket.on('error', (error: NodeJS.ErrnoException) => {
      if (connected) return done('bad_response', `connection lost (${error.code ?? 'error'})`, 'rst');
      const failure = connectFailure(error, lease !== null);
      done(
        classOf[failure.kind],
        `${failure.code} at ${error.syscall ?? 'connect'}`,
        failure.kind === 'refused' ? 'refused' : 'we_closed',
        failure,
      );
    });
    socket.on('connect', () => {
      connected = true;
      if (question.type === 'tcp') return done('up', 'connection accepted', 'we_closed');
      const host = target.address.includes(':') ? `[${target.address}]` : target.address;
      socket.write(
        `GET ${question.path ?? '/'} HTTP/1.1\r\nHost: ${host}:${target.port}\r\nUser-Agent: plimsoll-monitor\r\nAccept: */*\r\n\r\n`,
        'latin1',
      );
    });
    if (question.type === 'tcp') return;
    const head = new Head();
    let received = Buffer.alloc(1);
    socket.on('data', (chunk: Buffer) => {
      if (over) return;
      received = Buffer.concat([received.subarray(0, received.length - 1), chunk, Buffer.alloc(1)]);
      for (let start = 0; ; ) {
        const at = head.scanResponse(received, start, received.length - 1);
        if (at === REFUSED || received.length > mostBytes) return done('bad_response', 'not an HTTP response', 'we_closed');
        if (at <= 0) return;
        start = at;
        if (head.status < 200) continue;
        const well = (question.expect ?? [{ low: 200, high: 399 }]).some((r) => head.status >= r.low && head.status <= r.high);
        return done(well ? 'up' : 'bad_response', `status ${head.status}`, 'we_closed');
      }
    });
    socket.on('end', () => done('bad_response', 'closed without an answer', 'fin'));
  });
