/** A port space as the API tells of it, in the words and judgements of the core. */
import { formatEndpoint } from '../../core/address.ts';
import { urgency } from '../../core/finding/urgency.ts';
import type { Severity as FindingSeverity } from '../../core/finding.ts';
import type { Forecast } from '../../core/forecast.ts';
import type { PortSpaceKind } from '../../core/port-space.ts';
import { formatDuration, formatNumber, formatPercent } from '../../core/quantity.ts';
import type { ReportDocument } from '../../wire/report.ts';

export type Space = ReportDocument['port_spaces'][number];
export type ForecastDocument = Space['forecast'];
/** How near its line: `calm` is below every threshold. */
export type Nearness = 'calm' | 'warning' | 'critical';
export type Severity = FindingSeverity;

/** The core's forecast of a document's. */
export const forecastOf = (f: ForecastDocument): Forecast => {
  switch (f.kind) {
    case 'exhausts':
      return {
        kind: 'exhausts',
        seconds: f.seconds ?? 0,
        secondsLow: f.seconds_low ?? f.seconds ?? 0,
        secondsHigh: f.seconds_high,
        plateauUsed: f.plateau_used,
      };
    case 'plateau':
      return { kind: 'plateau', plateauUsed: f.plateau_used ?? 0, seconds: f.seconds ?? 0 };
    case 'stable':
      return { kind: 'stable', plateauUsed: f.plateau_used ?? 0 };
    case 'exhausted':
    case 'unknown':
      return { kind: f.kind };
  }
};

/** The one rule of the doctor, the exit codes and the alerts. */
export const nearness = (s: Space): Nearness =>
  urgency({ usedRatio: s.used_ratio, forecast: forecastOf(s.forecast), failedSearches: s.failed_searches }) ?? 'calm';

const rank: Readonly<Record<Nearness | Severity, number>> = { calm: 0, info: 0, warning: 1, critical: 2 };

/** The graver of how near its line it is and what was found about it. */
export const gravity = (s: Space, found: readonly { readonly subject: string; readonly severity: Severity }[]): Nearness =>
  found
    .filter((f) => f.subject === s.id && f.severity !== 'info')
    .reduce<Nearness>((worst, f) => (rank[f.severity] > rank[worst] ? (f.severity as Nearness) : worst), nearness(s));

export const destinationOf = (s: Space): string =>
  s.destination === null ? 'all destinations' : formatEndpoint(s.destination, s.destination_port ?? 0);

export const nameOf = (s: Space): string => `${s.source} → ${destinationOf(s)}`;

/** Where a search for a port begins to scan, where there is a search: a ledger and a NAT know their free ports. */
export const wallOf = (s: Space): number | null =>
  (s.kind === 'connect' || s.kind === 'bind') && s.search_wall.at > 0 && s.search_wall.at < s.capacity ? s.search_wall.at : null;

const kindWords: Readonly<Record<PortSpaceKind, { readonly short: string; readonly long: string }>> = {
  connect: { short: '', long: 'The kernel chooses a port at connect(), from the range, for this destination alone.' },
  bind: { short: 'bind pool', long: 'The kernel chose ports at bind(ip, 0): one pool for all destinations of this address.' },
  ledger: { short: 'ledger', long: 'The load balancer’s own ledger chooses the ports.' },
  snat: { short: 'SNAT', long: 'conntrack’s source NAT chooses the ports, of 1024 to 65535 whatever the sysctl says.' },
};

export const kindOf = (s: Space): { readonly short: string; readonly long: string } => kindWords[s.kind];

/** What will become of it: the figure people look for, and what the figure means. */
export const timeLeft = (f: Forecast, usedRatio: number, capacity: number): { readonly figure: string; readonly meaning: string } => {
  switch (f.kind) {
    case 'exhausted':
      return { figure: 'none left', meaning: 'every port is taken' };
    case 'exhausts':
      // Milliseconds would be more than anybody knows.
      return { figure: f.seconds < 1 ? '< 1 s' : formatDuration(f.seconds), meaning: 'until no port is left' };
    case 'plateau':
      return { figure: formatPercent(capacity > 0 ? f.plateauUsed / capacity : 1), meaning: 'is where it settles' };
    case 'stable':
      return { figure: 'steady', meaning: `near ${formatPercent(usedRatio)}` };
    case 'unknown':
      return { figure: '—', meaning: 'a second look will tell' };
  }
};

export const timeLeftOf = (s: Space): { readonly figure: string; readonly meaning: string } =>
  timeLeft(forecastOf(s.forecast), s.used_ratio, s.capacity);

/** In one sentence, for whoever hears the page instead of seeing it. */
export const sentenceOf = (s: Space): string => {
  const { figure, meaning } = timeLeftOf(s);
  const wall = wallOf(s);
  const past = wall !== null && s.search_wall.passed ? ' It is past its search wall.' : '';
  return `${nameOf(s)}: ${formatPercent(s.used_ratio)} full, ${formatNumber(s.used)} of ${formatNumber(s.capacity)} ports. ${figure} ${meaning}.${past}`;
};
