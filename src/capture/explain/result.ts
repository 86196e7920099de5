/** What `explain` answers, in the field names of `plimsoll.capture/1`. Times are seconds since the first packet. */
import type { CaptureFindingCode } from '../../core/finding/codes.ts';
import type { Finding } from '../../core/finding.ts';
import type { HeldState, Outcome } from '../track/attempt.ts';
import type { Answer } from './case.ts';

/** A packet by the number its file gives it (as tshark counts), the file by its index in `files`. */
export interface PacketName {
  readonly file: number;
  readonly number: number;
  readonly time: number;
}

export interface CasePacket extends PacketName {
  readonly from: 'client' | 'server';
  /** `SYN`, `SYN ACK`, `RST ACK`, … */
  readonly flags: string;
  readonly seq: number;
  readonly ack: number | null;
  /** What it means in this case; empty if it needs no words. */
  readonly note: string;
}

export interface EarlierConnection {
  readonly state: HeldState;
  /** Null if its beginning is not in the capture. */
  readonly opened: PacketName | null;
  readonly last: PacketName;
  /** The first FIN, or the RST. */
  readonly closing: PacketName | null;
  readonly closed_first_by: 'client' | 'server' | null;
  /** Seconds from its last packet to the SYN. */
  readonly ago: number;
}

export interface CaptureCase {
  readonly client: string;
  readonly client_port: number;
  readonly server: string;
  readonly server_port: number;
  readonly answer: Answer;
  readonly outcome: Outcome;
  /** Seconds until the SYN-ACK; null if none came. */
  readonly delay: number | null;
  readonly ports_60s: number;
  readonly ports_120s: number;
  /** Null if it is outside the capture. */
  readonly earlier: EarlierConnection | null;
  readonly packets: readonly CasePacket[];
  readonly packets_omitted: number;
  /** The client behind a translator, where the capture shows both sides; else null. */
  readonly behind: string | null;
  /** What the translator made of it, where the capture shows both sides; else null. */
  readonly translated_to: string | null;
}

export interface CaptureFinding extends Finding {
  readonly code: CaptureFindingCode;
  readonly answer: Answer;
  readonly count: number;
  /** False: the cause itself is outside the capture and the finding is what it is consistent with. */
  readonly certain: boolean;
  readonly rule: { readonly source: string; readonly text: string };
  /** Whose choice of a source port it was. */
  readonly chosen_by: string;
  readonly cases: readonly CaptureCase[];
}

export interface SourceUse {
  readonly source: string;
  readonly destination: string;
  readonly destination_port: number;
  readonly handshakes: number;
  readonly answered: number;
  readonly reset: number;
  readonly ignored: number;
  readonly ports_used: number;
  readonly peak_concurrent: number;
  /** Most ports held at once: open, or closed within the last 60 s. */
  readonly peak_held: number;
  /** Seconds between a connection's last packet and the next SYN on its ports; null if none was reused. */
  readonly shortest_reuse: number | null;
}

export interface CaptureFile {
  readonly name: string;
  readonly format: 'pcap' | 'pcap-ns' | 'pcapng';
  readonly link_types: readonly string[];
  readonly interfaces: readonly string[];
  readonly application: string;
  readonly packets: number;
  readonly bytes: number;
  /** Packets the capturing host says it lost. */
  readonly dropped: number;
  readonly broken: { readonly offset: number; readonly reason: string } | null;
}

export interface PortsOverTime {
  /** `10.0.0.5 → 10.0.1.1:80`, or `all`. */
  readonly space: string;
  readonly start: number;
  readonly step: number;
  readonly held: readonly number[];
}

export interface CaptureResult {
  readonly files: readonly CaptureFile[];
  /** RFC 3339, of the first packet; null if there is none. */
  readonly started_at: string | null;
  readonly duration: number;
  readonly packets: number;
  readonly bytes: number;
  readonly tcp: {
    readonly segments: number;
    readonly syn: number;
    readonly syn_ack: number;
    readonly fin: number;
    readonly rst: number;
    readonly duplicates: number;
  };
  readonly not_followed: {
    readonly not_tcp: number;
    readonly fragments: number;
    readonly cut: number;
    readonly malformed: number;
    readonly unknown_link: number;
    readonly filtered: number;
  };
  readonly handshakes: {
    readonly tried: number;
    readonly answered: number;
    readonly reset: number;
    readonly ignored: number;
    /** Sent again by a translator from another port: each of those counts as a handshake of its own. */
    readonly moved: number;
    readonly aborted: number;
    readonly pending: number;
    /** SYN packets sent again. */
    readonly retried: number;
    /** Handshakes with a retry or without an answer that ordinary loss accounts for. */
    readonly put_down_to_loss: number;
    /** On four numbers that the capture had seen before. */
    readonly reused: number;
    /** Seen on both sides of a NAT, and so counted twice above. */
    readonly translated: number;
  };
  readonly connections: number;
  /** Connections whose beginning is outside the capture. */
  readonly midstream: number;
  /** Most connections remembered at once: what memory was taken for. */
  readonly peak_remembered: number;
  /** Estimated probability that a SYN draws nothing by loss alone. */
  readonly loss: number;
  readonly findings: readonly CaptureFinding[];
  readonly sources: readonly SourceUse[];
  readonly sources_total: number;
  readonly ports_over_time: readonly PortsOverTime[];
}
