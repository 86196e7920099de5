/**
 * The client's socket and whoever handles it. Handlers are shared functions that find their owner on the socket: five
 * closures per connection would be most of what an idle client costs. An Upgrade changes the owner and nothing else.
 */
import type { Socket } from 'node:net';
import { keep, markEnd, readBuffer } from './read-buffer.ts';

/** Who handles a client's socket. Bytes are valid until the call returns, with a zero byte behind them. */
export interface ClientOwner {
  clientBytes(b: Buffer, start: number, end: number): void;
  /** FIN. */
  clientEnded(): void;
  /** What was written has left for the kernel. */
  clientDrained(): void;
  /** The socket is gone; `error` says why if it was not us. */
  clientClosed(error: NodeJS.ErrnoException | null): void;
}

const owner = Symbol('owner');
const failure = Symbol('failure');
export type ClientSocket = Socket & { [owner]?: ClientOwner; [failure]?: NodeJS.ErrnoException };

function onEnd(this: ClientSocket): void {
  this[owner]?.clientEnded();
}
function onDrain(this: ClientSocket): void {
  this[owner]?.clientDrained();
}
function onError(this: ClientSocket, error: NodeJS.ErrnoException): void {
  this[failure] = error;
}
function onClose(this: ClientSocket): void {
  this[owner]?.clientClosed(this[failure] ?? null);
}
function onData(this: ClientSocket, chunk: Buffer): void {
  const side = this[owner];
  if (side === undefined) return;
  if (chunk.length < readBuffer.length) {
    chunk.copy(readBuffer);
    markEnd(chunk.length);
    side.clientBytes(readBuffer, 0, chunk.length);
  } else {
    const copy = keep(null, chunk, 0, chunk.length);
    side.clientBytes(copy, 0, chunk.length);
  }
}

/** The `onread` callback of every client socket: `this` is the socket. */
export function readClient(this: ClientSocket, n: number): boolean {
  markEnd(n);
  this[owner]?.clientBytes(readBuffer, 0, n);
  return true;
}

/** Makes `side` the owner of an accepted socket. `streaming`: it was made without `onread`, so its data come as events. */
export const adopt = (socket: ClientSocket, side: ClientOwner, streaming: boolean): void => {
  socket[owner] = side;
  socket.on('end', onEnd);
  socket.on('drain', onDrain);
  socket.on('error', onError);
  socket.on('close', onClose);
  if (streaming) socket.on('data', onData);
};

/** Another owner from now on. */
export const handOver = (socket: ClientSocket, side: ClientOwner): void => {
  socket[owner] = side;
};
