/**
 * The loop on a terminal: looks and keys change the state, the state becomes a picture, the picture becomes the bytes that
 * differ. Drawn at once after a key or a look, and four times a second besides, for what counts down.
 */
import type { Observer } from '../../agent/sampling/observer.ts';
import { type PortMap, portMap } from '../../core/port-map.ts';
import type { FullScreen, ScreenListener } from '../full-screen.ts';
import type { Paint } from '../terminal.ts';
import { toAscii } from './ascii.ts';
import { changes } from './changes.ts';
import { readKeys } from './keys.ts';
import { Memo } from './memo.ts';
import { picture } from './page.ts';
import { type Screen, screenOf } from './screen.ts';
import { initialState, look, movesAt, press, type WatchState } from './state.ts';

/** Frames per second. */
export const FRAMES = 4;
/** Milliseconds after which an escape is the key and no longer the beginning of another. */
const ESCAPE_WAITS = 50;

/** Terminals that know it show a frame whole; the others ignore it (synchronized output). */
const BEGIN = '\u001b[?2026h';
const END = '\u001b[?2026l';

export interface LiveOptions {
  /** Seconds between looks, as asked for. */
  readonly interval: number;
  /** Seconds after which it ends by itself; infinite: never. */
  readonly lasting: number;
  readonly paint: Paint;
  readonly ascii: boolean;
  readonly interrupted: AbortSignal;
}

/** Watches until somebody quits (true) or it is interrupted (false). Throws what looking throws, with the terminal given back. */
export const watchLive = async (
  observer: Pick<Observer, 'observe' | 'close'>,
  open: (listener: ScreenListener) => FullScreen,
  options: LiveOptions,
): Promise<boolean> => {
  const { interval, lasting, paint, ascii, interrupted } = options;
  let state: WatchState = initialState;
  let map: { readonly of: WatchState['seen']; readonly id: string; readonly map: PortMap } | null = null;
  let shown: Screen | null = null;
  const memo = new Memo();
  let page = 1;
  let typed = '';
  let lone: NodeJS.Timeout | undefined;
  let continued: (() => void) | null = null;
  let finish: (whole: boolean) => void = () => {};
  let fail: (error: unknown) => void = () => {};
  const finished = new Promise<boolean>((resolve, reject) => {
    finish = resolve;
    fail = reject;
  });
  /** Errors in what the terminal and timers call belong to whoever waits for the end. */
  const guarded =
    <A extends readonly unknown[]>(work: (...args: A) => void): ((...args: A) => void) =>
    (...args) => {
      try {
        work(...args);
      } catch (error) {
        fail(error);
      }
    };

  /** The ports of the open space, read while the look's tables are those of that look. */
  const openMap = (): PortMap | null => {
    if (state.page !== 'space' || state.seen === null || state.selected === null) return null;
    if (map?.of === state.seen && map.id === state.selected) return map.map;
    const measured = state.seen.measured.find((m) => m.space.id === state.selected);
    map = measured === undefined ? null : { of: state.seen, id: state.selected, map: portMap(measured) };
    return map?.map ?? null;
  };

  const draw = (): void => {
    const { columns, rows } = screen;
    const drawn = picture(state, { columns, rows, interval, now: Date.now(), map: openMap(), memo }, paint);
    if (state.scroll !== drawn.scroll) state = { ...state, scroll: drawn.scroll };
    page = drawn.page;
    const next = screenOf(ascii ? drawn.lines.map(toAscii) : drawn.lines, columns, rows, shown);
    const bytes = changes(shown, next);
    if (bytes !== '') screen.write(`${BEGIN}${bytes}${END}`);
    shown = next;
  };

  const take = (whole: boolean): void => {
    const { keys, rest } = readKeys(typed, whole);
    typed = rest;
    for (const key of keys) {
      const next = press(state, key, page);
      if (next === 'quit') {
        finish(true);
        return;
      }
      if (next === 'interrupt') screen.interrupt();
      else if (next === 'suspend') screen.suspend();
      else if (next === 'redraw') shown = null;
      else state = next;
    }
    if (!state.paused) continued?.();
    draw();
  };

  const listener: ScreenListener = {
    input: guarded((text: string) => {
      clearTimeout(lone);
      typed += text;
      take(false);
      if (typed !== '') lone = setTimeout(guarded(take), ESCAPE_WAITS, true);
    }),
    renewed: guarded(() => {
      shown = null;
      draw();
    }),
    ended: () => finish(true),
  };

  const looking = async (): Promise<void> => {
    for (;;) {
      // Not only the picture stands still: a host in trouble is not looked at for nobody.
      if (state.paused)
        await new Promise<void>((resolve) => {
          continued = resolve;
        });
      continued = null;
      const seen = await observer.observe();
      if (seen === null) return;
      if (state.paused) continue;
      state = look(state, seen);
      draw();
    }
  };

  const screen = open(listener);
  const onInterrupt = (): void => finish(false);
  const frames = setInterval(
    guarded(() => {
      if (movesAt(state, Date.now(), interval)) draw();
    }),
    1000 / FRAMES,
  );
  const end = Number.isFinite(lasting) ? setTimeout(() => finish(true), lasting * 1000) : undefined;
  interrupted.addEventListener('abort', onInterrupt);
  if (interrupted.aborted) onInterrupt();
  try {
    guarded(draw)();
    looking().catch(fail);
    return await finished;
  } finally {
    interrupted.removeEventListener('abort', onInterrupt);
    clearInterval(frames);
    clearTimeout(lone);
    clearTimeout(end);
    observer.close();
    screen.close();
  }
};
