/** YAML text as a tree that knows where each part stands. The only user of the YAML library. */
import { isAlias, isMap, isScalar, isSeq, LineCounter, type Node, parseDocument } from 'yaml';
import type { Given } from '../../core/configuration/given.ts';
import { type Mistake, type Position, quote } from '../../core/configuration/mistake.ts';

/** More than any configuration needs; aliases of aliases reach it soon. */
const mostNodes = 200_000;

class Unusable extends Error {
  readonly at: Position;
  constructor(message: string, at: Position) {
    super(message);
    this.at = at;
  }
}

/** Reads one YAML 1.2 document. `given` is null when the text cannot be read at all; then `mistakes` says why. */
export const readDocument = (text: string): { readonly given: Given | null; readonly mistakes: readonly Mistake[] } => {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false, logLevel: 'silent' });
  const at = (offset: number): Position => {
    const { line, col } = lines.linePos(offset);
    return { line: Math.max(1, line), column: Math.max(1, col) };
  };
  if (document.errors.length > 0) {
    return {
      given: null,
      mistakes: document.errors.map((e) => ({ ...at(e.pos[0]), path: '', message: `not YAML: ${e.message.replace(/\s+/g, ' ').trim()}` })),
    };
  }

  let nodes = 0;
  const open = new Set<Node>();
  const convert = (node: unknown, fallback: Position): Given => {
    if (++nodes > mostNodes) throw new Unusable('more values than a configuration can have', fallback);
    const given = node as Node | null | undefined;
    const position = given?.range ? at(given.range[0]) : fallback;
    if (isAlias(given)) {
      const target = given.resolve(document);
      if (target === undefined || open.has(target))
        throw new Unusable(`the alias ${quote(given.source)} leads nowhere or to itself`, position);
      return convert(target, position);
    }
    if (isMap(given)) {
      open.add(given);
      const entries = given.items.map((pair) => {
        const key = pair.key as Node | null;
        const keyAt = key?.range ? at(key.range[0]) : position;
        const name = isScalar(key) ? String(key.value) : isAlias(key) ? `*${key.source}` : '(not a name)';
        return { key: name, at: keyAt, value: convert(pair.value, keyAt) };
      });
      open.delete(given);
      return { kind: 'map', ...position, entries };
    }
    if (isSeq(given)) {
      open.add(given);
      const items = given.items.map((item) => convert(item, position));
      open.delete(given);
      return { kind: 'list', ...position, items };
    }
    const value = isScalar(given) ? given.value : null;
    if (typeof value === 'string') return { kind: 'scalar', ...position, value, text: value };
    if (typeof value === 'number' || typeof value === 'boolean')
      return { kind: 'scalar', ...position, value, text: isScalar(given) && given.source !== undefined ? given.source : String(value) };
    return { kind: 'scalar', ...position, value: value === null || value === undefined ? null : String(value), text: String(value ?? '') };
  };
  try {
    return { given: convert(document.contents, { line: 1, column: 1 }), mistakes: [] };
  } catch (error) {
    const at = error instanceof Unusable ? error.at : { line: 1, column: 1 };
    if (error instanceof Unusable || error instanceof RangeError)
      return { given: null, mistakes: [{ ...at, path: '', message: `not usable: ${error.message}` }] };
    throw error;
  }
};
