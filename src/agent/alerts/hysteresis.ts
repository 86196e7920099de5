/**
 * Raised or not, without flapping: a value must pass one threshold for a while to raise, and another, further back, for a while to
 * clear. Between the two nothing changes. Pure; time is an argument, in seconds.
 */

/** What one look says of the condition: beyond the raise threshold, back over the clear threshold, or in between. */
export type Where = 'beyond' | 'between' | 'clear';

export type Phase =
  | { readonly phase: 'clear' }
  /** Beyond since `since`, not for long enough yet. */
  | { readonly phase: 'rising'; readonly since: number }
  | { readonly phase: 'raised' }
  /** Clear since `since`, not for long enough yet. */
  | { readonly phase: 'falling'; readonly since: number };

export interface Holds {
  /** Seconds beyond the raise threshold until it is raised. */
  readonly raiseAfter: number;
  /** Seconds back over the clear threshold until it is cleared. */
  readonly clearAfter: number;
}

export const clear: Phase = { phase: 'clear' };

/** The next phase. */
export const step = (phase: Phase, where: Where, now: number, holds: Holds): Phase => {
  switch (phase.phase) {
    case 'clear':
    case 'rising': {
      if (where !== 'beyond') return clear;
      const since = phase.phase === 'rising' ? phase.since : now;
      return now - since >= holds.raiseAfter ? { phase: 'raised' } : { phase: 'rising', since };
    }
    case 'raised':
    case 'falling': {
      if (where !== 'clear') return { phase: 'raised' };
      const since = phase.phase === 'falling' ? phase.since : now;
      return now - since >= holds.clearAfter ? clear : { phase: 'falling', since };
    }
  }
};

/** Whether people have been told. */
export const isRaised = (phase: Phase): boolean => phase.phase === 'raised' || phase.phase === 'falling';
