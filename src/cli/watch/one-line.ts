/** A look in one line, for pipes, logs and terminals that cannot be drawn on. */
import { nameOf } from '../../core/finding/of-space.ts';
import { formatNumber, formatPercent, formatRate } from '../../core/quantity.ts';
import { timeLeft } from '../render/space.ts';
import { safe } from '../terminal.ts';
import { sentence } from './header.ts';
import type { Seen } from './state.ts';

/** `2026-11-20T17:20:01Z CRITICAL time_wait_churn; 10.0.0.5 → 10.0.0.9:443 97 % 27,400/28,232 460/s out in 3 s; 12 port spaces`. */
export const oneLine = (seen: Seen): string => {
  const { diagnosis, measured, takenAt } = seen;
  const { findings, verdict, because } = diagnosis;
  const at = `${new Date(takenAt).toISOString().slice(0, 19)}Z`;
  const parts = [[at, verdict.toUpperCase(), ...(because.length === 0 ? [] : [because.join(',')])].join(' ')];
  // The port space it is about; the fullest where all is well.
  const about = verdict === 'ok' ? measured[0] : measured.find((m) => m.space.id === findings[0]?.subject);
  if (about === undefined) parts.push(sentence(seen));
  else {
    const { space } = about;
    const figures = [
      formatPercent(space.usedRatio),
      `${formatNumber(space.used)}/${formatNumber(space.capacity)}`,
      space.openRate === null ? '' : formatRate(space.openRate),
      timeLeft(space.forecast),
    ];
    parts.push(`${nameOf(space)} ${figures.filter((t) => t !== '').join(' ')}`);
  }
  const count = diagnosis.spaces.length + diagnosis.unlisted;
  if (count > 1) parts.push(`${formatNumber(count)} port spaces`);
  return safe(parts.join('; '));
};
