/**
 * What the kernel's port search costs. Beyond the search wall every automatic connect() passes over all ports of the range's first
 * parity before it finds one of the other; how long that takes depends on what holds them. Measured on Linux 6.18 on 2 x AMD EPYC,
 * compared anew by `npm run bench plan`.
 */

/** Seconds to pass over one port that is held by a live connection, by a TIME_WAIT, or by anything in bind(ip, 0). */
export const PROBE_SECONDS = { live: 55e-9, timeWait: 138e-9, bind: 206e-9 } as const;

/** Seconds for connect() to pass over `ports` ports, `waiting` of them (0 to 1) in TIME_WAIT. */
export const passSeconds = (ports: number, waiting: number): number =>
  ports * (waiting * PROBE_SECONDS.timeWait + (1 - waiting) * PROBE_SECONDS.live);
