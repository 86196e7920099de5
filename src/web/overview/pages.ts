/** Which stretch of a long list to ask the agent for, so that what is shown and a little around it is there. Pure arithmetic. */

export interface Stretch {
  readonly offset: number;
  readonly limit: number;
}

/** Stretches begin at multiples of this: scrolling by a row asks for nothing new. */
const STEP = 20;

/** Rows `first` to `last` (exclusive) are on the screen. */
export const stretchAround = (first: number, last: number): Stretch => {
  const offset = Math.max(0, Math.floor(first / STEP) * STEP - STEP);
  const end = Math.ceil(Math.max(last, first + 1) / STEP) * STEP + STEP;
  return { offset, limit: Math.min(200, end - offset) };
};

/** The rows that a scroll position shows; both bounds within the list. */
export const visibleRows = (
  scrollTop: number,
  height: number,
  rowHeight: number,
  total: number,
): readonly [first: number, last: number] => {
  const first = Math.min(Math.max(0, total - 1), Math.max(0, Math.floor(scrollTop / rowHeight)));
  return [first, Math.min(total, Math.ceil((scrollTop + height) / rowHeight) + 1)];
};
