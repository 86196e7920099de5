/** The `agent:` section of plimsoll.yaml. The other sections are the balancer's: they may be there or not. */
import { readFile } from 'node:fs/promises';
import { type AgentSettings, readAgentSettings } from '../agent/alerts/rules.ts';
import { readDocument } from '../balancer/configuration/document.ts';
import type { Given } from '../core/configuration/given.ts';
import { formatMistake, type Mistake, quote } from '../core/configuration/mistake.ts';
import { PlimsollError } from '../core/errors.ts';
import { nearest } from '../core/nearest.ts';

const sections = ['version', 'user', 'virtual_services', 'application_profiles', 'pools', 'snat_pools', 'health_monitors', 'agent'];

const sectionOf = (given: Given): { readonly section: Given | null; readonly mistakes: readonly Mistake[] } => {
  if (given.kind !== 'map') {
    if (given.kind === 'scalar' && given.value === null) return { section: null, mistakes: [] };
    return {
      section: null,
      mistakes: [{ line: given.line, column: given.column, path: '', message: 'the file is not a mapping with a section agent' }],
    };
  }
  // What belongs to the balancer is its business; a section that nobody knows is a mistyped one.
  const mistakes = given.entries
    .filter((e) => !sections.includes(e.key))
    .map(({ key, at }) => {
      const near = nearest(key, sections);
      return {
        line: at.line,
        column: at.column,
        path: key,
        message: `there is no ${quote(key)} here${near === null ? '' : `; did you mean "${near}"?`}`,
      };
    });
  return { section: given.entries.find((e) => e.key === 'agent')?.value ?? null, mistakes };
};

/** Reads the section, with its defaults. Throws file_not_found, or bad_configuration with the facts `path`, `count` and `mistakes`, one a line. */
export const loadAgentSettings = async (path: string): Promise<AgentSettings> => {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (cause) {
    throw new PlimsollError('file_not_found', { path, reason: (cause as NodeJS.ErrnoException).code ?? String(cause) }, { cause });
  }
  const { given, mistakes: unreadable } = readDocument(text);
  const { section, mistakes: unknown } = given === null ? { section: null, mistakes: unreadable } : sectionOf(given);
  const empty = section?.kind === 'scalar' && section.value === null;
  const { settings, mistakes } = readAgentSettings(empty ? null : section);
  const all = [...unknown, ...mistakes];
  if (all.length === 0 && settings !== null) return settings;
  const lines = all.map((mistake) => formatMistake(path, mistake));
  throw new PlimsollError('bad_configuration', { path, count: lines.length, s: lines.length === 1 ? '' : 's', mistakes: lines.join('\n') });
};
