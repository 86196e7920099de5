/**
 * Alerts: what a look saw held against the rules. Each pair of a rule and a subject has a life of its own; a milder alert on the
 * same subject is raised quietly beside a more severe one. Pure but for its state; time is an argument (milliseconds since 1970).
 */
import type { Diagnosis } from '../../core/diagnosis.ts';
import { nameOf, stateOf } from '../../core/finding/of-space.ts';
import { FORECAST_MATTERS_RATIO } from '../../core/finding/urgency.ts';
import type { Severity } from '../../core/finding.ts';
import type { PortSpace } from '../../core/port-space.ts';
import { formatDuration, formatNumber, formatPercent, formatRate } from '../../core/quantity.ts';
import type { Alert } from '../../wire/api.ts';
import type { Observation } from '../sampling/observer.ts';
import { clear, isRaised, type Phase, step, type Where } from './hysteresis.ts';
import { type AlertRule, clearRatio, clearSeconds } from './rules.ts';

export interface AlertChange {
  readonly what: 'raised' | 'cleared';
  readonly alert: Alert;
  /** It is beside a more severe alert on the same subject: kept, and not delivered. */
  readonly quiet: boolean;
}

/** A rule's condition on one subject, as a look saw it. */
interface Case {
  readonly key: string;
  readonly subject: string;
  readonly where: Where;
  readonly severity: Severity;
  readonly value: number | null;
  readonly threshold: number | null;
  readonly title: string;
  readonly text: string;
  /** How it is, for when it is over. */
  readonly stands: string;
}

interface Held {
  readonly rule: AlertRule;
  phase: Phase;
  /** The last time the condition was seen. */
  seen: Case | null;
  alert: Alert | null;
  quiet: boolean;
}

const rank: Readonly<Record<Severity, number>> = { info: 0, warning: 1, critical: 2 };
const rfc3339 = (ms: number): string => new Date(ms).toISOString();

/** Seconds until no port is left; Infinity: never, or too little of it is used for a forecast to say anything. */
const secondsLeft = (space: PortSpace): number =>
  space.forecast.kind === 'exhausted'
    ? 0
    : space.forecast.kind === 'exhausts' && space.usedRatio >= FORECAST_MATTERS_RATIO
      ? space.forecast.seconds
      : Number.POSITIVE_INFINITY;

/** The numbers of a space and what helps most, in two or three sentences. */
const wordsOf = (space: PortSpace, diagnosis: Diagnosis): string => {
  const { used, capacity, free, byState, openRate } = space;
  const rate = openRate === null || openRate === 0 ? '' : `, ${formatRate(openRate)} opened`;
  const remedy = diagnosis.remedies.find((r) => r.subject === space.id);
  const help =
    remedy === undefined
      ? 'plimsoll doctor says why, and what each remedy would buy.'
      : `What helps most: ${remedy.title}${remedy.effect === null ? '' : ` (then ${formatPercent(remedy.effect.usedRatio)} used)`}. plimsoll doctor says why, and what the others would buy.`;
  return `${formatNumber(used)} of ${formatNumber(capacity)} ports are used and ${formatNumber(free)} free: ${formatNumber(byState.time_wait)} in TIME_WAIT, ${formatNumber(byState.established)} established${rate}. ${help}`;
};

const casesOf = (rule: AlertRule, seen: Pick<Observation, 'measured' | 'diagnosis'>): readonly Case[] => {
  const matches = (id: string): boolean => rule.space === null || id.includes(rule.space);
  if (rule.on === 'finding') {
    return seen.diagnosis.findings
      .filter((f) => matches(f.subject) && rank[f.severity] >= rank[rule.least] && rule.codes.some((c) => c === 'any' || c === f.code))
      .map((f) => ({
        key: `${f.code} ${f.subject}`,
        subject: f.subject,
        where: 'beyond',
        severity: rule.severity ?? f.severity,
        value: null,
        threshold: null,
        title: f.title,
        text: f.text,
        stands: f.title,
      }));
  }
  return seen.measured
    .filter((m) => matches(m.space.id))
    .map(({ space }): Case => {
      const common = {
        key: space.id,
        subject: space.id,
        severity: rule.severity,
        threshold: rule.raise,
        stands: `It ${stateOf(space)} now`,
      };
      if (rule.on === 'used_ratio') {
        const value = space.usedRatio;
        const where = value >= rule.raise ? 'beyond' : value < clearRatio(rule) ? 'clear' : 'between';
        // Words are only made for what may be said.
        if (where === 'clear') return { ...common, where, value, title: '', text: '' };
        return { ...common, where, value, title: `${nameOf(space)} ${stateOf(space)}`, text: wordsOf(space, seen.diagnosis) };
      }
      const seconds = secondsLeft(space);
      const where = seconds <= rule.raise ? 'beyond' : seconds > clearSeconds(rule) ? 'clear' : 'between';
      if (where === 'clear') return { ...common, where, value: null, title: '', text: '' };
      return { ...common, where, value: seconds, title: `${nameOf(space)} ${stateOf(space)}`, text: wordsOf(space, seen.diagnosis) };
    });
};

export class Alerts {
  private readonly rules: readonly AlertRule[];
  private readonly held = new Map<string, Held>();
  /** Of rules that are no more: cleared with the first look. */
  private orphans: Alert[] = [];
  private made = 0;

  /** `known`: alerts an earlier run left raised; they are not told anew. */
  constructor(rules: readonly AlertRule[], known: readonly Alert[] = []) {
    this.rules = rules;
    for (const alert of known.filter((a) => a.cleared_at === null)) {
      const rule = rules.find((r) => r.name === alert.rule);
      if (rule === undefined) this.orphans.push(alert);
      // Which finding it was about is in its id, as begin() made it.
      else this.held.set(`${rule.name} ${keyIn(alert)}`, { rule, phase: { phase: 'raised' }, seen: null, alert, quiet: false });
    }
  }

  /** Holds a look against the rules; what there is to tell. */
  take(seen: Pick<Observation, 'measured' | 'diagnosis'>, now: number): readonly AlertChange[] {
    const raised: Held[] = [];
    const over: AlertChange[] = this.orphans.map((alert) => ({
      what: 'cleared',
      alert: { ...alert, cleared_at: rfc3339(now) },
      quiet: false,
    }));
    this.orphans = [];
    for (const rule of this.rules) {
      const holds = { raiseAfter: rule.raise_after, clearAfter: rule.clear_after };
      const touched = new Set<string>();
      for (const each of casesOf(rule, seen)) {
        const key = `${rule.name} ${each.key}`;
        if (touched.has(key)) continue;
        touched.add(key);
        const known = this.held.get(key);
        if (known === undefined && each.where !== 'beyond') continue;
        const held = known ?? { rule, phase: clear, seen: null, alert: null, quiet: false };
        if (known === undefined) this.held.set(key, held);
        this.move(key, held, each, holds, now, raised, over);
      }
      // A space that is gone has no port in use.
      for (const [key, held] of this.held)
        if (held.rule === rule && !touched.has(key)) this.move(key, held, null, holds, now, raised, over);
    }
    return [...over, ...this.loud(raised)];
  }

  private move(
    key: string,
    held: Held,
    each: Case | null,
    holds: { raiseAfter: number; clearAfter: number },
    now: number,
    raised: Held[],
    over: AlertChange[],
  ): void {
    const was = isRaised(held.phase);
    held.phase = step(held.phase, each?.where ?? 'clear', now / 1000, holds);
    if (each !== null && each.where !== 'clear') held.seen = each;
    const is = isRaised(held.phase);
    if (is && !was) {
      held.alert = this.begin(held, now);
      raised.push(held);
    } else if (is && held.alert !== null && each !== null && each.where !== 'clear') {
      const { value, title, text } = each;
      held.alert = { ...held.alert, value, title, text };
    } else if (!is && was && held.alert !== null) {
      over.push({ what: 'cleared', alert: this.end(held.alert, each, now), quiet: held.quiet });
    }
    if (held.phase.phase === 'clear') this.held.delete(key);
  }

  private begin({ rule, seen }: Held, now: number): Alert {
    const { key, subject, severity, value, threshold, title, text } = seen!;
    return {
      id: `a${now.toString(36)}-${(this.made++).toString(36)}:${key}`,
      rule: rule.name,
      subject,
      severity,
      title,
      text,
      value,
      threshold,
      raised_at: rfc3339(now),
      cleared_at: null,
    };
  }

  private end(alert: Alert, each: Case | null, now: number): Alert {
    const lasted = formatDuration((now - Date.parse(alert.raised_at)) / 1000);
    const stands = each === null ? 'It is no longer seen' : each.stands;
    return { ...alert, value: each?.value ?? null, text: `${stands}, after ${lasted}.`, cleared_at: rfc3339(now) };
  }

  /** What is told of the alerts just raised, and of those a more severe one kept quiet until now. */
  private loud(raised: readonly Held[]): readonly AlertChange[] {
    const all = [...this.held.values()].filter((h) => h.alert !== null && isRaised(h.phase));
    const changes: AlertChange[] = [];
    for (const held of all) {
      const alert = held.alert!;
      const covered = all.some(
        (o) => o.rule.on === held.rule.on && o.alert!.subject === alert.subject && rank[o.alert!.severity] > rank[alert.severity],
      );
      if (raised.includes(held)) {
        held.quiet = covered;
        changes.push({ what: 'raised', alert, quiet: covered });
      } else if (held.quiet && !covered) {
        held.quiet = false;
        changes.push({ what: 'raised', alert, quiet: false });
      }
    }
    return changes.sort((a, b) => rank[b.alert.severity] - rank[a.alert.severity]);
  }

  /** Raised and not cleared, the most severe first. */
  active(): readonly Alert[] {
    return [...this.held.values()]
      .flatMap((h) => (h.alert !== null && isRaised(h.phase) ? [h.alert] : []))
      .sort((a, b) => rank[b.severity] - rank[a.severity] || Date.parse(b.raised_at) - Date.parse(a.raised_at));
  }
}

/** What begin() wrote behind the colon of an id. */
const keyIn = (alert: Alert): string => alert.id.slice(alert.id.indexOf(':') + 1);
