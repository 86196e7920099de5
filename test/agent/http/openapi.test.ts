/** /openapi.json tells of every route, and every real answer is as it says; for a host that fills and a balancer that runs. */
import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { routes } from '../../../src/agent/http/routes.ts';
import { errorCodes } from '../../../src/core/errors.ts';
import { kernelTest, privileged } from '../../support/netns.ts';
import { until } from '../../support/poll.ts';
import { violations } from '../support/json-schema.ts';
import { ask, change, EventReader, type Serving } from '../support/serve.ts';
import { type Whole, wholeAgent } from '../support/whole.ts';

// biome-ignore lint/suspicious/noExplicitAny: a document from outside
type Document = any;
let whole: Whole;
let agent: Serving;
let document: Document;

beforeAll(async () => {
  if (!privileged) return;
  whole = await wholeAgent();
  agent = whole.agent;
  document = (await ask(agent, '/openapi.json')).json;
}, 120_000);
afterAll(() => whole?.stop());

const answerSchema = (path: string, method: string, status: number) => {
  const operation = document.paths[path][method];
  const response = operation.responses[String(status)] ?? operation.responses.default;
  return Object.values(response.content as Record<string, { schema: unknown }>)[0]!.schema;
};

kernelTest('every route is in the document, and nothing else; each operation has a name of its own', () => {
  const told = Object.entries(document.paths as Document).flatMap(([path, methods]) =>
    Object.keys(methods as object).map((method) => `${method} ${path}`),
  );
  const beside = ['get /api/v1/events', 'get /metrics', 'get /openapi.json'];
  expect(told.sort()).toEqual([...routes.map((r) => `${r.method} ${r.path}`), ...beside].sort());
  const ids = Object.values(document.paths as Document).flatMap((methods) =>
    Object.values(methods as Document).map((o) => (o as Document).operationId),
  );
  expect(new Set(ids).size).toBe(ids.length);
  expect(document.openapi).toBe('3.1.0');
});

test('docs/reference/api.md lists every route, and no other', () => {
  const page = readFileSync(new URL('../../../docs/reference/api.md', import.meta.url), 'utf8');
  const told = [...page.matchAll(/^\| `(GET|PATCH|POST) (\S+)` \|/gm)].map((m) => `${m[1]!.toLowerCase()} ${m[2]}`);
  expect(told.sort()).toEqual(
    [...routes.map((r) => `${r.method} ${r.path}`), 'get /api/v1/events', 'get /metrics', 'get /openapi.json'].sort(),
  );
});

kernelTest('every parameter of a path is declared, every reference leads somewhere, errors are the catalogue’s', () => {
  for (const [path, methods] of Object.entries(document.paths as Document))
    for (const operation of Object.values(methods as Document) as Document[]) {
      const names = [...path.matchAll(/\{(\w+)\}/g)].map((m) => m[1]);
      expect(operation.parameters.filter((p: Document) => p.in === 'path').map((p: Document) => p.name)).toEqual(names);
    }
  const references = [...JSON.stringify(document).matchAll(/"\$ref":"#([^"]+)"/g)].map((m) => m[1]!);
  for (const reference of references)
    expect([
      reference,
      reference
        .slice(1)
        .split('/')
        .reduce((node, key) => node?.[key], document),
    ]).toEqual([reference, expect.anything()]);
  expect(document.components.schemas.Problem.properties.code.enum).toEqual(errorCodes);
});

kernelTest('every answer of every route is as the document says, with the token and without', async () => {
  const space = encodeURIComponent(whole.filling.space);
  const asked: [method: 'get' | 'patch' | 'post', path: string, real: string, body?: unknown][] = [
    ['get', '/api/v1/session', '/api/v1/session'],
    ['get', '/api/v1/report', '/api/v1/report'],
    ['get', '/api/v1/port-spaces', '/api/v1/port-spaces?sort=seconds_left&limit=5&q=127'],
    ['get', '/api/v1/port-spaces/{id}', `/api/v1/port-spaces/${space}`],
    ['get', '/api/v1/port-spaces/{id}/port-map', `/api/v1/port-spaces/${space}/port-map`],
    ['get', '/api/v1/history', `/api/v1/history?space=${space}&from=-30&step=1`],
    ['get', '/api/v1/findings', '/api/v1/findings?state=all'],
    ['get', '/api/v1/alerts', '/api/v1/alerts'],
    ['get', '/api/v1/balancers', '/api/v1/balancers'],
    ['get', '/healthz', '/healthz'],
    ['get', '/readyz', '/readyz'],
    ['patch', '/api/v1/virtual-services/{name}', '/api/v1/virtual-services/web', { connection_multiplexing: true }],
    ['post', '/api/v1/pools/{pool}/servers/{server}/drain', '/api/v1/pools/web/servers/a/drain'],
    ['post', '/api/v1/pools/{pool}/servers/{server}/disable', '/api/v1/pools/web/servers/a/disable'],
    ['post', '/api/v1/pools/{pool}/servers/{server}/enable', '/api/v1/pools/web/servers/a/enable'],
    ['post', '/api/v1/snat-pools/{name}/addresses', '/api/v1/snat-pools/egress/addresses', { address: '127.0.0.9' }],
  ];
  expect(asked.map(([method, path]) => `${method} ${path}`).sort()).toEqual(routes.map((r) => `${r.method} ${r.path}`).sort());
  for (const [method, path, real, body] of asked) {
    const answers = [await change(agent, method.toUpperCase(), real, body), ...(method === 'get' ? [await ask(agent, real)] : [])];
    for (const answer of answers) {
      expect([real, answer.status, answer.text.slice(0, answer.status === 200 ? 0 : 500)]).toEqual([real, 200, '']);
      expect([real, violations(answerSchema(path, method, answer.status), answer.json, document)]).toEqual([real, []]);
    }
  }
});

kernelTest('every error is a problem as the document says', async () => {
  const answers = [
    await ask(agent, '/api/v1/nothing'),
    await ask(agent, '/api/v1/port-spaces/nothing'),
    await ask(agent, '/api/v1/port-spaces?limit=0'),
    await ask(agent, '/api/v1/report', { method: 'DELETE' }),
    await ask(agent, '/api/v1/report', { headers: { Host: 'evil.example' } }),
    await ask(agent, '/api/v1/virtual-services/web', { method: 'PATCH', body: {} }),
    await change(agent, 'PATCH', '/api/v1/virtual-services/none', { connection_multiplexing: true }),
    await change(agent, 'POST', '/api/v1/pools/web/servers/none/drain'),
    await change(agent, 'POST', '/api/v1/snat-pools/none/addresses', { address: '127.0.0.9' }),
    await change(agent, 'POST', '/api/v1/snat-pools/egress/addresses', { address: 'fe80::1' }),
    await change(agent, 'POST', '/api/v1/snat-pools/egress/addresses', { address: '192.0.2.77' }),
  ];
  for (const answer of answers) {
    expect(answer.headers['content-type']).toBe('application/problem+json');
    expect(violations(document.components.schemas.Problem, answer.json, document)).toEqual([]);
    expect(answer.json.status).toBe(answer.status);
  }
  expect(answers.map((a) => a.json.code)).toEqual([
    'http_not_found',
    'space_not_found',
    'http_bad_value',
    'http_method',
    'http_host',
    'http_token_missing',
    'not_configured',
    'not_configured',
    'not_configured',
    'not_settable',
    'not_settable',
  ]);
});

kernelTest('every event is as the document says', async () => {
  const schemas = document.paths['/api/v1/events'].get.responses['200'].content['text/event-stream']['x-events'];
  const reader = await EventReader.open(agent, { token: true });
  await change(agent, 'PATCH', '/api/v1/virtual-services/web', { connection_multiplexing: false });
  await until('a sample and a balancer event', () => reader.of('sample').length > 1 && reader.of('balancer').length > 0, 60_000);
  const stale = await EventReader.open(agent, { headers: { 'Last-Event-ID': 'another-run-1' } });
  await until('a reset', () => stale.of('reset').length > 0, 60_000);
  // What happened earlier is still known.
  const first = reader.events[0]!.id.replace(/\d+$/, '0');
  const all = await EventReader.open(agent, { query: `?since=${first}` });
  await until('a finding and an alert', () => all.of('finding').length > 0 && all.of('alert').length > 0, 60_000);
  for (const { event, data } of [...reader.events, ...stale.events, ...all.events])
    expect([event, violations(schemas[event], data, document)]).toEqual([event, []]);
  for (const r of [reader, stale, all]) r.close();
});

test('the check of this file sees what is wrong', () => {
  const schema = {
    type: 'object',
    properties: { a: { type: 'integer', minimum: 1 }, b: { enum: ['x'] } },
    required: ['a'],
    additionalProperties: false,
  };
  expect(violations(schema, { a: 1, b: 'x' }, {})).toEqual([]);
  for (const wrong of [{}, { a: 0 }, { a: 1.5 }, { a: 1, b: 'y' }, { a: 1, c: 1 }, []])
    expect(violations(schema, wrong, {})).not.toEqual([]);
  expect(violations({ unheardOf: 1 }, 1, {})).not.toEqual([]);
});
