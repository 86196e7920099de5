/** Captures written byte by byte, for what no kernel sends on demand: any field, any time, any count. */

export const FIN = 1;
export const SYN = 2;
export const RST = 4;
export const PSH = 8;
export const ACK = 16;

export interface TcpPacket {
  /** Seconds since 1970. */
  readonly time: number;
  readonly source: readonly [address: string, port: number];
  readonly destination: readonly [address: string, port: number];
  readonly flags: number;
  readonly seq?: number;
  readonly ack?: number;
  readonly payload?: number;
  /** TSval and TSecr; null for none. */
  readonly stamp?: readonly [number, number] | null;
}

export type LinkKind = 'ethernet' | 'vlan' | 'qinq' | 'sll' | 'sll2' | 'raw' | 'null';
export const linkTypes: Readonly<Record<LinkKind, number>> = { ethernet: 1, vlan: 1, qinq: 1, sll: 113, sll2: 276, raw: 101, null: 0 };

const octets = (address: string): number[] => address.split('.').map(Number);
const groups = (address: string): number[] => {
  const [head = '', tail] = address.split('::') as [string, string?];
  const parse = (half: string): number[] => (half === '' ? [] : half.split(':').map((g) => Number.parseInt(g, 16)));
  const h = parse(head);
  const t = tail === undefined ? [] : parse(tail);
  const all = tail === undefined ? h : [...h, ...new Array<number>(8 - h.length - t.length).fill(0), ...t];
  return all.flatMap((g) => [g >> 8, g & 255]);
};

/** Bytes of an IP packet. Payload bytes are zeros. Checksums are zero: nobody who reads a capture checks them. */
export const ipPacket = (
  p: TcpPacket,
  options: { readonly ipOptions?: number; readonly extensions?: readonly number[] } = {},
): Uint8Array => {
  const stamp = p.stamp === undefined ? ([1, 0] as const) : p.stamp;
  const tcpLength = stamp === null ? 20 : 32;
  const payload = p.payload ?? 0;
  const v6 = p.source[0].includes(':');
  const extensions = options.extensions ?? [];
  const ipLength = v6 ? 40 + 8 * extensions.length : 20 + (options.ipOptions ?? 0);
  const bytes = new Uint8Array(ipLength + tcpLength + payload);
  const view = new DataView(bytes.buffer);
  if (v6) {
    bytes[0] = 0x60;
    view.setUint16(4, bytes.length - 40);
    bytes[6] = extensions[0] ?? 6;
    bytes[7] = 64;
    bytes.set(groups(p.source[0]), 8);
    bytes.set(groups(p.destination[0]), 24);
    for (const [i] of extensions.entries()) bytes[40 + 8 * i] = extensions[i + 1] ?? 6;
  } else {
    bytes[0] = 0x40 | (ipLength / 4);
    view.setUint16(2, bytes.length);
    bytes[8] = 64;
    bytes[9] = 6;
    bytes.set(octets(p.source[0]), 12);
    bytes.set(octets(p.destination[0]), 16);
    bytes.fill(1, 20, ipLength);
  }
  view.setUint16(ipLength, p.source[1]);
  view.setUint16(ipLength + 2, p.destination[1]);
  view.setUint32(ipLength + 4, (p.seq ?? 0) >>> 0);
  view.setUint32(ipLength + 8, (p.ack ?? 0) >>> 0);
  bytes[ipLength + 12] = (tcpLength / 4) << 4;
  bytes[ipLength + 13] = p.flags;
  view.setUint16(ipLength + 14, 65535);
  if (stamp !== null) {
    view.setUint32(ipLength + 20, 0x0101080a);
    view.setUint32(ipLength + 24, stamp[0] >>> 0);
    view.setUint32(ipLength + 28, stamp[1] >>> 0);
  }
  return bytes;
};

/** The link-layer header in front of an IP packet. */
export const framed = (ip: Uint8Array, link: LinkKind): Uint8Array => {
  const type = ip[0]! >> 4 === 6 ? [0x86, 0xdd] : [0x08, 0x00];
  const head: Readonly<Record<LinkKind, number[]>> = {
    ethernet: [...new Array<number>(12).fill(2), ...type],
    vlan: [...new Array<number>(12).fill(2), 0x81, 0, 0, 7, ...type],
    qinq: [...new Array<number>(12).fill(2), 0x88, 0xa8, 0, 7, 0x81, 0, 0, 9, ...type],
    sll: [...new Array<number>(14).fill(0), ...type],
    sll2: [...type, ...new Array<number>(18).fill(0)],
    raw: [],
    null: [2, 0, 0, 0],
  };
  const bytes = new Uint8Array(head[link].length + ip.length);
  bytes.set(head[link]);
  bytes.set(ip, head[link].length);
  return bytes;
};

export interface Frame {
  readonly time: number;
  readonly bytes: Uint8Array;
  /** Length on the wire, if the capture cut it. */
  readonly original?: number;
}

export const frame = (p: TcpPacket, link: LinkKind = 'ethernet'): Frame => ({ time: p.time, bytes: framed(ipPacket(p), link) });

/** A classic pcap file. */
export const pcapFile = (
  frames: readonly Frame[],
  options: { readonly link?: number; readonly little?: boolean; readonly nanoseconds?: boolean } = {},
): Buffer => {
  const { link = 1, little = true, nanoseconds = false } = options;
  const out = Buffer.alloc(24 + frames.reduce((sum, f) => sum + 16 + f.bytes.length, 0));
  const view = new DataView(out.buffer, out.byteOffset);
  view.setUint32(0, nanoseconds ? 0xa1b23c4d : 0xa1b2c3d4, little);
  view.setUint16(4, 2, little);
  view.setUint16(6, 4, little);
  view.setUint32(16, 262144, little);
  view.setUint32(20, link, little);
  let at = 24;
  for (const f of frames) {
    const seconds = Math.floor(f.time);
    const fraction = Math.min(nanoseconds ? 999_999_999 : 999_999, Math.round((f.time - seconds) * (nanoseconds ? 1e9 : 1e6)));
    view.setUint32(at, seconds, little);
    view.setUint32(at + 4, fraction, little);
    view.setUint32(at + 8, f.bytes.length, little);
    view.setUint32(at + 12, f.original ?? f.bytes.length, little);
    out.set(f.bytes, at + 16);
    at += 16 + f.bytes.length;
  }
  return out;
};

export interface Option {
  readonly code: number;
  readonly value: Uint8Array;
}
export interface NgInterface {
  readonly link: number;
  readonly options?: readonly Option[];
  readonly snaplen?: number;
}

/** One pcapng block. */
export const block = (type: number, body: Uint8Array, little = true): Buffer => {
  const length = 12 + ((body.length + 3) & ~3);
  const out = Buffer.alloc(length);
  const view = new DataView(out.buffer, out.byteOffset);
  view.setUint32(0, type, little);
  view.setUint32(4, length, little);
  out.set(body, 8);
  view.setUint32(length - 4, length, little);
  return out;
};

const optionBytes = (options: readonly Option[], little: boolean): Buffer =>
  Buffer.concat([
    ...options.map(({ code, value }) => {
      const out = Buffer.alloc(4 + ((value.length + 3) & ~3));
      const view = new DataView(out.buffer, out.byteOffset);
      view.setUint16(0, code, little);
      view.setUint16(2, value.length, little);
      out.set(value, 4);
      return out;
    }),
    ...(options.length > 0 ? [Buffer.alloc(4)] : []),
  ]);

/** One pcapng section: header, interfaces, and each frame as an enhanced packet block of its interface. */
export const pcapngSection = (
  interfaces: readonly NgInterface[],
  frames: readonly (Frame & { readonly on?: number; readonly ticks?: bigint; readonly simple?: boolean })[],
  options: { readonly little?: boolean; readonly section?: readonly Option[] } = {},
): Buffer => {
  const { little = true } = options;
  const body = (size: number, fill: (view: DataView) => void, ...more: Uint8Array[]): Buffer => {
    const out = Buffer.alloc(size);
    fill(new DataView(out.buffer, out.byteOffset));
    return Buffer.concat([out, ...more]);
  };
  return Buffer.concat([
    block(
      0x0a0d0d0a,
      body(
        16,
        (v) => {
          v.setUint32(0, 0x1a2b3c4d, little);
          v.setUint16(4, 1, little);
          v.setBigInt64(8, -1n, little);
        },
        optionBytes(options.section ?? [], little),
      ),
      little,
    ),
    ...interfaces.map((i) =>
      block(
        1,
        body(
          8,
          (v) => {
            v.setUint16(0, i.link, little);
            v.setUint32(4, i.snaplen ?? 262144, little);
          },
          optionBytes(i.options ?? [], little),
        ),
        little,
      ),
    ),
    ...frames.map((f) =>
      f.simple
        ? block(
            3,
            body(4, (v) => v.setUint32(0, f.original ?? f.bytes.length, little), f.bytes),
            little,
          )
        : block(
            6,
            body(
              20,
              (v) => {
                const ticks = f.ticks ?? BigInt(Math.round(f.time * 1e6));
                v.setUint32(0, f.on ?? 0, little);
                v.setUint32(4, Number(ticks >> 32n), little);
                v.setUint32(8, Number(ticks & 0xffffffffn), little);
                v.setUint32(12, f.bytes.length, little);
                v.setUint32(16, f.original ?? f.bytes.length, little);
              },
              f.bytes,
            ),
            little,
          ),
    ),
  ]);
};

type End = readonly [address: string, port: number];

/** The packets of one whole connection: handshake, request, answer, close. */
export const connection = (
  time: number,
  client: End,
  server: End,
  options: {
    readonly isn?: number;
    readonly serverIsn?: number;
    readonly request?: number;
    readonly answer?: number;
    readonly stamp?: number | null;
    /** Who sends the first FIN; `none` leaves it open. */
    readonly closer?: 'client' | 'server' | 'none';
    /** Seconds between two packets. */
    readonly pace?: number;
  } = {},
): TcpPacket[] => {
  const { isn = 1000, serverIsn = 50_000, request = 100, answer = 500, closer = 'client', pace = 0.0002 } = options;
  const stamp = options.stamp === undefined ? 1000 : options.stamp;
  const packets: TcpPacket[] = [];
  let at = time;
  let c = isn;
  let s = serverIsn;
  const add = (from: 'client' | 'server', flags: number, payload = 0): void => {
    const fromClient = from === 'client';
    packets.push({
      time: at,
      source: fromClient ? client : server,
      destination: fromClient ? server : client,
      flags,
      seq: fromClient ? c : s,
      ack: flags & ACK ? (fromClient ? s : c) : 0,
      payload,
      stamp: stamp === null ? null : [stamp + Math.round((at - time) * 1000), 0],
    });
    const used = payload + (flags & SYN ? 1 : 0) + (flags & FIN ? 1 : 0);
    if (fromClient) c += used;
    else s += used;
    at += pace;
  };
  add('client', SYN);
  add('server', SYN | ACK);
  add('client', ACK);
  if (request > 0) {
    add('client', PSH | ACK, request);
    add('server', PSH | ACK, answer);
  }
  if (closer === 'none') return packets;
  const other = closer === 'client' ? 'server' : 'client';
  add(closer, FIN | ACK);
  add(other, FIN | ACK);
  add(closer, ACK);
  return packets;
};
