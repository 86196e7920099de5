/** One handshake that needs explaining, with what the explanation rests on. */
import type { CaptureFindingCode } from '../../core/finding/codes.ts';
import type { Attempt } from '../track/attempt.ts';
import type { PortUse } from '../track/port-use.ts';

/** What the SYN drew. `challenge`: an acknowledgement of something the handshake never sent. */
export type Answer = 'accepted' | 'challenge' | 'reset' | 'ignored';

export interface Case {
  readonly attempt: Attempt;
  /** Seconds from the first SYN to the SYN-ACK; null if none came. */
  readonly delay: number | null;
  /** Seconds from the earlier connection's last packet to the SYN; null if none is known. */
  readonly reuse: number | null;
  /** Ports its source held towards its destination at some time in the last 60 and 120 s before it ended. */
  readonly ports60: number;
  readonly ports120: number;
}

/** Cases of one kind in one port space. */
export class Bucket {
  readonly code: CaptureFindingCode;
  readonly answer: Answer;
  readonly use: PortUse;
  /** False where the earlier connection, or what dropped the SYN, is outside the capture: then it is an inference. */
  readonly certain: boolean;
  count = 0;
  recovered = 0;
  /** Taken up again from another port by a translator. */
  moved = 0;
  silent = 0;
  longest = 0;
  shortestReuse = Number.POSITIVE_INFINITY;
  /** Those on a port whose last connection ended within a TIME_WAIT. */
  early = 0;
  /** The first ones, as many as are kept. */
  readonly cases: Case[] = [];

  constructor(code: CaptureFindingCode, answer: Answer, use: PortUse, certain: boolean) {
    this.code = code;
    this.answer = answer;
    this.use = use;
    this.certain = certain;
  }

  add(attempt: Attempt): void {
    this.count++;
    this.silent += attempt.silent;
    if (attempt.outcome === 'moved') this.moved++;
    if (attempt.outcome === 'answered') {
      this.recovered++;
      this.longest = Math.max(this.longest, attempt.endedAt - attempt.startedAt);
    }
    if (attempt.previous !== null && attempt.previous.state !== 'none') {
      const reuse = Math.max(0, attempt.startedAt - attempt.previous.lastAt);
      this.shortestReuse = Math.min(this.shortestReuse, reuse);
      if (reuse < 60) this.early++;
    }
  }
}

/** What the SYN of `attempt` drew first, apart from a late acceptance. */
export const answerOf = (attempt: Attempt): Answer =>
  attempt.oldAcks > 0
    ? 'challenge'
    : attempt.outcome === 'reset'
      ? 'reset'
      : attempt.silent > 0 || attempt.outcome === 'ignored'
        ? 'ignored'
        : 'accepted';

/** The code of `attempt` by what the capture says the destination holds and what it answered; null if it is ordinary. */
export const classify = (attempt: Attempt): CaptureFindingCode | null => {
  const answer = answerOf(attempt);
  const { previous } = attempt;
  // An old acknowledgement that changed nothing was only late.
  if (answer === 'challenge' && !attempt.clientReset && attempt.syns === 1 && attempt.outcome === 'answered') return null;
  if (answer !== 'challenge' && (attempt.outcome === 'aborted' || attempt.outcome === 'pending')) return null;
  // The earlier connection went on and nobody heard of the SYN again: a stray duplicate on the way.
  if (attempt.outcome === 'superseded' && answer !== 'challenge') return null;
  switch (previous?.state) {
    case 'established':
      return answer === 'accepted' ? null : 'syn_on_established';
    case 'close_wait':
    case 'fin_wait':
    case 'closing':
    case 'last_ack':
      return answer === 'accepted' ? null : 'syn_on_half_closed';
    case 'time_wait':
      if (answer === 'accepted') return 'time_wait_accepted';
      if (answer === 'challenge') return stampOlder(attempt) ? 'paws_rejected' : 'syn_on_time_wait';
      return answer === 'reset' ? 'syn_on_time_wait' : 'syn_ignored';
    default:
      return answer === 'challenge' ? 'challenge_ack' : answer === 'reset' ? 'syn_reset' : answer === 'ignored' ? 'syn_ignored' : null;
  }
};

/** Whether the SYN's timestamp is older than the last one of the earlier connection: null if one of them has none. */
export const stampOlder = (attempt: Attempt): boolean | null =>
  attempt.stamp === null || attempt.previous === null || attempt.previous.stamp === null
    ? null
    : ((attempt.stamp - attempt.previous.stamp) | 0) < 0;

/** Whether the SYN's sequence number lies beyond what the destination expects next. */
export const seqBeyond = (attempt: Attempt): boolean | null =>
  attempt.previous === null ? null : ((attempt.isn - attempt.previous.expected) | 0) > 0;
