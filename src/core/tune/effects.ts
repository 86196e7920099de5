/** Whether what a change promised has come, by a look taken afterwards. */
import type { PortSpace } from '../port-space.ts';
import type { Promised } from './facts.ts';

export interface Outcome {
  readonly space: string;
  readonly promised: { readonly capacity: number; readonly usedRatio: number };
  readonly before: { readonly capacity: number; readonly usedRatio: number };
  /** Null: the space holds no socket any more. */
  readonly after: { readonly capacity: number; readonly usedRatio: number } | null;
  readonly came: boolean;
}

/** A hundredth of the capacity may be taken by listeners that came meanwhile; the load may be a tenth more than it was. */
const CAPACITY_SLACK = 0.99;
const LOAD_SLACK = 1.1;

const figures = (space: PortSpace): { readonly capacity: number; readonly usedRatio: number } => ({
  capacity: space.capacity,
  usedRatio: space.usedRatio,
});

/** Compares each promise with the space after the change. A space that is gone kept no promise and broke none. */
export const compareWithPromise = (
  promised: readonly Promised[],
  before: readonly PortSpace[],
  after: readonly PortSpace[],
): readonly Outcome[] =>
  promised.flatMap((p): Outcome[] => {
    const was = before.find((s) => s.id === p.space);
    if (was === undefined) return [];
    const is = after.find((s) => s.id === p.space);
    const { capacity, usedRatio } = p.effect;
    return [
      {
        space: p.space,
        promised: { capacity, usedRatio },
        before: figures(was),
        after: is === undefined ? null : figures(is),
        came:
          is === undefined ||
          (is.capacity >= capacity * CAPACITY_SLACK && is.usedRatio <= Math.max(usedRatio, was.used / capacity) * LOAD_SLACK + 0.01),
      },
    ];
  });
