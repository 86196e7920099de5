/**
 * The picture of 65,536 ports: 256 columns by 256 rows, each port a cell of 2 × 2 pixels, so that blocked ports can be hatched.
 * Pure: bytes in, pixels out.
 */
import { type PortState, portState } from '../model/states.ts';

/** Pixels along a cell's side, and along the whole picture. */
export const CELL = 2;
export const SIDE = 256 * CELL;

/** A colour as 0xAABBGGRR: how a canvas keeps its pixels on every machine there is. */
export type Palette = Readonly<Record<PortState | 'hatch', number>>;

/** What the API calls a TIME_WAIT's time left where it is not known. */
const UNKNOWN = 255;
const LONGEST = 60;

const mix = (from: number, to: number, share: number): number => {
  let colour = 0xff;
  for (const shift of [16, 8, 0]) {
    const a = (from >>> shift) & 0xff;
    const b = (to >>> shift) & 0xff;
    colour = (colour << 8) | Math.round(a + (b - a) * share);
  }
  return colour >>> 0;
};

/** Paints `states` (one byte a port) into `pixels`, SIDE × SIDE of them. A TIME_WAIT fades towards free as its time runs out. */
export const paintPortMap = (states: Uint8Array, timeLeft: Uint8Array, palette: Palette, pixels: Uint32Array): void => {
  const faded = Array.from({ length: LONGEST + 1 }, (_, seconds) =>
    mix(palette.free, palette.time_wait, 0.35 + (0.65 * seconds) / LONGEST),
  );
  for (let port = 0; port < 65_536; port++) {
    const state = portState(states[port]!);
    const left = timeLeft[port]!;
    const colour = state === 'time_wait' && left !== UNKNOWN ? faded[Math.min(LONGEST, left)]! : palette[state];
    const hatched = state === 'blocked' || state === 'reserved';
    const x0 = (port & 255) * CELL;
    const y0 = (port >>> 8) * CELL;
    for (let y = y0; y < y0 + CELL; y++) {
      const row = y * SIDE;
      for (let x = x0; x < x0 + CELL; x++)
        pixels[row + x] = hatched && (state === 'blocked' ? x + y : x - y + SIDE) % 4 === 0 ? palette.hatch : colour;
    }
  }
};

export interface PortBlock {
  readonly low: number;
  readonly counts: ReadonlyMap<PortState, number>;
}

/** How many ports of each 4,096 are what, for whoever cannot see the picture. */
export const countBlocks = (states: Uint8Array): readonly PortBlock[] =>
  Array.from({ length: 16 }, (_, block) => {
    const byByte = new Uint32Array(256);
    for (let port = block * 4096; port < (block + 1) * 4096; port++) byByte[states[port]!]!++;
    const counts = new Map<PortState, number>();
    byByte.forEach((n, byte) => {
      if (n > 0) counts.set(portState(byte), (counts.get(portState(byte)) ?? 0) + n);
    });
    return { low: block * 4096, counts };
  });

/** 65,536 bytes out of the API's base64; missing ones are 0. */
export const bytesOf = (base64: string): Uint8Array => {
  const text = atob(base64);
  const bytes = new Uint8Array(65_536);
  for (let i = 0; i < Math.min(text.length, bytes.length); i++) bytes[i] = text.charCodeAt(i);
  return bytes;
};

/** `#1d5f8a` as a canvas pixel. Null if it is no such colour. */
export const pixelOf = (hex: string): number | null => {
  const match = /^#([0-9a-f]{2})([0-9a-f]{2})([0-9a-f]{2})$/i.exec(hex.trim());
  if (match === null) return null;
  const [r, g, b] = match.slice(1).map((part) => Number.parseInt(part, 16)) as [number, number, number];
  return ((0xff << 24) | (b << 16) | (g << 8) | r) >>> 0;
};
