/** Quantities as people write them: durations and rates. Inside, times are seconds and rates are per second. */

const secondsPerUnit: Readonly<Record<string, number>> = { us: 1e-6, ms: 1e-3, s: 1, m: 60, min: 60, h: 3600, d: 86400 };

/** `250ms`, `2s`, `1m30s`, `1h`, `0` → seconds. Null if malformed; a bare number other than 0 needs its unit. */
export const parseDuration = (text: string): number | null => {
  const trimmed = text.trim();
  if (trimmed === '0') return 0;
  if (!/^(\d+(\.\d+)?(us|ms|s|min|m|h|d))+$/.test(trimmed)) return null;
  let seconds = 0;
  for (const match of trimmed.matchAll(/(\d+(?:\.\d+)?)(us|ms|s|min|m|h|d)/g)) seconds += Number(match[1]) * secondsPerUnit[match[2]!]!;
  return seconds;
};

/** Node's timers count milliseconds in 31 bits; a longer one fires at once. */
const LONGEST_WAIT = 24 * secondsPerUnit['d']!;

/** A duration that somebody is going to wait: null also beyond 24 days. */
export const parseWait = (text: string): number | null => {
  const seconds = parseDuration(text);
  return seconds !== null && seconds <= LONGEST_WAIT ? seconds : null;
};

/** What `parseWait` reads, for messages. */
export const A_WAIT = 'a duration of at most 24 days';

/** `500/s`, `30k/m`, `2/h` → per second. Null if malformed or without its unit. */
export const parseRate = (text: string): number | null => {
  const match = /^(\d+(?:\.\d+)?)(k)?\/(s|m|min|h|d)$/.exec(text.trim());
  return match === null ? null : (Number(match[1]) * (match[2] === 'k' ? 1000 : 1)) / secondsPerUnit[match[3]!]!;
};

/** `20%`, `0.2` → 0.2. Null if malformed. */
export const parseRatio = (text: string): number | null => {
  const match = /^(\d+(?:\.\d+)?)(%)?$/.exec(text.trim());
  return match === null ? null : Number(match[1]) / (match[2] === '%' ? 100 : 1);
};

/** Seconds in the shortest words that keep what matters: `850 ms`, `42 s`, `3 min 20 s`, `2 h 5 min`, `4 days`. */
export const formatDuration = (seconds: number): string => {
  if (!Number.isFinite(seconds)) return 'never';
  if (seconds < 0.0995) return `${Math.round(seconds * 10000) / 10} ms`;
  if (seconds < 0.9995) return `${Math.round(seconds * 1000)} ms`;
  if (seconds < 9.95) return `${Math.round(seconds * 10) / 10} s`;
  const whole = Math.round(seconds);
  if (whole < 120) return `${whole} s`;
  const pair = (big: number, bigUnit: string, small: number, smallUnit: string): string =>
    small === 0 ? `${big} ${bigUnit}` : `${big} ${bigUnit} ${small} ${smallUnit}`;
  if (whole < 3600) return pair(Math.floor(whole / 60), 'min', whole % 60, 's');
  const minutes = Math.round(seconds / 60);
  if (minutes < 48 * 60) return pair(Math.floor(minutes / 60), 'h', minutes % 60, 'min');
  return `${Math.round(seconds / 86400)} days`;
};

/** `28,232`; up to `digits` decimals, trailing zeros dropped. */
export const formatNumber = (value: number, digits = 0): string => {
  const [whole, fraction = ''] = Math.abs(value).toFixed(digits).split('.') as [string, string?];
  const grouped = whole.replace(/\B(?=(\d{3})+$)/g, ',');
  const decimals = fraction.replace(/0+$/, '');
  const sign = value < 0 && Number(`${whole}.${fraction}`) !== 0 ? '-' : '';
  return `${sign}${grouped}${decimals === '' ? '' : `.${decimals}`}`;
};

/** `455/s`, `7.5/min`, `2/h`: more decimals and a longer time the slower it is, and never zero for something. */
export const formatRate = (perSecond: number): string =>
  perSecond <= 0 || perSecond >= 1
    ? `${formatNumber(perSecond, perSecond < 100 ? 1 : 0)}/s`
    : perSecond * 60 >= 0.1
      ? `${formatNumber(perSecond * 60, 1)}/min`
      : perSecond * 3600 >= 0.1
        ? `${formatNumber(perSecond * 3600, 1)}/h`
        : `${formatNumber(Math.max(perSecond * 86400, 0.1), 1)}/day`;

/** `87 %`; one decimal above 99 % or below 1 %, and never 100 % for less than all. */
export const formatPercent = (ratio: number): string => {
  const percent = ratio * 100;
  if (percent > 0 && percent < 1) return `${formatNumber(Math.max(percent, 0.1), 1)} %`;
  if (percent > 99 && percent < 100) return `${formatNumber(Math.min(percent, 99.9), 1)} %`;
  return `${formatNumber(percent)} %`;
};
