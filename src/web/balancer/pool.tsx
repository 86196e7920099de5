/** A pool and its servers: who is up, what they carry, why connections were lost, and taking one out of use. */

import { formatEndpoint } from '../../core/address.ts';
import { formatDuration, formatNumber } from '../../core/quantity.ts';
import { api } from '../live/api.ts';
import { Scrolled } from '../look/scrolled.tsx';
import { mayWrite, Refusal, useAction } from './action.tsx';
import { OperState } from './oper-state.tsx';
import type { Pool as PoolState } from './prediction.ts';

type Server = PoolState['servers'][number];

const drops: readonly (readonly [keyof Server & `conn_dropped_${string}`, string, string])[] = [
  ['conn_dropped_before_syn_sent', 'here', 'a local failure: nothing left this host'],
  ['conn_dropped_before_est', 'opening', 'the server or the network refused or ignored the handshake'],
  ['conn_dropped_after_est', 'open', 'lost after it was established'],
];

const ServerRow = ({ pool, server }: { readonly pool: string; readonly server: Server }) => {
  const action = useAction();
  const enabled = server.oper_status.state !== 'OPER_DISABLED' && server.oper_status.state !== 'OPER_DRAINING';
  const does = (to: 'drain' | 'enable' | 'disable', words: string) => (
    <button
      type="button"
      class="button"
      disabled={!mayWrite() || action.busy}
      title={mayWrite() ? undefined : 'changing it needs the token'}
      onClick={() => void action.run(() => api.administer(pool, server.name, to))}
    >
      {words}
      <span class="unseen"> {server.name}</span>
    </button>
  );
  return (
    <tr>
      <th scope="row">
        {server.name}
        <span class="quiet small block">{formatEndpoint(server.ip_addr, server.port)}</span>
      </th>
      <td>
        <OperState status={server.oper_status} />
      </td>
      <td class="number">
        {formatNumber(server.open_conns)}
        <span class="quiet small block">
          {formatNumber(server.busy_conns)} busy, {formatNumber(server.idle_conns)} idle
        </span>
      </td>
      <td class="number">
        {formatNumber(server.open_requests)}
        <span class="quiet small block">{formatNumber(server.num_requested)} in all</span>
      </td>
      <td class="number">
        {formatNumber(server.connections_dropped)}
        <span class="quiet small block">
          {drops
            .filter(([field]) => server[field] > 0)
            .map(([field, words, meaning]) => (
              <span key={field} title={meaning} class="block">
                {formatNumber(server[field])} {words}
              </span>
            ))}
        </span>
      </td>
      <td class="number">{formatNumber(server.health_check_failures)}</td>
      <td>
        <div class="row actions">
          {enabled ? (
            <>
              {does('drain', 'Drain')}
              {does('disable', 'Disable')}
            </>
          ) : (
            does('enable', 'Enable')
          )}
        </div>
        <Refusal of={action} />
      </td>
    </tr>
  );
};

export const Pool = ({ pool }: { readonly pool: PoolState }) => {
  const { queue } = pool;
  return (
    <li class="card">
      <div class="section-head">
        <h3>{pool.name}</h3>
        <OperState status={pool.oper_status} />
        <span class="quiet small">
          {pool.algorithm.replaceAll('_', ' ')}
          {pool.snat_pool === null ? ', the kernel chooses source ports' : `, source ports from SNAT pool ${pool.snat_pool}`}
        </span>
      </div>
      <Scrolled label={`Servers of pool ${pool.name}`}>
        <table class="servers">
          <thead>
            <tr>
              <th scope="col">Server</th>
              <th scope="col">State</th>
              <th scope="col" class="number">
                Connections
              </th>
              <th scope="col" class="number">
                Requests
              </th>
              <th scope="col" class="number">
                Dropped
              </th>
              <th scope="col" class="number">
                Failed checks
              </th>
              <th scope="col">
                <span class="unseen">Change</span>
              </th>
            </tr>
          </thead>
          <tbody>
            {pool.servers.map((server) => (
              <ServerRow key={server.name} pool={pool.name} server={server} />
            ))}
          </tbody>
        </table>
      </Scrolled>
      <p class="small quiet">
        Queue: {formatNumber(queue.waiting)} of {formatNumber(queue.depth)} waiting
        {queue.waiting > 0 ? `, the first for ${formatDuration(queue.oldest_wait)}` : ''}; {formatNumber(queue.served)} served,{' '}
        {formatNumber(queue.timed_out)} timed out, {formatNumber(queue.refused_full)} refused.
      </p>
    </li>
  );
};
