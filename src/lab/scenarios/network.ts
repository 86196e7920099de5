/**
 * Where most stories happen:
 *
 *   clients 10.78.0.1 ── 10.78.0.2 proxy 10.77.0.1 ── 10.77.0.11… servers
 *
 * Each in a namespace of its own, so that only the ports that the story is about run out.
 */
import { LabNamespace } from '../namespace.ts';
import type { Stage } from '../stage.ts';

export const FRONT = '10.78.0.2';
export const PROXY = '10.77.0.1';
const SERVERS_FIRST = 11;

/** `10.77.0.11` for 0. */
export const serverAddress = (i: number): string => `10.77.0.${SERVERS_FIRST + i}`;

/** The sysctl of a range of automatic ports. */
export const portRange = (low: number, size: number): Readonly<Record<string, string>> => ({
  'net.ipv4.ip_local_port_range': `${low} ${low + size - 1}`,
});

export interface TwoHosts {
  readonly client: LabNamespace;
  readonly servers: LabNamespace;
}

/** A client at 10.77.0.1 and `count` server addresses. */
export const twoHosts = async (
  stage: Stage,
  role: string,
  count: number,
  sysctls: Readonly<Record<string, string | number>>,
): Promise<TwoHosts> => {
  const [client, servers] = await Promise.all([stage.namespace(role, sysctls), stage.namespace('servers')]);
  await LabNamespace.wire(client, ['eth0', `${PROXY}/24`], servers, [
    'eth0',
    ...Array.from({ length: count }, (_, i) => `${serverAddress(i)}/24`),
  ]);
  return { client, servers };
};

export interface ThreeHosts {
  readonly clients: LabNamespace;
  readonly proxy: LabNamespace;
  readonly servers: LabNamespace;
}

/** Clients, a proxy with `sysctls`, and `count` server addresses. */
export const threeHosts = async (stage: Stage, count: number, sysctls: Readonly<Record<string, string | number>>): Promise<ThreeHosts> => {
  const [{ client: proxy, servers }, clients] = await Promise.all([twoHosts(stage, 'proxy', count, sysctls), stage.namespace('clients')]);
  await LabNamespace.wire(clients, ['eth0', '10.78.0.1/24'], proxy, ['eth1', `${FRONT}/24`]);
  return { clients, proxy, servers };
};
