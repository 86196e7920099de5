/** An audit on a terminal: what to change first, then what to leave and why, then the applications' own settings. */
import { formatNumber, formatPercent } from '../../core/quantity.ts';
import type { Outcome } from '../../core/tune/effects.ts';
import type { Advice, Audit } from '../../core/tune/facts.ts';
import type { Origin } from '../../wire/tune.ts';
import type { Shell } from '../shell.ts';
import { hang, type Paint, painter, safe } from '../terminal.ts';

const MAX_WIDTH = 110;
/** A sentence begins with a capital, unless it begins with a name such as tcp_tw_reuse. */
const sentence = (text: string): string => (/^[a-z]+[ ,]/.test(text) ? text.charAt(0).toUpperCase() + text.slice(1) : text);

const columnsOf = (shell: Shell): number => Math.max(60, Math.min(MAX_WIDTH, shell.stdout.isTerminal ? shell.stdout.width : MAX_WIDTH));

const value = (text: string | null): string => (text === null ? 'not there' : text === '' ? 'none' : text);

const originLines = (origin: Origin | undefined, current: string | null): readonly string[] => {
  if (origin === undefined) return [];
  const lines: string[] = [];
  const { wins, contradicted, onlyProcps } = origin;
  if (wins !== null) {
    const stale = wins.value === current ? '' : `, which is not what it is now: at boot it becomes ${value(wins.value)}`;
    lines.push(`Set by ${wins.file}:${wins.line}${stale}.`);
  }
  for (const c of contradicted) lines.push(`${c.file}:${c.line} says ${value(c.value)} and is overruled.`);
  if (onlyProcps !== null)
    lines.push(`${onlyProcps.file}:${onlyProcps.line} says ${value(onlyProcps.value)}: not read at boot here, but by "sysctl --system".`);
  return lines;
};

const changeBlock = (a: Advice, origin: Origin | undefined, paint: Paint, columns: number): string => {
  const head = `${paint('bold', safe(a.name))}  ${safe(value(a.current))} → ${paint('green', safe(value(a.recommended)))}  ${paint('dim', `risk: ${a.risk}`)}`;
  const text = (line: string): string => `    ${hang(safe(line), columns, 4)}`;
  const lines = [
    sentence(a.why),
    a.cannot,
    ...originLines(origin, a.current),
    ...(a.scope === 'process' ? ['Set it where the process is started (systemd: LimitNOFILE=); plimsoll does not.'] : []),
  ];
  return [`  ${head}`, ...lines.map(text)].join('\n');
};

const leaveLine = (a: Advice, origin: Origin | undefined, paint: Paint, columns: number): string => {
  const lines = [`${a.name} = ${value(a.current)}: ${a.why}`, ...originLines(origin, a.current)];
  // Somebody set it, so somebody expects something of it.
  if (origin !== undefined && origin.wins !== null) lines.push(a.cannot);
  return lines.map((line, i) => paint('dim', `  ${i === 0 ? '' : '    '}${hang(safe(line), columns, 6)}`)).join('\n');
};

/** The audit. */
export const renderAudit = (
  audit: Audit,
  origins: ReadonlyMap<string, Origin>,
  snippets: readonly { readonly product: string; readonly text: string }[],
  told: { readonly namespace: string; readonly persistent: boolean; readonly named: (space: string) => string },
  shell: Shell,
): string => {
  const paint = painter(shell.stdout, shell.env);
  const columns = columnsOf(shell);
  const changes = audit.advice.filter((a) => a.recommended !== null);
  const rest = audit.advice.filter((a) => a.recommended === null && a.current !== null);
  const where = told.namespace === 'host' ? 'on this host' : `in namespace ${safe(told.namespace)}`;
  const head =
    changes.length === 0
      ? `${paint('green', 'Nothing to change')} ${where}, for its load and its role (${audit.role}).`
      : `${paint('yellow', `${changes.length} setting${changes.length === 1 ? '' : 's'} to change`)} ${where}, for its load and its role (${audit.role}):`;
  const sections = [
    [head, ...changes.map((a) => changeBlock(a, origins.get(a.name), paint, columns))].join('\n'),
    ...(audit.promised.length === 0
      ? []
      : [
          [
            paint('bold', 'What it buys'),
            ...audit.promised.map(
              (p) =>
                `  ${safe(told.named(p.space))}: ${formatNumber(p.effect.capacity)} ports, ${formatPercent(p.effect.usedRatio)} used in the long run`,
            ),
          ].join('\n'),
        ]),
    [paint('bold', 'Left as it is'), ...rest.map((a) => leaveLine(a, origins.get(a.name), paint, columns))].join('\n'),
    ...(snippets.length === 0
      ? []
      : [
          [
            paint('bold', 'In the applications (printed, never applied)'),
            ...snippets.map(
              (s) =>
                `  ${s.product}\n${s.text
                  .split('\n')
                  .map((line) => `    ${line}`)
                  .join('\n')}`,
            ),
          ].join('\n'),
        ]),
    ...(changes.some((a) => a.scope !== 'process')
      ? [
          told.persistent
            ? 'plimsoll tune --apply makes it so in one step that --rollback undoes; --dry-run shows the files.'
            : 'plimsoll tune --apply sets it in this namespace, where nothing can be persisted: it ends with the namespace.',
        ]
      : []),
  ];
  return `${sections.join('\n\n')}\n`;
};

/** What an apply did, and whether its promise came. */
export const renderOutcomes = (outcomes: readonly Outcome[], named: (space: string) => string, shell: Shell): string => {
  const paint = painter(shell.stdout, shell.env);
  return outcomes
    .map((o) => {
      const to =
        o.after === null ? 'no socket is left in it' : `${formatNumber(o.after.capacity)} ports, ${formatPercent(o.after.usedRatio)} used`;
      const mark = o.came ? paint('green', 'came') : paint('red', 'did not come');
      return `  ${safe(named(o.space))}: ${formatNumber(o.before.capacity)} ports, ${formatPercent(o.before.usedRatio)} used → ${to}; promised ${formatNumber(o.promised.capacity)} ports, ${formatPercent(o.promised.usedRatio)} in the long run: ${mark}\n`;
    })
    .join('');
};
