/** The agent's API as functions. Whatever goes wrong is an `ApiTrouble` with words for the user. */
import {
  type BalancersPage,
  type Changed,
  type FindingsPage,
  type HistoryDocument,
  type PortMapDocument,
  type Problem,
  type Session,
  type SpaceDetail,
  type SpacesPage,
  WRITE_HEADER,
} from '../../wire/api.ts';
import type { ReportDocument } from '../../wire/report.ts';
import { token } from './token.ts';

/** `status` 0: nobody answered. */
export class ApiTrouble extends Error {
  readonly status: number;
  readonly code: string;
  readonly hint: string;

  constructor(status: number, code: string, title: string, hint: string) {
    super(title);
    this.status = status;
    this.code = code;
    this.hint = hint;
  }
}

/** A quick answer is a page of a few milliseconds; an agent that takes longer than this is not there. */
const PATIENCE = 15_000;

const isProblem = (value: unknown): value is Problem => typeof value === 'object' && value !== null && 'title' in value && 'code' in value;

const troubleOf = async (response: Response): Promise<ApiTrouble> => {
  const body: unknown = await response.json().catch(() => null);
  return isProblem(body)
    ? new ApiTrouble(response.status, body.code, body.title, body.hint)
    : new ApiTrouble(response.status, 'http', `The agent answered ${response.status}`, '');
};

export const authorization = (): Record<string, string> => {
  const t = token();
  return t === null ? {} : { Authorization: `Bearer ${t}` };
};

/** Addresses are relative: the page may stand behind a proxy's path. */
const ask = async <T>(path: string, init: RequestInit = {}): Promise<T> => {
  let response: Response;
  try {
    response = await fetch(`api/v1/${path}`, {
      ...init,
      headers: { Accept: 'application/json', ...authorization(), ...init.headers },
      cache: 'no-store',
      signal: init.signal ?? AbortSignal.timeout(PATIENCE),
    });
  } catch {
    throw new ApiTrouble(0, 'unreachable', 'The agent does not answer', 'Is plimsoll serve still running?');
  }
  if (!response.ok) throw await troubleOf(response);
  return (await response.json()) as T;
};

const change = <T>(method: string, path: string, body?: unknown): Promise<T> =>
  ask(path, {
    method,
    headers: { [WRITE_HEADER]: '1', ...(body === undefined ? {} : { 'Content-Type': 'application/json' }) },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });

const name = encodeURIComponent;

export interface SpacesQuery {
  readonly sort: string;
  readonly limit: number;
  readonly offset: number;
  readonly q: string;
}

export const api = {
  session: (): Promise<Session> => ask('session'),
  report: (): Promise<ReportDocument> => ask('report'),
  spaces: (query: SpacesQuery): Promise<SpacesPage> =>
    ask(
      `port-spaces?${new URLSearchParams({ sort: query.sort, limit: String(query.limit), offset: String(query.offset), ...(query.q === '' ? {} : { q: query.q }) })}`,
    ),
  space: (id: string): Promise<SpaceDetail> => ask(`port-spaces/${name(id)}`),
  portMap: (id: string): Promise<PortMapDocument> => ask(`port-spaces/${name(id)}/port-map`),
  /** `from` and `to` are seconds since 1970. */
  history: (space: string, from: number, to: number): Promise<HistoryDocument> =>
    ask(`history?${new URLSearchParams({ space, from: String(Math.floor(from)), to: String(Math.ceil(to)) })}`),
  findings: (state: 'open' | 'all'): Promise<FindingsPage> => ask(`findings?state=${state}`),
  balancers: (): Promise<BalancersPage> => ask('balancers'),
  setMultiplexing: (service: string, on: boolean): Promise<Changed> =>
    change('PATCH', `virtual-services/${name(service)}`, { connection_multiplexing: on }),
  administer: (pool: string, server: string, to: 'drain' | 'enable' | 'disable'): Promise<Changed> =>
    change('POST', `pools/${name(pool)}/servers/${name(server)}/${to}`),
  addSnatAddress: (pool: string, address: string): Promise<Changed> => change('POST', `snat-pools/${name(pool)}/addresses`, { address }),
} as const;
