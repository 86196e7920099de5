/** A look in one line, for pipes, logs and terminals that cannot be drawn on. */
import { nameOf } from '../../core/finding/of-space.ts';
import { formatNumber, formatPercent, formatRate } from '../../core/quantity.ts';
import { timeLeft } from '../render/space.ts';
import { safe } from '../terminal.ts';
import { sentence } from './header.ts';
import type { Seen } from './state.ts';

/** `2026-11-20T17:20:01Z CRITICAL …; fullest: 10.0.0.5 → 10.0.0.9:443 97 % 27,400/28,232 460/s out in 3 s; 12 port spaces`. */
export const oneLine = (seen: Seen): string => {
  const { diagnosis, measured, takenAt } = seen;
  const at = `${new Date(takenAt).toISOString().slice(0, 19)}Z`;
  const fullest = measured[0]?.space;
  const parts = [`${at} ${diagnosis.verdict.toUpperCase()}`];
  if (fullest !== undefined) {
    const figures = [
      formatPercent(fullest.usedRatio),
      `${formatNumber(fullest.used)}/${formatNumber(fullest.capacity)}`,
      fullest.openRate === null ? '' : formatRate(fullest.openRate),
      timeLeft(fullest.forecast),
    ];
    parts.push(`${nameOf(fullest)} ${figures.filter((t) => t !== '').join(' ')}`);
  }
  if (diagnosis.verdict !== 'ok' || fullest === undefined) parts.push(sentence(seen));
  const count = diagnosis.spaces.length + diagnosis.unlisted;
  if (count > 1) parts.push(`${formatNumber(count)} port spaces`);
  return safe(parts.join('; '));
};
