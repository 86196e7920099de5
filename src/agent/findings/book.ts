/**
 * Findings with their life. A look finds a condition or it does not; people want to know when it began, whether it is over, and
 * not to hear of it anew each time it flickers. Time is an argument: milliseconds since 1970.
 */
import type { Finding, Severity } from '../../core/finding.ts';
import type { FindingLife } from '../../wire/api.ts';

export interface BookOptions {
  /** Seconds a finding must be absent, or less severe, before that counts. */
  readonly hold?: number;
  /** What an earlier run wrote down. */
  readonly known?: readonly FindingLife[];
  /** When this run began. */
  readonly now: number;
}

/** The three things that happen to a finding; the numbers in its text move on without being told each time. */
export interface FindingChange {
  readonly what: 'opened' | 'changed' | 'closed';
  readonly life: FindingLife;
}

/** Longer than a counter that moves every few seconds is still. */
const HOLD = 30;
const MOST_OPEN = 1000;
const MOST_CLOSED = 1000;

const rank: Readonly<Record<Severity, number>> = { info: 0, warning: 1, critical: 2 };
const rfc3339 = (ms: number): string => new Date(ms).toISOString();
const keyOf = (f: { readonly code: string; readonly subject: string }): string => `${f.code} ${f.subject}`;

interface Open {
  life: FindingLife;
  seenAt: number;
  /** Since when it has been less severe than the life says; null: it is not. */
  milderSince: number | null;
}

export class FindingBook {
  private readonly hold: number;
  private readonly open = new Map<string, Open>();
  private closed: FindingLife[] = [];
  private made = 0;

  constructor({ hold = HOLD, known = [], now }: BookOptions) {
    this.hold = hold * 1000;
    for (const life of known) {
      // As if seen just now: the host gets the hold time to show it again.
      if (life.closed_at === null) this.open.set(keyOf(life), { life, seenAt: now, milderSince: null });
      else this.closed.push(life);
    }
    this.closed.sort((a, b) => Date.parse(b.closed_at!) - Date.parse(a.closed_at!));
  }

  /** Takes what a look found, at `now`; what of it is to be told. `interval`: seconds between looks, which may be longer than the hold. */
  take(findings: readonly Finding[], now: number, interval = 1): readonly FindingChange[] {
    const changes: FindingChange[] = [];
    const hold = Math.max(this.hold, 3 * interval * 1000);
    const seen = new Set<string>();
    for (const finding of findings) {
      const key = keyOf(finding);
      // The worst of those with one code and subject comes first.
      if (seen.has(key)) continue;
      seen.add(key);
      const known = this.open.get(key);
      if (known !== undefined) this.renew(known, finding, now, hold, changes);
      else if (this.open.size < MOST_OPEN) changes.push({ what: 'opened', life: this.begin(key, finding, now) });
    }
    for (const [key, { life, seenAt }] of this.open) {
      if (seen.has(key) || now - seenAt < hold) continue;
      this.open.delete(key);
      const over: FindingLife = { ...life, changed_at: rfc3339(now), closed_at: rfc3339(now) };
      this.closed.unshift(over);
      changes.push({ what: 'closed', life: over });
    }
    this.closed.length = Math.min(this.closed.length, MOST_CLOSED);
    return changes;
  }

  private begin(key: string, finding: Finding, now: number): FindingLife {
    const at = rfc3339(now);
    const life: FindingLife = {
      ...bodyOf(finding),
      id: `f${now.toString(36)}-${(this.made++).toString(36)}`,
      opened_at: at,
      changed_at: at,
      closed_at: null,
    };
    this.open.set(key, { life, seenAt: now, milderSince: null });
    return life;
  }

  private renew(known: Open, finding: Finding, now: number, hold: number, changes: FindingChange[]): void {
    known.seenAt = now;
    const was = rank[known.life.severity];
    const is = rank[finding.severity];
    if (is >= was) known.milderSince = null;
    else known.milderSince ??= now;
    const changed = is > was || (known.milderSince !== null && now - known.milderSince >= hold);
    known.life = {
      ...known.life,
      ...bodyOf(finding),
      severity: changed ? finding.severity : known.life.severity,
      changed_at: changed ? rfc3339(now) : known.life.changed_at,
    };
    if (!changed) return;
    known.milderSince = null;
    changes.push({ what: 'changed', life: known.life });
  }

  /** The lives, newest first. */
  list(state: 'open' | 'closed' | 'all'): readonly FindingLife[] {
    const open = [...this.open.values()].map((o) => o.life).sort((a, b) => Date.parse(b.opened_at) - Date.parse(a.opened_at));
    return state === 'open' ? open : state === 'closed' ? this.closed : [...open, ...this.closed];
  }
}

const bodyOf = (f: Finding) => ({
  code: f.code,
  subject: f.subject,
  severity: f.severity,
  title: f.title,
  text: f.text,
  evidence: f.evidence.map((e) => ({ ...e })),
  remedies: [...f.remedies],
});
