/** The first screen: am I safe, which port spaces are nearest their line, what is wrong. */
import { formatNumber } from '../../core/quantity.ts';
import { Finding, namesSpace } from '../findings/finding.tsx';
import { balancer, openFindings, report, sample, session } from '../live/store.ts';
import { countOf, stateGroups } from '../model/states.ts';
import { formatRoute } from '../route.ts';
import { Explained } from './explained.tsx';
import { SpaceCard } from './space-card.tsx';
import { SpaceList } from './space-list.tsx';
import { Verdict } from './verdict.tsx';

/** Gauges on the first screen. */
const CARDS = 6;
/** Findings on it; the rest is a page of its own. */
const FINDINGS = 5;

/** What could not be read, and what would mend it. */
const Unseen = () => {
  const missing = (report.value?.sensors ?? []).filter((s) => s.status !== 'ok' && s.hint !== '' && s.name !== 'balancer');
  if (missing.length === 0) return null;
  return (
    <section class="section" aria-labelledby="not-seen">
      <h2 id="not-seen">Not seen</h2>
      <ul class="stack section-text">
        {missing.map((s) => (
          <li key={s.name}>
            <strong>{s.name}</strong> <span class="quiet">{s.hint}</span>
          </li>
        ))}
      </ul>
    </section>
  );
};

const BalancerLine = () => {
  const state = balancer.value;
  if (state === null || !state.reachable || state.virtual_services.length === 0) return null;
  const down = state.virtual_services.filter((v) => v.state !== 'OPER_UP').length;
  const open = state.virtual_services.reduce((sum, v) => sum + v.open_conns, 0);
  const one = state.virtual_services.length === 1;
  return (
    <p class="section balancer-line card row">
      <strong>Load balancer</strong>
      <span>
        {formatNumber(state.virtual_services.length)} virtual service{one ? '' : 's'},{' '}
        {down === 0 ? (one ? 'up' : 'all up') : `${down} not up`}; {formatNumber(open)} client connection{open === 1 ? '' : 's'}
      </span>
      <a href={formatRoute({ page: 'balancer' })}>Virtual services and pools</a>
    </p>
  );
};

export const OverviewPage = () => {
  const now = sample.value;
  if (now === null) return <p class="loading quiet">Taking the first look …</p>;
  const open = openFindings.value;
  const cards = now.spaces.slice(0, CARDS);
  const held = stateGroups.filter((words) => cards.some((s) => countOf(s.by_state, words) > 0));
  return (
    <>
      <Verdict
        sample={now}
        worst={open.find((f) => now.because.includes(f.code)) ?? open[0]}
        hostName={session.value?.host ?? report.value?.host.name ?? ''}
        findings={open.length}
      />
      {now.slowed_to !== null && (
        <p class="section quiet">Looking at this host takes long, so the agent looks every {formatNumber(now.slowed_to, 1)} s.</p>
      )}
      {cards.length > 0 && (
        <section class="section" aria-labelledby="nearest">
          <div class="section-head">
            <h2 id="nearest">Nearest their line</h2>
            <ul class="legend side">
              {held.map((words) => (
                <li key={words.group} title={words.meaning}>
                  <span class={`swatch of-${words.group}`} aria-hidden="true" />
                  {words.name}
                </li>
              ))}
              <li title="Beyond it every connect() scans thousands of ports">
                <span class="swatch line dashed" aria-hidden="true" />
                search wall
              </li>
              <li title="No port is left">
                <span class="swatch line thick" aria-hidden="true" />
                load line
              </li>
            </ul>
          </div>
          <ul class="space-cards">
            {cards.map((space) => (
              <SpaceCard key={space.id} space={space} />
            ))}
          </ul>
        </section>
      )}
      <BalancerLine />
      {open.length > 0 && (
        <section class="section" aria-labelledby="findings">
          <div class="section-head">
            <h2 id="findings">Findings</h2>
            <a class="side" href={formatRoute({ page: 'findings' })}>
              {open.length > FINDINGS ? `All ${open.length}, and earlier ones` : 'Earlier ones'}
            </a>
          </div>
          <ul class="findings card">
            {open.slice(0, FINDINGS).map((f) => (
              <Finding key={f.id} finding={f} linked={namesSpace(f.subject)} />
            ))}
          </ul>
        </section>
      )}
      {now.spaces_total > 0 ? <SpaceList /> : <Explained />}
      <Unseen />
    </>
  );
};
