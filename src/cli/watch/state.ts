/** What is on the screen and why: everything that keys and looks at the host change. Pure. */
import type { Diagnosis } from '../../core/diagnosis.ts';
import { nameOf } from '../../core/finding/of-space.ts';
import type { PortSpace } from '../../core/port-space.ts';
import type { MeasuredSpace } from '../../core/port-spaces.ts';
import { safe, width } from '../terminal.ts';
import type { Key } from './keys.ts';
import { type Arrangement, arrange, ORDERS } from './rows.ts';

/** One look at the host: what the Observer gives, as far as it is shown. */
export interface Seen {
  /** Milliseconds since the epoch. */
  readonly takenAt: number;
  readonly diagnosis: Diagnosis;
  readonly measured: readonly MeasuredSpace[];
  /** Seconds between looks now, if they are taken less often than asked for. */
  readonly slowedTo: number | null;
}

/** Looks whose use is kept for the trend of each space. */
export const TREND_LENGTH = 60;

/** The names' column is never narrower than its head. */
const SHORTEST_NAME = 22;

export interface WatchState {
  readonly page: 'list' | 'space' | 'help';
  readonly arrangement: Arrangement;
  /** The filter is being typed. */
  readonly typing: boolean;
  /** Id of the port space the cursor is on; null: the first. */
  readonly selected: string | null;
  /** First line shown of a page that is longer than the screen. */
  readonly scroll: number;
  readonly paused: boolean;
  /** Null until the first look. */
  readonly seen: Seen | null;
  /** All port spaces seen, the top of them with their owners. */
  readonly spaces: readonly PortSpace[];
  /** Columns of the longest of their names. */
  readonly nameWidth: number;
  /** Used ports of each space at the last looks, the newest last. */
  readonly trends: ReadonlyMap<string, readonly number[]>;
}

export const initialState: WatchState = {
  page: 'list',
  arrangement: { order: 'urgent', reversed: false, filter: '' },
  typing: false,
  selected: null,
  scroll: 0,
  paused: false,
  seen: null,
  spaces: [],
  nameWidth: 0,
  trends: new Map(),
};

/** What a key asks of the program itself. */
export type Wish = 'quit' | 'interrupt' | 'suspend' | 'redraw';

/** The port spaces in the list, in its order. */
export const listed = (state: WatchState): readonly PortSpace[] => arrange(state.spaces, state.arrangement);

/** Where the cursor is in `rows`; −1 without rows. A space that is gone leaves it on the first. */
export const cursorIn = (state: WatchState, rows: readonly PortSpace[]): number =>
  rows.length === 0
    ? -1
    : Math.max(
        0,
        rows.findIndex((s) => s.id === state.selected),
      );

/** The state after a look. */
export const look = (state: WatchState, seen: Seen): WatchState => {
  const withOwners = new Map(seen.diagnosis.spaces.map((s) => [s.id, s]));
  const spaces = seen.measured.map((m) => withOwners.get(m.space.id) ?? m.space);
  const trends = new Map(spaces.map((s) => [s.id, [...(state.trends.get(s.id) ?? []).slice(1 - TREND_LENGTH), s.used]]));
  const nameWidth = Math.max(SHORTEST_NAME, ...spaces.map((s) => width(safe(nameOf(s)))));
  return { ...state, seen, spaces, trends, nameWidth };
};

/** `state` some seconds after its look: what runs out counts down meanwhile. */
export const aged = (state: WatchState, seconds: number): WatchState => {
  if (state.paused || seconds <= 0) return state;
  const older = (s: PortSpace): PortSpace => {
    const f = s.forecast;
    if (f.kind !== 'exhausts') return s;
    const less = (t: number): number => Math.max(0, t - seconds);
    const secondsHigh = f.secondsHigh === null ? null : less(f.secondsHigh);
    return { ...s, forecast: { ...f, seconds: less(f.seconds), secondsLow: less(f.secondsLow), secondsHigh } };
  };
  return { ...state, spaces: state.spaces.map(older) };
};

/** Whether a look is so old that its age matters. Times are milliseconds since the epoch, `interval` is seconds. */
export const isLate = (seen: Seen, now: number, interval: number): boolean =>
  now - seen.takenAt > 2500 * Math.max(1, seen.slowedTo ?? interval);

/** Whether the picture changes with the time alone. */
export const movesAt = (state: WatchState, now: number, interval: number): boolean =>
  state.seen !== null && (state.paused || isLate(state.seen, now, interval) || state.spaces.some((s) => s.forecast.kind === 'exhausts'));

const arranged = (state: WatchState, change: Partial<Arrangement>): WatchState => ({
  ...state,
  arrangement: { ...state.arrangement, ...change },
});

const typed = (state: WatchState, key: Key): WatchState => {
  const { filter } = state.arrangement;
  if (typeof key === 'object') return arranged(state, { filter: filter + key.letter });
  if (key === 'backspace') return arranged(state, { filter: Array.from(filter).slice(0, -1).join('') });
  if (key === 'ctrl-u') return arranged(state, { filter: '' });
  if (key === 'enter') return { ...state, typing: false };
  if (key === 'escape') return { ...arranged(state, { filter: '' }), typing: false };
  return state;
};

/** Movement keys, in lines; `page` is the lines of the screen that move. */
const steps = (key: Key, page: number): number | null => {
  const letter = typeof key === 'object' ? key.letter : key;
  switch (letter) {
    case 'up':
    case 'k':
      return -1;
    case 'down':
    case 'j':
      return 1;
    case 'page-up':
      return -page;
    case 'page-down':
      return page;
    case 'home':
    case 'g':
      return Number.NEGATIVE_INFINITY;
    case 'end':
    case 'G':
      return Number.POSITIVE_INFINITY;
    default:
      return null;
  }
};

const moved = (state: WatchState, by: number): WatchState => {
  if (state.page !== 'list') return { ...state, scroll: Math.min(Number.MAX_SAFE_INTEGER, Math.max(0, state.scroll + by)) };
  const rows = listed(state);
  const to = Math.min(rows.length - 1, Math.max(0, cursorIn(state, rows) + by));
  return { ...state, selected: rows[to]?.id ?? null };
};

const back = (state: WatchState): WatchState => {
  if (state.page !== 'list') return { ...state, page: 'list', scroll: 0 };
  return arranged(state, { filter: '' });
};

/** The state after a key, or what the key asks of the program. `page` is how many lines page-up and page-down move. */
export const press = (state: WatchState, key: Key, page: number): WatchState | Wish => {
  if (key === 'ctrl-c') return 'interrupt';
  if (key === 'ctrl-z') return 'suspend';
  if (key === 'ctrl-l') return 'redraw';
  const move = steps(key, page);
  if (state.typing && (typeof key === 'object' || move === null)) return typed(state, key);
  if (move !== null) return moved(state, move);
  switch (typeof key === 'object' ? key.letter : key) {
    case 'q':
      return 'quit';
    case 'enter':
    case 'right':
    case 'l': {
      if (state.page !== 'list') return state;
      const rows = listed(state);
      const space = rows[cursorIn(state, rows)];
      return space === undefined ? state : { ...state, page: 'space', selected: space.id, scroll: 0 };
    }
    case 'escape':
    case 'left':
    case 'h':
    case 'backspace':
      return back(state);
    case 's': {
      const { order } = state.arrangement;
      return arranged(state, { order: ORDERS[(ORDERS.indexOf(order) + 1) % ORDERS.length]!, reversed: false });
    }
    case 'r':
      return arranged(state, { reversed: !state.arrangement.reversed });
    case '/':
      return { ...state, page: 'list', scroll: 0, typing: true };
    case 'p':
    case ' ':
      return { ...state, paused: !state.paused };
    case '?':
      return { ...state, page: state.page === 'help' ? 'list' : 'help', scroll: 0 };
    default:
      return state;
  }
};
