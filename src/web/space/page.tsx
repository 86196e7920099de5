/** One port space: how full it was, is and will be, which ports, whose, why, and what would help. */

import { useComputed, useSignal } from '@preact/signals';
import { useEffect, useRef } from 'preact/hooks';
import { formatEndpoint } from '../../core/address.ts';
import { asItIs, changesOf, stageOf, type Tried, triedStage } from '../../core/plan/tried.ts';
import { formatNumber } from '../../core/quantity.ts';
import { type HistoryDocument, measuredStart, type SpaceDetail } from '../../wire/api.ts';
import { EvidenceTable } from '../findings/finding.tsx';
import { ApiTrouble, api } from '../live/api.ts';
import { sample } from '../live/store.ts';
import { SeverityTag } from '../look/severity.tsx';
import { gravity, kindOf, nameOf, sentenceOf, wallOf } from '../model/space.ts';
import { otherGroup } from '../model/states.ts';
import { formatRoute } from '../route.ts';
import { Facts } from './facts.tsx';
import { occupancyOf } from './occupancy.ts';
import { OccupancyChart, OccupancyTable } from './occupancy-chart.tsx';
import { Owners } from './owners.tsx';
import { PortMap } from './port-map.tsx';
import { Remedies } from './remedies.tsx';
import { WhatIf } from './what-if.tsx';

/** What the picture spans, in seconds back. */
const spans = [
  [180, '3 minutes'],
  [900, '15 minutes'],
  [3600, 'an hour'],
  [86_400, 'a day'],
  [30 * 86_400, '30 days'],
] as const;

export const SpacePage = ({ id }: { readonly id: string }) => {
  const detail = useSignal<SpaceDetail | null>(null);
  const past = useSignal<HistoryDocument | null>(null);
  const trouble = useSignal<ApiTrouble | null>(null);
  const tried = useSignal<Tried | null>(null);
  const span = useSignal<number>(spans[0][0]);
  const busy = useRef(false);
  const at = sample.value?.at ?? '';

  useEffect(() => {
    if (busy.current || document.visibilityState !== 'visible') return;
    busy.current = true;
    const end = Date.now() / 1000 + 5;
    void Promise.all([api.space(id), api.history(id, end - span.value, end).catch(() => null)])
      .then(([newest, history]) => {
        detail.value = newest;
        if (history !== null) past.value = history;
        trouble.value = null;
      })
      .catch((error: unknown) => {
        if (error instanceof ApiTrouble) trouble.value = error;
      })
      .finally(() => {
        busy.current = false;
      });
  }, [id, at, span.value]);

  const start = useComputed(() => (detail.value === null ? null : measuredStart(detail.value.start)));
  const d = detail.value;
  const s = start.value;
  if (d === null || s === null)
    return (
      <div class="page-head">
        <a href={formatRoute({ page: 'overview' })}>← Overview</a>
        <h1>{trouble.value === null ? 'Reading …' : trouble.value.message}</h1>
        <p class="quiet">{trouble.value?.hint || id}</p>
      </div>
    );
  const { space } = d;
  const now = Date.parse(d.at) / 1000;
  const wall = wallOf(space);
  const stage = stageOf(s, space.capacity, wall);
  const value = tried.value ?? asItIs(s);
  const changes = changesOf(s, value);
  const then = triedStage(stage, changes);
  const history: HistoryDocument =
    past.value !== null && past.value.space === id
      ? past.value
      : {
          space: id,
          step: 1,
          at: [],
          columns: {
            used: [],
            capacity: [],
            time_wait: [],
            established: [],
            other: [],
            open_rate: [],
            close_rate: [],
            failed_searches: [],
          },
        };
  const other = otherGroup(space.by_state);
  const occupancy = occupancyOf(history, now, s, space.by_state.established, space.capacity, value);
  const promised = d.remedies.find((r) => r.code === 'multiplexing')?.effect?.forecast.plateau_used;
  const shareable = Math.max(1, Math.round(promised ?? Math.min(32, Math.max(1, s.load.live))));
  return (
    <>
      <div class="page-head">
        <a href={formatRoute({ page: 'overview' })}>← Overview</a>
        <h1>{nameOf(space)}</h1>
        <p class="row">
          <SeverityTag of={gravity(space, d.findings)} />
          {kindOf(space).short !== '' && <span class="tag">{kindOf(space).short}</span>}
          {space.label !== null && <span>{space.label}</span>}
          <span class="quiet">in {space.namespace}</span>
        </p>
        <p class="quiet">{kindOf(space).long}</p>
        {trouble.value !== null && (
          <p class="banner warning">
            <span>{trouble.value.status === 404 ? 'It holds no port any more; this is how it was last.' : trouble.value.message}</span>
          </p>
        )}
      </div>

      <section class="section columns two" aria-label="How full">
        <div class="card">
          <h2>Now</h2>
          <Facts detail={d} />
          <h3>Who</h3>
          <Owners detail={d} />
          <p class="unseen">{sentenceOf(space)}</p>
        </div>
        <div class="card">
          <h2>What if</h2>
          <WhatIf start={s} stage={stage} tried={tried} shareable={shareable} />
        </div>
      </section>

      <section class="section card" aria-labelledby="over-time">
        <div class="section-head">
          <h2 id="over-time">Ports in use</h2>
          <label class="side field row small">
            the last
            <select
              value={span.value}
              onChange={(e) => {
                span.value = Number(e.currentTarget.value);
              }}
            >
              {spans.map(([seconds, words]) => (
                <option key={seconds} value={seconds}>
                  {words}
                </option>
              ))}
            </select>
          </label>
        </div>
        <OccupancyChart
          occupancy={occupancy}
          now={now}
          capacity={space.capacity}
          wall={wall}
          other={other.group}
          triedCapacity={then.capacity === space.capacity ? null : then.capacity}
        />
        <ul class="legend">
          {[
            ['established', 'established'],
            [other.group, `${other.name} and other live states`],
            ['time_wait', 'TIME_WAIT'],
          ].map(([of, words]) => (
            <li key={of}>
              <span class={`swatch of-${of}`} aria-hidden="true" />
              {words}
            </li>
          ))}
          <li>
            <span class="swatch line dashed" aria-hidden="true" />
            forecast, with its bounds
          </li>
          {changes.length > 0 && (
            <li>
              <span class="swatch line tried" aria-hidden="true" />
              as if it had been so already
            </li>
          )}
        </ul>
        <OccupancyTable occupancy={occupancy} now={now} />
      </section>

      {d.findings.length > 0 && (
        <section class="section" aria-labelledby="why">
          <h2 id="why">Why</h2>
          <ul class="findings card">
            {d.findings.map((f) => (
              <li key={f.code} class={`finding ${f.severity}`}>
                <SeverityTag of={f.severity} />
                <div class="stack">
                  <h3>{f.title}</h3>
                  <p>{f.text}</p>
                  {f.evidence.length > 0 && <EvidenceTable evidence={f.evidence} />}
                </div>
              </li>
            ))}
          </ul>
        </section>
      )}

      {d.remedies.length > 0 && (
        <section class="section" aria-labelledby="helps">
          <h2 id="helps">What helps</h2>
          <Remedies space={space} remedies={d.remedies} />
        </section>
      )}

      <section class="section card" aria-labelledby="ports">
        <h2 id="ports">Every port</h2>
        <PortMap id={id} at={d.at} />
      </section>

      {space.shared.length > 0 && (
        <section class="section card" aria-labelledby="shared">
          <h2 id="shared">Destinations that share it</h2>
          <table>
            <thead>
              <tr>
                <th scope="col">Destination</th>
                <th scope="col" class="number">
                  Ports
                </th>
              </tr>
            </thead>
            <tbody>
              {space.shared.map((x) => (
                <tr key={`${x.destination} ${x.destination_port}`}>
                  <th scope="row">{formatEndpoint(x.destination, x.destination_port)}</th>
                  <td class="number">{formatNumber(x.held)}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </section>
      )}
    </>
  );
};
