/** The agent's HTTP side from its first listener to its last answer. Loaded when it is needed: hono and zod take time to start. */
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { createSecureContext } from 'node:tls';
import { formatEndpoint, isLoopback } from '../../core/address.ts';
import { PlimsollError } from '../../core/errors.ts';
import { ffi } from '../../linux/ffi.ts';
import { listenerHolder } from '../../linux/listener-holder.ts';
import { boundSendBuffers, peerUser } from '../../linux/listening.ts';
import { listenOnSocket } from '../../linux/runtime-socket.ts';
import type { AgentView } from '../view.ts';
import { Access, type Peer } from './access.ts';
import { agentApp } from './app.ts';
import { readAssets } from './assets.ts';
import { metricsText, type ProcessUse } from './metrics.ts';
import { agentServer, closeServer, defaultLimits, type Limits, listenOn, type Tls, type Traffic } from './server.ts';
import { Readers, type StreamLimits, defaultLimits as streamLimits } from './stream.ts';

export interface HttpOptions {
  readonly view: AgentView;
  readonly listen: { readonly host: string; readonly port: number };
  /** Further names it answers to. */
  readonly hosts: readonly string[];
  readonly token: string;
  readonly tls: { readonly cert: string; readonly key: string } | null;
  /** The agent's unix socket. */
  readonly socket: string;
  /** The folder of the dashboard's files. */
  readonly assets: string;
  /** Told of our own bugs, one line. */
  readonly complain: (text: string) => void;
  readonly limits?: Limits;
  readonly streamLimits?: StreamLimits;
}

export interface Listening {
  /** `http://127.0.0.1:7575`. */
  readonly url: string;
  /** Whether there is a dashboard to show. */
  readonly dashboard: boolean;
  close(): Promise<void>;
}

/** Bytes the kernel keeps for one who reads slowly, before it doubles them: enough for an answer on its way over a slow path. */
const SEND_BUFFER = 128 * 1024;
/** Seconds that answers under way have at the end. */
const GRACE = 2;

const readTls = (files: { readonly cert: string; readonly key: string }): Tls => {
  const read = (path: string): Buffer => {
    try {
      return readFileSync(path);
    } catch (cause) {
      throw new PlimsollError('tls_unusable', { path, reason: (cause as NodeJS.ErrnoException).code ?? String(cause) }, { cause });
    }
  };
  const tls = { cert: read(files.cert), key: read(files.key) };
  try {
    // OpenSSL itself keeps a certificate and a key of different kinds side by side and fails at the first handshake.
    if (!new X509Certificate(tls.cert).checkPrivateKey(createPrivateKey(tls.key))) throw new Error('it is the key of another certificate');
    createSecureContext(tls);
  } catch (cause) {
    throw new PlimsollError('tls_unusable', { path: files.key, reason: (cause as Error).message }, { cause });
  }
  return tls;
};

/** Of a socket or a server; Node does not tell it otherwise. */
const descriptorOf = (handle: object): number => (handle as { readonly _handle?: { readonly fd?: number } })._handle?.fd ?? -1;

const processUse = (): ProcessUse => {
  const { user, system } = process.cpuUsage();
  let openDescriptors: number | null = null;
  try {
    // One of them is the folder itself while it is read.
    openDescriptors = readdirSync('/proc/self/fd').length - 1;
  } catch {
    // No procfs here.
  }
  return { cpuSeconds: (user + system) / 1e6, residentBytes: process.memoryUsage.rss(), openDescriptors };
};

/** Starts listening. Throws agent_running, agent_port_taken, listen_failed, tls_unusable, unwritable. */
export const startHttp = async (options: HttpOptions): Promise<Listening> => {
  const { view, listen } = options;
  const c = ffi();
  const limits = options.limits ?? defaultLimits;
  const tls = options.tls === null ? null : readTls(options.tls);
  const scheme = tls === null ? 'http' : 'https';
  const access = new Access({ token: options.token, openReads: isLoopback(listen.host), hosts: options.hosts, scheme });
  const readers = new Readers(view.events, options.streamLimits ?? streamLimits);
  const traffic: Traffic = { refusedConnections: 0, malformed: 0 };
  const answers = new Map<string, number>();
  const assets = readAssets(options.assets);
  const app = agentApp({
    view,
    access,
    readers,
    assets,
    metrics: () =>
      metricsText(
        view,
        {
          answers,
          refused: { ...access.refused, connections: traffic.refusedConnections, malformed: traffic.malformed },
          readers: readers.size,
          streams: readers.counts,
        },
        processUse(),
      ),
    peerOf: (incoming): Peer => {
      const address = incoming.socket.remoteAddress;
      // A closed TCP connection has no address either; nobody gets that answer.
      if (address !== undefined || incoming.socket.localAddress !== undefined) return { address: address ?? '?', user: null };
      return { address: null, user: c.status === 'ok' ? peerUser(c.value, descriptorOf(incoming.socket)) : null };
    },
    onAnswer: (status) => {
      const kind = `${Math.floor(status / 100)}xx`;
      answers.set(kind, (answers.get(kind) ?? 0) + 1);
    },
    onBug: (error) => options.complain(`${error.message}\n${(error.cause as Error | undefined)?.stack ?? ''}`),
  });
  const fetch = (request: Request, env: object) => app.fetch(request, env as never);
  const overTcp = agentServer(fetch, limits, tls, traffic);
  const overSocket = agentServer(fetch, limits, null, traffic);
  let port: number;
  try {
    await listenOnSocket(overSocket, options.socket, null, new PlimsollError('agent_running', { socket: options.socket }));
    port = await listenOn(overTcp, listen.host, listen.port).catch((cause: NodeJS.ErrnoException) => {
      const text = formatEndpoint(listen.host, listen.port);
      const holder = cause.code === 'EADDRINUSE' ? listenerHolder(listen.port) : null;
      if (holder !== null)
        throw new PlimsollError('agent_port_taken', { listen: text, holder, free: Math.min(65535, listen.port + 1) }, { cause });
      throw new PlimsollError('listen_failed', { listen: text, reason: cause.code ?? cause.message }, { cause });
    });
  } catch (error) {
    readers.close();
    await closeServer(overSocket, 0);
    throw error;
  }
  if (c.status === 'ok') boundSendBuffers(c.value, descriptorOf(overTcp), SEND_BUFFER);
  return {
    url: `${scheme}://${formatEndpoint(listen.host, port)}`,
    dashboard: assets.has('/'),
    close: async () => {
      readers.close();
      await Promise.all([closeServer(overTcp, GRACE), closeServer(overSocket, GRACE)]);
    },
  };
};
