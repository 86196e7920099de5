/**
 * The mark on a hull: a circle crossed by the line that the water may not pass. Drawn as it is on a ship, so the water stands at
 * the line when the fullest port space is at its limit, and above it when it is over.
 */
import { useId } from 'preact/hooks';

export interface MarkProps {
  /** Pixels. */
  readonly size: number;
  /** 0 to 1 and a little more: how high the water stands; null: no water. */
  readonly level: number | null;
  /** Class of the water. */
  readonly water?: string;
}

const TOP = 5;
const LINE = 32;
const BOTTOM = 59;

export const Mark = ({ size, level, water = '' }: MarkProps) => {
  const clip = useId();
  const surface = level === null ? BOTTOM : Math.max(TOP, BOTTOM - Math.min(1.5, level) * (BOTTOM - LINE));
  return (
    <svg class="mark" width={size} height={size} viewBox="0 0 64 64" aria-hidden="true">
      <clipPath id={clip}>
        <circle cx="32" cy="32" r="22" />
      </clipPath>
      {level !== null && (
        <g clip-path={`url(#${clip})`}>
          <g class={`mark-water ${water}`} style={{ transform: `translateY(${surface - BOTTOM}px)` }}>
            <path d={`M-8 ${BOTTOM} q 5 -1.1 10 0 t 10 0 t 10 0 t 10 0 t 10 0 t 10 0 t 10 0 t 10 0 V 130 H -8 Z`} />
          </g>
        </g>
      )}
      <circle class="mark-ring" cx="32" cy="32" r="24.5" />
      <path class="mark-line" d="M1 32H63" />
    </svg>
  );
};
