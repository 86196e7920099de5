/** A command's side of `balance.sock`: one request, its answer. */
import { connect } from 'node:net';
import { PlimsollError } from '../../core/errors.ts';
import type { ControlAnswer, ControlRequest, ControlResults } from './protocol.ts';

/** Seconds to wait for an answer; a reload may have to open listeners. */
const patience = 15;

/** Asks the balancer at `path`. Throws not_running, and whatever error the balancer answered with. */
export const ask = <R extends ControlRequest>(path: string, request: R): Promise<ControlResults[R['request']]> =>
  new Promise((resolve, reject) => {
    const socket = connect(path);
    const fail = (reason: string): void => {
      socket.destroy();
      reject(new PlimsollError(reason === 'EACCES' ? 'socket_denied' : 'not_running', { socket: path, reason }));
    };
    socket.setEncoding('utf8');
    socket.setTimeout(patience * 1000, () => fail(`no answer for ${patience} s`));
    socket.on('error', (error: NodeJS.ErrnoException) => fail(error.code ?? error.message));
    socket.on('connect', () => socket.write(`${JSON.stringify(request)}\n`));
    let received = '';
    socket.on('data', (chunk: string) => {
      received += chunk;
      const end = received.indexOf('\n');
      if (end < 0) return;
      socket.destroy();
      try {
        const answer = JSON.parse(received.slice(0, end)) as ControlAnswer;
        if (answer.ok) resolve(answer.result as ControlResults[R['request']]);
        else reject(new PlimsollError(answer.code, answer.facts));
      } catch (cause) {
        reject(new PlimsollError('control_malformed', { reason: String((cause as Error).message) }, { cause }));
      }
    });
    socket.on('close', () => fail('it closed the connection'));
  });
