/** The load balancer on this host: virtual services, pools, SNAT pools, and what happened last. */
import { useEffect } from 'preact/hooks';
import { balancer, sample } from '../live/store.ts';
import { Mark } from '../look/mark.tsx';
import { clockOf } from '../model/time.ts';
import { mayWrite } from './action.tsx';
import { Pool } from './pool.tsx';
import { Service } from './service.tsx';
import { SnatPool } from './snat.tsx';
import { answered, refresh, state, trouble } from './store.ts';

/** Events listed, the newest first. */
const EVENTS = 12;

export const BalancerPage = () => {
  const news = balancer.value;
  const look = sample.value?.at;
  useEffect(() => {
    if (document.visibilityState === 'visible') void refresh();
  }, [news, look]);
  const now = state.value;
  if (now === null)
    return (
      <>
        <div class="page-head">
          <h1>Load balancer</h1>
        </div>
        <div class="section empty card">
          <Mark size={72} level={null} />
          <div class="stack">
            {trouble.value !== null ? (
              <p>
                {trouble.value.message}. <span class="quiet">{trouble.value.hint}</span>
              </p>
            ) : answered.value ? (
              <>
                <p>No load balancer of ours runs on this host.</p>
                <p class="quiet">
                  Start one with <code>plimsoll balance -c plimsoll.yaml</code>; its virtual services, pools and SNAT pools appear here.
                </p>
              </>
            ) : (
              <p class="quiet">Asking the balancer …</p>
            )}
          </div>
        </div>
      </>
    );
  return (
    <>
      <div class="page-head">
        <h1>Load balancer</h1>
        <p class="quiet">
          {now.configuration_file} · {now.workers.length === 1 ? `pid ${now.pid}` : `${now.workers.length} workers`}
          {mayWrite() ? '' : ' · read only: changes need the token of the address that plimsoll serve printed'}
        </p>
      </div>
      <section class="section" aria-labelledby="services">
        <h2 id="services">Virtual services</h2>
        <ul class="cards">
          {now.virtual_services.map((service) => (
            <Service key={service.name} service={service} />
          ))}
        </ul>
      </section>
      <section class="section" aria-labelledby="pools">
        <h2 id="pools">Pools</h2>
        <ul class="cards">
          {now.pools.map((pool) => (
            <Pool key={pool.name} pool={pool} />
          ))}
        </ul>
      </section>
      {now.snat_pools.length > 0 && (
        <section class="section" aria-labelledby="snat">
          <h2 id="snat">SNAT pools</h2>
          <ul class="cards">
            {now.snat_pools.map((snat) => (
              <SnatPool key={snat.name} snat={snat} />
            ))}
          </ul>
        </section>
      )}
      {now.events.length > 0 && (
        <section class="section" aria-labelledby="events">
          <h2 id="events">Last events</h2>
          <ul class="card events">
            {[...now.events]
              .reverse()
              .slice(0, EVENTS)
              .map((e, i) => (
                <li key={`${e.at} ${e.subject} ${i}`}>
                  <time class="quiet" dateTime={e.at}>
                    {clockOf(e.at)}
                  </time>
                  <span>
                    <strong>{e.subject}</strong> {e.kind.replaceAll('_', ' ')}: {e.text}
                  </span>
                </li>
              ))}
          </ul>
        </section>
      )}
    </>
  );
};
