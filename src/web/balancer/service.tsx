/** A virtual service, with the switch that this product is about: what it would buy, and what it bought. */
import { useSignal } from '@preact/signals';
import { formatNumber, formatPercent, formatRate } from '../../core/quantity.ts';
import { api } from '../live/api.ts';
import { Switch } from '../space/what-if.tsx';
import { mayWrite, Refusal, useAction } from './action.tsx';
import { OperState } from './oper-state.tsx';
import { type Measured, measuredOf, type Prediction, predict, spacesOfPool, type VirtualService } from './prediction.ts';
import { busiest, readings, spaces, state, switched } from './store.ts';

const rate = (value: number | null): string => (value === null ? '–' : formatRate(value));
const ratio = (value: number | null): string => (value === null ? '–' : formatPercent(value));

const causes: readonly (readonly [keyof VirtualService['failures'], string])[] = [
  ['local', 'this host'],
  ['remote', 'the server'],
  ['network', 'the network'],
  ['client', 'the client'],
];

/** Three columns where something was switched in this tab, else two. */
const Effects = (props: {
  readonly on: boolean;
  readonly now: Measured | null;
  readonly other: Prediction | null;
  /** Ports of connections that are over still count as used. */
  readonly cooling: boolean;
  readonly switchedTo: { readonly to: boolean; readonly before: Measured | null; readonly predicted: Prediction | null } | null;
}) => {
  const { now, other, switchedTo } = props;
  if (now === null) return <p class="quiet small">Counting …</p>;
  if (switchedTo !== null && switchedTo.to === props.on)
    return (
      <>
        <table class="comparison">
          <thead>
            <tr>
              <td />
              <th scope="col">Before</th>
              <th scope="col">Predicted</th>
              <th scope="col">Measured now</th>
            </tr>
          </thead>
          <tbody>
            <tr>
              <th scope="row">Server connections</th>
              <td>{switchedTo.before === null ? '–' : formatNumber(switchedTo.before.serverConnections)}</td>
              <td>{switchedTo.predicted === null ? '–' : `about ${formatNumber(switchedTo.predicted.serverConnections)}`}</td>
              <td>
                <strong>{formatNumber(now.serverConnections)}</strong>
              </td>
            </tr>
            <tr>
              <th scope="row">Opened to servers</th>
              <td>{rate(switchedTo.before?.openRate ?? null)}</td>
              <td>{switchedTo.to ? 'next to none' : 'one per client'}</td>
              <td>
                <strong>{rate(now.openRate)}</strong>
              </td>
            </tr>
            <tr>
              <th scope="row">Fullest port space</th>
              <td>{ratio(switchedTo.before?.usedRatio ?? null)}</td>
              <td>{ratio(switchedTo.predicted?.usedRatio ?? null)}</td>
              <td>
                <strong>{ratio(now.usedRatio)}</strong>
              </td>
            </tr>
          </tbody>
        </table>
        {props.cooling && <p class="quiet small">Ports of the connections that were closed count as used until they have cooled.</p>}
      </>
    );
  return (
    <table class="comparison">
      <thead>
        <tr>
          <td />
          <th scope="col">Now, {props.on ? 'on' : 'off'}</th>
          <th scope="col">If {props.on ? 'off' : 'on'}, predicted</th>
        </tr>
      </thead>
      <tbody>
        <tr>
          <th scope="row">Server connections</th>
          <td>{formatNumber(now.serverConnections)}</td>
          <td>{other === null ? '–' : `about ${formatNumber(other.serverConnections)}`}</td>
        </tr>
        <tr>
          <th scope="row">Opened to servers</th>
          <td>{rate(now.openRate)}</td>
          <td>{props.on ? 'one per client' : 'next to none'}</td>
        </tr>
        <tr>
          <th scope="row">Fullest port space</th>
          <td>{ratio(now.usedRatio)}</td>
          <td>{ratio(other?.usedRatio ?? null)}</td>
        </tr>
      </tbody>
    </table>
  );
};

export const Service = ({ service }: { readonly service: VirtualService }) => {
  const action = useAction();
  const seen = readings.value.get(service.name) ?? [];
  const done = switched.value.get(service.name);
  // After a switch only what was read since tells its effect.
  const since = done === undefined ? seen : seen.filter((r) => r.at >= done.at);
  const now = measuredOf(since);
  const pool = state.value?.pools.find((p) => p.name === service.pool);
  const towards = pool === undefined ? [] : spacesOfPool(pool, spaces.value);
  const on = service.connection_multiplexing;
  const cooling = (state.value?.snat_pools ?? []).filter((s) => s.name === pool?.snat_pool).some((s) => s.use.some((u) => u.cooling > 0));
  const other = predict(!on, seen.at(-1), busiest(service.name), towards);
  const wanted = useSignal(on);
  const flip = async (to: boolean): Promise<void> => {
    wanted.value = to;
    const before = { at: Date.now(), to, before: seen, predicted: predict(to, seen.at(-1), busiest(service.name), towards) };
    if (await action.run(() => api.setMultiplexing(service.name, to))) switched.value = new Map(switched.value).set(service.name, before);
  };
  return (
    <li class="card service">
      <div class="section-head">
        <h3>{service.name}</h3>
        <OperState status={service.oper_status} />
        <span class="quiet small">
          {service.type}
          {service.tls ? ' with TLS' : ''} on {service.listen}, pool {service.pool}
        </span>
      </div>
      <div class="columns two">
        <dl class="figures">
          <div>
            <dt>Open connections</dt>
            <dd>{formatNumber(service.open_conns)}</dd>
          </div>
          <div>
            <dt>Open requests</dt>
            <dd>{formatNumber(service.open_requests)}</dd>
          </div>
          <div>
            <dt>Requests</dt>
            <dd>{rate(now?.requestRate ?? null)}</dd>
          </div>
          <div>
            <dt>Dropped</dt>
            <dd>{formatNumber(service.connections_dropped)}</dd>
          </div>
          <div class="wide">
            <dt>Failures, by cause</dt>
            <dd>
              {causes.map(([cause, words]) => (
                <span key={cause} class={`cause ${service.failures[cause] > 0 ? 'some' : ''}`}>
                  <strong>{formatNumber(service.failures[cause])}</strong> {words}
                </span>
              ))}
            </dd>
          </div>
        </dl>
        <div class="stack">
          <p class="quiet small">Edit → Application Profile ({service.application_profile})</p>
          <Switch
            label="Connection Multiplexing"
            hint={
              service.type === 'tcp'
                ? 'tcp connections cannot be shared'
                : mayWrite()
                  ? 'until the balancer’s next reload'
                  : 'changing it needs the token'
            }
            on={action.busy ? wanted.value : on}
            disabled={!mayWrite() || service.type === 'tcp'}
            onChange={(to) => void flip(to)}
          />
          <Refusal of={action} />
          {service.type === 'http' && (
            <Effects
              on={on}
              now={now}
              other={other}
              cooling={cooling}
              switchedTo={done === undefined ? null : { to: done.to, before: measuredOf(done.before), predicted: done.predicted }}
            />
          )}
        </div>
      </div>
    </li>
  );
};
