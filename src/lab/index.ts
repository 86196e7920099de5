/** The lab: what the command line needs of it. */
export { findLeftovers, type Leftovers, removeLeftovers } from './leftovers.ts';
export { play } from './peers/index.ts';
export { requireAll } from './requirements.ts';
export { type Prediction, type Ran, runScenario } from './run.ts';
export type { Scale, Scenario } from './scenario.ts';
export { scenarios } from './scenarios/index.ts';
