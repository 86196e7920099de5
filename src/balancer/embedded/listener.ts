/** Where clients connect: opens the socket, makes a session of every connection, hands it to the service of the moment. */
import { createServer, type Server as NetServer, type Socket } from 'node:net';
import { createServer as createTlsServer } from 'node:tls';
import { adopt, type ClientSocket } from './client-socket.ts';
import { HttpClient } from './http/client.ts';
import type { Service } from './service.ts';
import { Tunnel } from './tunnel.ts';

/** The longest queue of connections not accepted yet; the kernel lowers it to net.core.somaxconn. */
const backlog = 65535;

/** Where to listen: an address of our own, or a descriptor that the parent process holds and shares. */
export type ListenAt = { readonly address: string; readonly port: number } | { readonly handle: unknown };

export interface Certificate {
  readonly cert: Buffer;
  readonly key: Buffer;
}

export class Listener {
  private service: Service | null = null;
  private readonly early: Socket[] = [];
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
        : createTlsServer({ ...certificate, allowHalfOpen: true, ALPNProtocols: ['http/1.1'], minVersion: 'TLSv1.2' } as object, (socket) =>
            this.accept(socket),
          );
    this.server = server;
    return new Promise((resolve, reject) => {
      server.once('error', reject);
      const listening = (): void => {
        server.off('error', reject);
        server.on('error', this.onTrouble);
        resolve();
      };
      if ('handle' in at) server.listen(at.handle as never, backlog, listening);
      else server.listen({ host: at.address, port: at.port, backlog, exclusive: true }, listening);
    });
  }

  /** The service that new connections go to, from now on. */
  serve(service: Service): void {
    this.service = service;
    for (const socket of this.early.splice(0)) this.accept(socket);
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

  private accept(socket: Socket): void {
    // A listener opens before its configuration is in force; who connects in between waits for it.
    if (this.service === null) this.early.push(socket);
    else start(socket as ClientSocket, this.service, true);
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
