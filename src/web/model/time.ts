/** Moments as people read them off a clock. */

const clock = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit', second: '2-digit', hourCycle: 'h23' });
const calendar = new Intl.DateTimeFormat(undefined, { day: '2-digit', month: 'short' });

/** `17:37:10`, of an RFC 3339 text or milliseconds since 1970. */
export const clockOf = (at: string | number): string => clock.format(new Date(at));

/** The same, with its day where that is not today's of `now`. */
export const momentOf = (at: string, now: number): string => {
  const day = calendar.format(new Date(at));
  return day === calendar.format(now) ? clockOf(at) : `${day}, ${clockOf(at)}`;
};
