/**
 * The agent's HTTP side as one application: every request passes the same gate, then a route of the table, the event stream, the
 * metrics, or a file of the dashboard answers it. Every error is the catalogue's.
 */
import type { HttpBindings } from '@hono/node-server';
import { RESPONSE_ALREADY_SENT } from '@hono/node-server/utils/response';
import { type Context, Hono } from 'hono';
import type { z } from 'zod';
import { errorCodes, PlimsollError } from '../../core/errors.ts';
import type { AgentView } from '../view.ts';
import { type Access, type Granted, type Peer, writeHeader } from './access.ts';
import type { Asset } from './assets.ts';
import { LookDocuments } from './documents.ts';
import { openApi } from './openapi.ts';
import { asPlimsollError, problemOf } from './problem.ts';
import { type Route, routes } from './routes.ts';
import type { Readers } from './stream.ts';

export interface AppOptions {
  readonly view: AgentView;
  readonly access: Access;
  readonly readers: Readers;
  readonly assets: ReadonlyMap<string, Asset>;
  /** The text of /metrics. */
  readonly metrics: () => string;
  readonly peerOf: (incoming: HttpBindings['incoming']) => Peer;
  /** Told of every answer, and of what broke in us. */
  readonly onAnswer: (status: number) => void;
  readonly onBug: (error: PlimsollError) => void;
}

type Env = { Bindings: HttpBindings; Variables: { granted: Granted } };
type C = Context<Env>;

/** Most bytes of a request's body: the longest that is taken has a hundred. */
const LONGEST_BODY = 4096;

/** What a page of the dashboard may do: run its own scripts, ask its own agent, nothing else. */
const CONTENT_SECURITY_POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self' data:",
  "connect-src 'self'",
  "manifest-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ');

const always: readonly (readonly [string, string])[] = [
  ['Content-Security-Policy', CONTENT_SECURITY_POLICY],
  ['X-Content-Type-Options', 'nosniff'],
  ['X-Frame-Options', 'DENY'],
  ['Referrer-Policy', 'no-referrer'],
  ['Cross-Origin-Opener-Policy', 'same-origin'],
  ['Cross-Origin-Resource-Policy', 'same-origin'],
  ['Permissions-Policy', 'camera=(), geolocation=(), microphone=()'],
];

/** `/port-spaces/{id}` as the router wants it. */
const pattern = (path: string): string => path.replace(/\{(\w+)\}/g, ':$1');

/** Reads what a schema wants, or throws http_bad_value with the first thing that is wrong. */
const parse = <T>(schema: z.ZodType<T>, where: string, value: unknown): T => {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw new PlimsollError('http_bad_value', { where, name: issue!.path.join('.') || '(all of it)', reason: issue!.message });
};

const readBody = async (c: C): Promise<unknown> => {
  const type = c.req.header('content-type') ?? '';
  if (!/^application\/json\s*(;|$)/i.test(type)) throw new PlimsollError('http_media_type', { type: type.slice(0, 100) });
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of c.env.incoming as AsyncIterable<Buffer>) {
    length += chunk.length;
    if (length > LONGEST_BODY) throw new PlimsollError('http_too_large', { most: LONGEST_BODY });
    chunks.push(chunk);
  }
  try {
    return JSON.parse(Buffer.concat(chunks).toString('utf8')) as unknown;
  } catch (cause) {
    throw new PlimsollError('http_bad_json', { reason: (cause as Error).message.slice(0, 200) }, { cause });
  }
};

const jsonResponse = (text: string, status: number): Response =>
  new Response(text, { status, headers: { 'Content-Type': 'application/json; charset=utf-8', 'Cache-Control': 'no-store' } });

const assetResponse = (c: C, asset: Asset): Response => {
  const headers: Record<string, string> = {
    'Content-Type': asset.type,
    ETag: asset.etag,
    'Cache-Control': asset.immutable ? 'public, max-age=31536000, immutable' : 'no-cache',
    Vary: 'Accept-Encoding',
  };
  if (c.req.header('if-none-match') === asset.etag) return new Response(null, { status: 304, headers });
  const zipped = asset.zipped !== null && /\bgzip\b/.test(c.req.header('accept-encoding') ?? '') ? asset.zipped : null;
  if (zipped !== null) headers['Content-Encoding'] = 'gzip';
  return new Response(new Uint8Array(zipped ?? asset.bytes), { headers });
};

/** The application; its `fetch` is what a server calls. */
export const agentApp = (options: AppOptions): Hono<Env> => {
  const { view, access, readers, assets } = options;
  const app = new Hono<Env>();
  let documents: LookDocuments | null = null;
  const latest = (): LookDocuments => {
    const look = view.latest();
    if (look === null) throw new PlimsollError('agent_starting');
    if (documents === null || documents.look !== look) documents = new LookDocuments(look);
    return documents;
  };

  app.use(async (c, next) => {
    await next();
    if (c.res.headers.has('x-hono-already-sent')) return;
    for (const [name, value] of always) c.res.headers.set(name, value);
    options.onAnswer(c.res.status);
  });
  app.use(async (c, next) => {
    const peer = options.peerOf(c.env.incoming);
    // Following a link from another site to the dashboard is no request of that site: the page is the same for everybody.
    const opens = c.req.method === 'GET' && c.req.header('sec-fetch-dest') === 'document' && assets.has(c.req.path);
    const site = opens ? undefined : c.req.header('sec-fetch-site');
    access.admit(peer, { host: c.req.header('host'), origin: c.req.header('origin'), site });
    const granted = access.grant(peer, c.req.header('authorization'));
    access.limit(peer, granted);
    if (Number(c.req.header('content-length') ?? 0) > LONGEST_BODY) throw new PlimsollError('http_too_large', { most: LONGEST_BODY });
    c.set('granted', granted);
    await next();
  });

  const answer = async (c: C, route: Route): Promise<Response> => {
    const granted = c.get('granted');
    access.require(route.access, granted, c.req.header(writeHeader));
    const asked = {
      view,
      documents: latest,
      named: granted.full,
      writes: granted.full,
      params: route.params === null ? {} : parse(route.params, 'path', c.req.param()),
      query: route.query === null ? {} : parse(route.query, 'query', c.req.query()),
      body: route.body === null ? null : parse(route.body, 'body', await readBody(c)),
    };
    const { status, json, value } = await route.handle(asked as never);
    return jsonResponse(json ?? JSON.stringify(value), status ?? 200);
  };
  for (const route of routes) app.on(route.method.toUpperCase(), pattern(route.path), (c) => answer(c, route));

  app.get('/api/v1/events', (c) => {
    const granted = c.get('granted');
    access.require('read', granted, undefined);
    const { outgoing } = c.env;
    for (const [name, value] of always) outgoing.setHeader(name, value);
    outgoing.setHeader('Cache-Control', 'no-store');
    readers.attach(outgoing, c.req.header('last-event-id') ?? c.req.query('since') ?? null, granted.full);
    options.onAnswer(200);
    return RESPONSE_ALREADY_SENT;
  });
  app.get('/metrics', (c) => {
    access.require('read', c.get('granted'), undefined);
    return new Response(options.metrics(), {
      headers: { 'Content-Type': 'text/plain; version=0.0.4; charset=utf-8', 'Cache-Control': 'no-store' },
    });
  });
  let described: string | null = null;
  app.get('/openapi.json', (c) => {
    access.require('read', c.get('granted'), undefined);
    described ??= JSON.stringify(openApi(view.version, errorCodes));
    return jsonResponse(described, 200);
  });
  app.all('*', (c) => {
    const { path, method } = c.req;
    const asset = assets.get(path);
    const reads = method === 'GET' || method === 'HEAD';
    if (asset !== undefined && reads) return assetResponse(c, asset);
    const taken = app.routes.filter((r) => r.method !== 'ALL' && matches(r.path, path)).map((r) => r.method);
    if (asset !== undefined) taken.push('GET');
    if (taken.length === 0) throw new PlimsollError('http_not_found', { path: path.slice(0, 200) });
    throw new PlimsollError('http_method', { path: path.slice(0, 200), method, allowed: [...new Set(taken)].join(', ') });
  });

  app.onError((error, c) => {
    const known = asPlimsollError(error);
    if (known.code === 'internal') options.onBug(known);
    const problem = problemOf(known);
    const headers: Record<string, string> = { 'Content-Type': 'application/problem+json', 'Cache-Control': 'no-store' };
    if (problem.status === 401) headers['WWW-Authenticate'] = 'Bearer realm="plimsoll"';
    if (problem.status === 429 || problem.status === 503) headers['Retry-After'] = String(known.facts['seconds'] ?? 1);
    if (known.code === 'http_method') headers['Allow'] = String(known.facts['allowed']);
    // What is left of a body that nobody read would be taken for the next request.
    if (known.code === 'http_too_large') headers['Connection'] = 'close';
    return c.body(JSON.stringify(problem), problem.status as 400, headers);
  });

  return app;
};

const matches = (route: string, path: string): boolean => {
  const expected = route.split('/');
  const given = path.split('/');
  return expected.length === given.length && expected.every((part, i) => part.startsWith(':') || part === given[i]);
};
