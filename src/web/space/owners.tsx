/** Whose sockets hold the ports. Names come from outside: they are text here and nothing else. */
import { formatNumber, formatRate } from '../../core/quantity.ts';
import type { SpaceDetail } from '../../wire/api.ts';
import { session } from '../live/store.ts';
import { Scrolled } from '../look/scrolled.tsx';

export const Owners = ({ detail }: { readonly detail: SpaceDetail }) => {
  const { owners, by_state } = detail.space;
  if (owners.length === 0)
    return (
      <p class="quiet">
        {session.value?.authenticated === false
          ? 'Process names are shown with the token only.'
          : by_state.time_wait > 0
            ? 'Nobody holds a socket of it now: TIME_WAITs belong to nobody.'
            : 'No process of this host was found to hold a socket of it.'}
      </p>
    );
  return (
    <Scrolled label="Processes">
      <table>
        <thead>
          <tr>
            <th scope="col">Process</th>
            <th scope="col" class="number">
              pid
            </th>
            <th scope="col">Container</th>
            <th scope="col" class="number">
              Sockets
            </th>
            <th scope="col" class="number">
              Opens
            </th>
          </tr>
        </thead>
        <tbody>
          {owners.map((o) => (
            <tr key={o.pid}>
              <th scope="row">{o.command}</th>
              <td class="number">{o.pid}</td>
              <td>{o.container ?? '–'}</td>
              <td class="number">{formatNumber(o.sockets)}</td>
              <td class="number">{o.opens === null ? '–' : formatRate(o.opens)}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </Scrolled>
  );
};
