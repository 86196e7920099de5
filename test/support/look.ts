/** The product's own look at a test namespace, through the same sampler that `doctor` uses. */
import { statSync } from 'node:fs';
import { type Diagnosis, diagnose, type Looks, measureSpaces } from '../../src/core/diagnosis.ts';
import type { PortSpace } from '../../src/core/port-space.ts';
import { type AskedDestination, type MeasuredSpace, measurePortSpaces, type NamespaceView } from '../../src/core/port-spaces.ts';
import type { RemedyCode } from '../../src/core/remedy/codes.ts';
import type { Effect } from '../../src/core/remedy/effect.ts';
import type { Remedy } from '../../src/core/remedy/remedy.ts';
import { Sampler } from '../../src/linux/sampler.ts';
import type { Namespace } from './namespace.ts';

export const viewOf = (ns: Namespace): { readonly view: NamespaceView; readonly tickHz: number | null } => {
  const path = `/run/netns/${ns.name}`;
  const sampler = new Sampler([{ id: String(statSync(path).ino), name: ns.name, path }]);
  return { view: sampler.look({ info: true, probeBudget: 5000 }).views[0]!, tickHz: sampler.facts.tickHz };
};

/** All port spaces of a namespace now, and the ones asked for. */
export const spacesOf = (ns: Namespace, asked: readonly AskedDestination[] = [], before: NamespaceView | null = null): MeasuredSpace[] => {
  const { view, tickHz } = viewOf(ns);
  return measurePortSpaces(before, view, { tickHz, failed: null, asked });
};

export const connectSpace = (ns: Namespace, source: string, destination: string, destinationPort: number): PortSpace => {
  const found = spacesOf(ns, [{ source, destination, destinationPort }]).find(
    (m) =>
      m.space.kind === 'connect' &&
      m.space.source === source &&
      m.space.destination === destination &&
      m.space.destinationPort === destinationPort,
  );
  if (found === undefined) throw new Error(`no connect space ${source} → ${destination}:${destinationPort}`);
  return found.space;
};

export const bindSpace = (ns: Namespace, source: string): PortSpace => {
  const found = spacesOf(ns).find((m) => m.space.kind === 'bind' && m.space.source === source);
  if (found === undefined) throw new Error(`no bind space of ${source}`);
  return found.space;
};

/** The doctor's whole verdict on a namespace: two looks with `between` in the middle. */
export const diagnoseNamespace = async (ns: Namespace, between: () => void | Promise<void> = () => {}): Promise<Diagnosis> => {
  const path = `/run/netns/${ns.name}`;
  const sampler = new Sampler([{ id: String(statSync(path).ino), name: ns.name, path }]);
  const before = sampler.look({ info: false, probeBudget: 0 }).views;
  await between();
  const { views, sensors } = sampler.look({ info: true, probeBudget: 5000 });
  const looks: Looks = {
    host: sampler.facts,
    takenAt: new Date().toISOString(),
    before,
    after: views,
    watched: { seconds: 0, failedSearches: null, openings: [] },
  };
  const measured = measureSpaces(looks, []);
  return diagnose(looks, measured, sampler.owners(measured.slice(0, 10)).bySpace, sensors, 10);
};

/** The remedy `code` of the whole verdict, what it promises, and the space it is for. Throws if there is none that promises something. */
export const remedyOf = async (
  ns: Namespace,
  code: RemedyCode,
  between: () => void | Promise<void> = () => {},
): Promise<{ readonly remedy: Remedy; readonly effect: Effect; readonly space: PortSpace }> => {
  const d = await diagnoseNamespace(ns, between);
  const remedy = d.remedies.find((r) => r.code === code);
  if (!remedy?.effect)
    throw new Error(`no remedy ${code} among ${d.remedies.map((r) => r.code).join(', ')} for ${d.findings.map((f) => f.code).join(', ')}`);
  return { remedy, effect: remedy.effect, space: d.spaces.find((s) => s.id === remedy.subject)! };
};
