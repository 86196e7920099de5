/**
 * The ports of a space as two strips, one for each parity: automatic connect() takes the parity of the range's low end first
 * and the other one only when none of those is left, so the search wall is where the first strip is full.
 */
import { type PortMap, PortUse } from '../../core/port-map.ts';
import { TcpState } from '../../core/tcp-state.ts';
import type { Paint, Style } from '../terminal.ts';

/** What is told apart by colour. */
export const stripColours = [
  { style: 'yellow', name: 'TIME_WAIT', is: (state: number) => state === TcpState.timeWait },
  { style: 'green', name: 'ESTABLISHED', is: (state: number) => state === TcpState.established },
  { style: 'blue', name: 'blocked or reserved', is: (state: number) => state === PortUse.blocked || state === PortUse.reserved },
  { style: 'cyan', name: 'other', is: (state: number) => state !== PortUse.free && state !== PortUse.outside },
] as const satisfies readonly { style: Style; name: string; is: (state: number) => boolean }[];

const kindOf = Uint8Array.from({ length: 256 }, (_, state) => stripColours.findIndex((c) => c.is(state)) & 0xff);
const NONE = 0xff;

/** Every tenth of the ports of a cell makes it darker; a full cell is told from an almost full one. */
const shade = (share: number): string => (share === 0 ? '·' : share < 0.34 ? '░' : share < 0.67 ? '▒' : share < 1 ? '▓' : '█');

/** One strip of `columns` cells: the ports of the range with `parity` relative to its low end, each cell an equal stretch of them. */
export const portStrip = (map: PortMap, parity: 0 | 1, columns: number, paint: Paint): string => {
  const { low, high } = map.range;
  const ports = Math.max(0, Math.floor((high - low - parity) / 2) + 1);
  const cells = Math.min(columns, ports);
  let strip = '';
  for (let cell = 0; cell < cells; cell++) {
    const from = Math.floor((cell * ports) / cells);
    const to = Math.floor(((cell + 1) * ports) / cells);
    const counts = [0, 0, 0, 0];
    let taken = 0;
    for (let i = from; i < to; i++) {
      const kind = kindOf[map.states[low + parity + 2 * i]!]!;
      if (kind === NONE) continue;
      counts[kind]!++;
      taken++;
    }
    const most = stripColours[counts.indexOf(Math.max(...counts))]!;
    const glyph = shade(taken / (to - from));
    strip += taken === 0 ? paint('dim', glyph) : paint(most.style, glyph);
  }
  return strip;
};
