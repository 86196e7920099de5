/** Ports in use over time: stacked by state up to now, the forecast with its bounds after it, load line and search wall across. */

import { useEffect, useRef } from 'preact/hooks';
import uPlot from 'uplot';
import { Scrolled } from '../look/scrolled.tsx';
import 'uplot/dist/uPlot.min.css';
import { formatNumber } from '../../core/quantity.ts';
import { dark } from '../frame/theme.ts';
import type { StateGroup } from '../model/states.ts';
import { clockOf } from '../model/time.ts';
import type { Occupancy } from './occupancy.ts';

export interface ChartProps {
  readonly occupancy: Occupancy;
  /** Seconds since 1970. */
  readonly now: number;
  readonly capacity: number;
  readonly wall: number | null;
  /** Capacity under what is tried, where that is another. */
  readonly triedCapacity: number | null;
  /** What the states that are neither established nor TIME_WAIT are coloured as. */
  readonly other: StateGroup;
}

const HEIGHT = 300;

const colours = (): ((name: string) => string) => {
  const style = getComputedStyle(document.documentElement);
  return (name) => style.getPropertyValue(`--${name}`).trim();
};

/** uPlot's columns, in the order of the series below. */
const columnsOf = (o: Occupancy): uPlot.AlignedData => [o.at, o.used, o.live, o.established, o.high, o.low, o.expected, o.tried];

/** Load line, search wall and now: drawn over the plot, for they are no series. */
const drawLines = (u: uPlot, p: ChartProps, colour: (name: string) => string): void => {
  const { ctx } = u;
  const { left, top, width, height } = u.bbox;
  const ratio = devicePixelRatio;
  const across = (value: number, label: string, dash: readonly number[], weight: number, paint: string, mark: boolean): void => {
    const y = u.valToPos(value, 'y', true);
    if (y < top - 1 || y > top + height) return;
    ctx.strokeStyle = paint;
    ctx.lineWidth = weight * ratio;
    ctx.setLineDash(dash.map((d) => d * ratio));
    ctx.beginPath();
    ctx.moveTo(left, y);
    ctx.lineTo(left + width, y);
    ctx.stroke();
    ctx.setLineDash([]);
    if (mark) {
      const x = left + 16 * ratio;
      ctx.fillStyle = colour('surface');
      ctx.beginPath();
      ctx.arc(x, y, 7 * ratio, 0, 2 * Math.PI);
      ctx.fill();
      ctx.stroke();
      ctx.beginPath();
      ctx.moveTo(x - 12 * ratio, y);
      ctx.lineTo(x + 12 * ratio, y);
      ctx.stroke();
    }
    ctx.fillStyle = paint;
    ctx.textAlign = 'left';
    ctx.textBaseline = 'bottom';
    ctx.fillText(label, left + (mark ? 34 : 8) * ratio, y - 3 * ratio);
  };
  ctx.save();
  ctx.font = `${12 * ratio}px ${colour('sans')}`;
  if (p.wall !== null) across(p.wall, `search wall ${formatNumber(p.wall)}`, [5, 4], 1.5, colour('ink-2'), false);
  if (p.triedCapacity !== null) across(p.triedCapacity, `load line as tried ${formatNumber(p.triedCapacity)}`, [], 2, colour('calm'), true);
  across(p.capacity, `load line ${formatNumber(p.capacity)}`, [], 2.5, colour('ink'), true);
  const x = u.valToPos(p.now, 'x', true);
  if (x >= left && x <= left + width) {
    ctx.strokeStyle = colour('line-strong');
    ctx.lineWidth = ratio;
    ctx.beginPath();
    ctx.moveTo(x, top);
    ctx.lineTo(x, top + height);
    ctx.stroke();
    ctx.fillStyle = colour('ink-2');
    ctx.textAlign = 'left';
    ctx.textBaseline = 'bottom';
    ctx.fillText('now', x + 5 * ratio, top + height - 4 * ratio);
  }
  ctx.restore();
};

/** The top of the scale: what is used or will be, and the load line where it is not far above. */
const topOf = (p: ChartProps): number => {
  const o = p.occupancy;
  let most = 1;
  for (const column of [o.used, o.high, o.tried]) for (const v of column) if (v !== null && v > most) most = v;
  const lines = [p.capacity, p.triedCapacity ?? 0].filter((line) => line <= most * 4 || line === p.capacity);
  return Math.max(most, ...lines) * 1.1;
};

export const OccupancyChart = (props: ChartProps) => {
  const box = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const newest = useRef(props);
  newest.current = props;
  const isDark = dark.value;

  useEffect(() => {
    const parent = box.current;
    if (parent === null) return;
    const colour = colours();
    const filled = (name: string, of: string): uPlot.Series => ({
      label: name,
      stroke: colour(of),
      fill: colour(of),
      width: 0,
      points: { show: false },
    });
    const line = (name: string, of: string, width: number, dash?: number[]): uPlot.Series => ({
      label: name,
      stroke: colour(of),
      width,
      points: { show: false },
      ...(dash === undefined ? {} : { dash }),
    });
    const axis = {
      stroke: colour('ink-2'),
      grid: { stroke: colour('line'), width: 1 },
      ticks: { stroke: colour('line'), width: 1 },
      font: `12px ${colour('sans')}`,
    };
    const chart = new uPlot(
      {
        width: Math.max(200, parent.clientWidth),
        height: HEIGHT,
        legend: { show: false },
        cursor: { y: false, drag: { x: false, y: false }, points: { show: false } },
        scales: { x: { time: true }, y: { range: () => [0, topOf(newest.current)] } },
        axes: [
          { ...axis, space: 76, values: (_u, splits) => splits.map((s) => clockOf(s * 1000)) },
          { ...axis, size: 64, values: (_u, splits) => splits.map((s) => formatNumber(s)) },
        ],
        series: [
          {},
          filled('TIME_WAIT', 'time_wait'),
          filled('other states', props.other),
          filled('established', 'established'),
          line('at most', 'time_wait', 0),
          line('at least', 'time_wait', 0),
          line('forecast', 'ink', 2, [6, 4]),
          line('as tried', 'calm', 2.5),
        ],
        bands: [{ series: [4, 5], fill: `color-mix(in srgb, ${colour('accent')} 28%, transparent)` }],
        hooks: { draw: [(u) => drawLines(u, newest.current, colour)] },
      },
      columnsOf(newest.current.occupancy),
      parent,
    );
    plot.current = chart;
    const resize = new ResizeObserver(() => chart.setSize({ width: Math.max(200, parent.clientWidth), height: HEIGHT }));
    resize.observe(parent);
    return () => {
      resize.disconnect();
      chart.destroy();
      plot.current = null;
    };
  }, [isDark, props.other]);

  useEffect(() => {
    plot.current?.setData(columnsOf(props.occupancy));
  });

  return <div class="chart" ref={box} aria-hidden="true" />;
};

/** The same in a table, one row per few seconds. */
export const OccupancyTable = ({ occupancy: o, now }: { readonly occupancy: Occupancy; readonly now: number }) => {
  const rows = 24;
  const step = Math.max(1, Math.floor(o.at.length / rows));
  const shown = o.at.map((_, i) => i).filter((i) => i % step === 0);
  const figure = (value: number | null | undefined): string =>
    value === null || value === undefined ? '–' : formatNumber(Math.round(value));
  return (
    <details>
      <summary>The picture as a table</summary>
      <Scrolled label="Ports in use over time">
        <table>
          <thead>
            <tr>
              {['Time', 'Used', 'Established', 'Other live', 'TIME_WAIT', 'Forecast', 'At least', 'At most', 'As tried'].map((words, i) => (
                <th key={words} scope="col" class={i === 0 ? '' : 'number'}>
                  {words}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {shown.map((i) => {
              const used = o.used[i] ?? null;
              const live = o.live[i] ?? null;
              const established = o.established[i] ?? null;
              return (
                <tr key={o.at[i]}>
                  <th scope="row">
                    {clockOf(o.at[i]! * 1000)}
                    {o.at[i]! > now ? ' (forecast)' : ''}
                  </th>
                  {[
                    used,
                    established,
                    live === null || established === null ? null : live - established,
                    used === null || live === null ? null : used - live,
                    o.expected[i],
                    o.low[i],
                    o.high[i],
                    o.tried[i],
                  ].map((value, column) => (
                    <td key={column} class="number">
                      {figure(value)}
                    </td>
                  ))}
                </tr>
              );
            })}
          </tbody>
        </table>
      </Scrolled>
    </details>
  );
};
