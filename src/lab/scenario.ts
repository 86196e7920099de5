/** A scenario: a story with a before and an after, predicted by `plimsoll plan` and then measured on the kernel. */
import type { Comparison, Experiment } from '../core/experiment.ts';
import { formatNumber } from '../core/quantity.ts';
import type { ProgramName } from './requirements.ts';
import type { Stage } from './stage.ts';

/** `full`: as in the incident, as far as one host goes. `fast`: the same story with fewer ports, within 20 s on two cores. */
export type Scale = 'full' | 'fast';

/** The fields of a plan that predictions read. */
interface Figures {
  readonly capacity: number;
  readonly sustainable_rate: number | null;
  readonly exhausts_after: number | null;
  readonly plateau: { readonly used: number; readonly established: number };
}

export interface PlanReading extends Figures {
  /** Over all port spaces. */
  readonly total: Figures;
}

export interface Forecast {
  readonly key: string;
  /** What will be measured, in words: `connections until the first failure`. */
  readonly subject: string;
  readonly unit: string;
  /** The arguments of `plimsoll plan` that say how much. */
  readonly plan: readonly string[];
  readonly read: (plan: PlanReading) => number;
}

/** What a run found: an Experiment but for the predictions, which are made before it. */
export interface Findings extends Pick<Experiment, 'told' | 'lessons' | 'next'> {
  /** The runs' measurements by the forecasts' keys. */
  readonly measured: Readonly<Record<string, readonly number[]>>;
  readonly comparison: Comparison;
}

export interface Scenario {
  readonly name: string;
  readonly title: string;
  /** What happened, and where; two or three sentences. */
  readonly story: string;
  /** What is changed for the second half, in one line. */
  readonly remedy: string;
  /** How long it takes, in seconds. */
  readonly takes: Readonly<Record<Scale, number>>;
  readonly programs: readonly ProgramName[];
  readonly forecasts: (scale: Scale) => readonly Forecast[];
  readonly run: (stage: Stage, scale: Scale) => Promise<Findings>;
}

/** Text for people: numbers in it are written as the rest of the product writes them, `28,232`. */
export const say = (texts: TemplateStringsArray, ...values: readonly (string | number)[]): string =>
  String.raw({ raw: texts }, ...values.map((v) => (typeof v === 'number' ? formatNumber(v, Number.isInteger(v) ? 0 : 1) : v)));

/** Connections until the ports run out, at `rate` a second. */
export const untilExhausted =
  (rate: number) =>
  (plan: PlanReading): number =>
    Math.round((plan.total.exhausts_after ?? Number.POSITIVE_INFINITY) * rate);
