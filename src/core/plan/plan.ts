/** The answer to "how many connections will these ports carry, for how long, and what would it take to carry mine?" */
import type { RemedyCode } from '../remedy/codes.ts';
import { assumptionsOf } from './assumptions.ts';
import { type Figures, figuresOf, totalFigures } from './figures.ts';
import { headroom, type Stage, stagesOf, tightest } from './stage.ts';
import { cheapest, holds, type Solution, sharedConnections, type WhatIf, whatIfs } from './what-if.ts';
import type { Workload } from './workload.ts';

/** The answer to a workload: where use settles, when it runs out, and what would make it last. */
export interface Plan {
  readonly workload: Workload;
  /** The remedies hold this many times the load: 1 + margin. */
  readonly target: number;
  /** The host's ports and, where there is one, the NAT's. */
  readonly stages: readonly Stage[];
  /** The stage that runs out first: what the figures are about. */
  readonly tightest: Stage;
  readonly space: Figures;
  readonly total: Figures;
  /** Whether the load lasts without one failure, and whether it would with the margin. */
  readonly lasts: boolean;
  readonly lastsWithMargin: boolean;
  readonly whatIfs: readonly WhatIf[];
  /** Null where no set of remedies holds the load. */
  readonly cheapest: Solution | null;
  readonly assumptions: readonly string[];
}

export interface PlanOptions {
  /** Stages that begin otherwise than empty: a live host's. */
  readonly start?: readonly Stage[];
  /** Sentences about where they come from. */
  readonly known?: readonly string[];
  /** Remedies that cannot be had here. */
  readonly without?: ReadonlySet<RemedyCode>;
}

/** Plans `workload`; the remedies are to hold `target` times the load. */
export const plan = (workload: Workload, target: number, options: PlanOptions = {}): Plan => {
  const stages = options.start ?? stagesOf(workload);
  const worst = tightest(stages);
  const space = figuresOf(worst);
  return {
    workload,
    target,
    stages,
    tightest: worst,
    space,
    total: totalFigures(worst),
    lasts: space.exhaustsAfter === null,
    lastsWithMargin: holds(stages, target),
    whatIfs: whatIfs(stages, workload, target, options.without),
    cheapest: cheapest(stages, workload, target, options.without),
    assumptions: [...(options.known ?? []), ...assumptionsOf(workload, target)],
  };
};

export type Question = 'addresses' | 'rate' | 'connections';

/** The answer to `--solve`: a number and what it counts. Null where nothing of the kind would hold the load. */
export const solve = (question: Question, p: Plan): { readonly value: number; readonly unit: string } | null => {
  const room = headroom(p.tightest);
  switch (question) {
    case 'addresses':
      return room > 0
        ? {
            value: Number.isFinite(room) ? Math.max(1, Math.ceil((p.workload.sources * p.target) / room - 1e-9)) : 1,
            unit: 'source addresses',
          }
        : null;
    case 'rate':
      return Number.isFinite(room) ? { value: (p.workload.rate * room) / p.target, unit: 'requests per second' } : null;
    case 'connections': {
      const value = sharedConnections(p.workload, p.target);
      return value <= p.total.capacity ? { value, unit: 'connections kept open and shared' } : null;
    }
  }
};
