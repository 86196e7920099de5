/** `plimsoll.tune/1`: the audit of a host's settings, and what was changed. Field names are contract; see docs/reference/tune.md. */

import type { Outcome } from '../core/tune/effects.ts';
import type { Audit } from '../core/tune/facts.ts';

export const TUNE_SCHEMA = 'plimsoll.tune/1';

/** Where a setting comes from at boot. */
export interface Source {
  readonly file: string;
  readonly line: number;
  readonly value: string;
}

export interface Origin {
  readonly wins: Source | null;
  readonly contradicted: readonly Source[];
  readonly onlyProcps: Source | null;
}

/** What was done, in the words of whoever did it. */
export interface Done {
  readonly settings: readonly { readonly name: string; readonly from: string; readonly to: string }[];
  readonly file: string | null;
  readonly left: readonly { readonly name: string; readonly ours: string; readonly found: string }[];
}

const rounded = (value: number): number => Number(value.toPrecision(6));
const figures = (f: { readonly capacity: number; readonly usedRatio: number }) => ({
  capacity: rounded(f.capacity),
  used_ratio: rounded(f.usedRatio),
});
const source = (s: Source) => ({ file: s.file, line: s.line, value: s.value });

/** The document of an audit and, where something was changed, of that. */
export const tuneDocument = (told: {
  readonly namespace: string;
  readonly persistent: boolean;
  readonly audit: Audit;
  readonly origins: ReadonlyMap<string, Origin>;
  readonly snippets: readonly { readonly product: string; readonly text: string }[];
  readonly applied: Done | null;
  readonly outcomes: readonly Outcome[];
}) => ({
  schema: TUNE_SCHEMA as typeof TUNE_SCHEMA,
  namespace: told.namespace,
  role: told.audit.role,
  /** Whether what is applied here outlives a reboot. */
  persistent: told.persistent,
  settings: told.audit.advice.map((a) => {
    const origin = told.origins.get(a.name);
    return {
      name: a.name,
      scope: a.scope,
      current: a.current,
      recommended: a.recommended,
      why: a.why,
      cannot: a.cannot,
      risk: a.risk,
      set_by: origin?.wins == null ? null : source(origin.wins),
      contradicted_by: (origin?.contradicted ?? []).map(source),
      only_procps: origin?.onlyProcps == null ? null : source(origin.onlyProcps),
    };
  }),
  promised: told.audit.promised.map((p) => ({
    space: p.space,
    capacity: rounded(p.effect.capacity),
    used_ratio: rounded(p.effect.usedRatio),
  })),
  snippets: told.snippets.map((s) => ({ product: s.product, text: s.text })),
  applied:
    told.applied === null
      ? null
      : {
          settings: told.applied.settings.map((s) => ({ ...s })),
          file: told.applied.file,
          left: told.applied.left.map((l) => ({ ...l })),
        },
  outcomes: told.outcomes.map((o) => ({
    space: o.space,
    promised: figures(o.promised),
    before: figures(o.before),
    after: o.after === null ? null : figures(o.after),
    came: o.came,
  })),
});

export type TuneDocument = ReturnType<typeof tuneDocument>;
