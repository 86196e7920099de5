/** Why a stack answers a SYN as it does: the rule behind each pair of what the destination holds and what it answered. */
import type { CaptureFindingCode } from '../../core/finding/codes.ts';
import type { Attempt, HeldState } from '../track/attempt.ts';
import { type Answer, seqBeyond, stampOlder } from './case.ts';

export interface Rule {
  /** Where it is written. */
  readonly source: string;
  readonly text: string;
}

/** States as people say them. */
export const stateWords: Readonly<Record<HeldState, string>> = {
  established: 'still open (ESTABLISHED)',
  close_wait: 'half closed: the source sent its FIN, the destination has not closed (CLOSE-WAIT)',
  fin_wait: 'half closed: the destination sent its FIN, the source has not closed (FIN-WAIT)',
  closing: 'closing: the destination’s FIN is not acknowledged (CLOSING)',
  last_ack: 'closing: the destination waits for the last acknowledgement (LAST-ACK)',
  time_wait: 'in TIME-WAIT at the destination, which closed first',
  closed: 'closed: the source closed first, so the destination should hold nothing',
  reset: 'reset',
  none: 'not known',
};

const challengeRule: Rule = {
  source: 'RFC 5961 4.2',
  text: 'A SYN on a connection that is not closed is answered with an ACK of the old connection (a challenge), whatever its sequence number. A client that has forgotten the old connection answers with RST, which ends it; then the SYN is sent again and accepted.',
};

/** The rule that explains `attempt`. */
export const ruleOf = (code: CaptureFindingCode, answer: Answer, attempt: Attempt | null): Rule => {
  switch (code) {
    case 'syn_on_established':
    case 'syn_on_half_closed':
    case 'syn_reset':
    case 'challenge_ack':
      if (answer === 'challenge') return challengeRule;
      if (answer === 'reset')
        return {
          source: 'RFC 9293 3.10.7; observed on F5 BIG-IP and with nftables "ct state established … reject with tcp reset"',
          text: 'A box that keeps connections in a table and finds the SYN’s four numbers in it may refuse it with RST instead of challenging it as RFC 5961 asks. To the client this looks exactly like a closed port.',
        };
      return {
        source: 'RFC 5961 4.2 not followed',
        text: 'The SYN met a connection that is still held, and neither a challenge nor a refusal came back: a stateful box on the way, or SYN-cookie mode (F5 ID 515915), drops it. The client tries again after 1 s, 3 s, 7 s.',
      };
    case 'syn_on_time_wait':
      if (answer === 'reset')
        return {
          source: 'RFC 9293 3.10.7.4 not followed',
          text: 'In TIME-WAIT a SYN may be accepted early or acknowledged; a RST comes from a box that treats the port as taken until its own timer ends.',
        };
      return {
        source: 'RFC 9293 3.10.7.4',
        text:
          attempt !== null && seqBeyond(attempt) === false
            ? 'In TIME-WAIT a SYN is accepted if its sequence number lies beyond the old connection’s last one, or its timestamp is newer. This one’s sequence number is lower, so the old ACK came back; the client’s RST ended the TIME-WAIT (tcp_rfc1337 = 0) and the next SYN was free.'
            : 'In TIME-WAIT a SYN that is not provably newer than the old connection is answered with the old ACK; the client’s RST then ends the TIME-WAIT and the next SYN is free.',
      };
    case 'paws_rejected':
      return {
        source: 'RFC 7323 5, RFC 6191',
        text: 'The SYN’s timestamp is older than the last one of the connection in TIME-WAIT, so it is taken for a late duplicate (PAWS) and answered with the old ACK. One host’s clock does not run back: two hosts behind one address, or a translator, share these ports.',
      };
    case 'time_wait_accepted': {
      const older = attempt === null ? null : stampOlder(attempt);
      return older === null || older
        ? {
            source: 'RFC 9293 3.10.7.4',
            text: 'The SYN’s sequence number lies beyond the old connection’s last one, so TIME-WAIT was left early and the SYN accepted at once.',
          }
        : {
            source: 'RFC 6191',
            text: 'The SYN’s timestamp is newer than the last one of the old connection, so TIME-WAIT was left early and the SYN accepted at once.',
          };
    }
    case 'syn_ignored':
      return {
        source: 'RFC 6298 2 (first retry after 1 s, then doubled)',
        text: 'Nothing came back, not even a refusal, so the client waited for its timer. Loss as this capture shows it elsewhere does not explain so many.',
      };
    case 'snat_syn_loss':
      return {
        source: 'nf_nat_core.c: at most 240 probes for a free port, then the packet is dropped',
        text: 'The SYN reached the translator and did not come out on the other side. From about 95 % of its ports in use on, a translator drops SYNs at random; each retry throws the dice again.',
      };
    case 'port_reused_early':
      return {
        source: 'RFC 9293 3.10.7.4; TIME-WAIT is 60 s on Linux, 30 to 240 s elsewhere',
        text: 'The destination closed first and holds the four numbers for its TIME-WAIT. A source that takes the same port again sooner depends on timestamps and sequence numbers to be let in.',
      };
    case 'source_near_limit':
      return {
        source: '16-bit port numbers',
        text: 'One source address has at most 64,512 ports (1024 to 65535) towards one destination address and port, and a host’s default range 28,232. What is in use cannot be used again until it is closed and its TIME-WAIT is over.',
      };
    case 'monitor_reset':
      return {
        source: 'RFC 9293 3.10.7',
        text: 'A health monitor judges by the handshake alone: refused once, it counts the server as failing, although the refusal concerns the four numbers its source port made, not the service.',
      };
  }
};
