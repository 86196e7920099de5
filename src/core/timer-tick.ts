/**
 * How much longer than 60 s a TIME_WAIT really lasts.
 *
 * The kernel's timer wheel (kernel/time/timer.c) keeps far timers in coarse levels: level n holds timers that are less than
 * 63·8ⁿ jiffies away and fires them on multiples of 8ⁿ jiffies. A TIME_WAIT timer therefore fires 0 to one granule late, and
 * all that expire within a granule end together.
 */

/** TCP_TIMEWAIT_LEN (include/net/tcp.h): a compile-time constant of Linux, in seconds. tcp_fin_timeout does not touch it. */
export const TIME_WAIT_SECONDS = 60;

/** The granule of a timer `seconds` away, in seconds, at `hz` timer interrupts per second: 2.048 s for 60 s at HZ 250. */
export const timerGranule = (seconds: number, hz: number): number => {
  let granule = 1;
  while (seconds * hz >= 63 * granule) granule *= 8;
  return granule / hz;
};

/** The granule assumed where HZ is unknown: HZ 250, Debian's and Ubuntu's. */
export const DEFAULT_HZ = 250;
