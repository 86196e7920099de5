/** How urgent a port space is, by its line and its forecast. One rule for findings, exit codes, alerts and colours. */
import type { Severity } from '../finding.ts';
import type { PortSpace } from '../port-space.ts';

export const WARNING_RATIO = 0.8;
export const CRITICAL_RATIO = 0.95;
export const WARNING_SECONDS = 3600;
export const CRITICAL_SECONDS = 300;

/** Below this a forecast alone does not alarm: what looks like a rate there is as likely the burst of a start or a cron job. */
export const FORECAST_MATTERS_RATIO = 0.1;

/** Critical: at least 95 % used or out within 5 minutes. Warning: at least 80 % or out within the hour. */
export const urgency = (space: Pick<PortSpace, 'usedRatio' | 'forecast' | 'failedSearches'>): Exclude<Severity, 'info'> | null => {
  const { usedRatio, forecast, failedSearches } = space;
  const seconds =
    forecast.kind === 'exhausted'
      ? 0
      : forecast.kind === 'exhausts' && usedRatio >= FORECAST_MATTERS_RATIO
        ? forecast.seconds
        : Number.POSITIVE_INFINITY;
  if (usedRatio >= CRITICAL_RATIO || seconds <= CRITICAL_SECONDS || (failedSearches ?? 0) > 0) return 'critical';
  if (usedRatio >= WARNING_RATIO || seconds <= WARNING_SECONDS) return 'warning';
  return null;
};
