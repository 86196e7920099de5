/** OpenAPI 3.1 of the API, from the table of routes and the schemas that validate. */
import { z } from 'zod';
import type { ErrorCode } from '../../core/errors.ts';
import {
  alertSchema,
  balancerEventSchema,
  findingLifeSchema,
  problemSchema,
  resetEventSchema,
  sampleEventSchema,
} from '../../wire/api-schema.ts';
import { type Route, routes } from './routes.ts';

type Json = { readonly [key: string]: unknown };

/** A schema as a component or in place: without the keys that only a whole document has. */
const json = (schema: z.ZodType, io: 'input' | 'output' = 'output'): Json => {
  const {
    $schema: _version,
    '~standard': _standard,
    ...rest
  } = z.toJSONSchema(schema, { io, target: 'draft-2020-12' }) as Record<string, unknown>;
  return rest;
};

const parameters = (schema: z.ZodObject | null, where: 'path' | 'query'): readonly Json[] =>
  schema === null
    ? []
    : Object.entries(schema.shape).map(([name, field]) => {
        const { description, ...rest } = json(field as z.ZodType, 'output');
        return {
          name,
          in: where,
          required: where === 'path',
          ...(description === undefined ? {} : { description }),
          schema: rest,
        };
      });

const problem = (description: string): Json => ({
  description,
  content: { 'application/problem+json': { schema: { $ref: '#/components/schemas/Problem' } } },
});

const security = { read: [{}, { token: [] }], write: [{ token: [] }], open: [] } as const;

const writeParameter: Json = {
  name: 'X-Plimsoll',
  in: 'header',
  required: true,
  description: 'proves that no other site’s page made the request',
  schema: { const: '1' },
};

const operation = (route: Route): Json => {
  const writes = route.access === 'write';
  const answer = { content: { 'application/json': { schema: json(route.answer) } } };
  return {
    operationId: route.id,
    summary: route.summary,
    security: security[route.access],
    parameters: [...parameters(route.params, 'path'), ...parameters(route.query, 'query'), ...(writes ? [writeParameter] : [])],
    ...(route.body === null
      ? {}
      : { requestBody: { required: true, content: { 'application/json': { schema: json(route.body, 'input') } } } }),
    responses: {
      '200': { description: 'what was asked for', ...answer },
      ...Object.fromEntries(route.also.map((status) => [String(status), { description: 'the same, and it is not well', ...answer }])),
      default: problem('what went wrong, by its code in docs/errors.md'),
    },
  };
};

const events: Json = {
  get: {
    operationId: 'followEvents',
    summary: 'Everything as it happens: server-sent events',
    description:
      'Each event has an id. Who comes back with Last-Event-ID (or ?since=) is given what it missed, or the event "reset" where that is not known any more. A comment is sent every 15 s. A reader that does not take what it is sent is cut off.',
    security: security.read,
    parameters: [
      { name: 'Last-Event-ID', in: 'header', required: false, schema: { type: 'string' } },
      { name: 'since', in: 'query', required: false, description: 'as Last-Event-ID', schema: { type: 'string' } },
    ],
    responses: {
      '200': {
        description: 'event is one of sample, finding, balancer, alert, reset; data is JSON',
        content: {
          'text/event-stream': {
            schema: { type: 'string' },
            'x-events': {
              sample: json(sampleEventSchema),
              finding: json(findingLifeSchema),
              balancer: json(balancerEventSchema),
              alert: json(alertSchema),
              reset: json(resetEventSchema),
            },
          },
        },
      },
      default: problem('what went wrong'),
    },
  },
};

const text = (summary: string, id: string, type: string): Json => ({
  get: {
    operationId: id,
    summary,
    security: security.read,
    parameters: [],
    responses: {
      '200': { description: summary, content: { [type]: { schema: { type: type === 'application/json' ? 'object' : 'string' } } } },
      default: problem('what went wrong'),
    },
  },
});

/** The document at /openapi.json. */
export const openApi = (version: string, codes: readonly ErrorCode[]): Json => {
  const paths: Record<string, Record<string, unknown>> = {};
  for (const route of routes) {
    const path = paths[route.path] ?? {};
    path[route.method] = operation(route);
    paths[route.path] = path;
  }
  return {
    openapi: '3.1.0',
    info: {
      title: 'Plimsoll agent',
      version,
      description: 'How close the port spaces of a host are to running out. Rates are per second, times seconds, sizes bytes.',
      license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
    },
    paths: {
      ...paths,
      '/api/v1/events': events,
      '/metrics': text('Metrics for Prometheus', 'getMetrics', 'text/plain'),
      '/openapi.json': text('This document', 'getOpenApi', 'application/json'),
    },
    components: {
      schemas: {
        Problem: { ...json(problemSchema), properties: { ...(json(problemSchema)['properties'] as Json), code: { enum: codes } } },
      },
      securitySchemes: { token: { type: 'http', scheme: 'bearer', description: 'printed at the start, or in the token file' } },
    },
  };
};
