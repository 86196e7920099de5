/** The last minutes of a port space as a line; what it shows stands in words beside it. */
import type { Trend } from '../live/store.ts';

/** Seconds that the line spans. */
const SPAN = 300;

export const Sparkline = ({ trend }: { readonly trend: Trend }) => {
  const { at, ratio } = trend;
  const end = at.at(-1) ?? 0;
  // Up to the limit where it is near, else up to twice what was seen: a calm space's breathing may be seen too.
  const top = Math.min(1.05, Math.max(0.02, 1.6 * Math.max(0, ...ratio)));
  const points = at.map(
    (t, i) => `${(((t - end) / SPAN + 1) * 100).toFixed(2)} ${(30 - (Math.min(ratio[i]!, top) / top) * 28).toFixed(2)}`,
  );
  return (
    <svg class="spark" viewBox="0 0 100 32" preserveAspectRatio="none" aria-hidden="true">
      <path class="spark-base" d="M0 30H100" />
      {points.length > 1 && (
        <>
          <path class="spark-area" d={`M${points[0]!.split(' ')[0]} 30L${points.join('L')}V30Z`} />
          <path class="spark-line" d={`M${points.join('L')}`} />
        </>
      )}
    </svg>
  );
};

/** Where the trend goes: by the last minute, in points of a hundred. */
export const trendWords = ({ at, ratio }: Trend): string => {
  const end = at.at(-1);
  if (end === undefined || at.length < 3) return 'no trend yet';
  const from = at.findIndex((t) => t >= end - 60);
  const change = (ratio.at(-1)! - ratio[from]!) * 100;
  const seconds = Math.max(1, Math.round(end - at[from]!));
  const over = seconds >= 55 ? 'in a minute' : `in ${seconds} s`;
  if (Math.abs(change) < 0.5) return `level ${over}`;
  return `${change > 0 ? '↗ +' : '↘ −'}${Math.abs(change).toFixed(Math.abs(change) < 10 ? 1 : 0)} points ${over}`;
};
