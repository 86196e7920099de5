/** A plan's beginning read off this host: two looks, one port space. */
import { PlimsollError } from '../../core/errors.ts';
import { didYouMean } from '../../core/nearest.ts';
import { type MeasuredStart, startOf } from '../../core/plan/from-space.ts';
import { measurePortSpaces } from '../../core/port-spaces.ts';
import { findNamespaces } from '../../linux/netns.ts';
import { liveRoot } from '../../linux/proc.ts';
import { Sampler } from '../../linux/sampler.ts';
import type { Shell } from '../shell.ts';

/** Seconds between the two looks, as the doctor's default. */
const INTERVAL = 2;
const PROBE_BUDGET = 400;

const wait = (seconds: number, interrupted: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    const timer = setTimeout(resolve, seconds * 1000);
    interrupted.addEventListener('abort', () => {
      clearTimeout(timer);
      resolve();
    });
  });

/** The space with the id asked for, or the fullest. Throws space_not_found or no_space. */
export const chooseSpace = <T>(spaces: readonly T[], idOf: (space: T) => string, wanted: string | null, where: string): T => {
  const [first] = spaces;
  if (first === undefined) throw new PlimsollError('no_space', { where });
  if (wanted === null) return first;
  const found = spaces.find((s) => idOf(s) === wanted);
  if (found === undefined) throw new PlimsollError('space_not_found', { id: wanted, nearest: didYouMean(wanted, spaces.map(idOf)) });
  return found;
};

/** Looks twice and reads the beginning off the space asked for. */
export const measureStart = async (
  options: { readonly netns: string | null; readonly space: string | null },
  shell: Shell,
): Promise<MeasuredStart> => {
  const sampler = new Sampler(findNamespaces(liveRoot, options.netns));
  const before = sampler.look({ info: false, probeBudget: 0 });
  await wait(INTERVAL, shell.interrupted);
  const after = sampler.look({ info: true, probeBudget: PROBE_BUDGET });
  const spaces = after.views.flatMap((view) =>
    measurePortSpaces(before.views.find((b) => b.sample.id === view.sample.id) ?? null, view, {
      tickHz: sampler.facts.tickHz,
      failed: null,
      asked: [],
    }),
  );
  return startOf(chooseSpace(spaces, (m) => m.space.id, options.space, 'this host'));
};
