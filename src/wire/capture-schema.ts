/** The schema of `plimsoll.capture/1`, for whoever reads one from outside. Loaded only by those. */
import { z } from 'zod';
import { captureFindingCodes } from '../core/finding/codes.ts';
import { remedyCodes } from '../core/remedy/codes.ts';

const count = z.int().min(0);
const port = z.int().min(0).max(65535);
const seconds = z.number();
const answer = z.enum(['accepted', 'challenge', 'reset', 'ignored']);
const side = z.enum(['client', 'server']);
const packetName = z.object({ file: count, number: count, time: seconds }).readonly();

const casePacket = z
  .object({
    file: count,
    number: count,
    time: seconds,
    from: side,
    flags: z.string(),
    seq: count,
    ack: count.nullable(),
    note: z.string(),
  })
  .readonly();

const earlier = z
  .object({
    state: z.enum(['established', 'close_wait', 'fin_wait', 'closing', 'last_ack', 'time_wait', 'closed', 'reset', 'none']),
    opened: packetName.nullable(),
    last: packetName,
    closing: packetName.nullable(),
    closed_first_by: side.nullable(),
    ago: seconds,
  })
  .readonly();

const captureCase = z
  .object({
    client: z.string(),
    client_port: port,
    server: z.string(),
    server_port: port,
    answer,
    outcome: z.enum(['answered', 'reset', 'ignored', 'moved', 'aborted', 'superseded', 'pending']),
    delay: seconds.nullable(),
    ports_60s: count,
    ports_120s: count,
    earlier: earlier.nullable(),
    packets: z.array(casePacket).readonly(),
    packets_omitted: count,
    behind: z.string().nullable(),
    translated_to: z.string().nullable(),
  })
  .readonly();

const finding = z
  .object({
    code: z.enum(captureFindingCodes),
    severity: z.enum(['info', 'warning', 'critical']),
    title: z.string(),
    text: z.string(),
    subject: z.string(),
    evidence: z
      .array(z.object({ name: z.string(), value: z.union([z.number(), z.string()]), unit: z.string(), source: z.string() }).readonly())
      .readonly(),
    remedies: z.array(z.enum(remedyCodes)).readonly(),
    answer,
    count,
    certain: z.boolean(),
    rule: z.object({ source: z.string(), text: z.string() }).readonly(),
    chosen_by: z.string(),
    cases: z.array(captureCase).readonly(),
  })
  .readonly();

const sourceUse = z
  .object({
    source: z.string(),
    destination: z.string(),
    destination_port: port,
    handshakes: count,
    answered: count,
    reset: count,
    ignored: count,
    ports_used: count,
    peak_concurrent: count,
    peak_held: count,
    shortest_reuse: seconds.nullable(),
  })
  .readonly();

const file = z
  .object({
    name: z.string(),
    format: z.enum(['pcap', 'pcap-ns', 'pcapng']),
    link_types: z.array(z.string()).readonly(),
    interfaces: z.array(z.string()).readonly(),
    application: z.string(),
    packets: count,
    bytes: count,
    dropped: count,
    broken: z.object({ offset: count, reason: z.string() }).readonly().nullable(),
  })
  .readonly();

export const captureSchema = z
  .object({
    schema: z.literal('plimsoll.capture/1'),
    files: z.array(file).readonly(),
    started_at: z.string().nullable(),
    duration: seconds,
    packets: count,
    bytes: count,
    tcp: z.object({ segments: count, syn: count, syn_ack: count, fin: count, rst: count, duplicates: count }).readonly(),
    not_followed: z
      .object({ not_tcp: count, fragments: count, cut: count, malformed: count, unknown_link: count, filtered: count })
      .readonly(),
    handshakes: z
      .object({
        tried: count,
        answered: count,
        reset: count,
        ignored: count,
        moved: count,
        aborted: count,
        pending: count,
        retried: count,
        put_down_to_loss: count,
        reused: count,
        translated: count,
      })
      .readonly(),
    connections: count,
    midstream: count,
    peak_remembered: count,
    loss: z.number().min(0).max(1),
    findings: z.array(finding).readonly(),
    sources: z.array(sourceUse).readonly(),
    sources_total: count,
    ports_over_time: z
      .array(z.object({ space: z.string(), start: seconds, step: seconds, held: z.array(count).readonly() }).readonly())
      .readonly(),
  })
  .readonly();
