/**
 * What an experiment says: predicted beside measured, and what was seen under each setting. `plimsoll lab` fills it; the document
 * and the page are made of it.
 */

/** One figure that was predicted before the run and then measured. */
export interface Verified {
  /** Names it for scripts: `first_failure`. */
  readonly key: string;
  /** What was measured, in words: `connections until the first failure`. */
  readonly subject: string;
  readonly unit: string;
  /** The command line the prediction came from. */
  readonly from: string;
  readonly predicted: number;
  /** The mean of `runs`. */
  readonly measured: number;
  readonly runs: readonly number[];
}

/** How far the measurement lies from the prediction, as a share of the prediction. */
export const differenceOf = (v: Pick<Verified, 'predicted' | 'measured'>): number =>
  v.predicted === v.measured ? 0 : v.predicted === 0 ? 1 : Math.abs(v.measured - v.predicted) / v.predicted;

/** Largest less smallest of the runs. */
export const spreadOf = (runs: readonly number[]): number => (runs.length === 0 ? 0 : Math.max(...runs) - Math.min(...runs));

/** The mean of at least one run. */
export const meanOf = (runs: readonly number[]): number => runs.reduce((sum, v) => sum + v, 0) / runs.length;

/** One thing seen under every setting; null where it does not apply. */
export interface ComparisonRow {
  readonly what: string;
  readonly unit: string;
  readonly values: readonly (number | string | null)[];
}

/** The before/after table: a column for each setting, the first of which is `before`. */
export interface Comparison {
  readonly settings: readonly string[];
  readonly rows: readonly ComparisonRow[];
}

/** What another command of the product said at one moment: the doctor of the host, or explain of a capture. */
export interface Told {
  /** Where: the namespace's role, or the capture. */
  readonly where: string;
  /** When, in words: `with 400 of 400 ports in use`. */
  readonly when: string;
  readonly command: string;
  readonly findings: readonly { readonly code: string; readonly severity: string; readonly title: string; readonly text: string }[];
  /** The best remedies, best first, as it titles them. */
  readonly remedies: readonly string[];
}

export interface Experiment {
  readonly verified: readonly Verified[];
  readonly comparison: Comparison;
  /** The doctor's words at the worst moment; explain's where packets tell more. */
  readonly told: readonly Told[];
  /** What it shows, in sentences. */
  readonly lessons: readonly string[];
  /** What to do on a real host. */
  readonly next: readonly { readonly text: string; readonly command: string }[];
}
