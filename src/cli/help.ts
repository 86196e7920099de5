/** Help pages, rendered from the same tables that parse. */
import type { CommandSpec, OptionSpec } from './command.ts';
import { wrap } from './terminal.ts';

const optionLabel = (o: OptionSpec): string => `${o.short ? `-${o.short}, ` : ''}--${o.name}${o.value === undefined ? '' : ` ${o.value}`}`;

const columns = (rows: readonly (readonly [string, string])[], width: number): string => {
  const left = Math.min(30, Math.max(...rows.map(([label]) => label.length)));
  return rows
    .map(([label, text]) => {
      const indent = ' '.repeat(left + 4);
      const body = wrap(text, width - indent.length).replaceAll('\n', `\n${indent}`);
      return label.length > left ? `  ${label}\n${indent}${body}` : `  ${label.padEnd(left)}  ${body}`;
    })
    .join('\n');
};

/** The page of one command. */
export const commandHelp = (spec: CommandSpec, width = 100): string => {
  const usage = `plimsoll ${spec.name}${spec.synopsis === '' ? '' : ` ${spec.synopsis}`}${spec.options.length === 0 ? '' : ' [options]'}`;
  const sections = [wrap(spec.summary, width), wrap(`Usage: ${usage}`, width, '       ')];
  const described = spec.options.map(
    (o) => [optionLabel(o), o.description + (o.fallback === undefined ? '' : ` (default ${o.fallback})`)] as const,
  );
  if (described.length > 0) sections.push(`Options:\n${columns(described, width)}`);
  if (spec.examples.length > 0) sections.push(`Examples:\n${spec.examples.map(([line, does]) => `  ${line}\n      ${does}`).join('\n')}`);
  sections.push(...spec.notes.map((note) => wrap(note, width)));
  return `${sections.join('\n\n')}\n`;
};

/** The list of commands. */
export const generalHelp = (specs: readonly CommandSpec[], width = 100): string =>
  `${[
    'plimsoll: the load line for TCP source ports\n\nUsage: plimsoll COMMAND [options]',
    `Commands:\n${columns(
      specs.filter((s) => s.hidden !== true).map((s) => [s.name, s.summary] as const),
      width,
    )}`,
    'plimsoll COMMAND --help tells more. Start with: plimsoll doctor',
  ].join('\n\n')}\n`;
