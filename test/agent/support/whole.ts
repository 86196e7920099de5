/** Everything an agent can have to tell of: a namespace that is nearly full, a balancer with a SNAT pool, history in a file. */
import { readFileSync, writeFileSync } from 'node:fs';
import { freePort } from '../../balancer/support/balancer.ts';
import { until } from '../../support/poll.ts';
import { Filling } from './filling.ts';
import { ask, program, type Serving, scratch, serve, start } from './serve.ts';

export interface Whole {
  readonly agent: Serving;
  readonly filling: Filling;
  /** The balancer's control socket. */
  readonly socket: string;
  stop(): void;
}

/** Resolves when there is a finding, and an alert was raised. */
export const wholeAgent = async (): Promise<Whole> => {
  const filling = new Filling(100);
  filling.open(96);
  const configuration = scratch('plimsoll.yaml');
  const socket = scratch('balance.sock');
  writeFileSync(
    configuration,
    `version: 1
virtual_services: [{ name: web, listen: 127.0.0.1:${await freePort()}, application_profile: p, pool: web }]
application_profiles: [{ name: p, type: http }]
pools: [{ name: web, servers: [{ name: a, address: 127.0.0.1:9 }, { name: b, address: 127.0.0.1:10 }], snat_pool: egress, health_monitors: [tcp] }]
health_monitors: [{ name: tcp, type: tcp, send_interval: 5s, receive_timeout: 2s, successful_checks: 2, failed_checks: 3 }]
snat_pools: [{ name: egress, addresses: [127.0.0.1], ports: [20000-20099] }]
`,
  );
  const balancer = start(process.execPath, [program, 'balance', '-c', configuration, '--socket', socket]);
  await until('the balancer', () => balancer.said.err.includes('web on'), 30_000);
  const token = scratch('token');
  const started = await serve([
    '--netns',
    `name:${filling.namespace.name}`,
    '--balancer',
    socket,
    '--data',
    scratch('data'),
    '--token-file',
    token,
  ]);
  const agent = { ...started, token: readFileSync(token, 'utf8').trim() };
  await until(
    'a finding and an alert',
    async () => (await ask(agent, '/api/v1/findings')).json.items.length > 0 && (await ask(agent, '/api/v1/alerts')).json.items.length > 0,
    60_000,
  );
  return { agent, filling, socket, stop: () => filling.destroy() };
};
