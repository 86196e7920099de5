/** A SNAT pool: how many ports each address has left towards each server, and one more address. */

import { useSignal } from '@preact/signals';
import { formatDuration, formatNumber, formatPercent } from '../../core/quantity.ts';
import type { BalancerDocument } from '../../wire/api.ts';
import { api } from '../live/api.ts';
import { Scrolled } from '../look/scrolled.tsx';
import { mayWrite, Refusal, useAction } from './action.tsx';

type SnatPoolState = BalancerDocument['snat_pools'][number];

export const SnatPool = ({ snat }: { readonly snat: SnatPoolState }) => {
  const action = useAction();
  const address = useSignal('');
  const { cooldown } = snat;
  return (
    <li class="card stack">
      <div class="section-head">
        <h3>{snat.name}</h3>
        <span class="quiet small">
          ports {snat.ports.join(', ')}; cool-down {formatDuration(cooldown.fin)} after FIN, {formatDuration(cooldown.rst)} after RST,{' '}
          {formatDuration(cooldown.half_open)} half open
        </span>
      </div>
      {snat.warnings.map((w) => (
        <p key={w} class="banner warning">
          <span>{w}</span>
        </p>
      ))}
      <ul class="row">
        {snat.addresses.map((a) => (
          <li key={a.address} class={`tag ${a.state === 'active' ? 'calm' : 'warning'}`}>
            {a.address}
            {a.state === 'active' ? '' : ` ${a.state}`}
          </li>
        ))}
      </ul>
      {snat.use.length > 0 && (
        <Scrolled label={`Ports of SNAT pool ${snat.name}`}>
          <table>
            <thead>
              <tr>
                {['Address', 'Server', 'Used', 'Cooling', 'Free', 'Of', 'Early reuses', 'Misses'].map((words, i) => (
                  <th key={words} scope="col" class={i < 2 ? '' : 'number'}>
                    {words}
                  </th>
                ))}
              </tr>
            </thead>
            <tbody>
              {snat.use.map((u) => (
                <tr key={`${u.address} ${u.server}`}>
                  <th scope="row">{u.address}</th>
                  <td>{u.server}</td>
                  <td class="number">
                    {formatNumber(u.used)}{' '}
                    <span class="quiet small">{formatPercent(u.capacity > 0 ? (u.used + u.cooling) / u.capacity : 1)}</span>
                  </td>
                  <td class="number">{formatNumber(u.cooling)}</td>
                  <td class="number">{formatNumber(u.free)}</td>
                  <td class="number">{formatNumber(u.capacity)}</td>
                  <td class="number">{formatNumber(u.early_reuses)}</td>
                  <td class="number">{formatNumber(u.misses)}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </Scrolled>
      )}
      <form
        class="row"
        onSubmit={(e) => {
          e.preventDefault();
          const wanted = address.value.trim();
          if (wanted !== '')
            void action
              .run(() => api.addSnatAddress(snat.name, wanted))
              .then((added) => {
                if (added) address.value = '';
              });
        }}
      >
        <label class="field row">
          Add an address
          <input
            type="text"
            placeholder="10.0.0.7"
            spellcheck={false}
            autocomplete="off"
            value={address.value}
            disabled={!mayWrite()}
            onInput={(e) => {
              address.value = e.currentTarget.value;
            }}
          />
        </label>
        <button type="submit" class="button" disabled={!mayWrite() || action.busy || address.value.trim() === ''}>
          Add
        </button>
        <span class="quiet small">an address of this host; until the balancer’s next reload</span>
      </form>
      <Refusal of={action} />
    </li>
  );
};
