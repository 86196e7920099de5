/**
 * One or several captures from their bytes to a `CaptureResult`. The caller does the reading: it fills each stream's buffer when
 * `advance` asks for it. With several files the packets are taken in order of time.
 */
import { PlimsollError } from '../core/errors.ts';
import { AddressBook } from './decode/addresses.ts';
import { decode } from './decode/decode.ts';
import { linkNames } from './decode/link.ts';
import { Segment, Skipped } from './decode/segment.ts';
import { Explainer } from './explain/explainer.ts';
import { describe, Words } from './explain/findings.ts';
import type { CaptureResult, PortsOverTime } from './explain/result.ts';
import type { EndpointFilter } from './filter.ts';
import { nextPacket } from './format/reader.ts';
import { type CaptureStream, ended, needBytes, packet } from './format/stream.ts';
import { mostFiles, packetRef } from './track/incarnations.ts';
import type { Series } from './track/timeline.ts';
import { Tracker } from './track/tracker.ts';

export interface AnalysisOptions {
  /** Only segments of which one end matches; null for all. */
  readonly filter: EndpointFilter | null;
  /** How many cases of one kind in one port space are kept with their packets. */
  readonly keep: number;
  /** Bytes there are to read in all; null if nobody knows. Tables begin at the size that such a capture mostly needs. */
  readonly size: number | null;
  /** Any number; it decides where tuples land in hash tables. */
  readonly seed: number;
}

/** How many port spaces the result lists. */
const mostSources = 1000;

/** Packets in, in order of time; findings out at the end. */
export class Analysis {
  readonly addresses = new AddressBook();
  private readonly segment = new Segment();
  private readonly skipped = new Skipped();
  private readonly explainer: Explainer;
  private readonly tracker: Tracker;
  private readonly streams: readonly CaptureStream[];
  private readonly options: AnalysisOptions;
  /** Whether each stream stands at a packet that was not taken yet. */
  private readonly loaded: boolean[];
  private readonly over: boolean[];
  private epochSeconds = Number.NaN;
  private epochNanoseconds = 0;
  private first = Number.POSITIVE_INFINITY;
  private last = Number.NEGATIVE_INFINITY;
  private bytes = 0;
  private readonly links: Set<number>[];

  constructor(streams: readonly CaptureStream[], options: AnalysisOptions) {
    if (streams.length > mostFiles) throw new PlimsollError('capture_too_many', { count: streams.length, most: mostFiles });
    this.streams = streams;
    this.options = options;
    this.loaded = streams.map(() => false);
    this.over = streams.map(() => false);
    this.links = streams.map(() => new Set<number>());
    this.explainer = new Explainer(options.keep);
    // A connection of eight packets takes about a kilobyte and a half; what is not written to takes no memory.
    const expected = (options.size ?? 16 << 20) / 1500;
    const capacity = 2 ** Math.min(17, Math.max(8, Math.ceil(Math.log2(expected + 1))));
    this.tracker = new Tracker(this.segment, this.explainer, options.seed, capacity);
    this.explainer.tracker = this.tracker;
  }

  /** Takes packets until a stream has to be filled (its index), or all are at their end (-1). */
  advance(): number {
    if (this.streams.length === 1) return this.alone();
    for (;;) {
      let earliest = -1;
      for (let f = 0; f < this.streams.length; f++) {
        if (this.over[f]) continue;
        const stream = this.streams[f]!;
        if (!this.loaded[f]) {
          const answer = nextPacket(stream);
          if (answer === needBytes) return f;
          if (answer === ended) {
            this.over[f] = true;
            continue;
          }
          this.loaded[f] = true;
        }
        if (earliest < 0 || this.before(stream, this.streams[earliest]!)) earliest = f;
      }
      if (earliest < 0) return -1;
      this.loaded[earliest] = false;
      this.take(this.streams[earliest]!, earliest);
    }
  }

  private before(one: CaptureStream, other: CaptureStream): boolean {
    return one.seconds < other.seconds || (one.seconds === other.seconds && one.nanoseconds < other.nanoseconds);
  }

  private alone(): number {
    const stream = this.streams[0]!;
    for (;;) {
      const answer = nextPacket(stream);
      if (answer !== packet) return answer === needBytes ? 0 : -1;
      this.take(stream, 0);
    }
  }

  private take(stream: CaptureStream, file: number): void {
    if (Number.isNaN(this.epochSeconds)) {
      this.epochSeconds = stream.seconds;
      this.epochNanoseconds = stream.nanoseconds;
    }
    const time = stream.seconds - this.epochSeconds + (stream.nanoseconds - this.epochNanoseconds) * 1e-9;
    if (time < this.first) this.first = time;
    if (time > this.last) this.last = time;
    this.bytes += stream.original;
    if (stream.link !== this.lastLink || file !== this.lastFile) this.noteLink(stream.link, file);
    const { segment, options } = this;
    if (!decode(stream.view, stream.offset, stream.captured, stream.original, stream.link, segment, this.skipped, this.addresses)) return;
    if (options.filter !== null && !options.filter.matches(segment, this.addresses)) {
      this.skipped.filtered++;
      return;
    }
    segment.time = time;
    segment.ref = packetRef(file, stream.number);
    this.tracker.take();
  }

  private lastLink = -1;
  private lastFile = -1;
  private noteLink(link: number, file: number): void {
    this.lastLink = link;
    this.lastFile = file;
    this.links[file]!.add(link);
  }

  /** Packets taken so far, for a progress bar. */
  get packets(): number {
    return this.streams.reduce((sum, s) => sum + s.number, 0);
  }

  /** The capture is over. */
  finish(): CaptureResult {
    const { tracker, explainer, skipped, streams } = this;
    tracker.finish();
    const explanation = explainer.finish();
    const packets = this.packets;
    if (packets > 0 && skipped.unknownLink === packets) {
      const link = [...this.links[0]!][0] ?? -1;
      throw new PlimsollError('capture_link', { file: streams[0]!.name, link, known: [...new Set(Object.values(linkNames))].join(', ') });
    }
    const words = new Words(this.addresses);
    const start = packets === 0 ? 0 : this.first;
    const duration = packets === 0 ? 0 : this.last - this.first;
    const uses = [...tracker.spaces.all()].sort((x, y) => y.peakHeld - x.peakHeld || y.tried - x.tried || x.index - y.index);
    const plotted: PortsOverTime[] = [];
    const add = (space: string, series: Series): void => {
      const points = tracker.held.timeline.points(series, Math.max(this.last, 0));
      plotted.push({ space, start: points.start - start, step: points.step, held: points.values });
    };
    if (tracker.segments > 0) add('all', tracker.held.total);
    for (const use of uses.slice(0, 8)) if (use.series !== null) add(words.space(use), use.series);
    return {
      files: streams.map((s, i) => ({
        name: s.name,
        format: s.format ?? 'pcap',
        link_types: [...this.links[i]!].map((l) => linkNames[l] ?? `link type ${l}`),
        interfaces: [...new Set(s.seenInterfaces.map((x) => x.name).filter((x) => x !== ''))].slice(0, 16),
        application: s.application,
        packets: s.number,
        bytes: s.position,
        dropped: s.dropped,
        broken: s.broken,
      })),
      started_at: packets === 0 ? null : timestamp(this.epochSeconds, this.epochNanoseconds + start * 1e9),
      duration,
      packets,
      bytes: this.bytes,
      tcp: {
        segments: tracker.segments,
        syn: tracker.syns,
        syn_ack: tracker.synAcks,
        fin: tracker.fins,
        rst: tracker.rsts,
        duplicates: tracker.duplicates,
      },
      not_followed: {
        not_tcp: skipped.notTcp,
        fragments: skipped.fragments,
        cut: skipped.cut,
        malformed: skipped.malformed,
        unknown_link: skipped.unknownLink,
        filtered: skipped.filtered,
      },
      handshakes: {
        tried: tracker.tried,
        answered: tracker.answered,
        reset: tracker.reset,
        ignored: tracker.ignored,
        moved: tracker.moved,
        aborted: tracker.aborted,
        pending: tracker.pending,
        retried: tracker.retried,
        put_down_to_loss: explanation.putDownToLoss,
        reused: tracker.lives.reused,
        translated: tracker.pairs.translated,
      },
      connections: tracker.answered + tracker.midstream,
      midstream: tracker.midstream,
      peak_remembered: tracker.incarnations.peak,
      loss: explanation.background.loss,
      findings: describe(explanation, words, this.options.keep, start, duration),
      sources: uses.slice(0, mostSources).map((use) => ({
        source: words.source(use),
        destination: words.destination(use),
        destination_port: use.destinationPort,
        handshakes: use.tried,
        answered: use.answered,
        reset: use.reset,
        ignored: use.ignored,
        ports_used: use.portsUsed,
        peak_concurrent: use.peakOpen,
        peak_held: use.peakHeld,
        shortest_reuse: Number.isFinite(use.shortestReuse) ? use.shortestReuse : null,
      })),
      sources_total: uses.length + tracker.spaces.dropped,
      ports_over_time: plotted,
    };
  }
}

/** RFC 3339 with microseconds; null-safe for times no calendar has. */
const timestamp = (seconds: number, nanoseconds: number): string => {
  const carried = seconds + Math.floor(nanoseconds / 1e9);
  const micros = Math.floor((nanoseconds - Math.floor(nanoseconds / 1e9) * 1e9) / 1000);
  const date = new Date(carried * 1000);
  return Number.isNaN(date.getTime()) ? `${carried} s` : date.toISOString().replace(/\.\d+Z$/, `.${String(micros).padStart(6, '0')}Z`);
};
