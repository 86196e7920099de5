/** The documents that are made of a look: once for all who ask, with process names and without. */
import type { Diagnosis } from '../../core/diagnosis.ts';
import { PlimsollError } from '../../core/errors.ts';
import { findingsOfSpace } from '../../core/finding/of-space.ts';
import { didYouMean } from '../../core/nearest.ts';
import { startOf } from '../../core/plan/from-space.ts';
import { portMap } from '../../core/port-map.ts';
import type { PortSpace } from '../../core/port-space.ts';
import type { MeasuredSpace } from '../../core/port-spaces.ts';
import { remedyForSpace } from '../../core/remedy/for-space.ts';
import type { Remedy } from '../../core/remedy/remedy.ts';
import { type PortMapDocument, type SpaceDetail, type SpacesPage, startDocument } from '../../wire/api.ts';
import { remedyDocument, reportDocument, spaceDocument } from '../../wire/report.ts';
import { withoutOwners } from '../anonymous.ts';
import type { Observation } from '../sampling/observer.ts';

export interface SpacesQuery {
  readonly sort: 'used_ratio' | 'used' | 'open_rate' | 'seconds_left' | 'id';
  readonly limit: number;
  readonly offset: number;
  readonly q: string;
}

/** Seconds until no port is left; Infinity where that is not in sight. */
const secondsLeft = ({ forecast }: PortSpace): number =>
  forecast.kind === 'exhausted' ? 0 : forecast.kind === 'exhausts' ? forecast.seconds : Number.POSITIVE_INFINITY;

const difference = (a: number, b: number): number => (a === b ? 0 : a - b);

/** Each puts what a person looks for first; `measured` comes the fullest first. */
const order: Readonly<Record<SpacesQuery['sort'], (a: PortSpace, b: PortSpace) => number>> = {
  used_ratio: () => 0,
  used: (a, b) => b.used - a.used,
  open_rate: (a, b) => (b.openRate ?? -1) - (a.openRate ?? -1),
  seconds_left: (a, b) => difference(secondsLeft(a), secondsLeft(b)),
  id: (a, b) => (a.id < b.id ? -1 : 1),
};

const base64 = (bytes: Uint8Array): string => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64');

/** One look's documents. `named` says whether process names may be in them. */
export class LookDocuments {
  readonly look: Observation;
  private anonymous: Diagnosis | null = null;
  private readonly reports = new Map<boolean, string>();

  constructor(look: Observation) {
    this.look = look;
  }

  diagnosis(named: boolean): Diagnosis {
    if (named) return this.look.diagnosis;
    this.anonymous ??= withoutOwners(this.look.diagnosis);
    return this.anonymous;
  }

  /** `plimsoll.report/1` as JSON. */
  report(named: boolean): string {
    const known = this.reports.get(named);
    if (known !== undefined) return known;
    const text = JSON.stringify(reportDocument(this.diagnosis(named)));
    this.reports.set(named, text);
    return text;
  }

  spaces(query: SpacesQuery, named: boolean): SpacesPage {
    const wanted = query.q.toLowerCase();
    const found = this.look.measured
      .map((m) => m.space)
      .filter((s) => wanted === '' || s.id.toLowerCase().includes(wanted) || (s.label ?? '').toLowerCase().includes(wanted))
      .sort(order[query.sort]);
    const shown = found.slice(query.offset, query.offset + query.limit);
    return { at: this.at, total: found.length, items: shown.map((s) => spaceDocument(this.withOwners(s, named))) };
  }

  /** Throws space_not_found. */
  space(id: string, named: boolean): SpaceDetail {
    const measured = this.find(id);
    const space = this.withOwners(measured.space, named);
    const findings = findingsOfSpace(space, measured.view);
    const codes = [...new Set(findings.flatMap((f) => f.remedies))];
    const remedies = codes.map((code) => remedyForSpace(code, space, measured.view)).filter((r): r is Remedy => r !== null);
    return {
      at: this.at,
      space: spaceDocument(space),
      findings: findings.map((f) => ({ ...f, evidence: f.evidence.map((e) => ({ ...e })), remedies: [...f.remedies] })),
      remedies: remedies.map(remedyDocument),
      start: startDocument(startOf(measured), space.capacity),
    };
  }

  /** Throws space_not_found. */
  portMap(id: string): PortMapDocument {
    const { range, states, timeLeft } = portMap(this.find(id));
    return { at: this.at, id, range: { low: range.low, high: range.high }, states: base64(states), time_left: base64(timeLeft) };
  }

  get at(): string {
    return this.look.diagnosis.takenAt;
  }

  private find(id: string): MeasuredSpace {
    const measured = this.look.measured.find((m) => m.space.id === id);
    if (measured !== undefined) return measured;
    const ids = this.look.measured.map((m) => m.space.id);
    throw new PlimsollError('space_not_found', { id, nearest: didYouMean(id, ids) });
  }

  /** Owners are looked up for the spaces that the diagnosis lists. */
  private withOwners(space: PortSpace, named: boolean): PortSpace {
    if (!named) return space.owners.length === 0 ? space : { ...space, owners: [] };
    return this.look.diagnosis.spaces.find((s) => s.id === space.id) ?? space;
  }
}
