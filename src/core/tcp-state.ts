/** TCP states as the kernel numbers them (include/net/tcp_states.h), with the names of the report. */
export const TcpState = {
  established: 1,
  synSent: 2,
  synReceived: 3,
  finWait1: 4,
  finWait2: 5,
  timeWait: 6,
  close: 7,
  closeWait: 8,
  lastAck: 9,
  listen: 10,
  closing: 11,
  newSynReceived: 12,
  /** Bound and neither listening nor connected; sock_diag shows it since 6.8. */
  boundInactive: 13,
} as const;
export type TcpState = (typeof TcpState)[keyof typeof TcpState];

/** Sockets of a port space by state, in the report's names. */
export interface StateCounts {
  readonly syn_sent: number;
  readonly established: number;
  readonly fin_wait_1: number;
  readonly fin_wait_2: number;
  readonly time_wait: number;
  readonly close_wait: number;
  readonly last_ack: number;
  readonly closing: number;
  readonly bound: number;
}

/** The report's name of each state that can hold a source port; SYN_RECEIVED here is a simultaneous open. */
const nameOf: Readonly<Record<number, keyof StateCounts>> = {
  1: 'established',
  2: 'syn_sent',
  3: 'syn_sent',
  4: 'fin_wait_1',
  5: 'fin_wait_2',
  6: 'time_wait',
  7: 'bound',
  8: 'close_wait',
  9: 'last_ack',
  11: 'closing',
  12: 'syn_sent',
  13: 'bound',
};

/** Turns counts indexed by kernel state into the report's names. */
export const stateCounts = (byNumber: ArrayLike<number>): StateCounts => {
  const counts = {
    syn_sent: 0,
    established: 0,
    fin_wait_1: 0,
    fin_wait_2: 0,
    time_wait: 0,
    close_wait: 0,
    last_ack: 0,
    closing: 0,
    bound: 0,
  };
  for (let state = 1; state <= 13; state++) {
    const name = nameOf[state];
    if (name !== undefined) counts[name] += byNumber[state] ?? 0;
  }
  return counts;
};
