/**
 * An agent with thousands of port spaces (a host of a hundred containers), each other with every look: what the page does with
 * them is measured, so where they come from does not matter. Everything else about the API is as the real one's.
 */
import { existsSync, readFileSync } from 'node:fs';
import { createServer, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { extname, join } from 'node:path';
import type { SampleEvent, Session, SpaceDetail, SpacesPage } from '../../../src/wire/api.ts';
import type { ReportDocument } from '../../../src/wire/report.ts';
import { root } from './root.ts';

type Space = SampleEvent['spaces'][number];

const assets = join(root, 'dist', 'web');
const types: Readonly<Record<string, string>> = {
  '.html': 'text/html',
  '.js': 'text/javascript',
  '.css': 'text/css',
  '.svg': 'image/svg+xml',
};
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'";

/** Space `i` at look `n`: its use goes up and down on its own period. */
const spaceAt = (i: number, n: number): Space => {
  const capacity = 28_232;
  const ratio = (1 - i / 6000) * (0.6 + 0.3 * Math.sin((n + i * 7) / (5 + (i % 11))));
  const used = Math.round(capacity * Math.max(0, ratio));
  const waiting = Math.round(used * 0.8);
  return {
    id: `node-${i % 97}/connect/10.${i % 97}.0.1/10.200.${i >> 8}.${i & 255}:443`,
    kind: 'connect',
    namespace: `node-${i % 97}`,
    label: null,
    source: `10.${i % 97}.0.1`,
    destination: `10.200.${i >> 8}.${i & 255}`,
    destination_port: 443,
    range: { low: 32_768, high: 60_999 },
    capacity,
    blocked: 0,
    held: used,
    reusable: 0,
    used,
    free: capacity - used,
    free_low: capacity - used,
    free_high: capacity - used,
    used_ratio: used / capacity,
    search_wall: { at: 14_116, passed: used >= 14_116 },
    by_state: {
      syn_sent: 0,
      established: used - waiting,
      fin_wait_1: 0,
      fin_wait_2: 0,
      time_wait: waiting,
      close_wait: 0,
      last_ack: 0,
      closing: 0,
      bound: 0,
    },
    idle_connections: 0,
    shared: [],
    open_rate: used / 60,
    close_rate: used / 60,
    time_wait_rate: waiting / 60,
    failed_searches: 0,
    forecast: { kind: 'plateau', seconds: 62, seconds_low: null, seconds_high: null, plateau_used: used },
    owners: [],
  };
};

export interface ManySpaces {
  readonly url: string;
  /** Looks sent so far. */
  readonly looks: number;
  /** Sends one more look to whoever listens. */
  look(): void;
  close(): void;
}

export interface ManyOptions {
  readonly spaces: number;
  /** Port spaces in an event, as `plimsoll serve --top`. */
  readonly top: number;
}

export const serveManySpaces = async ({ spaces: count, top }: ManyOptions): Promise<ManySpaces> => {
  let n = 0;
  let sorted: readonly Space[] = [];
  const readers = new Set<ServerResponse>();
  const at = (): string => new Date(Date.UTC(2026, 10, 20) + n * 1000).toISOString();
  const next = (): void => {
    n++;
    sorted = Array.from({ length: count }, (_, i) => spaceAt(i, n)).sort((a, b) => b.used_ratio - a.used_ratio);
  };
  const sample = (): SampleEvent => ({
    at: at(),
    verdict: 'ok',
    because: [],
    spaces: sorted.slice(0, top),
    spaces_total: count,
    interval: 1,
    slowed_to: null,
  });
  const report = (): ReportDocument => ({
    schema: 'plimsoll.report/1',
    taken_at: at(),
    interval: 1,
    host: { name: 'many', kernel: '6.18', tick_hz: 250 },
    namespaces: [],
    verdict: 'ok',
    because: [],
    port_spaces: sorted.slice(0, top),
    port_spaces_unlisted: count - Math.min(count, top),
    inbound: [],
    findings: [],
    remedies: [],
    ruled_out: [],
    sensors: [],
  });
  const session: Session = { authenticated: true, writes: true, version: '0', host: 'many' };
  const detail = (id: string): SpaceDetail => {
    const space = sorted.find((s) => s.id === id) ?? sorted[0]!;
    const counts = new Array<number>(1200).fill(space.by_state.time_wait / 1200).map(Math.round);
    return {
      at: at(),
      space,
      findings: [],
      remedies: [],
      start: {
        id,
        kind: 'connect',
        source: space.source,
        destination: space.destination,
        destinations: 1,
        range: space.range,
        blocked: 0,
        capacity: space.capacity,
        load: {
          live: space.by_state.established,
          live_slope: 0,
          time_wait_rate: space.time_wait_rate,
          time_waits: { slice: 0.05, counts },
          time_wait_life: 60,
          tick: 2.048,
          events: 1000,
        },
        open_rate: space.open_rate,
        tcp_tw_reuse: 2,
        tcp_tw_reuse_delay: 1,
        timestamps: true,
      },
    };
  };
  const portMap = (id: string): unknown => {
    const states = Buffer.alloc(65_536, 16);
    const left = Buffer.alloc(65_536, 255);
    for (let port = 32_768; port <= 60_999; port++) {
      states[port] = (port * 7 + n) % 3 === 0 ? 6 : (port + n) % 5 === 0 ? 1 : 0;
      left[port] = (port + n) % 60;
    }
    return { at: at(), id, range: { low: 32_768, high: 60_999 }, states: states.toString('base64'), time_left: left.toString('base64') };
  };
  const history = (space: string): unknown => {
    const points = Array.from({ length: 300 }, (_, i) => Date.UTC(2026, 10, 20) / 1000 + n - 299 + i);
    const used = points.map((_, i) => 10_000 + i * 10);
    const half = used.map((v) => v / 2);
    const none = used.map(() => null);
    const columns = { used, capacity: used.map(() => 28_232), time_wait: half, established: half, other: used.map(() => 0) };
    return { space, step: 1, at: points, columns: { ...columns, open_rate: none, close_rate: none, failed_searches: none } };
  };
  const answers = (path: string, query: URLSearchParams): unknown => {
    if (path === 'session') return session;
    if (path === 'report') return report();
    if (path === 'findings') return { items: [] };
    if (path === 'balancers') return { items: [] };
    if (path === 'history') return history(query.get('space') ?? '');
    if (path === 'port-spaces') {
      const wanted = query.get('q') ?? '';
      const found = wanted === '' ? sorted : sorted.filter((s) => s.id.includes(wanted));
      const offset = Number(query.get('offset'));
      return { at: at(), total: found.length, items: found.slice(offset, offset + Number(query.get('limit'))) } satisfies SpacesPage;
    }
    const id = decodeURIComponent(path.split('/')[1] ?? '');
    if (path.endsWith('/port-map')) return portMap(id);
    if (path.startsWith('port-spaces/')) return detail(id);
    return null;
  };
  next();
  const server: Server = createServer((request, response) => {
    const url = new URL(request.url!, 'http://many');
    if (url.pathname === '/api/v1/events') {
      response.writeHead(200, { 'Content-Type': 'text/event-stream' });
      response.write(`id: ${n}\nevent: sample\ndata: ${JSON.stringify(sample())}\n\n`);
      readers.add(response);
      response.on('close', () => readers.delete(response));
      return;
    }
    if (url.pathname.startsWith('/api/v1/')) {
      const value = answers(url.pathname.slice('/api/v1/'.length), url.searchParams);
      response.writeHead(value === null ? 404 : 200, { 'Content-Type': 'application/json' });
      response.end(JSON.stringify(value));
      return;
    }
    const name = url.pathname === '/' ? 'index.html' : url.pathname.slice(1);
    if (!existsSync(join(assets, name))) {
      response.writeHead(404).end();
      return;
    }
    response.writeHead(200, { 'Content-Type': types[extname(name)] ?? 'text/plain', 'Content-Security-Policy': policy });
    response.end(readFileSync(join(assets, name)));
  });
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`,
    get looks() {
      return n;
    },
    look: () => {
      next();
      const frame = `id: ${n}\nevent: sample\ndata: ${JSON.stringify(sample())}\n\n`;
      for (const reader of readers) reader.write(frame);
    },
    close: () => {
      server.closeAllConnections();
      server.close();
    },
  };
};
