/** The one place that binds hono to Node: our options for it, and the type of what it calls. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { type HttpBindings, getRequestListener as listenerOf } from '@hono/node-server';

export type FetchCallback = (request: Request, env: HttpBindings) => Promise<Response> | Response;

/** A request listener for node:http. The global Request and Response stay Node's own. */
export const getRequestListener = (fetch: FetchCallback): ((incoming: IncomingMessage, outgoing: ServerResponse) => void) => {
  const listener = listenerOf((request, env) => fetch(request, env as HttpBindings), { overrideGlobalObjects: false });
  return (incoming, outgoing) => void listener(incoming, outgoing);
};
