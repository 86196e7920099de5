/** Tables as Avi's shell prints them: `+---+` borders, a head, two columns or more. */

/** The least widths of the two columns, so that tables under each other line up. */
const fieldWidth = 27;
const valueWidth = 36;

const lines = (head: readonly string[], rows: readonly (readonly string[])[], least: readonly number[]): string => {
  const widths = head.map((title, i) => Math.max(least[i] ?? 0, title.length, ...rows.map((row) => (row[i] ?? '').length)));
  const border = `+${widths.map((w) => '-'.repeat(w + 2)).join('+')}+`;
  const line = (row: readonly string[]): string => `|${widths.map((w, i) => ` ${(row[i] ?? '').padEnd(w)} `).join('|')}|`;
  return `${[border, line(head), border, ...rows.map(line), ...(rows.length > 0 ? [border] : [])].join('\n')}\n`;
};

/** One object: a row for each field, what belongs to a field indented under it. */
export const fieldTable = (rows: readonly (readonly [field: string, value: string])[]): string =>
  lines(['Field', 'Value'], rows, [fieldWidth, valueWidth]);

/** Many objects: a row for each. */
export const gridTable = (head: readonly string[], rows: readonly (readonly string[])[]): string => lines(head, rows, []);

type Plain = string | number | boolean | null | readonly Plain[] | { readonly [key: string]: Plain };

/** The rows of a plain object: a list gives a row for each of its values, an object an indented block. */
export const rowsOf = (object: object, depth = 0): readonly (readonly [string, string])[] =>
  Object.entries(object as Record<string, Plain>).flatMap(([key, value]) => rowsOfField(key, value, depth));

const rowsOfField = (key: string, value: Plain, depth: number): readonly (readonly [string, string])[] => {
  const field = '  '.repeat(depth) + key;
  if (value === null) return [[field, '']];
  if (Array.isArray(value)) return value.length === 0 ? [[field, '']] : value.flatMap((each: Plain) => rowsOfField(key, each, depth));
  if (typeof value === 'object') return [[field, ''], ...rowsOf(value, depth + 1)];
  return [[field, String(value)]];
};
