/**
 * A port space as the side of a ship: the water is what its ports are used for, the circle-and-line mark is the limit, the broken
 * line the search wall. The sentence behind the picture says the same.
 */
import { useId } from 'preact/hooks';
import { nearness, type Space, sentenceOf, wallOf } from '../model/space.ts';
import { countOf, stateGroups } from '../model/states.ts';

const WIDTH = 92;
const HEIGHT = 178;
const LEFT = 10;
const RIGHT = 62;
const LIMIT = 34;
const KEEL = 170;

/** Shares of the capacity by state, from the keel up. A TIME_WAIT that may be taken again is not in the way. */
export const layers = (s: Space): readonly { readonly group: string; readonly from: number; readonly to: number }[] => {
  if (s.capacity === 0) return [{ group: 'bound', from: 0, to: 1 }];
  const counts = stateGroups.map((words) => ({
    group: words.group,
    count: Math.max(0, countOf(s.by_state, words) - (words.group === 'time_wait' ? s.reusable : 0)),
  }));
  const sum = counts.reduce((total, c) => total + c.count, 0);
  // Sockets outside the range or on blocked ports count in no port space.
  const scale = sum > 0 ? s.used_ratio / sum : 0;
  let from = 0;
  return counts.flatMap(({ group, count }) => {
    if (count === 0) return [];
    const layer = { group, from, to: from + count * scale };
    from = layer.to;
    return [layer];
  });
};

/** Where its search wall is, as a share of the capacity; null where it has none. */
const wallRatio = (s: Space): number | null => {
  const wall = wallOf(s);
  return wall === null ? null : wall / s.capacity;
};

const y = (ratio: number): number => KEEL - Math.min(1.12, ratio) * (KEEL - LIMIT);

/** Draught marks, one a tenth. */
const TICKS = Array.from({ length: 11 }, (_, i) => `M${RIGHT} ${y(i / 10)}h${i % 5 === 0 ? 7 : 4}`).join('');

/** Null: the empty picture, for explaining it. */
export const HullGauge = ({ space }: { readonly space: Space | null }) => {
  const clip = useId();
  const wall = space === null ? 0.5 : wallRatio(space);
  const stack = space === null ? [] : layers(space);
  const surface = y(space?.used_ratio ?? 0);
  return (
    <svg
      class={`hull ${space === null ? '' : nearness(space)}`}
      width={WIDTH}
      height={HEIGHT}
      viewBox={`0 0 ${WIDTH} ${HEIGHT}`}
      role="img"
      aria-label={space === null ? 'An empty gauge' : sentenceOf(space)}
    >
      <clipPath id={clip}>
        <path
          d={`M${LEFT} 12 H${RIGHT} V${KEEL - 16} Q${RIGHT} ${KEEL} ${RIGHT - 16} ${KEEL} H${LEFT + 16} Q${LEFT} ${KEEL} ${LEFT} ${KEEL - 16} Z`}
        />
      </clipPath>
      <g clip-path={`url(#${clip})`}>
        <rect class="hull-plate" x={LEFT} y="0" width={RIGHT - LEFT} height={HEIGHT} />
        {stack.map((layer) => (
          <rect
            key={layer.group}
            class={`layer of-${layer.group}`}
            x={LEFT}
            width={RIGHT - LEFT}
            y={y(layer.to)}
            height={Math.max(0, y(layer.from) - y(layer.to)) + 0.5}
          />
        ))}
        {space !== null && space.used > 0 && <path class="hull-surface" d={`M${LEFT} ${surface}H${RIGHT}`} />}
      </g>
      <path
        class="hull-side"
        d={`M${LEFT} 12 V${KEEL - 16} Q${LEFT} ${KEEL} ${LEFT + 16} ${KEEL} H${RIGHT - 16} Q${RIGHT} ${KEEL} ${RIGHT} ${KEEL - 16} V12`}
      />
      <path class="hull-tick" d={TICKS} />
      {wall !== null && <path class={`hull-wall ${space?.search_wall.passed ? 'passed' : ''}`} d={`M${LEFT} ${y(wall)}H${RIGHT}`} />}
      <text class="hull-figure" x={RIGHT + 10} y={y(0.5) + 4}>
        50
      </text>
      <text class="hull-figure" x={RIGHT + 10} y={y(0) + 1}>
        0
      </text>
      <g class="hull-limit">
        <path class="halo" d={`M3 ${LIMIT}H${RIGHT + 16}`} />
        <circle class="halo" cx={(LEFT + RIGHT) / 2} cy={LIMIT} r="11" />
        <path d={`M3 ${LIMIT}H${RIGHT + 16}`} />
        <circle cx={(LEFT + RIGHT) / 2} cy={LIMIT} r="11" />
      </g>
    </svg>
  );
};

/** The same lying down, for lists: water, wall and limit. Beside it stand the figures, so it says nothing by itself. */
export const BarGauge = ({ space }: { readonly space: Space }) => {
  const wall = wallRatio(space);
  return (
    <span class={`bar ${nearness(space)}`} aria-hidden="true">
      <span class="bar-water" style={{ transform: `scaleX(${Math.min(1, space.used_ratio)})` }} />
      {wall !== null && <span class="bar-wall" style={{ left: `${wall * 100}%` }} />}
      <span class="bar-limit" />
    </span>
  );
};
