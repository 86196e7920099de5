/** A quantity over time as block characters, with horizontal lines where limits are. */
import { formatDuration, formatNumber } from '../../core/quantity.ts';
import type { Paint, Style } from '../terminal.ts';

export interface PlotLine {
  readonly at: number;
  readonly label: string;
  readonly style: Style;
}

export interface Plot {
  /** Values at even distances in time, one per column. */
  readonly values: readonly number[];
  /** Time at the right edge, in seconds. */
  readonly seconds: number;
  readonly rows: number;
  readonly lines: readonly PlotLine[];
  readonly style: (value: number) => Style;
}

const eighths = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'] as const;

/** The columns a plot's labels on the left take, the axis included. */
export const plotMargin = (plot: Pick<Plot, 'lines' | 'values'>): number =>
  Math.max(...plot.lines.map((l) => formatNumber(l.at).length), formatNumber(Math.max(...plot.values)).length) + 2;

/** Lines of text, the time axis last. */
export const renderPlot = (plot: Plot, paint: Paint): readonly string[] => {
  const top = Math.max(...plot.values, ...plot.lines.map((l) => l.at), 1e-9);
  const left = plotMargin(plot);
  const rowOf = (value: number): number => Math.min(plot.rows - 1, Math.max(0, Math.ceil((value / top) * plot.rows) - 1));
  const rows: string[] = [];
  for (let row = plot.rows - 1; row >= 0; row--) {
    const line = plot.lines.find((l) => rowOf(l.at) === row);
    const columns = plot.values.map((value) => {
      const filled = Math.round(Math.min(1, Math.max(0, (value / top) * plot.rows - row)) * 8);
      // A value that is there shows, however small.
      const block = filled === 0 && row === 0 && value > 0 ? '▁' : eighths[filled]!;
      if (block !== ' ') return paint(plot.style(value), block);
      return line === undefined ? ' ' : paint(line.style, '┄');
    });
    const label = line === undefined ? '' : formatNumber(line.at);
    rows.push(
      `${label.padStart(left - 2)} ${line === undefined ? '│' : '┤'}${columns.join('')}${line === undefined ? '' : ` ${paint(line.style, line.label)}`}`,
    );
  }
  const width = plot.values.length;
  const marks = 4;
  let axis = '';
  let labels = '';
  for (let i = 0; i <= marks; i++) {
    const column = Math.round(((width - 1) * i) / marks);
    axis = `${axis.padEnd(column, '─')}┴`;
    const text = i === 0 ? '0' : formatDuration((plot.seconds * i) / marks);
    const start = Math.max(0, i === 0 ? column : column - Math.floor(text.length / 2));
    labels = `${labels.padEnd(start)}${text}`;
  }
  return [...rows, `${' '.repeat(left - 1)}└${axis}`, `${' '.repeat(left)}${labels}`];
};
