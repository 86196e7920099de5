/** `docs/reference/configuration.md`, written from the schema. */
import { configurationSchema } from '../../../src/balancer/configuration/index.ts';
import { example } from './example.ts';

interface Schema {
  readonly type?: string | readonly string[];
  readonly description?: string;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
  readonly items?: Schema;
  readonly oneOf?: readonly Schema[];
  readonly enum?: readonly string[];
  readonly default?: unknown;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly pattern?: string;
}

const kindOf = (s: Schema): string => {
  if (s.enum) return s.enum.join(' \\| ');
  if (s.type === 'array') return `list${s.items?.properties || s.items?.oneOf ? '' : ` of ${kindOf(s.items ?? {})}`}`;
  if (s.type === 'object' || s.oneOf) return 'mapping';
  if (s.type === 'integer') return s.minimum === s.maximum ? `${s.minimum}` : `${s.minimum}-${s.maximum}`;
  if (Array.isArray(s.type))
    return s.pattern?.includes('us|ms') ? 'duration' : s.pattern?.includes('[1-5]') ? 'status or range' : 'port or range';
  if (s.type === 'boolean') return 'true \\| false';
  return s.type === undefined ? 'anything' : 'text';
};

const shown = (value: unknown): string =>
  Array.isArray(value) ? `[${value.join(', ')}]` : typeof value === 'object' ? 'as below' : String(value);

const section = (title: string, schema: Schema, lines: string[]): void => {
  const required = new Set(schema.required ?? []);
  lines.push(`## \`${title}\``, '', schema.description ?? '', '', '| field | value | default | meaning |', '|---|---|---|---|');
  const below: [string, Schema][] = [];
  for (const [name, field] of Object.entries(schema.properties ?? {})) {
    const fallback = required.has(name) ? '**required**' : field.default === undefined ? 'none' : shown(field.default);
    lines.push(`| \`${name}\` | ${kindOf(field)} | ${fallback} | ${field.description ?? ''} |`);
    if (field.properties) below.push([`${title}.${name}`, field]);
    if (field.items?.properties) below.push([`${title}.${name}[]`, field.items]);
    for (const kind of field.items?.oneOf ?? [])
      below.push([`${title}.${name}[]\` with \`type: ${kind.properties?.['type']?.enum?.[0]}`, kind]);
  }
  lines.push('');
  for (const [name, field] of below) section(name.replace(/^plimsoll\.yaml\./, ''), field, lines);
};

export const configurationReference = (): string => {
  const lines = [
    '# The configuration of `plimsoll balance`',
    '',
    '`plimsoll balance -c plimsoll.yaml --check` reads the file and says every mistake at once, as `file:line:column`, with the value, what is',
    'allowed and the nearest known name; it exits 78 if there is one. The same reading happens on `plimsoll reload` and SIGHUP: a file with a',
    'mistake changes nothing. Editors can complete and check with [plimsoll.schema.json](plimsoll.schema.json): begin the file with',
    '`# yaml-language-server: $schema=plimsoll.schema.json`.',
    '',
    'Durations carry their unit: `300ms`, `5s`, `1m30s`, `1h`. Addresses are IPv4 or IPv6, never names; an IPv6 address with its port is quoted:',
    '`"[2001:db8::7]:443"`. A name is at most 63 letters, digits, `_`, `-` and `.`.',
    '',
    '```yaml',
    example.trimEnd(),
    '```',
    '',
    'Beyond what each field allows, the file as a whole must make sense: names that are referred to exist and are given once in their section, no',
    'two virtual services listen in each other’s way, port ranges of a SNAT pool do not overlap, no two SNAT pools have the same port of the same',
    'address, and a pool’s servers can be reached from a source address of their family.',
    '',
    'When the balancer starts it looks at the host too, and warns when a SNAT address is not on it, or when SNAT ports lie inside',
    '`net.ipv4.ip_local_port_range` without being reserved in `net.ipv4.ip_local_reserved_ports`: ports held explicitly are lost to the kernel’s',
    'choice for every destination, and the other way round.',
    '',
  ];
  section('plimsoll.yaml', configurationSchema as Schema, lines);
  lines.push(
    '## Reading the limits',
    '',
    'A limit of another kind than length or number is said by the message: write something, run `--check`, and it names what is allowed.',
    'This page is written from the definitions that read the file; a test holds the two equal.',
    '',
  );
  return lines.join('\n');
};
