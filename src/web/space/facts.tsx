/** A port space as it is now: gauge, time left, figures. */
import { formatNumber, formatPercent, formatRate } from '../../core/quantity.ts';
import type { SpaceDetail } from '../../wire/api.ts';
import { nearness, timeLeftOf, wallOf } from '../model/space.ts';
import { countOf, stateGroups } from '../model/states.ts';
import { HullGauge } from '../overview/gauge.tsx';

export const Facts = ({ detail }: { readonly detail: SpaceDetail }) => {
  const s = detail.space;
  const { figure, meaning } = timeLeftOf(s);
  const facts: readonly (readonly [string, string])[] = [
    ['Used', `${formatNumber(s.used)} of ${formatNumber(s.capacity)} (${formatPercent(s.used_ratio)})`],
    ['Free', s.free_low === s.free_high ? formatNumber(s.free) : `${formatNumber(s.free_low)} to ${formatNumber(s.free_high)}`],
    ['Range', `${s.range.low}–${s.range.high}, ${formatNumber(s.blocked)} blocked`],
    [
      'Search wall',
      wallOf(s) === null ? 'none' : `at ${formatNumber(s.search_wall.at)}, ${s.search_wall.passed ? 'passed' : 'not passed'}`,
    ],
    ['Opens', s.open_rate === null ? 'not known yet' : formatRate(s.open_rate)],
    ['Closes', s.close_rate === null ? 'not known yet' : formatRate(s.close_rate)],
    ['Failed connects', s.failed_searches === null ? 'not watched' : formatNumber(s.failed_searches)],
    ['Reusable TIME_WAITs', formatNumber(s.reusable)],
  ];
  return (
    <div class={`facts ${nearness(s)}`}>
      <HullGauge space={s} />
      <div>
        <p class="figure">
          {figure} <span class="meaning">{meaning}</span>
        </p>
        <dl>
          {facts.map(([term, value]) => (
            <div key={term}>
              <dt>{term}</dt>
              <dd>{value}</dd>
            </div>
          ))}
        </dl>
        <ul class="legend">
          {stateGroups
            .filter((words) => countOf(s.by_state, words) > 0)
            .map((words) => (
              <li key={words.group}>
                <span class={`swatch of-${words.group}`} aria-hidden="true" />
                {formatNumber(countOf(s.by_state, words))} {words.name} <span class="unseen">{words.meaning}</span>
              </li>
            ))}
        </ul>
      </div>
    </div>
  );
};
