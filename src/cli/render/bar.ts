/** The gauge of a port space, with its search wall marked: █ used, ░ free, ┊ the wall. */

const EIGHTHS = ['', '▏', '▎', '▍', '▌', '▋', '▊', '▉'] as const;

/** `columns` wide. `ratio` and `wall` are shares of capacity; a wall at 0 or beyond 1 is not drawn. Anything used shows. */
export const gauge = (ratio: number, wall: number, columns: number): string => {
  const filled = Math.min(1, Math.max(0, ratio)) * columns;
  const whole = Math.floor(filled);
  const eighth = EIGHTHS[Math.floor((filled - whole) * 8)]!;
  const tip = whole < columns ? (whole === 0 && eighth === '' && ratio > 0 ? '▏' : eighth) : '';
  const cells = [...'█'.repeat(whole), ...tip];
  while (cells.length < columns) cells.push('░');
  const at = Math.floor(wall * columns);
  if (wall > 0 && wall < 1 && at < columns) cells[at] = at < whole ? '╎' : '┊';
  return cells.join('');
};
