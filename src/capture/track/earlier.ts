/** What the capture says of the connection before, on the same four numbers. */
import type { HeldState, Previous } from './attempt.ts';
import type { Incarnations } from './incarnations.ts';
import * as R from './incarnations.ts';

/** What the destination holds of `row`, by what the capture shows, for a client on `side`. */
export const heldState = (rows: Incarnations, row: number, side: number): HeldState => {
  const { ints } = rows;
  const word = ints[row * R.intStride + R.STATE]!;
  const server = 1 - side;
  const closer = (word & R.CLOSER_B) === 0 ? 0 : 1;
  switch (word & R.STATE_MASK) {
    case R.ANSWERED:
    case R.OPEN:
      return 'established';
    case R.HALF_CLOSED:
      return closer === server ? 'fin_wait' : 'close_wait';
    case R.CLOSED:
      if (closer === server) return (word & (R.FIN_ACKED << server)) === 0 ? 'closing' : 'time_wait';
      return (word & (R.FIN_ACKED << server)) === 0 ? 'last_ack' : 'closed';
    case R.RESET:
      return 'reset';
    default:
      return 'none';
  }
};

/** `row` as what came before a SYN from `side`. */
export const previousOf = (rows: Incarnations, row: number, side: number): Previous => {
  const { ints, doubles } = rows;
  const i = row * R.intStride;
  const d = row * R.doubleStride;
  const word = ints[i + R.STATE]!;
  const latest = doubles[d + R.LAST_TIME]! >= doubles[d + R.LAST_TIME + 1]! ? 0 : 1;
  const closer = (word & R.CLOSER_B) === 0 ? 0 : 1;
  const state = heldState(rows, row, side);
  const hasFin = (word & (R.HAS_FIN << closer)) !== 0;
  const by = (s: number): 'client' | 'server' => (s === side ? 'client' : 'server');
  return {
    state,
    midstream: (word & R.MIDSTREAM) !== 0,
    opened: doubles[d + R.SYN_REF]!,
    openedAt: doubles[d + R.SYN_TIME]!,
    last: doubles[d + R.LAST_REF]!,
    lastAt: doubles[d + R.LAST_TIME + latest]!,
    closer: state === 'reset' ? by((word & R.RESET_BY_B) === 0 ? 0 : 1) : hasFin ? by(closer) : null,
    closing: state === 'reset' || hasFin ? doubles[d + R.CLOSING_REF]! : 0,
    closingAt: doubles[d + R.CLOSING_TIME]!,
    expected: ints[i + R.NEXT + side]!,
    stamp: (word & (R.STAMPED << side)) === 0 ? null : ints[i + R.STAMP + side]!,
  };
};
