/** One of the port spaces nearest their line. */
import { formatNumber, formatPercent, formatRate } from '../../core/quantity.ts';
import { openFindings, severalNamespaces, trendOf } from '../live/store.ts';
import { SeverityTag } from '../look/severity.tsx';
import { destinationOf, gravity, kindOf, type Space, timeLeftOf } from '../model/space.ts';
import { formatRoute } from '../route.ts';
import { HullGauge } from './gauge.tsx';
import { Sparkline, trendWords } from './sparkline.tsx';

export const SpaceCard = ({ space }: { readonly space: Space }) => {
  const near = gravity(space, openFindings.value);
  const { figure, meaning } = timeLeftOf(space);
  const trend = trendOf(space.id);
  const kind = kindOf(space).short;
  return (
    <li class={`space-card card ${near}`}>
      <HullGauge space={space} />
      <div class="space-card-text">
        <h3>
          <a href={formatRoute({ page: 'space', id: space.id })}>
            <span class="from">{space.source}</span> <span class="to">→ {destinationOf(space)}</span>
          </a>
        </h3>
        <p class="row small">
          {near !== 'calm' && <SeverityTag of={near} />}
          {kind !== '' && <span class="tag">{kind}</span>}
          {space.label !== null && <span class="quiet">{space.label}</span>}
          {severalNamespaces.value && <span class="quiet">in {space.namespace}</span>}
        </p>
        <p class="figure">
          {figure} <span class="meaning">{meaning}</span>
        </p>
        <Sparkline trend={trend} />
        <p class="small quiet">
          {formatPercent(space.used_ratio)} · {formatNumber(space.used)} of {formatNumber(space.capacity)}
          <br />
          {trendWords(trend)}
          {space.open_rate !== null && space.open_rate > 0 ? ` · opens ${formatRate(space.open_rate)}` : ''}
        </p>
      </div>
    </li>
  );
};
