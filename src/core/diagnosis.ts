/** The verdict: two looks at a host become port spaces, findings and remedies. Pure; the last stage before the documents. */

import { findingsOfNamespace, ruledOut } from './finding/of-namespace.ts';
import { findingsOfSpace } from './finding/of-space.ts';
import type { Finding, Severity } from './finding.ts';
import type { HostFacts, Reading, SensorReport, Watched } from './host-sample.ts';
import { type LedgerUse, ledgerSpaces } from './ledger-spaces.ts';
import type { OwnerShare, PortSpace } from './port-space.ts';
import {
  type AskedDestination,
  byUrgency,
  CANDIDATES,
  type InboundSource,
  type MeasuredSpace,
  measureInbound,
  measurePortSpaces,
  type NamespaceView,
  type PastOf,
} from './port-spaces.ts';
import { remedyForSpace } from './remedy/for-space.ts';
import type { Remedy } from './remedy/remedy.ts';

/** What all findings and port spaces of a look come to. */
export type Verdict = 'ok' | 'warning' | 'critical' | 'unknown';

/** Two looks (or one) at the same namespaces, and what was watched in between. */
export interface Looks {
  readonly host: HostFacts;
  /** RFC 3339. */
  readonly takenAt: string;
  readonly before: readonly NamespaceView[];
  readonly after: readonly NamespaceView[];
  readonly watched: Watched;
}

/** Everything a report says: what `doctor`, `watch` and the agent render, each in its own way. */
export interface Diagnosis {
  readonly host: HostFacts;
  readonly takenAt: string;
  /** Seconds between the looks; 0 for one look. */
  readonly interval: number;
  readonly namespaces: readonly NamespaceView[];
  readonly verdict: Verdict;
  readonly because: readonly Finding['code'][];
  readonly spaces: readonly PortSpace[];
  /** Port spaces that exist and are not listed, for they are less full. */
  readonly unlisted: number;
  readonly inbound: readonly InboundSource[];
  readonly findings: readonly Finding[];
  readonly remedies: readonly Remedy[];
  readonly ruledOut: readonly string[];
  readonly sensors: readonly SensorReport[];
}

const weight: Readonly<Record<Severity, number>> = { critical: 2, warning: 1, info: 0 };

/** Measures the port spaces of all namespaces, the fullest first; `past` is what was seen of them before these looks. */
export const measureSpaces = (looks: Looks, asked: readonly AskedDestination[], past: PastOf = () => []): readonly MeasuredSpace[] =>
  looks.after
    .flatMap((view) => {
      const before = looks.before.find((b) => b.sample.id === view.sample.id) ?? null;
      return measurePortSpaces(before, view, { tickHz: looks.host.tickHz, failed: looks.watched.failedSearches, asked, past });
    })
    .sort((a, b) => byUrgency(a.space, b.space));

/** The measured spaces and those of our balancer's ledgers, the fullest first. A ledger's sockets belong to no group of the table. */
export const withLedgers = (
  measured: readonly MeasuredSpace[],
  view: NamespaceView | undefined,
  now: Reading<readonly LedgerUse[]>,
  before: Reading<readonly LedgerUse[]> | null,
  seconds: number,
  past: PastOf = () => [],
): readonly MeasuredSpace[] => {
  if (view === undefined || now.status !== 'ok' || now.value.length === 0) return measured;
  const spaces = ledgerSpaces(view.sample, now.value, before?.status === 'ok' ? before.value : null, seconds, past);
  return [...measured, ...spaces.map((space) => ({ space, view, members: [] }))].sort((a, b) => byUrgency(a.space, b.space));
};

/** Owners of a space: who holds its sockets, and who was seen to open connections to its destination. */
const ownersOf = (space: PortSpace, namespace: string, holders: readonly OwnerShare[], watched: Watched): readonly OwnerShare[] => {
  const here = watched.openings.filter((o) => o.namespace === null || o.namespace === namespace);
  const openers = here.filter((o) =>
    space.kind === 'bind'
      ? o.bound && space.shared.some((s) => s.destination === o.destination && s.destinationPort === o.destinationPort)
      : o.destination === space.destination && o.destinationPort === space.destinationPort,
  );
  const opensOf = (pid: number): number | null =>
    watched.failedSearches === null
      ? null
      : openers.filter((o) => o.pid === pid).reduce((sum, o) => sum + o.weight, 0) / (watched.seconds || 1);
  const held = holders.map((h) => ({ ...h, opens: opensOf(h.pid) }));
  const others = new Map(openers.filter((o) => !holders.some((h) => h.pid === o.pid)).map((o) => [o.pid, o]));
  const opening = [...others.values()].map(
    (o): OwnerShare => ({ pid: o.pid, command: o.command, container: null, sockets: 0, opens: opensOf(o.pid) }),
  );
  return [...held, ...opening.sort((a, b) => (b.opens ?? 0) - (a.opens ?? 0))];
};

/**
 * The diagnosis of measured spaces. `holders` are owners by space id for those worth showing, at most `top`; the others are
 * counted. Sensors that could not read sockets at all make the verdict unknown.
 */
export const diagnose = (
  looks: Looks,
  measured: readonly MeasuredSpace[],
  holders: ReadonlyMap<string, readonly OwnerShare[]>,
  sensors: readonly SensorReport[],
  top: number,
  asked: readonly AskedDestination[] = [],
): Diagnosis => {
  const isAsked = (s: PortSpace): boolean => asked.some((a) => a.destination === s.destination && a.destinationPort === s.destinationPort);
  const shown = measured
    .filter((m, i) => i < top || isAsked(m.space))
    .map((m) => ({
      ...m,
      space: { ...m.space, owners: ownersOf(m.space, m.view.sample.id, holders.get(m.space.id) ?? [], looks.watched) },
    }));
  const earlier = (view: NamespaceView): NamespaceView | null => looks.before.find((b) => b.sample.id === view.sample.id) ?? null;
  const inbound = looks.after
    .flatMap((view) => measureInbound(view, top))
    .sort((a, b) => b.used - a.used)
    .slice(0, top);

  const ofSpaces = shown.map((m) => ({ m, findings: findingsOfSpace(m.space, m.view) }));
  const findings = [
    ...ofSpaces.flatMap((o) => o.findings),
    ...looks.after.flatMap((view) =>
      findingsOfNamespace(
        earlier(view),
        view,
        inbound.filter((i) => i.namespace === view.sample.name),
      ),
    ),
  ].sort((a, b) => weight[b.severity] - weight[a.severity]);

  const risk = { none: 0, low: 1, medium: 2, high: 3 } as const;
  const remedies = ofSpaces.flatMap(({ m, findings: own }) => {
    const codes = [...new Set(own.flatMap((f) => f.remedies))];
    // What buys most first, in steps of a twentieth: within a step less risk wins, then the order the finding gave.
    const step = (r: Remedy): number => (r.effect === null ? 99 : Math.round(r.effect.usedRatio * 20));
    return codes
      .map((code) => remedyForSpace(code, m.space, m.view))
      .filter((r) => r !== null)
      .sort((a, b) => step(a) - step(b) || risk[a.risk] - risk[b.risk]);
  });

  const worst = Math.max(-1, ...findings.map((f) => weight[f.severity]));
  const blind = looks.after.length === 0;
  const verdict: Verdict = blind ? 'unknown' : worst === 2 ? 'critical' : worst === 1 ? 'warning' : 'ok';
  const because = [...new Set(findings.filter((f) => f.severity !== 'info' && weight[f.severity] === worst).map((f) => f.code))];
  return {
    host: looks.host,
    takenAt: looks.takenAt,
    interval: looks.before.length === 0 || looks.after.length === 0 ? 0 : looks.after[0]!.sample.at - looks.before[0]!.sample.at,
    namespaces: looks.after,
    verdict,
    because,
    spaces: shown.map((m) => m.space),
    unlisted: measured.length - shown.length + looks.after.reduce((sum, v) => sum + Math.max(0, v.groups.outbound.length - CANDIDATES), 0),
    inbound,
    findings,
    remedies,
    ruledOut: verdict === 'ok' ? [] : looks.after.flatMap((view) => ruledOut(earlier(view), view)),
    sensors,
  };
};
