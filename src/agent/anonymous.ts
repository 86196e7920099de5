/** A diagnosis without a process name in it: what may be told without the token, kept on disk and sent to a webhook. */
import type { Diagnosis } from '../core/diagnosis.ts';
import { findingsOfSpace } from '../core/finding/of-space.ts';
import type { Finding } from '../core/finding.ts';
import type { PortSpace } from '../core/port-space.ts';
import type { NamespaceView } from '../core/port-spaces.ts';
import { remedyForSpace } from '../core/remedy/for-space.ts';

/** The same findings and remedies as those of a host whose owners could not be read. */
export const withoutOwners = (diagnosis: Diagnosis): Diagnosis => {
  const spaces = diagnosis.spaces.map((space): PortSpace => ({ ...space, owners: [] }));
  const viewOf = (space: PortSpace): NamespaceView | undefined => diagnosis.namespaces.find((v) => v.sample.name === space.namespace);
  const anew = new Map<string, Finding>();
  for (const space of spaces) {
    const view = viewOf(space);
    if (view === undefined) continue;
    for (const finding of findingsOfSpace(space, view)) anew.set(`${finding.code} ${finding.subject}`, finding);
  }
  const byId = new Map(spaces.map((space) => [space.id, space]));
  return {
    ...diagnosis,
    spaces,
    // A finding about a space that is not found without its owners would be about a process: it is left out.
    findings: diagnosis.findings.flatMap((f) => (byId.has(f.subject) ? (anew.get(`${f.code} ${f.subject}`) ?? []) : f)),
    remedies: diagnosis.remedies.flatMap((r) => {
      const space = byId.get(r.subject);
      const view = space === undefined ? undefined : viewOf(space);
      return space === undefined || view === undefined ? [] : (remedyForSpace(r.code, space, view) ?? []);
    }),
  };
};
