/** What the processes of a run tell each other. They are of the same build, so nothing is validated. */
import type { Job } from './job.ts';
import type { Delta } from './tally.ts';

/** `at`: milliseconds since the epoch when the run begins; `interval`: seconds between two deltas. */
export type ToWorker = { readonly to: 'run'; readonly job: Job; readonly at: number; readonly interval: number } | { readonly to: 'stop' };

export type FromWorker = { readonly from: 'ready' } | { readonly from: 'delta'; readonly delta: Delta } | { readonly from: 'done' };
