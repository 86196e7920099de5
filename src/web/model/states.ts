/** The states that hold a port, grouped as people think of them, in the order in which they are stacked. */
import type { StateCounts } from '../../core/tcp-state.ts';

export type StateGroup = 'established' | 'opening' | 'time_wait' | 'closing' | 'close_wait' | 'bound';

export interface StateWords {
  readonly group: StateGroup;
  readonly name: string;
  readonly meaning: string;
  readonly members: readonly (keyof StateCounts)[];
}

export const stateGroups: readonly StateWords[] = [
  { group: 'established', name: 'Established', meaning: 'open connections', members: ['established'] },
  { group: 'opening', name: 'SYN sent', meaning: 'waiting for the other side to answer', members: ['syn_sent'] },
  { group: 'close_wait', name: 'CLOSE_WAIT', meaning: 'closed by the other side and not by this one', members: ['close_wait'] },
  {
    group: 'closing',
    name: 'Closing',
    meaning: 'FIN_WAIT, CLOSING, LAST_ACK: half closed',
    members: ['fin_wait_1', 'fin_wait_2', 'last_ack', 'closing'],
  },
  { group: 'bound', name: 'Bound', meaning: 'bound and not connected, or cooling down', members: ['bound'] },
  { group: 'time_wait', name: 'TIME_WAIT', meaning: 'closed here first, held 60 s', members: ['time_wait'] },
];

export const countOf = (states: StateCounts, words: StateWords): number => words.members.reduce((sum, m) => sum + states[m], 0);

/** The group that most live sockets beside the established ones are in; what a history that tells them together is coloured by. */
export const otherGroup = (states: StateCounts): StateWords => {
  const others = stateGroups.filter(({ group }) => group !== 'established' && group !== 'time_wait');
  return others.reduce(
    (most, words) => (countOf(states, words) > countOf(states, most) ? words : most),
    others.find((w) => w.group === 'closing')!,
  );
};

/** What one port of a port map is. The numbers are the API's. */
export type PortState = StateGroup | 'free' | 'blocked' | 'reserved' | 'outside';

const byNumber: readonly PortState[] = [
  'free',
  'established',
  'opening',
  'opening',
  'closing',
  'closing',
  'time_wait',
  'bound',
  'close_wait',
  'closing',
  'blocked',
  'closing',
  'opening',
  'bound',
  'blocked',
  'reserved',
  'outside',
];

/** The group of a port map's byte; what this page does not know is taken. */
export const portState = (byte: number): PortState => byNumber[byte] ?? 'blocked';

const kernelNames: readonly string[] = [
  'free',
  'ESTABLISHED',
  'SYN_SENT',
  'SYN_RECV',
  'FIN_WAIT_1',
  'FIN_WAIT_2',
  'TIME_WAIT',
  'bound, not connected',
  'CLOSE_WAIT',
  'LAST_ACK',
  'a listener’s',
  'CLOSING',
  'SYN_RECV',
  'bound, not connected',
  'blocked: a listener or an explicit bind has it',
  'reserved: ip_local_reserved_ports',
  'outside the range',
];

export const portStateName = (byte: number): string => kernelNames[byte] ?? `state ${byte}`;
