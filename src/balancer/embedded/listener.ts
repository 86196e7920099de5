/** Where clients connect: opens the socket, makes a session of every connection, hands it to the service of the moment. */
import { createServer, type Server as NetServer, Socket } from 'node:net';
import { createServer as createTlsServer } from 'node:tls';
import { adopt, type ClientSocket, readClient } from './client-socket.ts';
import { HttpClient } from './http/client.ts';
import { readView } from './read-buffer.ts';
import type { Service } from './service.ts';
import { Tunnel } from './tunnel.ts';

/** The longest queue of connections not accepted yet; the kernel lowers it to net.core.somaxconn. */
const backlog = 65535;
/** Milliseconds for a TLS handshake. */
const handshakeTimeout = 10_000;

/** Where to listen: an address of our own, or a descriptor that the parent process holds and shares. */
export type ListenAt = { readonly address: string; readonly port: number } | { readonly handle: unknown };

export interface Certificate {
  readonly cert: Buffer;
  readonly key: Buffer;
}

export class Listener {
  private service: Service | null = null;
  private readonly early: { readonly socket: Socket; readonly streaming: boolean }[] = [];
  private server: NetServer | null = null;
  private readonly onTrouble: (error: NodeJS.ErrnoException) => void;

  constructor(onTrouble: (error: NodeJS.ErrnoException) => void) {
    this.onTrouble = onTrouble;
  }

  /** Resolves when connections are accepted; rejects with the error of bind or listen. */
  open(at: ListenAt, certificate: Certificate | null): Promise<void> {
    const server =
      certificate === null
        ? createServer({ allowHalfOpen: true }, (socket) => this.accept(socket))
        : createTlsServer(
            { ...certificate, allowHalfOpen: true, handshakeTimeout, ALPNProtocols: ['http/1.1'], minVersion: 'TLSv1.2' } as object,
            (socket) => this.accept(socket),
          );
    this.server = server;
    return new Promise((resolve, reject) => {
      server.once('error', reject);
      const listening = (): void => {
        server.off('error', reject);
        server.on('error', this.onTrouble);
        if (certificate === null) this.acceptWithSharedBuffer(server);
        resolve();
      };
      if ('handle' in at) server.listen(at.handle as never, backlog, listening);
      else server.listen({ host: at.address, port: at.port, backlog, exclusive: true }, listening);
    });
  }

  /** The service that new connections go to, from now on. */
  serve(service: Service): void {
    this.service = service;
    for (const { socket, streaming } of this.early.splice(0)) {
      this.accept(socket, streaming);
      socket.resume();
    }
  }

  /** New certificate for handshakes to come. */
  replaceCertificate(certificate: Certificate): void {
    (this.server as unknown as { setSecureContext?(options: Certificate): void } | null)?.setSecureContext?.(certificate);
  }

  /** Accepts no more. Sessions go on. */
  close(): void {
    this.server?.close();
    this.server = null;
  }

  /**
   * Has accepted sockets read into the shared buffer, as `onread` does for sockets we connect. Node offers no way to say so
   * for sockets it accepts, so their handles are taken before a Socket is made of them: without it every read allocates
   * 64 KiB, a tenth of the CPU goes to the collector, and an idle client costs half as much again. Where Node's internals are
   * not what they are in 20 to 24 the ordinary way is taken.
   */
  private acceptWithSharedBuffer(server: NetServer): void {
    const handle = (server as unknown as { _handle?: { onconnection?: (this: unknown, status: number, client: unknown) => void } })._handle;
    const ordinary = handle?.onconnection;
    if (handle === undefined || typeof ordinary !== 'function') return;
    const onread = { buffer: readView, callback: readClient };
    handle.onconnection = (status, client) => {
      if (status !== 0 || client === undefined) ordinary.call(handle, status, client);
      else this.accept(new Socket({ handle: client, allowHalfOpen: true, onread } as never), false);
    };
  }

  private accept(socket: Socket, streaming = true): void {
    // A listener opens before its configuration is in force; who connects in between waits for it.
    if (this.service === null) {
      socket.on('error', () => {});
      socket.pause();
      this.early.push({ socket, streaming });
    } else start(socket as ClientSocket, this.service, streaming);
  }
}

const start = (socket: ClientSocket, service: Service, streaming: boolean): void => {
  if (service.settings.type === 'http') {
    adopt(socket, new HttpClient(socket, service), streaming);
    return;
  }
  const tunnel = new Tunnel(socket, service, service.pool, service.clock.now);
  adopt(socket, tunnel, streaming);
  tunnel.start();
};
