/**
 * The parts a configuration file is defined with. A definition reads what stands in the file, says everything that is wrong
 * with it, and describes itself as JSON Schema: parser, messages, defaults and schema cannot disagree.
 */
import { didYouMean, nearest } from '../nearest.ts';
import { formatDuration, parseDuration, parseRatio } from '../quantity.ts';
import type { Given } from './given.ts';
import { type Position, quote, step } from './mistake.ts';

export type JsonSchema = { readonly [keyword: string]: unknown };

/** What a definition writes to while it reads. */
export interface Reading {
  report(at: Position, path: string, message: string): void;
  /** Remembers where the value of `key` in `holder` stands, for checks between sections. */
  note(holder: object, key: string | number, at: Position, path: string): void;
}

export interface Definition<T> {
  readonly schema: JsonSchema;
  /** The value that is taken when none is given, as it would be written in the file. Absent: it must be given. */
  readonly fallback?: unknown;
  /** The value, or undefined after reporting why there is none. */
  read(given: Given, path: string, reading: Reading): T | undefined;
}

/** The type a definition reads. */
export type Of<D> = D extends Definition<infer T> ? T : never;

const inWords = (given: Given): string => {
  if (given.kind === 'list') return 'a list';
  if (given.kind === 'map') return 'a mapping';
  return given.value === null ? 'nothing' : quote(given.text);
};

/** A single value, written as text. `expected` completes "… is not". */
export const leaf = <T>(expected: string, schema: JsonSchema, parse: (text: string) => T | null): Definition<T> => ({
  schema,
  read: (given, path, reading) => {
    const value = given.kind === 'scalar' && given.value !== null ? parse(given.text) : null;
    if (value !== null) return value;
    reading.report(given, path, `${inWords(given)} is not ${expected}`);
    return undefined;
  },
});

/** A whole number from `low` to `high`. */
export const integer = (low: number, high: number, description: string): Definition<number> =>
  leaf(
    low === high ? `${low}` : `a whole number from ${low} to ${high}`,
    { type: 'integer', minimum: low, maximum: high, description },
    (text) => {
      const value = /^\d{1,15}$/.test(text) ? Number(text) : Number.NaN;
      return value >= low && value <= high ? value : null;
    },
  );

/** Seconds, written with their unit. */
export const duration = (low: number, high: number, description: string): Definition<number> =>
  leaf(
    `a duration with its unit from ${formatDuration(low)} to ${formatDuration(high)}, such as 300ms, 5s or 1m30s`,
    { type: ['string', 'integer'], pattern: '^(0|(\\d+(\\.\\d+)?(us|ms|s|min|m|h|d))+)$', maximum: 0, description },
    (text) => {
      const seconds = parseDuration(text);
      return seconds !== null && seconds >= low && seconds <= high ? seconds : null;
    },
  );

/** A share from 0 to 1, written as one or in per cent. */
export const ratio = (description: string): Definition<number> =>
  leaf('a share from 0 to 1, such as 80% or 0.8', { type: ['string', 'number'], description }, (text) => {
    const value = parseRatio(text);
    return value !== null && value >= 0 && value <= 1 ? value : null;
  });

export const boolean = (description: string): Definition<boolean> =>
  leaf('true or false', { type: 'boolean', description }, (text) => (text === 'true' ? true : text === 'false' ? false : null));

/** One of a few words. */
export const oneOf = <const Name extends string>(names: readonly Name[], description: string): Definition<Name> => ({
  schema: { enum: names, description },
  read: (given, path, reading) => {
    const text = given.kind === 'scalar' ? given.text : '';
    const name = names.find((n) => n === text);
    if (name !== undefined) return name;
    const near = nearest(text, names);
    reading.report(given, path, `${inWords(given)} is not one of ${names.join(', ')}${near === null ? '' : `; did you mean "${near}"?`}`);
    return undefined;
  },
});

/** A definition whose value is `fallback` when the file has none. */
export const withDefault = <T>(definition: Definition<T>, fallback: unknown): Definition<T> => ({
  ...definition,
  fallback,
  schema: { ...definition.schema, default: fallback },
});

/** A definition that may be left out: then the value is null. */
export const optional = <T>(definition: Definition<T>): Definition<T | null> => ({
  schema: definition.schema,
  fallback: null,
  read: (given, path, reading) => (given.kind === 'scalar' && given.value === null ? null : definition.read(given, path, reading)),
});

/** A list of at least `least` items. */
export const list = <T>(item: Definition<T>, least: number, description: string): Definition<readonly T[]> => ({
  schema: { type: 'array', items: item.schema, ...(least > 0 ? { minItems: least } : {}), description },
  read: (given, path, reading) => {
    if (given.kind !== 'list') {
      reading.report(
        given,
        path,
        `${inWords(given)} is not a list: write [${given.kind === 'scalar' ? given.text : '…'}] or one "- …" a line`,
      );
      return undefined;
    }
    if (given.items.length < least)
      reading.report(given, path, least === 1 ? 'the list is empty' : `the list has fewer than ${least} items`);
    const values: T[] = [];
    for (const [i, each] of given.items.entries()) {
      const value = item.read(each, `${path}[${i}]`, reading);
      if (value === undefined) continue;
      reading.note(values, values.length, each, `${path}[${i}]`);
      values.push(value);
    }
    return values;
  },
});

/** A list whose items each stand for several values. */
export const flat = <T>(lists: Definition<readonly (readonly T[])[]>): Definition<readonly T[]> => ({
  schema: lists.schema,
  read: (given, path, reading) => lists.read(given, path, reading)?.flat(),
});

type Fields = Readonly<Record<string, Definition<unknown>>>;
type MappingOf<F extends Fields> = { readonly [K in keyof F]: Of<F[K]> };

/** A fallback as if it stood in the file, at the place of the mapping it is missing from. */
const asGiven = (value: unknown, at: Position): Given => {
  const position = { line: at.line, column: at.column };
  if (Array.isArray(value)) return { kind: 'list', ...position, items: value.map((v) => asGiven(v, at)) };
  if (typeof value === 'object' && value !== null)
    return { kind: 'map', ...position, entries: Object.entries(value).map(([key, v]) => ({ key, at: position, value: asGiven(v, at) })) };
  return { kind: 'scalar', ...position, value: value as string | number | boolean | null, text: String(value ?? '') };
};

/**
 * A mapping of exactly these fields. When some are wrong it still gives the rest (the wrong ones are undefined), so that checks
 * between sections can say what else is wrong; who reports a mistake makes sure that nobody uses the result.
 */
export const mapping = <F extends Fields>(fields: F, description: string): Definition<MappingOf<F>> => {
  const names = Object.keys(fields);
  const required = names.filter((name) => fields[name]!.fallback === undefined);
  return {
    schema: {
      type: 'object',
      properties: Object.fromEntries(names.map((name) => [name, fields[name]!.schema])),
      ...(required.length > 0 ? { required } : {}),
      additionalProperties: false,
      description,
    },
    read: (given, path, reading) => {
      if (given.kind !== 'map') {
        reading.report(given, path, `${inWords(given)} is not a mapping of ${names.join(', ')}`);
        return undefined;
      }
      const below = (key: string): string => (path === '' ? step(key) : `${path}.${step(key)}`);
      for (const { key, at } of given.entries)
        if (!Object.hasOwn(fields, key)) reading.report(at, below(key), `there is no ${quote(key)} here; ${didYouMean(key, names)}`);
      const missing = required.filter((name) => !given.entries.some((e) => e.key === name));
      if (missing.length > 0) reading.report(given, path, `${missing.join(', ')} ${missing.length === 1 ? 'is' : 'are'} missing`);
      const result: Record<string, unknown> = {};
      for (const name of names) {
        const field = fields[name]!;
        const written = given.entries.find((e) => e.key === name);
        // "queue:" with nothing after it is as good as no "queue:".
        const empty = written?.value.kind === 'scalar' && written.value.value === null && field.fallback !== undefined;
        const entry = empty ? undefined : written;
        reading.note(result, name, entry?.value ?? given, below(name));
        if (entry !== undefined) result[name] = field.read(entry.value, below(name), reading);
        else if (field.fallback !== undefined) result[name] = field.read(asGiven(field.fallback, given), below(name), reading);
      }
      return result as MappingOf<F>;
    },
  };
};

/** A mapping of one kind or another, told apart by `field`, which is one of the names of `kinds`. */
export const byKind = <K extends Readonly<Record<string, Definition<unknown>>>>(
  field: string,
  kinds: K,
  description: string,
): Definition<Of<K[keyof K]>> => {
  const kindOf = oneOf(Object.keys(kinds), '');
  const known = [...new Set([field, ...Object.values(kinds).flatMap((kind) => Object.keys(kind.schema['properties'] ?? {}))])];
  return {
    schema: { oneOf: Object.values(kinds).map((kind) => kind.schema), description },
    read: (given, path, reading) => {
      if (given.kind !== 'map') {
        reading.report(given, path, `${inWords(given)} is not a mapping`);
        return undefined;
      }
      const entry = given.entries.find((e) => e.key === field);
      if (entry === undefined) {
        reading.report(given, path, `${field} is missing: one of ${Object.keys(kinds).join(', ')}`);
        for (const { key, at } of given.entries)
          if (!known.includes(key)) reading.report(at, `${path}.${step(key)}`, `there is no ${quote(key)} here; ${didYouMean(key, known)}`);
        return undefined;
      }
      const kind = kindOf.read(entry.value, `${path}.${field}`, reading);
      return kind === undefined ? undefined : (kinds[kind]!.read(given, path, reading) as Of<K[keyof K]> | undefined);
    },
  };
};

/** Whatever stands there: another part of plimsoll reads it. */
export const foreign = (description: string): Definition<null> => ({ schema: { description }, fallback: null, read: () => null });
