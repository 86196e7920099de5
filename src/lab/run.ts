/** Runs one scenario: what it needs, its predictions, its story, and the end of everything it made. */
import { PlimsollError } from '../core/errors.ts';
import { type Experiment, meanOf, type Verified } from '../core/experiment.ts';
import { findLeftovers, removeLeftovers } from './leftovers.ts';
import { requireAll } from './requirements.ts';
import { thisRun } from './run-identity.ts';
import type { Forecast, PlanReading, Scale, Scenario } from './scenario.ts';
import { Interrupted, type OwnCommand, Stage } from './stage.ts';

export interface RunOptions {
  readonly scale: Scale;
  readonly keep: boolean;
  readonly own: OwnCommand;
  /** The command line as it was typed, for the hint that offers sudo. */
  readonly line: string;
  readonly env: NodeJS.ProcessEnv;
  readonly interrupted: AbortSignal;
  readonly onStep: (text: string) => void;
  /** Called once, before anything happens. */
  readonly onPredicted: (predictions: readonly Prediction[]) => void;
}

export interface Prediction extends Forecast {
  readonly predicted: number;
  /** The command line it came from. */
  readonly from: string;
}

export interface Ran {
  readonly experiment: Experiment;
  readonly seconds: number;
  /** Under `keep`: what is still there. */
  readonly kept: { readonly namespaces: readonly string[]; readonly folder: string } | null;
}

const predict = async (stage: Stage, forecasts: readonly Forecast[]): Promise<readonly Prediction[]> => {
  const predictions: Prediction[] = [];
  for (const forecast of forecasts) {
    const plan = await stage.own<PlanReading>(null, ['plan', ...forecast.plan]);
    predictions.push({ ...forecast, predicted: forecast.read(plan), from: `plimsoll plan ${forecast.plan.join(' ')}` });
  }
  return predictions;
};

const verify = (scenario: Scenario, predictions: readonly Prediction[], measured: Readonly<Record<string, readonly number[]>>) =>
  predictions.map(({ key, subject, unit, from, predicted }): Verified => {
    const runs = measured[key];
    if (runs === undefined || runs.length === 0) throw new Error(`${scenario.name} did not measure ${key}`);
    return { key, subject, unit, from, predicted, measured: meanOf(runs), runs };
  });

/** Null if it was interrupted. Everything it made is gone when it resolves or throws, unless it is kept. */
export const runScenario = async (scenario: Scenario, options: RunOptions): Promise<Ran | null> => {
  requireAll(`lab run ${scenario.name}`, scenario.programs, options.line, options.env['PATH']);
  await removeLeftovers(findLeftovers(false));
  const begun = performance.now();
  const identity = thisRun(options.keep);
  const stage = new Stage({ ...options, identity });
  try {
    const predictions = await predict(stage, scenario.forecasts(options.scale));
    options.onPredicted(predictions);
    const { measured, ...rest } = await scenario.run(stage, options.scale);
    return {
      experiment: { ...rest, verified: verify(scenario, predictions, measured) },
      seconds: (performance.now() - begun) / 1000,
      kept: options.keep ? { namespaces: stage.namespaceNames, folder: stage.folder } : null,
    };
  } catch (cause) {
    if (cause instanceof Interrupted || options.interrupted.aborted) return null;
    if (cause instanceof PlimsollError) throw cause;
    throw new PlimsollError(
      'lab_failed',
      { scenario: scenario.name, step: stage.doing, reason: (cause as Error).message.trim() },
      { cause },
    );
  } finally {
    await stage.end();
  }
};
