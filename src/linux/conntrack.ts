/** conntrack: how full its table is, its counters, and the flows whose source it translates (ctnetlink). */
import { formatIPv4, formatIPv6 } from '../core/address.ts';
import { PlimsollError } from '../core/errors.ts';
import type { ConntrackSample, Reading, SnatFlow } from '../core/host-sample.ts';
import { parseConntrackStat } from './counters.ts';
import type { Ffi } from './ffi.ts';
import { dump } from './netlink/dump.ts';
import { encodeRequest, type NetlinkBuffer, NLM_F_DUMP, NLM_F_REQUEST, readAttributes } from './netlink/frames.ts';
import { type HostRoot, readText } from './proc.ts';

const NETLINK_NETFILTER = 12;
const CTNETLINK_GET = (1 << 8) | 1;
const CTNETLINK_NEW = (1 << 8) | 0;
const IPS_SRC_NAT = 1 << 4;
const IPPROTO_TCP = 6;
const TCP_CONNTRACK_TIME_WAIT = 7;

/** Attribute numbers of include/uapi/linux/netfilter/nfnetlink_conntrack.h. */
const CTA = { tupleOrig: 1, tupleReply: 2, status: 3, protoinfo: 4, timeout: 7 } as const;

interface Tuple {
  source: string;
  destination: string;
  protocol: number;
  sourcePort: number;
  destinationPort: number;
}

/** The translated flow in one ctnetlink message, or null if it is not TCP or its source is not translated. */
export const decodeFlow = (buffer: NetlinkBuffer, word: number, bytes: number): SnatFlow | null => {
  const view = new DataView(buffer.bytes.buffer);
  if (bytes < 4) throw new PlimsollError('netlink_malformed', { offset: word * 4, reason: `a flow in ${bytes} bytes` });
  const nested = (offset: number, size: number, visit: (type: number, offset: number, size: number) => void): void => {
    readAttributes(buffer, offset >>> 2, size, visit);
  };
  const need = (offset: number, size: number, least: number): void => {
    if (size < least)
      throw new PlimsollError('netlink_malformed', { offset, reason: `a value of ${size} bytes where ${least} are needed` });
  };
  const tuple = (offset: number, size: number): Tuple => {
    const t: Tuple = { source: '', destination: '', protocol: 0, sourcePort: 0, destinationPort: 0 };
    const address = (at: number, length: number): string =>
      length >= 16 ? formatIPv6(buffer.bytes.subarray(at, at + 16)) : formatIPv4(view.getUint32(at, false));
    nested(offset, size, (type, at, length) => {
      if (type === 1) {
        nested(at, length, (field, a, n) => {
          need(a, n, 4);
          if (field === 1 || field === 3) t.source = address(a, n);
          if (field === 2 || field === 4) t.destination = address(a, n);
        });
      } else if (type === 2) {
        nested(at, length, (field, a, n) => {
          need(a, n, field === 1 ? 1 : 2);
          if (field === 1) t.protocol = view.getUint8(a);
          if (field === 2) t.sourcePort = view.getUint16(a, false);
          if (field === 3) t.destinationPort = view.getUint16(a, false);
        });
      }
    });
    return t;
  };
  let reply: Tuple | null = null;
  let status = 0;
  let timeout = 0;
  let state = 0;
  readAttributes(buffer, word + 1, bytes - 4, (type, offset, size) => {
    if (type === CTA.tupleReply) reply = tuple(offset, size);
    else if (type === CTA.status) {
      need(offset, size, 4);
      status = view.getUint32(offset, false);
    } else if (type === CTA.timeout) {
      need(offset, size, 4);
      timeout = view.getUint32(offset, false);
    } else if (type === CTA.protoinfo) {
      nested(offset, size, (kind, at, length) => {
        if (kind !== 1) return;
        nested(at, length, (field, a, n) => {
          need(a, n, 1);
          if (field === 1) state = view.getUint8(a);
        });
      });
    }
  });
  const answer = reply as Tuple | null;
  if (answer === null || answer.protocol !== IPPROTO_TCP || (status & IPS_SRC_NAT) === 0) return null;
  // The reply goes back to the translated source, from the real destination.
  return {
    source: answer.destination,
    sourcePort: answer.destinationPort,
    destination: answer.source,
    destinationPort: answer.sourcePort,
    timeWaitLeft: state === TCP_CONNTRACK_TIME_WAIT ? timeout : null,
  };
};

/** Dumps the flows of the current network namespace. Needs CAP_NET_ADMIN. */
export const readSnatFlows = (ffi: Ffi): SnatFlow[] => {
  const flows: SnatFlow[] = [];
  const request = encodeRequest(CTNETLINK_GET, NLM_F_REQUEST | NLM_F_DUMP, new Uint8Array(4));
  dump(ffi, NETLINK_NETFILTER, request, (frames, buffer) => {
    while (frames.next()) {
      const flow = frames.type === CTNETLINK_NEW ? decodeFlow(buffer, frames.word, frames.bytes) : null;
      if (flow !== null) flows.push(flow);
    }
  });
  return flows;
};

/** The conntrack of the current namespace: null where nothing is tracked. `flows` says how reading its table went. */
export const readConntrack = (
  root: HostRoot,
  ffi: Reading<Ffi>,
): { readonly sample: ConntrackSample | null; readonly flows: Reading<null> } => {
  const number = (name: string): number | null => {
    const text = readText(`${root.proc}/sys/net/netfilter/${name}`);
    return text === null || text === '' ? null : Number(text);
  };
  const count = number('nf_conntrack_count');
  if (count === null) return { sample: null, flows: { status: 'absent', hint: 'nothing is tracked here: no conntrack in this namespace' } };
  let snatFlows: SnatFlow[] | null = null;
  let flows: Reading<null> = { status: 'ok', value: null };
  if (count === 0) snatFlows = [];
  else if (ffi.status !== 'ok') flows = ffi;
  else {
    try {
      snatFlows = readSnatFlows(ffi.value);
    } catch (error) {
      flows =
        error instanceof PlimsollError && error.facts['errno'] === 1
          ? { status: 'denied', hint: 'the flow table needs CAP_NET_ADMIN: SNAT port spaces are not counted' }
          : { status: 'unsupported', hint: (error as Error).message };
    }
  }
  return {
    sample: {
      count,
      max: number('nf_conntrack_max') ?? 0,
      timeWaitTimeout: number('nf_conntrack_tcp_timeout_time_wait') ?? 120,
      establishedTimeout: number('nf_conntrack_tcp_timeout_established') ?? 432000,
      counters: parseConntrackStat(readText(`${root.proc}/net/stat/nf_conntrack`) ?? ''),
      snatFlows,
    },
    flows,
  };
};
