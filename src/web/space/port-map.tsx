/** All ports of a port space at a glance, each by pointer, keyboard or number, and as a table. */

import { useSignal } from '@preact/signals';
import { useEffect, useRef } from 'preact/hooks';
import { formatNumber } from '../../core/quantity.ts';
import { dark } from '../frame/theme.ts';
import { api } from '../live/api.ts';
import { Scrolled } from '../look/scrolled.tsx';
import { type PortState, portStateName, stateGroups } from '../model/states.ts';
import { bytesOf, countBlocks, type Palette, type PortBlock, paintPortMap, pixelOf, SIDE } from './port-map-paint.ts';

interface Map {
  readonly states: Uint8Array;
  readonly timeLeft: Uint8Array;
  readonly blocks: readonly PortBlock[];
  readonly range: { readonly low: number; readonly high: number };
}

const readPalette = (): Palette => {
  const style = getComputedStyle(document.documentElement);
  const colour = (name: string): number => pixelOf(style.getPropertyValue(`--${name}`)) ?? 0xff808080;
  const groups = Object.fromEntries(stateGroups.map(({ group }) => [group, colour(group)])) as Record<
    (typeof stateGroups)[number]['group'],
    number
  >;
  return {
    ...groups,
    free: colour('free'),
    blocked: colour('blocked'),
    reserved: colour('reserved'),
    outside: colour('outside'),
    hatch: colour('ink-2'),
  };
};

const describe = (map: Map, port: number): string => {
  const left = map.timeLeft[port]!;
  const waits = map.states[port] === 6;
  return `port ${port}: ${portStateName(map.states[port]!)}${waits ? (left === 255 ? ', time left not known' : `, ${left} s left`) : ''}`;
};

const legend: readonly { readonly state: PortState; readonly name: string }[] = [
  ...stateGroups.map(({ group, name }) => ({ state: group, name })),
  { state: 'free', name: 'free' },
  { state: 'blocked', name: 'blocked' },
  { state: 'reserved', name: 'reserved' },
  { state: 'outside', name: 'outside the range' },
];

const MapTable = ({ map }: { readonly map: Map }) => {
  const rows = map.blocks.filter((b) => (b.counts.get('outside') ?? 0) < 4096);
  const shown = legend.filter(({ state }) => state !== 'outside' && rows.some((r) => r.counts.has(state)));
  return (
    <Scrolled label="Ports by state and number">
      <table>
        <thead>
          <tr>
            <th scope="col">Ports</th>
            {shown.map(({ state, name }) => (
              <th key={state} scope="col" class="number">
                {name}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {rows.map(({ low, counts }) => (
            <tr key={low}>
              <th scope="row">
                {low}–{low + 4095}
              </th>
              {shown.map(({ state }) => (
                <td key={state} class="number">
                  {formatNumber(counts.get(state) ?? 0)}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </Scrolled>
  );
};

/** The map of port space `id`, read anew with each look (`at`). */
export const PortMap = ({ id, at }: { readonly id: string; readonly at: string }) => {
  const map = useSignal<Map | null>(null);
  const trouble = useSignal('');
  const port = useSignal<number | null>(null);
  const canvas = useRef<HTMLCanvasElement>(null);
  const busy = useRef(false);

  useEffect(() => {
    if (busy.current || document.visibilityState !== 'visible') return;
    busy.current = true;
    void api
      .portMap(id)
      .then((document) => {
        const states = bytesOf(document.states);
        map.value = { states, timeLeft: bytesOf(document.time_left), blocks: countBlocks(states), range: document.range };
        trouble.value = '';
      })
      .catch((error: Error) => {
        trouble.value = error.message;
      })
      .finally(() => {
        busy.current = false;
      });
  }, [id, at]);

  const isDark = dark.value;
  useEffect(() => {
    const context = canvas.current?.getContext('2d');
    if (!context || map.value === null) return;
    const image = context.createImageData(SIDE, SIDE);
    paintPortMap(map.value.states, map.value.timeLeft, readPalette(), new Uint32Array(image.data.buffer));
    context.putImageData(image, 0, 0);
  }, [map.value, isDark]);

  if (map.value === null) return <p class="quiet">{trouble.value === '' ? 'Reading the ports …' : trouble.value}</p>;
  const { range, blocks } = map.value;
  const selected = port.value;
  const move = (to: number): void => {
    port.value = Math.max(0, Math.min(65_535, to));
  };
  const now = selected ?? range.low;
  const keys: Readonly<Record<string, number>> = {
    ArrowRight: now + 1,
    ArrowLeft: now - 1,
    ArrowDown: now + 256,
    ArrowUp: now - 256,
    PageDown: now + 4096,
    PageUp: now - 4096,
    Home: range.low,
    End: range.high,
  };
  const portUnder = (e: PointerEvent & { readonly currentTarget: HTMLElement }): number => {
    const box = e.currentTarget.getBoundingClientRect();
    const x = Math.max(0, Math.min(255, Math.floor(((e.clientX - box.left) / box.width) * 256)));
    const y = Math.max(0, Math.min(255, Math.floor(((e.clientY - box.top) / box.height) * 256)));
    return y * 256 + x;
  };
  const present = new Set<string>(blocks.flatMap((b) => [...b.counts.keys()]));
  return (
    <div class="port-map">
      <figure>
        <div
          class="port-map-field"
          role="slider"
          tabIndex={0}
          aria-label="Port map. Arrow keys go from port to port."
          aria-valuemin={0}
          aria-valuemax={65535}
          aria-valuenow={now}
          aria-valuetext={describe(map.value, now)}
          aria-orientation="horizontal"
          onPointerMove={(e) => move(portUnder(e))}
          onPointerDown={(e) => move(portUnder(e))}
          onFocus={() => {
            port.value ??= range.low;
          }}
          onKeyDown={(e) => {
            const to = keys[e.key];
            if (to === undefined) return;
            e.preventDefault();
            move(to);
          }}
        >
          <canvas ref={canvas} width={SIDE} height={SIDE} />
          {selected !== null && (
            <span
              class="port-map-cursor"
              style={{ left: `${((selected & 255) * 100) / 256}%`, top: `${((selected >>> 8) * 100) / 256}%` }}
              aria-hidden="true"
            />
          )}
        </div>
        <figcaption class="quiet small">Port 0 at the upper left, 65,535 at the lower right; a row is 256 ports.</figcaption>
      </figure>
      <div class="stack">
        <p class="port-map-tip">
          {selected === null ? (
            <span class="quiet">Point at a port, or use the arrow keys.</span>
          ) : (
            <>
              <strong>{selected}</strong> {describe(map.value, selected).replace(/^port \d+: /, '')}
            </>
          )}
        </p>
        <label class="row field">
          Go to port
          <input
            type="number"
            min={0}
            max={65535}
            value={selected ?? ''}
            onInput={(e) => {
              if (e.currentTarget.value !== '') move(Number(e.currentTarget.value));
            }}
          />
        </label>
        <ul class="legend upright">
          {legend
            .filter(({ state }) => present.has(state))
            .map(({ state, name }) => (
              <li key={state}>
                <span class={`swatch of-${state}`} aria-hidden="true" />
                {name}
              </li>
            ))}
        </ul>
        {present.has('time_wait') && <p class="quiet small">A TIME_WAIT pales as its time runs out.</p>}
        <details>
          <summary>The map as a table</summary>
          <MapTable map={map.value} />
        </details>
      </div>
    </div>
  );
};
