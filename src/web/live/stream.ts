/** The agent's events for as long as the page is open: read, resumed by id, taken up again after whatever broke. */
import { effect, signal } from '@preact/signals';
import type { AgentEvents, AgentEventType } from '../../wire/api.ts';
import { ApiTrouble, authorization } from './api.ts';
import { backoff } from './backoff.ts';
import { EventReader } from './sse.ts';

export type Link =
  | { readonly state: 'connecting' }
  | { readonly state: 'live' }
  /** The next attempt comes at `until`, in milliseconds of Date.now(). */
  | { readonly state: 'waiting'; readonly attempt: number; readonly until: number }
  /** The agent wants a token, or another one. */
  | { readonly state: 'denied' };

export const link = signal<Link>({ state: 'connecting' });

/** Silence after which the agent is taken to be gone although nobody said so: a host that lost its power sends no FIN. */
const SILENCE = 30_000;

export interface Handlers {
  /** Once per connection, before its events: reads what the events only change. */
  readonly connected: () => Promise<void>;
  readonly on: { readonly [T in AgentEventType]?: (data: AgentEvents[T]) => void };
}

let wake: (() => void) | null = null;

/** Does not wait any longer. */
export const reconnectNow = (): void => wake?.();

const pause = (ms: number): Promise<void> =>
  new Promise((done) => {
    const timer = setTimeout(done, ms);
    wake = () => {
      clearTimeout(timer);
      done();
    };
  });

/** Reads one connection to its end; the id to resume by, and whether anything came. */
const readOnce = async (
  since: string,
  handlers: Handlers,
  restart: AbortSignal,
): Promise<{ readonly id: string; readonly came: boolean }> => {
  const controller = new AbortController();
  const stop = (): void => controller.abort();
  restart.addEventListener('abort', stop, { once: true });
  let watchdog = setTimeout(stop, SILENCE);
  const events = new EventReader();
  events.lastId = since;
  let came = false;
  try {
    const response = await fetch('api/v1/events', {
      headers: { Accept: 'text/event-stream', ...authorization(), ...(since === '' ? {} : { 'Last-Event-ID': since }) },
      cache: 'no-store',
      signal: controller.signal,
    });
    if (response.status === 401 || response.status === 403) throw new ApiTrouble(response.status, 'denied', 'The agent wants a token', '');
    if (!response.ok || response.body === null) return { id: since, came };
    await handlers.connected();
    link.value = { state: 'live' };
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return { id: events.lastId, came };
      clearTimeout(watchdog);
      watchdog = setTimeout(stop, SILENCE);
      for (const event of events.push(value)) {
        came = true;
        const handler = handlers.on[event.type as AgentEventType] as ((data: unknown) => void) | undefined;
        handler?.(JSON.parse(event.data));
      }
    }
  } catch (error) {
    if (error instanceof ApiTrouble && error.status !== 0) throw error;
    return { id: events.lastId, came };
  } finally {
    clearTimeout(watchdog);
    restart.removeEventListener('abort', stop);
    controller.abort();
  }
};

/** Follows the agent until the page goes. `tokens` counts the tokens given: each makes it try anew. */
export const follow = async (handlers: Handlers, tokens: { readonly value: number }): Promise<never> => {
  let id = '';
  let attempt = 0;
  for (;;) {
    const restart = new AbortController();
    const began = tokens.value;
    const dispose = effect(() => {
      if (tokens.value !== began) restart.abort();
    });
    try {
      const outcome = await readOnce(id, handlers, restart.signal);
      id = outcome.id;
      if (outcome.came) attempt = 0;
      if (!restart.signal.aborted) {
        const wait = backoff(attempt++, Math.random());
        link.value = { state: 'waiting', attempt, until: Date.now() + wait };
        await pause(wait);
      }
    } catch (error) {
      if (!(error instanceof ApiTrouble)) throw error;
      if (error.status === 401 || error.status === 403) {
        link.value = { state: 'denied' };
        await new Promise<void>((given) => {
          restart.signal.addEventListener('abort', () => given(), { once: true });
          if (restart.signal.aborted) given();
        });
      } else {
        // It answered with an error of its own; it may get over it.
        const wait = backoff(attempt++, Math.random());
        link.value = { state: 'waiting', attempt, until: Date.now() + wait };
        await pause(wait);
      }
    } finally {
      dispose();
    }
  }
};
