/** The whole screen as lines: header, one of the pages, the keys. What does not fit a tiny terminal is left out from below. */
import type { PortMap } from '../../core/port-map.ts';
import { type Paint, pad, safe } from '../terminal.ts';
import { factLine, verdictLines } from './header.ts';
import { ends } from './layout.ts';
import type { Memo } from './memo.ts';
import { helpPage } from './page-help.ts';
import { listPage } from './page-list.ts';
import { goneSpace, spaceHead, spacePage } from './page-space.ts';
import { aged, type WatchState } from './state.ts';

/** Lines of the head where there is room: the list does not jump when the verdict's words take one line more. */
const HEAD = 3;

export interface Picture {
  readonly lines: readonly string[];
  /** Lines that scroll, and how far: the greatest first line that still fills the screen. */
  readonly page: number;
  readonly scroll: number;
}

export interface Frame {
  readonly columns: number;
  readonly rows: number;
  /** Seconds between looks, as asked for. */
  readonly interval: number;
  /** Milliseconds since the epoch. */
  readonly now: number;
  /** The ports of the space that is open. */
  readonly map: PortMap | null;
  /** Lives as long as the paint stays the same. */
  readonly memo: Memo;
}

const keysOf: Readonly<Record<WatchState['page'], readonly (readonly [string, string])[]>> = {
  list: [
    ['↑↓', 'select'],
    ['enter', 'open'],
    ['s', 'sort'],
    ['r', 'reverse'],
    ['/', 'filter'],
    ['p', 'pause'],
    ['?', 'help'],
    ['q', 'quit'],
  ],
  space: [
    ['↑↓', 'scroll'],
    ['esc', 'back'],
    ['p', 'pause'],
    ['?', 'help'],
    ['q', 'quit'],
  ],
  help: [
    ['↑↓', 'scroll'],
    ['esc', 'back'],
    ['q', 'quit'],
  ],
};

const footer = (state: WatchState, rest: number, paint: Paint, columns: number): string => {
  if (state.typing) {
    const asked = ` filter: ${safe(state.arrangement.filter)}${paint('inverse', ' ')}`;
    return ends(asked, paint('dim', columns >= 50 ? 'enter keeps it, esc clears it' : ''), columns);
  }
  const keys = keysOf[state.page].map(([key, does]) => `${paint('bold', key)} ${paint('dim', does)}`).join('  ');
  return ends(` ${keys}`, rest > 0 ? paint('dim', `↓ ${rest} more`) : '', columns);
};

/** `body` in `rows` lines from the scroll position on, which is kept where something is left to show. */
const scrolled = (body: readonly string[], from: number, rows: number): { readonly lines: readonly string[]; readonly scroll: number } => {
  const scroll = Math.max(0, Math.min(from, body.length - rows));
  return { lines: body.slice(scroll, scroll + rows), scroll };
};

export const picture = (watched: WatchState, frame: Frame, paint: Paint): Picture => {
  const { columns, rows, interval, now } = frame;
  const { seen } = watched;
  const state = seen === null ? watched : aged(watched, (now - seen.takenAt) / 1000);
  if (seen === null && state.page !== 'help') return { lines: [pad(' looking at this host …', Math.max(1, columns))], page: 1, scroll: 0 };
  const space = state.page === 'space' ? state.spaces.find((s) => s.id === state.selected) : undefined;
  const head: string[] = [];
  if (seen !== null) {
    // The verdict stays whatever the size; the rest of the head and the keys need room beside the list.
    head.push(...(space === undefined ? verdictLines(seen, rows < 12 ? 1 : 2, columns, paint) : spaceHead(space, seen, paint, columns)));
    if (rows >= 5) head.push(factLine(state, seen, interval, now, columns, paint));
    if (rows >= 12 && head.length < HEAD) head.push('');
  }
  const withKeys = rows >= 4;
  const room = Math.max(0, rows - head.length - (withKeys ? 1 : 0));
  let body: readonly string[];
  if (state.page === 'help') body = helpPage(seen, columns, paint);
  else if (state.page === 'list') body = listPage(state, seen!, columns, room, paint, frame.memo);
  else
    body = space === undefined ? goneSpace(state.selected, columns) : spacePage(space, frame.map, state, seen!, columns, paint, frame.memo);
  const { lines, scroll } = state.page === 'list' ? { lines: body.slice(0, room), scroll: 0 } : scrolled(body, state.scroll, room);
  const blank = new Array<string>(Math.max(0, room - lines.length)).fill('');
  const rest = state.page === 'list' ? 0 : Math.max(0, body.length - scroll - room);
  return {
    lines: [...head, ...lines, ...blank, ...(withKeys ? [footer(state, rest, paint, columns)] : [])],
    page: Math.max(1, room - 2),
    scroll,
  };
};
