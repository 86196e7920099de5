// biome-ignore-all lint/a11y/useSemanticElements: rows of a virtual table are placed by their index, which a <tr> cannot be
// biome-ignore-all lint/a11y/useFocusableInteractive: rows and cells are read; the link in a row is what has the focus
/**
 * Every port space of the host. Only what is on the screen is asked of the agent and drawn, so five thousand cost what twenty do:
 * the agent sorts and filters, the rows are placed by their index.
 */
import { useComputed, useSignal, useSignalEffect } from '@preact/signals';
import { useEffect, useRef } from 'preact/hooks';
import { formatNumber, formatPercent, formatRate } from '../../core/quantity.ts';
import { api } from '../live/api.ts';
import { report, sample, severalNamespaces } from '../live/store.ts';
import { destinationOf, kindOf, nameOf, nearness, type Space, timeLeftOf } from '../model/space.ts';
import { formatRoute } from '../route.ts';
import { BarGauge } from './gauge.tsx';
import { stretchAround, visibleRows } from './pages.ts';

const sorts = [
  ['used_ratio', 'Fullest'],
  ['seconds_left', 'Soonest out'],
  ['used', 'Most ports'],
  ['open_rate', 'Busiest'],
  ['id', 'By name'],
] as const;

const narrow = matchMedia('(max-width: 40rem)');
const rowHeight = (): number => (narrow.matches ? 66 : 44);

/** Rows that the list is high, at most, and rows drawn beyond either end. */
const ROWS = 12;
const BESIDE = 3;

const Row = ({
  space,
  index,
  height,
  active,
}: {
  readonly space: Space;
  readonly index: number;
  readonly height: number;
  readonly active: boolean;
}) => {
  const { figure, meaning } = timeLeftOf(space);
  const kind = kindOf(space).short;
  return (
    <div
      role="row"
      class={`list-row ${nearness(space)}`}
      aria-rowindex={index + 2}
      style={{ transform: `translateY(${index * height}px)`, height: `${height}px` }}
    >
      <span role="rowheader" class="cell-name">
        <a href={formatRoute({ page: 'space', id: space.id })} tabIndex={active ? 0 : -1} data-index={index} title={nameOf(space)}>
          <span class="from">{space.source}</span>
          <span class="to">→ {destinationOf(space)}</span>
        </a>
        {kind !== '' && <span class="tag">{kind}</span>}
        {space.label !== null && <span class="quiet small more">{space.label}</span>}
        {severalNamespaces.value && <span class="quiet small more">{space.namespace}</span>}
      </span>
      <span role="cell" class="cell-bar">
        <BarGauge space={space} />
        <span class="unseen">{nearness(space) === 'calm' ? '' : nearness(space)}</span>
      </span>
      <span role="cell" class="cell-ratio">
        {formatPercent(space.used_ratio)}
      </span>
      <span role="cell" class="cell-count">
        {formatNumber(space.used)} / {formatNumber(space.capacity)}
      </span>
      <span role="cell" class="cell-left" title={meaning}>
        {figure} <span class="unseen">{meaning}</span>
      </span>
      <span role="cell" class="cell-rate">
        {space.open_rate === null ? '—' : formatRate(space.open_rate)}
      </span>
    </div>
  );
};

export const SpaceList = () => {
  const view = useRef<HTMLDivElement>(null);
  const query = useSignal('');
  const sort = useSignal<string>(sorts[0][0]);
  const first = useSignal(0);
  const height = useSignal(rowHeight());
  const active = useSignal(0);
  const total = useSignal(sample.value?.spaces_total ?? 0);
  const page = useSignal<{ readonly offset: number; readonly items: readonly Space[] }>({ offset: 0, items: sample.value?.spaces ?? [] });
  const stretch = useComputed(() => stretchAround(first.value, first.value + ROWS + 1));
  const asking = useRef({ busy: false, again: false });
  const focusActive = useRef(false);

  const ask = async (): Promise<void> => {
    if (asking.current.busy) {
      asking.current.again = true;
      return;
    }
    asking.current.busy = true;
    do {
      asking.current.again = false;
      const { offset, limit } = stretch.peek();
      const answer = await api.spaces({ sort: sort.peek(), q: query.peek(), offset, limit }).catch(() => null);
      if (answer !== null) {
        total.value = answer.total;
        page.value = { offset, items: answer.items };
      }
    } while (asking.current.again);
    asking.current.busy = false;
  };

  // Anew with each look, and when something else is wanted.
  useSignalEffect(() => {
    void [sample.value?.at, sort.value, query.value, stretch.value];
    if (document.visibilityState === 'visible') void ask();
  });

  const readScroll = (): void => {
    const box = view.current;
    if (box !== null) first.value = visibleRows(box.scrollTop, box.clientHeight, height.value, total.value)[0];
  };
  useEffect(() => {
    const resized = (): void => {
      height.value = rowHeight();
      readScroll();
    };
    narrow.addEventListener('change', resized);
    return () => narrow.removeEventListener('change', resized);
  }, []);
  useEffect(() => {
    if (!focusActive.current) return;
    const link = view.current?.querySelector<HTMLElement>(`[data-index="${active.value}"]`);
    if (link) {
      focusActive.current = false;
      link.focus({ preventScroll: true });
    }
  });

  const go = (index: number): void => {
    const box = view.current;
    if (box === null) return;
    active.value = Math.max(0, Math.min(total.value - 1, index));
    focusActive.current = true;
    const top = active.value * height.value;
    if (top < box.scrollTop) box.scrollTop = top;
    else if (top + height.value > box.scrollTop + box.clientHeight) box.scrollTop = top + height.value - box.clientHeight;
    readScroll();
  };
  const keys: Readonly<Record<string, () => number>> = {
    ArrowDown: () => active.value + 1,
    ArrowUp: () => active.value - 1,
    PageDown: () => active.value + ROWS,
    PageUp: () => active.value - ROWS,
    Home: () => 0,
    End: () => total.value - 1,
  };

  // Those beyond the fullest of a namespace hold little and are counted only.
  const counted = report.value === null ? 0 : report.value.port_spaces.length + report.value.port_spaces_unlisted;
  const h = height.value;
  const { offset, items } = page.value;
  // The active row is always reachable by Tab: where it is scrolled away, the first one shown takes its place.
  const shownFirst = first.value;
  const tabStop = active.value >= shownFirst && active.value < shownFirst + ROWS + 1 ? active.value : shownFirst;
  return (
    <section class="section" aria-labelledby="all-spaces">
      <div class="section-head">
        <h2 id="all-spaces">Port spaces</h2>
        <span class="quiet">
          {query.value === '' && counted > total.value
            ? `the fullest ${formatNumber(total.value)} of ${formatNumber(counted)}`
            : formatNumber(total.value)}
        </span>
        <div class="side row">
          <label class="field">
            <span class="unseen">Filter by address, port, namespace or name</span>
            <input
              type="search"
              placeholder="Filter: address, port, name"
              value={query.value}
              onInput={(e) => {
                query.value = e.currentTarget.value.trim();
                active.value = 0;
                if (view.current !== null) view.current.scrollTop = 0;
              }}
            />
          </label>
          <label class="field">
            <span class="unseen">Sort</span>
            <select
              value={sort.value}
              onChange={(e) => {
                sort.value = e.currentTarget.value;
              }}
            >
              {sorts.map(([value, words]) => (
                <option key={value} value={value}>
                  {words}
                </option>
              ))}
            </select>
          </label>
        </div>
      </div>
      <div role="table" class="list card" aria-labelledby="all-spaces" aria-rowcount={total.value + 1}>
        <div role="rowgroup" class="list-head">
          <div role="row" class="list-row" aria-rowindex={1}>
            {['Source → destination', 'Draught', 'Full', 'Used', 'Time left', 'Opens'].map((words, i) => (
              <span
                key={words}
                role="columnheader"
                class={['cell-name', 'cell-bar', 'cell-ratio', 'cell-count', 'cell-left', 'cell-rate'][i]!}
              >
                {words}
              </span>
            ))}
          </div>
        </div>
        {total.value === 0 ? (
          <p class="list-empty quiet">
            {query.value === '' ? 'None yet: no connection leaves this host.' : `Nothing matches “${query.value}”.`}
          </p>
        ) : (
          <div
            role="rowgroup"
            class="list-view"
            ref={view}
            style={{ height: `${Math.min(ROWS, total.value) * h}px` }}
            onScroll={readScroll}
            onFocusIn={(e) => {
              const index = (e.target as HTMLElement).dataset['index'];
              if (index !== undefined) active.value = Number(index);
            }}
            onKeyDown={(e) => {
              const key = keys[e.key];
              if (key === undefined) return;
              e.preventDefault();
              go(key());
            }}
          >
            <div role="presentation" class="list-length" style={{ height: `${total.value * h}px` }}>
              {items.map((space, i) => {
                const index = offset + i;
                // More is asked for than is drawn: a row or two of scrolling finds its rows there.
                return index < shownFirst - BESIDE || index > shownFirst + ROWS + BESIDE ? null : (
                  <Row key={space.id} space={space} index={index} height={h} active={index === tabStop} />
                );
              })}
            </div>
          </div>
        )}
      </div>
    </section>
  );
};
