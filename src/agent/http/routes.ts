/** Every route of the API in one table: what it takes, what it answers, what it needs. /openapi.json is written from it. */
import { z } from 'zod';
import { PlimsollError } from '../../core/errors.ts';
import {
  alertsPageSchema,
  balancersPageSchema,
  changedSchema,
  findingsPageSchema,
  historySchema,
  multiplexingChangeSchema,
  portMapSchema,
  readinessSchema,
  sessionSchema,
  snatAddressSchema,
  spaceDetailSchema,
  spacesPageSchema,
} from '../../wire/api-schema.ts';
import { reportSchema } from '../../wire/report-schema.ts';
import type { AgentView, BalancerChange } from '../view.ts';
import type { LookDocuments } from './documents.ts';

/** What a handler knows of the request. */
export interface Asked<Params, Query, Body> {
  readonly view: AgentView;
  /** Of the newest look. Throws agent_starting. */
  readonly documents: () => LookDocuments;
  /** Whether process names may be told. */
  readonly named: boolean;
  readonly writes: boolean;
  readonly params: Params;
  readonly query: Query;
  readonly body: Body;
}

export interface Route {
  readonly method: 'get' | 'patch' | 'post';
  /** As OpenAPI writes it: `/pools/{pool}`. */
  readonly path: string;
  readonly id: string;
  readonly summary: string;
  readonly params: z.ZodObject | null;
  readonly query: z.ZodObject | null;
  readonly body: z.ZodType | null;
  readonly answer: z.ZodType;
  /** Status of the usual answer, and of the one that `otherStatus` picks. */
  readonly also: readonly number[];
  /** A write changes something; an open route answers without the token wherever the agent listens. */
  readonly access: 'read' | 'write' | 'open';
  /** The answer's value, or its JSON where that is at hand. */
  readonly handle: (asked: Asked<never, never, never>) => Promise<Answer> | Answer;
}

export interface Answer {
  readonly status?: number;
  readonly value?: unknown;
  readonly json?: string;
}

const none = z.object({});
type None = z.infer<typeof none>;

interface Definition<P extends z.ZodObject, Q extends z.ZodObject, B extends z.ZodType> {
  readonly id: string;
  readonly summary: string;
  readonly params?: P;
  readonly query?: Q;
  readonly body?: B;
  readonly answer: z.ZodType;
  readonly also?: readonly number[];
  readonly access?: Route['access'];
  readonly handle: (asked: Asked<z.infer<P>, z.infer<Q>, z.infer<B>>) => Promise<Answer> | Answer;
}

const route = <P extends z.ZodObject = z.ZodObject<None>, Q extends z.ZodObject = z.ZodObject<None>, B extends z.ZodType = z.ZodNull>(
  method: Route['method'],
  path: string,
  d: Definition<P, Q, B>,
): Route => ({
  method,
  path,
  id: d.id,
  summary: d.summary,
  params: d.params ?? null,
  query: d.query ?? null,
  body: d.body ?? null,
  answer: d.answer,
  also: d.also ?? [],
  access: d.access ?? (method === 'get' ? 'read' : 'write'),
  handle: d.handle as Route['handle'],
});

const name = z.string().min(1).max(255);
/** A whole number as it stands in a query string. */
const whole = (low: number, high: number, fallback: number) => z.coerce.number().int().min(low).max(high).default(fallback);
/** Seconds since 1970, or before now where negative. */
const moment = z.coerce.number().min(-1e9).max(1e11);

const spaceId = z.object({ id: z.string().min(1).max(1000).describe('the id of a port space, percent-encoded') });

/** Seconds of history given when nobody says how much. */
const HISTORY_SPAN = 3600;

/** The balancer's state after a change, so that nobody has to ask again. */
const changed = async (view: AgentView, change: BalancerChange): Promise<Answer> => {
  await view.balancer.change(change);
  return { value: { changed: true, state: await view.balancer.state() } };
};

const administration = (word: 'drain' | 'enable' | 'disable', to: 'draining' | 'enabled' | 'disabled', summary: string): Route =>
  route('post', `/api/v1/pools/{pool}/servers/{server}/${word}`, {
    id: `${word}Server`,
    summary,
    params: z.object({ pool: name, server: name }),
    answer: changedSchema,
    handle: ({ view, params }) => changed(view, { change: 'administer', pool: params.pool, server: params.server, to }),
  });

export const routes: readonly Route[] = [
  route('get', '/api/v1/session', {
    id: 'getSession',
    summary: 'Whether the token was right, and who answers',
    answer: sessionSchema,
    handle: ({ view, named, writes }) => ({ value: { authenticated: named, writes, version: view.version, host: view.host } }),
  }),
  route('get', '/api/v1/report', {
    id: 'getReport',
    summary: 'The doctor’s verdict now: plimsoll.report/1',
    answer: reportSchema,
    handle: ({ documents, named }) => ({ json: documents().report(named) }),
  }),
  route('get', '/api/v1/port-spaces', {
    id: 'listPortSpaces',
    summary: 'Every port space, a page at a time',
    query: z.object({
      sort: z.enum(['used_ratio', 'used', 'open_rate', 'seconds_left', 'id']).default('used_ratio'),
      limit: whole(1, 10_000, 100),
      offset: whole(0, 1_000_000, 0),
      q: z.string().max(200).default('').describe('only those whose id or label contains this'),
    }),
    answer: spacesPageSchema,
    handle: ({ documents, query, named }) => ({ value: documents().spaces(query, named) }),
  }),
  route('get', '/api/v1/port-spaces/{id}', {
    id: 'getPortSpace',
    summary: 'One port space with its findings, its remedies, and what a forecast under changes starts from',
    params: spaceId,
    answer: spaceDetailSchema,
    handle: ({ documents, params, named }) => ({ value: documents().space(params.id, named) }),
  }),
  route('get', '/api/v1/port-spaces/{id}/port-map', {
    id: 'getPortMap',
    summary: 'What each of the 65,536 ports is to a port space',
    params: spaceId,
    answer: portMapSchema,
    handle: ({ documents, params }) => ({ value: documents().portMap(params.id) }),
  }),
  route('get', '/api/v1/history', {
    id: 'getHistory',
    summary: 'How a port space was: columns over time',
    query: z.object({
      space: z.string().min(1).max(1000),
      from: moment.optional().describe('seconds since 1970, or before now where negative; an hour ago if not given'),
      to: moment.optional().describe('as from; now if not given'),
      step: z.coerce.number().min(1).max(86_400).optional().describe('seconds between entries; what suits the stretch if not given'),
    }),
    answer: historySchema,
    handle: ({ view, query }) => {
      const now = Date.now() / 1000;
      const absolute = (given: number | undefined, fallback: number): number =>
        given === undefined ? fallback : given <= 0 ? now + given : given;
      const from = absolute(query.from, now - HISTORY_SPAN);
      const to = absolute(query.to, now);
      if (to < from) throw new PlimsollError('http_bad_value', { where: 'query', name: 'to', reason: 'it lies before from' });
      return { value: view.history({ space: query.space, from, to, step: query.step ?? null }) };
    },
  }),
  route('get', '/api/v1/findings', {
    id: 'listFindings',
    summary: 'Findings with their life: opened, changed, closed',
    query: z.object({ state: z.enum(['open', 'closed', 'all']).default('open') }),
    answer: findingsPageSchema,
    handle: ({ view, query }) => ({ value: { items: view.findings(query.state) } }),
  }),
  route('get', '/api/v1/alerts', {
    id: 'listAlerts',
    summary: 'Alerts that are raised and not cleared',
    answer: alertsPageSchema,
    handle: ({ view }) => ({ value: { items: view.alerts() } }),
  }),
  route('get', '/api/v1/balancers', {
    id: 'listBalancers',
    summary: 'The state of the load balancer on this host: plimsoll.balancer/1; no item where none runs',
    answer: balancersPageSchema,
    handle: async ({ view }) => {
      try {
        return { value: { items: [{ socket: view.balancer.socket, state: await view.balancer.state() }] } };
      } catch (error) {
        if (error instanceof PlimsollError && (error.code === 'not_running' || error.code === 'socket_denied'))
          return { value: { items: [] } };
        throw error;
      }
    },
  }),
  route('patch', '/api/v1/virtual-services/{name}', {
    id: 'setVirtualService',
    summary: 'Turn connection multiplexing on or off, until the balancer’s next reload',
    params: z.object({ name }),
    body: multiplexingChangeSchema,
    answer: changedSchema,
    handle: ({ view, params, body }) =>
      changed(view, { change: 'multiplexing', virtualService: params.name, on: body.connection_multiplexing }),
  }),
  administration('drain', 'draining', 'Send a server no new clients'),
  administration('enable', 'enabled', 'Use a server again'),
  administration('disable', 'disabled', 'Take a server out of use'),
  route('post', '/api/v1/snat-pools/{name}/addresses', {
    id: 'addSnatAddress',
    summary: 'Give a SNAT pool one more source address, until the balancer’s next reload',
    params: z.object({ name }),
    body: snatAddressSchema,
    answer: changedSchema,
    handle: ({ view, params, body }) => changed(view, { change: 'add_snat_address', snatPool: params.name, address: body.address }),
  }),
  route('get', '/healthz', {
    id: 'getHealth',
    summary: 'Whether the process answers',
    answer: z.object({ status: z.literal('ok') }),
    access: 'open',
    handle: () => ({ value: { status: 'ok' } }),
  }),
  route('get', '/readyz', {
    id: 'getReadiness',
    summary: 'Whether it looks at this host as it should; 503 with the reasons where not',
    answer: readinessSchema,
    also: [503],
    access: 'open',
    handle: ({ view }) => {
      const health = view.health();
      return { status: health.ready ? 200 : 503, value: health };
    },
  }),
];
