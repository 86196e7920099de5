/**
 * Prometheus's text format, written by hand: families in order, each with HELP and TYPE once and its samples together, label
 * values escaped (https://prometheus.io/docs/instrumenting/exposition_formats/, version 0.0.4).
 */

export type Labels = Readonly<Record<string, string>>;

export interface Sample {
  readonly labels: Labels;
  readonly value: number;
}

export interface Family {
  readonly name: string;
  readonly type: 'gauge' | 'counter';
  readonly help: string;
  readonly samples: readonly Sample[];
}

const escapeHelp = (text: string): string => text.replaceAll('\\', '\\\\').replaceAll('\n', '\\n');
const escapeLabel = (text: string): string => escapeHelp(text).replaceAll('"', '\\"');

const number = (value: number): string =>
  Number.isNaN(value) ? 'NaN' : value === Number.POSITIVE_INFINITY ? '+Inf' : value === Number.NEGATIVE_INFINITY ? '-Inf' : String(value);

const labelled = (labels: Labels): string => {
  const entries = Object.entries(labels);
  return entries.length === 0 ? '' : `{${entries.map(([name, value]) => `${name}="${escapeLabel(value)}"`).join(',')}}`;
};

/** The text of `families`; those without a sample are left out, and of two samples with the same labels the first is written. */
export const exposition = (families: readonly Family[]): string => {
  const lines: string[] = [];
  for (const { name, type, help, samples } of families) {
    if (samples.length === 0) continue;
    lines.push(`# HELP ${name} ${escapeHelp(help)}`, `# TYPE ${name} ${type}`);
    const seen = new Set<string>();
    for (const { labels, value } of samples) {
      const text = labelled(labels);
      if (seen.has(text)) continue;
      seen.add(text);
      lines.push(`${name}${text} ${number(value)}`);
    }
  }
  return `${lines.join('\n')}\n`;
};
