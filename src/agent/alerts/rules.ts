/** The alert rules and where alerts go: the `agent:` section of plimsoll.yaml, its fields, limits and defaults. */
import {
  boolean,
  byKind,
  duration,
  integer,
  leaf,
  list,
  mapping,
  type Of,
  oneOf,
  optional,
  ratio,
  withDefault,
} from '../../core/configuration/definition.ts';
import type { Given } from '../../core/configuration/given.ts';
import { type Mistake, type Position, quote, sortMistakes } from '../../core/configuration/mistake.ts';
import { hostFindingCodes } from '../../core/finding/codes.ts';
import { CRITICAL_RATIO, CRITICAL_SECONDS, WARNING_RATIO, WARNING_SECONDS } from '../../core/finding/urgency.ts';
import { didYouMean } from '../../core/nearest.ts';

const day = 86400;

const name = leaf(
  'a name (letters, digits, "_", "-" and ".", at most 63)',
  { type: 'string', pattern: '^[A-Za-z0-9_][A-Za-z0-9_.-]{0,62}$', description: 'What messages call the rule.' },
  (text) => (/^[A-Za-z0-9_][A-Za-z0-9_.-]{0,62}$/.test(text) ? text : null),
);
const raiseAfter = (fallback: string) =>
  withDefault(duration(0, day, 'How long the condition must last before the alert is raised.'), fallback);
const clearAfter = withDefault(duration(0, day, 'How long it must be over before the alert is cleared.'), '60s');
const severity = withDefault(oneOf(['warning', 'critical'], 'What the alert is raised as.'), 'warning');
const space = optional(
  leaf('a part of a port space’s id', { type: 'string', description: 'Only port spaces whose id contains this.' }, (text) =>
    text === '' ? null : text,
  ),
);

const usedRatio = mapping(
  {
    name,
    on: oneOf(['used_ratio'], 'The share of a port space’s ports that is used.'),
    raise: ratio('Raised at this share and above.'),
    clear: optional(ratio('Cleared below this share. By default five points below raise.')),
    raise_after: raiseAfter('10s'),
    clear_after: clearAfter,
    severity,
    space,
  },
  'A port space that fills.',
);

const forecast = mapping(
  {
    name,
    on: oneOf(['forecast'], 'The time until a port space has no port left.'),
    raise: duration(1, 30 * day, 'Raised when it runs out within this time.'),
    clear: optional(duration(1, 60 * day, 'Cleared when it takes longer than this, or never runs out. By default twice raise.')),
    raise_after: raiseAfter('15s'),
    clear_after: clearAfter,
    severity,
    space,
  },
  'A port space that is going to run out.',
);

const code = leaf(
  'a finding’s code, or any',
  { enum: ['any', ...hostFindingCodes], description: 'See docs/reference/findings.md.' },
  (text) => (text === 'any' ? ('any' as const) : (hostFindingCodes.find((c) => c === text) ?? null)),
);

const finding = mapping(
  {
    name,
    on: oneOf(['finding'], 'A finding of the doctor.'),
    codes: withDefault(
      list({ ...code, read: (given, path, reading) => readCode(given, path, reading) }, 1, 'Which findings; any: all of them.'),
      ['any'],
    ),
    least: withDefault(oneOf(['info', 'warning', 'critical'], 'Findings less severe than this do not count.'), 'warning'),
    raise_after: raiseAfter('0s'),
    clear_after: clearAfter,
    severity: optional(oneOf(['warning', 'critical'], 'What the alert is raised as. By default as the finding.')),
    space,
  },
  'A condition the doctor names.',
);

/** As a leaf, but a mistyped code is told its neighbour. */
const readCode: (typeof code)['read'] = (given, path, reading) => {
  const text = given.kind === 'scalar' ? given.text : null;
  if (text === null || text === 'any' || hostFindingCodes.some((c) => c === text)) return code.read(given, path, reading);
  reading.report(given, path, `${quote(text)} is not a finding’s code; ${didYouMean(text, ['any', ...hostFindingCodes])}`);
  return undefined;
};

const rule = byKind('on', { used_ratio: usedRatio, forecast, finding }, 'When to raise an alert, and when to clear it.');

const url = leaf(
  'an http:// or https:// address',
  { type: 'string', format: 'uri', description: 'Where alerts are posted to.' },
  (text) => {
    try {
      const parsed = new URL(text);
      return parsed.protocol === 'http:' || parsed.protocol === 'https:' ? text : null;
    } catch {
      return null;
    }
  },
);

const webhook = mapping(
  {
    url,
    timeout: withDefault(duration(0.1, 60, 'For an answer to one try.'), '5s'),
    give_up_after: withDefault(duration(1, day, 'After which an alert that cannot be delivered is dropped.'), '15m'),
    queue: withDefault(integer(1, 10_000, 'Alerts that wait at most; beyond it the oldest is dropped.'), 100),
  },
  'Alerts are posted there as JSON, with retries.',
);

/** What DESIGN's verdict says, and what neither share nor forecast shows. */
const usual = [
  { name: 'nearly_full', on: 'used_ratio', raise: CRITICAL_RATIO, clear: 0.9, severity: 'critical' },
  { name: 'filling', on: 'used_ratio', raise: WARNING_RATIO, clear: 0.75, severity: 'warning' },
  { name: 'runs_out_soon', on: 'forecast', raise: `${CRITICAL_SECONDS}s`, clear: `${2 * CRITICAL_SECONDS}s`, severity: 'critical' },
  { name: 'runs_out', on: 'forecast', raise: `${WARNING_SECONDS}s`, clear: `${2 * WARNING_SECONDS}s`, severity: 'warning' },
  {
    name: 'condition',
    on: 'finding',
    codes: [
      'failed_port_searches',
      'close_wait_leak',
      'time_wait_overflow',
      'conntrack_table_full',
      'collisions',
      'inbound_source_saturated',
    ],
  },
];

const agentSection = mapping(
  {
    alerts: withDefault(
      mapping(
        {
          rules: withDefault(list(rule, 0, 'None: nothing is alerted.'), usual),
          stderr: withDefault(boolean('Say alerts on standard error, which is the journal under systemd.'), true),
          webhook: optional(webhook),
        },
        'When somebody is told, and how.',
      ),
      {},
    ),
  },
  'Settings of plimsoll serve.',
);

export type AgentSettings = Of<typeof agentSection>;
export type AlertRule = Of<typeof rule>;
export type WebhookSettings = Of<typeof webhook>;

/** The JSON Schema of the section. */
export const agentSchema = agentSection.schema;

const nothing: Given = { kind: 'map', line: 1, column: 1, entries: [] };

/** Reads the section; null: the file has none. All mistakes at once; `settings` is null if there is one. Never throws. */
export const readAgentSettings = (
  given: Given | null,
): { readonly settings: AgentSettings | null; readonly mistakes: readonly Mistake[] } => {
  const mistakes: Mistake[] = [];
  const places = new WeakMap<object, Map<string | number, Position & { readonly path: string }>>();
  const settings = agentSection.read(given ?? nothing, 'agent', {
    report: ({ line, column }, path, message) => void mistakes.push({ line, column, path, message }),
    note: (holder, key, { line, column }, path) => {
      const known = places.get(holder) ?? new Map();
      places.set(holder, known.set(key, { line, column, path }));
    },
  });
  const rules = settings?.alerts?.rules ?? [];
  for (const [i, rule] of rules.entries()) {
    const wrong = (field: string, message: string): void => {
      const place = places.get(rule)?.get(field) ?? { line: 1, column: 1, path: '' };
      mistakes.push({ ...place, message });
    };
    if (rules.findIndex((other) => other.name === rule.name) !== i)
      wrong('name', `the name ${quote(rule.name)} is taken by a rule before it`);
    if (rule.on === 'used_ratio' && rule.clear !== null && rule.clear > rule.raise)
      wrong('clear', `${rule.clear} is above raise (${rule.raise}): the alert would be raised and cleared at once`);
    if (rule.on === 'forecast' && rule.clear !== null && rule.clear < rule.raise)
      wrong('clear', `${rule.clear} s is sooner than raise (${rule.raise} s): the alert would be raised and cleared at once`);
  }
  return mistakes.length > 0 || settings === undefined ? { settings: null, mistakes: sortMistakes(mistakes) } : { settings, mistakes: [] };
};

/** What holds without a file. */
export const usualSettings: AgentSettings = readAgentSettings(null).settings!;

/** Where a used_ratio alert is cleared, and a forecast one. */
export const clearRatio = (r: { readonly raise: number; readonly clear: number | null }): number => r.clear ?? Math.max(0, r.raise - 0.05);
export const clearSeconds = (r: { readonly raise: number; readonly clear: number | null }): number => r.clear ?? 2 * r.raise;
