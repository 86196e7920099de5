/** `plimsoll.lab/1`: what a scenario predicted and measured. Field names are contract; see docs/reference/lab.md. */
import { differenceOf, type Experiment, spreadOf } from '../core/experiment.ts';

export const LAB_SCHEMA = 'plimsoll.lab/1';

/** Six significant digits. */
const round = (value: number): number => Number(value.toPrecision(6));

/** The document of one run. */
export const labDocument = (
  about: {
    readonly scenario: string;
    readonly title: string;
    readonly fast: boolean;
    /** RFC 3339. */
    readonly startedAt: string;
    readonly seconds: { readonly expected: number; readonly taken: number };
    readonly host: { readonly kernel: string; readonly cpus: number; readonly node: string };
    readonly kept: { readonly namespaces: readonly string[]; readonly folder: string } | null;
  },
  e: Experiment,
) => ({
  schema: LAB_SCHEMA as typeof LAB_SCHEMA,
  scenario: about.scenario,
  title: about.title,
  fast: about.fast,
  started_at: about.startedAt,
  seconds: { expected: round(about.seconds.expected), taken: round(about.seconds.taken) },
  host: about.host,
  predictions: e.verified.map((v) => ({
    key: v.key,
    subject: v.subject,
    unit: v.unit,
    from: v.from,
    predicted: round(v.predicted),
    measured: round(v.measured),
    difference: round(differenceOf(v)),
    runs: v.runs.map(round),
    spread: round(spreadOf(v.runs)),
  })),
  comparison: {
    settings: [...e.comparison.settings],
    rows: e.comparison.rows.map((r) => ({
      what: r.what,
      unit: r.unit,
      values: r.values.map((v) => (typeof v === 'number' ? round(v) : v)),
    })),
  },
  told: e.told.map((t) => ({
    where: t.where,
    when: t.when,
    command: t.command,
    findings: t.findings.map(({ code, severity, title, text }) => ({ code, severity, title, text })),
    remedies: [...t.remedies],
  })),
  lessons: [...e.lessons],
  next: e.next.map(({ text, command }) => ({ text, command })),
  kept: about.kept === null ? null : { namespaces: [...about.kept.namespaces], folder: about.kept.folder },
});

export type LabDocument = ReturnType<typeof labDocument>;
