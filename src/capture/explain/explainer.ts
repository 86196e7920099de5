/**
 * Collects what the tracker finds odd and, when the capture is over, decides what of it is a finding.
 *
 * Some cases explain themselves (an old acknowledgement in answer to a SYN); others only the whole capture can judge: a RST may be
 * a closed port, silence may be loss. Those wait in `refused`, `silent` and `untranslated` until `finish`.
 */
import type { CaptureFindingCode } from '../../core/finding/codes.ts';
import type { Attempt } from '../track/attempt.ts';
import type { PortUse } from '../track/port-use.ts';
import type { Tracker, TrackerSink } from '../track/tracker.ts';
import { type Answer, answerOf, Bucket, type Case, classify } from './case.ts';
import { type Background, background, beyondLoss, runBeyondLoss } from './loss.ts';
import { type MonitorSeries, monitorSeries } from './monitors.ts';

/** Everything that was decided, before it becomes words. */
export interface Explanation {
  readonly buckets: readonly Bucket[];
  readonly nearLimit: readonly { readonly use: PortUse; readonly limit: number }[];
  readonly monitors: readonly { readonly use: PortUse; readonly series: MonitorSeries }[];
  readonly background: Background;
  /** Handshakes that were silent once or more and are put down to loss. */
  readonly putDownToLoss: number;
}

/** A source whose ports all lie in Linux's default range has that many; any other may use all but the privileged ones. */
export const portLimit = (use: PortUse): number => (use.lowestPort >= 32768 && use.highestPort <= 60999 ? 28_232 : 64_512);
const nearLimitRatio = 0.8;
/** Port spaces of which cases of one sort are kept. */
const mostBuckets = 10_000;
/** Translations seen before silence on the outer side means that the SYN was lost inside. */
const enoughTranslations = 3;

export class Explainer implements TrackerSink {
  tracker!: Tracker;
  private readonly keep: number;
  private readonly settled = new Map<string, Bucket>();
  private readonly refused = new Map<string, Bucket>();
  private readonly silent = new Map<string, Bucket>();
  private readonly untranslated = new Map<string, Bucket>();
  private loneSilences: Attempt[] = [];
  /** Silent handshakes of spaces beyond those that are kept. */
  private overflow = 0;

  /** `keep`: how many cases of one kind in one port space are kept whole. */
  constructor(keep: number) {
    this.keep = keep;
  }

  wantsAccepted(use: PortUse): boolean {
    return use.examples < this.keep;
  }

  attempt(attempt: Attempt): void {
    const code = classify(attempt);
    if (code === null) return;
    const answer = answerOf(attempt);
    if (answer === 'ignored' && this.lostInside(attempt)) {
      this.put(this.untranslated, 'snat_syn_loss', answer, attempt, true);
      return;
    }
    // What the inner side of a NAT sees of it is explained on the outer side, where the four numbers collide.
    if (attempt.translated !== null && attempt.outcome !== 'ignored') return;
    if (code === 'syn_ignored') {
      this.put(this.silent, code, answer, attempt, false);
      if (attempt.silent >= 2 && this.loneSilences.length < 1000) this.loneSilences.push(attempt);
      return;
    }
    if (code === 'syn_reset' || (code === 'syn_on_time_wait' && answer === 'reset')) {
      this.put(this.refused, code, answer, attempt, code !== 'syn_reset');
      return;
    }
    this.put(this.settled, code, answer, attempt, code !== 'challenge_ack');
  }

  /** Whether a SYN of `attempt` went into a NAT and did not come out. */
  private lostInside(attempt: Attempt): boolean {
    if (attempt.translated !== null) return attempt.translated.at - attempt.startedAt > 0.5;
    const { use } = attempt;
    return (
      use.translated >= enoughTranslations &&
      attempt.startedAt >= use.firstTranslation &&
      attempt.behind === null &&
      // The outer capture may have ended.
      this.tracker.held.now - attempt.startedAt < 600
    );
  }

  private put(into: Map<string, Bucket>, code: CaptureFindingCode, answer: Answer, attempt: Attempt, certain: boolean): void {
    const key = `${code} ${answer} ${attempt.use.serial}`;
    let bucket = into.get(key);
    if (bucket === undefined) {
      // A flood of forged sources makes a space for each: they are counted, not kept.
      if (into.size >= mostBuckets) {
        this.overflow++;
        return;
      }
      bucket = new Bucket(code, answer, attempt.use, certain);
      into.set(key, bucket);
    }
    bucket.add(attempt);
    if (bucket.cases.length < this.keep) bucket.cases.push(this.caseOf(attempt));
  }

  private caseOf(attempt: Attempt): Case {
    const { use, previous } = attempt;
    return {
      attempt,
      delay: attempt.outcome === 'answered' ? attempt.endedAt - attempt.startedAt : null,
      reuse: previous === null || previous.state === 'none' ? null : Math.max(0, attempt.startedAt - previous.lastAt),
      ports60: use.inMinute,
      ports120: use.inTwoMinutes,
    };
  }

  finish(): Explanation {
    const { tracker } = this;
    const uses = tracker.spaces.all();
    const of = background(tracker.carrying, tracker.repeated, uses.length, tracker.tried);
    const buckets: Bucket[] = [...this.settled.values()];
    for (const bucket of this.settled.values()) if (bucket.code === 'time_wait_accepted') bucket.count = bucket.use.timeWaitAccepted;

    for (const bucket of this.refused.values()) {
      const { destination } = bucket.use;
      // A closed port refuses everything; a service that was away refuses one run of handshakes. Only refusals in between
      // handshakes that it accepts, again and again, concern the four numbers.
      const lives = bucket.cases.some((c) => destination.lastAccepted > c.attempt.endedAt);
      if (bucket.code === 'syn_on_time_wait' ? lives : destination.islands >= 2) buckets.push(bucket);
    }

    let putDownToLoss = this.overflow;
    const reported = new Set<PortUse>();
    // A capture of SYNs alone shows no answers: then their absence tells nothing.
    const answersCaptured = tracker.segments > tracker.syns;
    for (const bucket of this.silent.values()) {
      if (answersCaptured && beyondLoss(bucket.use.syns, bucket.use.silent, of)) {
        buckets.push(bucket);
        reported.add(bucket.use);
      } else putDownToLoss += bucket.count;
    }
    if (answersCaptured) {
      for (const attempt of this.loneSilences) {
        if (reported.has(attempt.use) || !runBeyondLoss(attempt.silent, of)) continue;
        const bucket = new Bucket('syn_ignored', 'ignored', attempt.use, false);
        bucket.add(attempt);
        bucket.cases.push(this.caseOf(attempt));
        buckets.push(bucket);
        reported.add(attempt.use);
        putDownToLoss--;
      }
    }
    for (const bucket of this.untranslated.values()) {
      if (beyondLoss(bucket.use.syns, bucket.silent, of)) buckets.push(bucket);
      else putDownToLoss += bucket.count;
    }

    const troubled = new Map<PortUse, Bucket[]>();
    for (const bucket of buckets) {
      const list = troubled.get(bucket.use) ?? [];
      list.push(bucket);
      troubled.set(bucket.use, list);
    }
    for (const [use, list] of troubled) {
      const early = list.filter((b) => b.code !== 'time_wait_accepted' && b.cases.some((c) => c.attempt.previous?.state === 'time_wait'));
      if (use.early === 0 || early.length === 0) continue;
      const bucket = new Bucket('port_reused_early', early[0]!.answer, use, true);
      bucket.count = use.early;
      bucket.shortestReuse = use.shortestEarly;
      bucket.recovered = use.timeWaitAccepted;
      const example = early[0]!.cases.find((c) => c.attempt.previous?.state === 'time_wait');
      if (example !== undefined) bucket.cases.push(example);
      buckets.push(bucket);
    }

    return {
      buckets,
      nearLimit: uses.map((use) => ({ use, limit: portLimit(use) })).filter(({ use, limit }) => use.peakHeld >= nearLimitRatio * limit),
      monitors: uses.flatMap((use) => {
        // A service that was away refuses its monitor too: only where it accepts in between is it not the service.
        const lives = use.destination.islands >= 2 || troubled.get(use)?.some((b) => b.answer === 'reset') === true;
        const series = lives && use.destination.worked > 0 ? monitorSeries(use.beats ?? []) : null;
        return series === null ? [] : [{ use, series }];
      }),
      background: of,
      putDownToLoss,
    };
  }
}
