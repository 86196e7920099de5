/** The balancer behind its control socket, as the agent reads and changes it. */
import type { BalancerAccess, BalancerChange } from '../agent/view.ts';
import { ask } from '../balancer/control/client.ts';
import type { ControlRequest } from '../balancer/control/protocol.ts';

const requestFor = (change: BalancerChange): ControlRequest => {
  switch (change.change) {
    case 'multiplexing':
      return { request: 'set', virtual_service: change.virtualService, connection_multiplexing: change.on };
    case 'administer':
      return { request: 'administer', pool: change.pool, server: change.server, to: change.to };
    case 'add_snat_address':
      return { request: 'add_address', snat_pool: change.snatPool, address: change.address };
  }
};

export const balancerAccess = (socket: string): BalancerAccess => ({
  socket,
  state: () => ask(socket, { request: 'state' }),
  change: async (change) => void (await ask(socket, requestFor(change))),
});
