/** What a figure was measured on, and how it is printed. */
import { execFileSync } from 'node:child_process';
import { cpus, release, totalmem } from 'node:os';

const firstLine = (program: string, ...args: string[]): string | null => {
  try {
    const out = execFileSync(program, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
    return out.split('\n')[0] ?? null;
  } catch {
    return null;
  }
};

/** The lines every bench begins with: machine, kernel, versions, date. `peers`: program and the arguments that print its version. */
export const machine = (peers: readonly (readonly [program: string, ...args: string[]])[] = []): string => {
  const cores = cpus();
  const lines = [
    `${cores.length} x ${cores[0]?.model.trim() ?? 'unknown processor'}, ${Math.round(totalmem() / 2 ** 30)} GiB, Linux ${release()}, Node ${process.versions.node}, ${new Date().toISOString().slice(0, 10)}`,
    ...peers.map(([program, ...args]) => firstLine(program, ...args) ?? `${program}: not installed`),
  ];
  return `${lines.join('\n')}\n`;
};

/** The middle value, and the least and greatest. */
export const spread = (values: readonly number[]): { readonly median: number; readonly low: number; readonly high: number } => {
  const sorted = [...values].sort((a, b) => a - b);
  const half = sorted.length / 2;
  const median = sorted.length % 2 === 1 ? sorted[Math.floor(half)]! : (sorted[half - 1]! + sorted[half]!) / 2;
  return { median, low: sorted[0]!, high: sorted.at(-1)! };
};

/** Rows of text as a table of padded columns; the first row is the head. Numbers (and what looks like them) to the right. */
export const table = (rows: readonly (readonly string[])[]): string => {
  const widths = rows[0]!.map((_, i) => Math.max(...rows.map((r) => (r[i] ?? '').length)));
  const line = (row: readonly string[]): string =>
    row.map((cell, i) => (i === 0 ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!))).join('  ');
  return `${[line(rows[0]!), widths.map((w) => '-'.repeat(w)).join('  '), ...rows.slice(1).map(line)].join('\n')}\n`;
};
