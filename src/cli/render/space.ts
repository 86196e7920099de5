/** A port space, its findings and its remedies in words and lines: what the doctor prints and `watch` shows. */
import type { Finding, Severity } from '../../core/finding.ts';
import type { Forecast } from '../../core/forecast.ts';
import type { OwnerShare, PortSpace } from '../../core/port-space.ts';
import { formatDuration, formatNumber, formatRate } from '../../core/quantity.ts';
import { describeEffect } from '../../core/remedy/for-space.ts';
import type { Remedy } from '../../core/remedy/remedy.ts';
import { type Paint, type Style, safe, wrap } from '../terminal.ts';

export const colourOf: Readonly<Record<Severity, Style>> = { critical: 'red', warning: 'yellow', info: 'cyan' };
export const markOf: Readonly<Record<Severity, string>> = { critical: '✖', warning: '▲', info: '•' };

/** The forecast in two or three words; empty where there is none. */
export const timeLeft = (f: Forecast): string => {
  switch (f.kind) {
    case 'exhausted':
      return 'no port left';
    case 'exhausts':
      return `out in ${formatDuration(f.seconds)}`;
    case 'plateau':
      return `→ ${formatNumber(Math.round(f.plateauUsed))}`;
    case 'stable':
      return 'stable';
    case 'unknown':
      return '';
  }
};

/** `13,000 TIME_WAIT, 802 ESTABLISHED`. */
export const stateWords = (s: PortSpace): string => {
  const parts = Object.entries(s.byState)
    .filter(([, n]) => n > 0)
    .sort((a, b) => b[1] - a[1])
    .map(([state, n]) => `${formatNumber(n)} ${state.toUpperCase()}`);
  return parts.join(', ');
};

/** `checkout[4312] in 3f2a…: 802 sockets, opens 455/s`. */
export const ownerWords = (o: OwnerShare): string => {
  const place = o.container === null ? '' : ` in ${safe(o.container)}`;
  const does = [
    o.sockets > 0 ? `${formatNumber(o.sockets)} socket${o.sockets === 1 ? '' : 's'}` : '',
    o.opens !== null && o.opens > 0 ? `opens ${formatRate(o.opens)}` : '',
  ]
    .filter((t) => t !== '')
    .join(', ');
  return `${safe(o.command)}[${o.pid}]${place}${does === '' ? '' : `: ${does}`}`;
};

/** Each finding with its words and what it rests on. */
export const findingLines = (findings: readonly Finding[], paint: Paint, width: number): string[] => {
  const lines: string[] = [];
  for (const f of findings) {
    lines.push(`  ${paint(colourOf[f.severity], markOf[f.severity])} ${paint('bold', wrap(safe(f.title), width - 4, '    '))}`);
    lines.push(`    ${wrap(safe(f.text), width - 4, '    ')}`);
    const evidence = f.evidence
      .map((e) => `${e.name}=${typeof e.value === 'number' ? formatNumber(e.value, 3) : e.value} (${e.source})`)
      .join('  ');
    lines.push(`    ${paint('dim', wrap(safe(evidence), width - 4, '    '))}`);
  }
  return lines;
};

/** Remedies of one port space, the best first: what each buys, its risk, how it is done. */
export const remedyLines = (s: PortSpace, remedies: readonly Remedy[], paint: Paint, width: number): string[] => {
  const lines: string[] = [];
  for (const [i, r] of remedies.entries()) {
    const buys = describeEffect(s, r);
    lines.push(`  ${i + 1}. ${wrap(`${safe(r.title)}${buys === '' ? '' : `: ${buys}`} (risk: ${r.risk})`, width - 5, '     ')}`);
    lines.push(`     ${paint('dim', wrap(safe(r.text), width - 5, '     '))}`);
    for (const command of r.commands) lines.push(`       ${paint('cyan', `# ${safe(command)}`)}`);
    for (const snippet of r.snippets) {
      lines.push(`       ${safe(snippet.product)}:`, ...snippet.text.split('\n').map((l) => `         ${paint('cyan', safe(l))}`));
    }
  }
  return lines;
};
