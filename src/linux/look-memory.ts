/** What is kept of a namespace between looks, so that the next costs less: a table to fill again, and what the port probe said. */
import type { PortProbe, Reading } from '../core/host-sample.ts';
import { PortSet } from '../core/port-range.ts';
import type { SocketTable } from '../core/socket-table.ts';

/** Answers are asked again after a while: a port may have changed hands between two looks. So many a look, of about 4 µs each. */
const ASKED_AGAIN = 250;

const NOT_ASKED = 0;
const SHAREABLE = 1;
const BLOCKED = 2;

/** Asks about the ports `asked`; those without an answer are `unknown`. */
export type AskPorts = (asked: readonly number[]) => { readonly probe: PortProbe; readonly reading: Reading<null> };

/** The port probe's answers, over many looks. New ports are asked about first, the others in turn. */
export class ProbedPorts {
  private readonly answers = new Uint8Array(65536);
  private readonly stale = new Uint8Array(65536);
  private cursor = 0;

  /** The answers for the ports in `doubt`, ascending, after asking about at most `most` new ones. Ports no longer in doubt are forgotten. */
  ask(doubt: readonly number[], most: number, ask: AskPorts): { readonly probe: PortProbe; readonly reading: Reading<null> } {
    const { answers, stale } = this;
    stale.fill(1);
    const fresh: number[] = [];
    for (const port of doubt) {
      stale[port] = 0;
      if (answers[port] === NOT_ASKED && fresh.length < most) fresh.push(port);
    }
    for (let port = 0; port < 65536; port++) if (stale[port] === 1) answers[port] = NOT_ASKED;
    const again: number[] = [];
    for (let i = 0; i < Math.min(doubt.length, ASKED_AGAIN, most - fresh.length); i++) {
      const port = doubt[(this.cursor + i) % doubt.length]!;
      if (answers[port] !== NOT_ASKED) again.push(port);
    }
    this.cursor = doubt.length === 0 ? 0 : (this.cursor + ASKED_AGAIN) % doubt.length;
    const asked = [...fresh, ...again];
    const { probe, reading } = ask(asked);
    for (const port of asked) if (!probe.unknown.has(port)) answers[port] = probe.blocked.has(port) ? BLOCKED : SHAREABLE;
    const blocked = new PortSet();
    const unknown = new PortSet();
    let left = 0;
    for (const port of doubt) {
      const answer = answers[port];
      if (answer === BLOCKED) blocked.add(port);
      else if (answer === NOT_ASKED) {
        unknown.add(port);
        left++;
      }
    }
    // Not having got to all of them yet is no fault of the sensor; what cannot be asked at all is.
    const whole: Reading<null> =
      left === 0
        ? { status: 'ok', value: null }
        : reading.status === 'unsupported'
          ? reading
          : { status: 'absent', hint: `${left} of ${doubt.length} held ports are not asked about yet: free_low counts them as taken` };
    return { probe: { blocked, unknown }, reading: whole };
  }
}

export class LookMemory {
  /** A table nobody reads any more. */
  spare: SocketTable | null = null;
  readonly probed = new ProbedPorts();
}
