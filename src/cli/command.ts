/**
 * A command is data: one table of options feeds the parser, the help, the reference under docs/ and shell completion.
 */
import { parseArgs } from 'node:util';
import { PlimsollError } from '../core/errors.ts';
import { didYouMean } from '../core/nearest.ts';
import type { Shell } from './shell.ts';

export interface OptionSpec {
  /** Without dashes: `interval`. */
  readonly name: string;
  /** The placeholder of its value, `DURATION`; absent for a switch. */
  readonly value?: string;
  readonly short?: string;
  readonly repeatable?: boolean;
  /** The value it has when not given, as it would be typed. Only where there is one. */
  readonly fallback?: string;
  readonly description: string;
}

export interface CommandSpec {
  readonly name: string;
  /** Left out of the list of commands: plimsoll itself calls it. */
  readonly hidden?: boolean;
  /** One line, for the list of commands. */
  readonly summary: string;
  /** How it is called after its name: `FILE|- [FILE…]`. Empty if it takes no argument. */
  readonly synopsis: string;
  /** Least and most positional arguments. */
  readonly takes: readonly [number, number];
  readonly options: readonly OptionSpec[];
  /** Paragraphs under the options: exit codes, what needs which privilege, the line to run. */
  readonly notes: readonly string[];
  readonly examples: readonly (readonly [command: string, does: string])[];
  /** Resolves to the exit code. Throws PlimsollError for everything a user can mend. */
  run(given: Given, shell: Shell): Promise<number>;
}

/** The arguments as given. Parse them at once into what they mean. */
export interface Given {
  readonly command: string;
  readonly positionals: readonly string[];
  flag(name: string): boolean;
  /** The text given, its fallback, or null. */
  text(name: string): string | null;
  /** All texts given for a repeatable option. */
  texts(name: string): readonly string[];
  /** The option's value read by `parse`, or null if absent without fallback. Throws bad_value naming what was `expected`. */
  value<T>(name: string, expected: string, example: string, parse: (text: string) => T | null): T | null;
}

/** Reads `argv` (after the command's name) by the command's own table. */
export const readArguments = (spec: CommandSpec, argv: readonly string[]): Given => {
  const options = Object.fromEntries(
    spec.options.map((o) => [
      o.name,
      {
        type: o.value === undefined ? ('boolean' as const) : ('string' as const),
        multiple: o.repeatable === true,
        ...(o.short ? { short: o.short } : {}),
      },
    ]),
  );
  const known = new Map(spec.options.map((o) => [o.name, o]));
  const { tokens } = parseArgs({ args: [...argv], options, allowPositionals: true, strict: false, tokens: true });
  const positionals: string[] = [];
  const values = new Map<string, string[]>();
  for (const token of tokens) {
    if (token.kind === 'positional') positionals.push(token.value);
    if (token.kind !== 'option') continue;
    const option = known.get(token.name);
    if (option === undefined) {
      const names = spec.options.map((o) => `--${o.name}`);
      throw new PlimsollError('unknown_option', { command: spec.name, option: token.rawName, nearest: didYouMean(token.rawName, names) });
    }
    if (option.value === undefined && token.value !== undefined) {
      const expected = 'expected: it is a switch';
      throw new PlimsollError('bad_value', {
        option: token.rawName,
        value: token.value,
        expected,
        example: `for example ${token.rawName}`,
      });
    }
    if (option.value !== undefined && token.value === undefined) {
      const example =
        option.fallback === undefined
          ? `plimsoll ${spec.name} --help shows what it means`
          : `for example ${token.rawName} ${option.fallback}`;
      throw new PlimsollError('missing_value', { option: token.rawName, value: option.value, example });
    }
    const list = option.repeatable === true ? (values.get(option.name) ?? []) : [];
    values.set(option.name, [...list, token.value ?? '']);
  }
  const [least, most] = spec.takes;
  if (positionals.length < least) throw new PlimsollError('missing_argument', { command: spec.name, argument: spec.synopsis });
  if (positionals.length > most) throw new PlimsollError('excess_argument', { command: spec.name, argument: positionals[most]! });
  const text = (name: string): string | null => values.get(name)?.[0] ?? known.get(name)?.fallback ?? null;
  return {
    command: spec.name,
    positionals,
    flag: (name) => values.has(name),
    text,
    texts: (name) => values.get(name) ?? [],
    value: (name, expected, example, parse) => {
      const given = text(name);
      if (given === null) return null;
      const parsed = parse(given);
      if (parsed === null)
        throw new PlimsollError('bad_value', { option: `--${name}`, value: given, expected, example: `for example --${name} ${example}` });
      return parsed;
    },
  };
};
