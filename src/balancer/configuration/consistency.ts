/**
 * What is wrong between sections that are each well-formed: names that lead nowhere, twice-given names, listeners and source
 * ports in each other's way. Works on what could be read, so that these are reported together with everything else.
 */
import { formatEndpoint, isUnspecified } from '../../core/address.ts';
import { quote } from '../../core/configuration/mistake.ts';
import { didYouMean } from '../../core/nearest.ts';
import { formatRange, type PortRange, PortSet, rangeSize } from '../../core/port-range.ts';
import type { Configuration, Endpoint } from './schema.ts';

/** A configuration of which any part may be missing. */
export type Draft<T> = T extends readonly (infer Item)[]
  ? readonly Draft<Item>[]
  : T extends object
    ? { readonly [K in keyof T]: Draft<T[K]> | undefined }
    : T;

/** How a check says what is wrong with the value of `key` in `holder`. */
export interface Findings {
  mistake(holder: object, key: string | number, message: string): void;
  warning(holder: object, key: string | number, message: string): void;
  /** Where that value stands, as `line N`. */
  line(holder: object, key: string | number): string;
}

type Whole = Draft<Configuration>;

const uniqueNames = (items: readonly { readonly name: string | undefined }[], findings: Findings): void => {
  const first = new Map<string, object>();
  for (const item of items) {
    if (item.name === undefined) continue;
    const other = first.get(item.name);
    if (other === undefined) first.set(item.name, item);
    else findings.mistake(item, 'name', `${quote(item.name)} is the name of another one too, in ${findings.line(other, 'name')}`);
  }
};

const reference = (
  holder: object,
  key: string | number,
  value: string | null | undefined,
  section: string,
  targets: readonly { readonly name: string | undefined }[],
  findings: Findings,
): void => {
  const names = targets.flatMap((t) => t.name ?? []);
  if (value !== undefined && value !== null && !names.includes(value))
    findings.mistake(holder, key, `there is no ${quote(value)} among ${section}; ${didYouMean(value, names)}`);
};

const references = (draft: Whole, findings: Findings): void => {
  const { application_profiles = [], pools = [], snat_pools = [], health_monitors = [] } = draft;
  for (const service of draft.virtual_services ?? []) {
    reference(service, 'application_profile', service.application_profile, 'application_profiles', application_profiles, findings);
    reference(service, 'pool', service.pool, 'pools', pools, findings);
  }
  for (const pool of pools) {
    reference(pool, 'snat_pool', pool.snat_pool, 'snat_pools', snat_pools, findings);
    const monitors = pool.health_monitors ?? [];
    for (const [i, name] of monitors.entries()) reference(monitors, i, name, 'health_monitors', health_monitors, findings);
  }
};

const whole = (endpoint: Draft<Endpoint> | undefined): Endpoint | null =>
  endpoint?.address === undefined || endpoint.port === undefined ? null : { address: endpoint.address, port: endpoint.port };

/** Whether both cannot be listened on: "::" takes IPv4 too. */
const collide = (a: Endpoint, b: Endpoint): boolean => {
  if (a.port !== b.port) return false;
  if (a.address === b.address || a.address === '::' || b.address === '::') return true;
  const v6 = (e: Endpoint): boolean => e.address.includes(':');
  return v6(a) === v6(b) && (isUnspecified(a.address) || isUnspecified(b.address));
};

const listeners = (draft: Whole, findings: Findings): void => {
  const seen: { readonly service: object; readonly listen: Endpoint }[] = [];
  for (const service of draft.virtual_services ?? []) {
    const listen = whole(service.listen);
    if (listen === null) continue;
    const other = seen.find((s) => collide(s.listen, listen));
    if (other !== undefined) {
      const there = `${quote(formatEndpoint(other.listen.address, other.listen.port))} in ${findings.line(other.service, 'listen')}`;
      findings.mistake(service, 'listen', `${quote(formatEndpoint(listen.address, listen.port))} cannot be listened on beside ${there}`);
    }
    seen.push({ service, listen });
  }
};

const servers = (draft: Whole, findings: Findings): void => {
  for (const pool of draft.pools ?? []) {
    uniqueNames(pool.servers ?? [], findings);
    const first = new Map<string, object>();
    const snat = draft.snat_pools?.find((s) => s.name !== undefined && s.name === pool.snat_pool);
    const families = new Set(snat?.addresses?.map((a) => a.includes(':')) ?? []);
    for (const server of pool.servers ?? []) {
      const address = whole(server.address);
      if (address === null) continue;
      const text = formatEndpoint(address.address, address.port);
      const other = first.get(text);
      if (other !== undefined)
        findings.mistake(server, 'address', `${quote(text)} is in this pool already, in ${findings.line(other, 'address')}`);
      first.set(text, server);
      if (isUnspecified(address.address)) findings.mistake(server, 'address', `${quote(text)} is no address of a server`);
      const v6 = address.address.includes(':');
      if (families.size > 0 && !families.has(v6))
        findings.mistake(
          server,
          'address',
          `${quote(text)} cannot be reached from snat_pool ${quote(pool.snat_pool!)}: it has no IPv${v6 ? 6 : 4} address`,
        );
    }
  }
};

const overlap = (a: PortRange, b: PortRange): PortRange | null => {
  const shared = { low: Math.max(a.low, b.low), high: Math.min(a.high, b.high) };
  return shared.low <= shared.high ? shared : null;
};

export const portCount = (ports: readonly PortRange[]): number => PortSet.of(ports).count({ low: 1, high: 65535 });

/** How many of `count` ports health monitors get who asked for `wanted`: a quarter where they would have taken all. */
export const monitorPorts = (wanted: number, count: number): number =>
  wanted < count ? wanted : Math.min(count - 1, Math.max(1, Math.floor(count / 4)));

const sourcePorts = (draft: Whole, findings: Findings): void => {
  /** Who has which ports of an address. */
  const owners = new Map<string, { readonly pool: string; readonly holder: object; readonly ports: readonly PortRange[] }[]>();
  for (const pool of draft.snat_pools ?? []) {
    const ports = (pool.ports ?? []).flatMap((r) => (r.low === undefined || r.high === undefined ? [] : [{ low: r.low, high: r.high }]));
    for (const [i, range] of ports.entries()) {
      const earlier = ports.slice(0, i).find((other) => overlap(range, other) !== null);
      if (earlier !== undefined)
        findings.mistake(pool.ports!, i, `${quote(formatRange(range))} overlaps ${formatRange(earlier)} of the same list`);
    }
    if (ports.some((range) => range.low < 1024))
      findings.warning(pool, 'ports', 'ports below 1024 can be bound only with CAP_NET_BIND_SERVICE, which is given up with `user:`');
    const count = portCount(ports);
    if (pool.monitor_ports !== undefined && count > 0 && pool.monitor_ports >= count)
      findings.warning(
        pool,
        'monitor_ports',
        `${pool.monitor_ports} of ${count} ports for health monitors would leave none for traffic: ${monitorPorts(pool.monitor_ports, count)} kept`,
      );
    const seen = new Set<string>();
    for (const address of pool.addresses ?? []) {
      if (isUnspecified(address)) findings.mistake(pool, 'addresses', `${quote(address)} is no source address`);
      if (seen.has(address)) {
        findings.mistake(pool, 'addresses', `${quote(address)} is listed more than once`);
        continue;
      }
      seen.add(address);
      const others = owners.get(address) ?? [];
      for (const other of others) {
        const shared = ports.flatMap((range) => other.ports.map((o) => overlap(range, o))).find((o) => o !== null);
        if (shared)
          findings.mistake(
            pool,
            'addresses',
            `${address} ports ${formatRange(shared)} (${rangeSize(shared)}) belong to snat_pool ${quote(other.pool)} too, in ${findings.line(other.holder, 'addresses')}: let both pools name one snat_pool, or share the ports out`,
          );
      }
      owners.set(address, [...others, { pool: pool.name ?? '', holder: pool, ports }]);
    }
  }
};

const monitors = (draft: Whole, findings: Findings): void => {
  for (const monitor of draft.health_monitors ?? [])
    if (monitor.receive_timeout !== undefined && monitor.send_interval !== undefined && monitor.receive_timeout > monitor.send_interval)
      findings.warning(
        monitor,
        'receive_timeout',
        'longer than send_interval: while a probe waits for its answer the next one is left out',
      );
};

/** Everything that is wrong between the sections of `draft`. */
export const checkConsistency = (draft: Whole, findings: Findings): void => {
  const sections = [draft.virtual_services, draft.application_profiles, draft.pools, draft.snat_pools, draft.health_monitors];
  for (const section of sections) uniqueNames(section ?? [], findings);
  references(draft, findings);
  listeners(draft, findings);
  servers(draft, findings);
  sourcePorts(draft, findings);
  monitors(draft, findings);
};
