/** What history keeps of a port space at one moment: eight numbers, NaN where there is none. */

import type { PortSpace } from '../../core/port-space.ts';
import { failuresOf } from '../../core/port-spaces.ts';
import type { Observation } from '../sampling/observer.ts';

export const COLUMNS = ['used', 'capacity', 'time_wait', 'established', 'other', 'open_rate', 'close_rate', 'failed_searches'] as const;
export type Column = (typeof COLUMNS)[number];
export const WIDTH = COLUMNS.length;

/** Where the columns are that are rates, and the one that counts; the others say how full the space was. */
export const OPEN_RATE = COLUMNS.indexOf('open_rate');
export const FAILED = COLUMNS.indexOf('failed_searches');

/** The id under which the spaces beyond the fullest are kept together. It is no port space's: those have slashes. */
export const REST = 'rest';

export interface Row {
  /** Whole seconds since 1970. */
  readonly at: number;
  readonly space: string;
  /** In the order of COLUMNS. */
  readonly values: ArrayLike<number>;
}

const valuesOf = (space: PortSpace, failed: number | null): Float32Array => {
  const s = space.byState;
  const other = s.syn_sent + s.fin_wait_1 + s.fin_wait_2 + s.close_wait + s.last_ack + s.closing + s.bound;
  return Float32Array.of(
    space.used,
    space.capacity,
    s.time_wait,
    s.established,
    other,
    space.openRate ?? Number.NaN,
    space.closeRate ?? Number.NaN,
    failed ?? Number.NaN,
  );
};

/** The rows of an observation: the `top` fullest spaces one each, the others added up as one without a capacity. */
export const rowsOf = (seen: Pick<Observation, 'takenAt' | 'measured' | 'failedSearches'>, top: number): readonly Row[] => {
  const at = Math.floor(seen.takenAt / 1000);
  const values = seen.measured.map(({ space, view }) =>
    valuesOf(space, seen.failedSearches === null ? null : failuresOf(space, view.sample.id, seen.failedSearches)),
  );
  const rows = values.slice(0, top).map((v, i) => ({ at, space: seen.measured[i]!.space.id, values: v }));
  if (values.length <= top) return rows;
  const rest = new Float32Array(WIDTH);
  for (const v of values.slice(top)) for (let c = 0; c < WIDTH; c++) rest[c]! += Number.isNaN(v[c]!) ? 0 : v[c]!;
  rest[1] = Number.NaN;
  return [...rows, { at, space: REST, values: rest }];
};
