/**
 * What /metrics tells. Base units, one quantity per metric, and no label whose values grow with the load: port spaces are the top
 * of the list and the rest as one, never a source port or a process.
 */
import { formatEndpoint } from '../../core/address.ts';
import type { Verdict } from '../../core/diagnosis.ts';
import { rangeSize } from '../../core/port-range.ts';
import type { PortSpace } from '../../core/port-space.ts';
import type { BalancerDocument } from '../../wire/api.ts';
import type { Observation } from '../sampling/observer.ts';
import type { AgentView } from '../view.ts';
import { exposition, type Family, type Labels, type Sample } from './exposition.ts';

/** What the HTTP side counted of itself. */
export interface HttpCounts {
  readonly answers: ReadonlyMap<string, number>;
  readonly refused: Readonly<Record<string, number>>;
  readonly readers: number;
  readonly streams: { readonly accepted: number; readonly dropped_slow: number; readonly resumed: number; readonly reset: number };
}

/** What the process uses, as the operating system counts it. */
export interface ProcessUse {
  readonly cpuSeconds: number;
  readonly residentBytes: number;
  readonly openDescriptors: number | null;
}

const none: Labels = {};

const gauge = (name: string, help: string, samples: readonly Sample[]): Family => ({
  name: `plimsoll_${name}`,
  type: 'gauge',
  help,
  samples,
});
const counter = (name: string, help: string, samples: readonly Sample[]): Family => ({
  name: `plimsoll_${name}_total`,
  type: 'counter',
  help,
  samples,
});
const one = (value: number | null): readonly Sample[] => (value === null ? [] : [{ labels: none, value }]);
const bit = (value: boolean): number => (value ? 1 : 0);

const spaceLabels = (s: PortSpace): Labels => ({
  namespace: s.namespace,
  kind: s.kind,
  source: s.source,
  destination: s.destination === null ? '*' : formatEndpoint(s.destination, s.destinationPort ?? 0),
  name: s.label ?? '',
});
/** The spaces that are not listed, as one. */
const REST: Labels = { namespace: '', kind: 'rest', source: '', destination: '', name: '' };

const exhaustion = ({ forecast }: PortSpace): number =>
  forecast.kind === 'exhausted' ? 0 : forecast.kind === 'exhausts' ? forecast.seconds : Number.POSITIVE_INFINITY;

const portSpaceFamilies = (look: Observation): readonly Family[] => {
  const shown = look.diagnosis.spaces;
  const listed = new Set(shown.map((s) => s.id));
  const rest = look.measured.filter((m) => !listed.has(m.space.id)).map((m) => m.space);
  const each = (value: (s: PortSpace) => number | null): Sample[] =>
    shown.flatMap((s) => {
      const v = value(s);
      return v === null ? [] : [{ labels: spaceLabels(s), value: v }];
    });
  const withRest = (value: (s: PortSpace) => number): Sample[] => [
    ...each(value),
    ...(rest.length === 0 ? [] : [{ labels: REST, value: rest.reduce((sum, s) => sum + value(s), 0) }]),
  ];
  return [
    gauge('port_spaces', 'Port spaces that were measured.', one(look.measured.length)),
    gauge(
      'port_space_capacity_ports',
      'Source ports that a port space can have: its range less what is blocked.',
      withRest((s) => s.capacity),
    ),
    gauge(
      'port_space_used_ports',
      'Source ports of a port space that no new connection can take now.',
      withRest((s) => s.used),
    ),
    gauge(
      'port_space_blocked_ports',
      'Ports of the range that no automatic choice takes.',
      each((s) => s.blocked),
    ),
    gauge(
      'port_space_reusable_ports',
      'Held TIME_WAITs that connect() would take now.',
      each((s) => s.reusable),
    ),
    gauge(
      'port_space_used_ratio',
      'Used ports over capacity, 0 to 1.',
      each((s) => s.usedRatio),
    ),
    gauge(
      'port_space_search_wall_passed',
      'Whether every automatic connect() scans thousands of ports.',
      each((s) => bit(s.searchWall.passed)),
    ),
    gauge(
      'port_space_exhaustion_seconds',
      'Seconds until no port is left as things go; +Inf where that is not in sight.',
      each(exhaustion),
    ),
    gauge(
      'port_space_opens_per_second',
      'Connections opened per second between the last two looks.',
      each((s) => s.openRate),
    ),
    gauge(
      'port_space_closes_per_second',
      'Connections closed per second between the last two looks.',
      each((s) => s.closeRate),
    ),
    gauge(
      'port_space_failed_searches',
      'connect() calls that found no port in the seconds watched last.',
      each((s) => s.failedSearches),
    ),
    gauge(
      'port_space_sockets',
      'Sockets of a port space by TCP state.',
      shown.flatMap((s) => Object.entries(s.byState).map(([state, value]) => ({ labels: { ...spaceLabels(s), state }, value }))),
    ),
  ];
};

const hostFamilies = (look: Observation): readonly Family[] => {
  const { namespaces, sensors, inbound } = look.diagnosis;
  const each = (value: (v: (typeof namespaces)[number]) => number | null): Sample[] =>
    namespaces.flatMap((v) => {
      const n = value(v);
      return n === null ? [] : [{ labels: { namespace: v.sample.name }, value: n }];
    });
  return [
    gauge(
      'namespace_sockets',
      'TCP sockets of a network namespace, in any state.',
      each((v) => v.groups.table.count),
    ),
    gauge(
      'namespace_automatic_ports',
      'Ports of net.ipv4.ip_local_port_range.',
      each((v) => rangeSize(v.sample.settings.portRange)),
    ),
    gauge(
      'conntrack_entries',
      'Flows in the connection tracking table.',
      each((v) => v.sample.conntrack?.count ?? null),
    ),
    gauge(
      'conntrack_entries_limit',
      'Flows that the connection tracking table takes.',
      each((v) => v.sample.conntrack?.max ?? null),
    ),
    gauge(
      'inbound_source_used_ratio',
      'Ports that the fullest client holds towards a listener of ours, over the 64,512 it can have.',
      // The fullest of each namespace: a client's address is not for a label.
      namespaces.flatMap((v) => {
        const fullest = inbound.filter((i) => i.namespace === v.sample.name).reduce((max, i) => Math.max(max, i.usedRatio), 0);
        return [{ labels: { namespace: v.sample.name }, value: fullest }];
      }),
    ),
    gauge(
      'sensor_up',
      'Whether a sensor could be read in full.',
      sensors.map((s) => ({ labels: { sensor: s.name }, value: bit(s.status === 'ok') })),
    ),
  ];
};

const verdicts: readonly Verdict[] = ['ok', 'warning', 'critical', 'unknown'];

const judgementFamilies = (view: AgentView, look: Observation): readonly Family[] => {
  const findings = new Map<string, Sample>();
  for (const f of look.diagnosis.findings) {
    const key = `${f.code} ${f.severity}`;
    findings.set(key, { labels: { code: f.code, severity: f.severity }, value: (findings.get(key)?.value ?? 0) + 1 });
  }
  return [
    gauge(
      'verdict',
      'The doctor’s verdict: 1 for the one that holds, 0 for the others.',
      verdicts.map((verdict) => ({ labels: { verdict }, value: bit(verdict === look.diagnosis.verdict) })),
    ),
    gauge('findings', 'Findings now, by code and severity.', [...findings.values()]),
    gauge('alerts', 'Alerts that are raised and not cleared.', one(view.alerts().length)),
    gauge('look_timestamp_seconds', 'When the newest look was taken, since 1970.', one(look.takenAt / 1000)),
    gauge('look_interval_seconds', 'Seconds between the last two looks.', one(look.interval)),
    gauge('look_duration_seconds', 'What the newest look took.', one(look.cost.seconds)),
    gauge(
      'look_slowed_seconds',
      'Seconds between looks where looking takes too long for what was asked for; else 0.',
      one(look.slowedTo ?? 0),
    ),
  ];
};

const balancerFamilies = (state: BalancerDocument): readonly Family[] => {
  type Service = BalancerDocument['virtual_services'][number];
  type Pool = BalancerDocument['pools'][number];
  type Server = Pool['servers'][number];
  const services = (value: (v: Service) => number): Sample[] =>
    state.virtual_services.map((v) => ({ labels: { virtual_service: v.name }, value: value(v) }));
  const split = (label: string, values: (v: Service) => Readonly<Record<string, number>>): Sample[] =>
    state.virtual_services.flatMap((v) =>
      Object.entries(values(v)).map(([key, value]) => ({ labels: { virtual_service: v.name, [label]: key }, value })),
    );
  const pools = (value: (p: Pool) => number): Sample[] => state.pools.map((p) => ({ labels: { pool: p.name }, value: value(p) }));
  const servers = (value: (s: Server) => number): Sample[] =>
    state.pools.flatMap((p) => p.servers.map((s) => ({ labels: { pool: p.name, server: s.name }, value: value(s) })));
  const up = (s: { readonly oper_status: { readonly state: string } }): number => bit(s.oper_status.state === 'OPER_UP');
  return [
    gauge('virtual_service_up', 'Whether a virtual service is OPER_UP.', services(up)),
    gauge(
      'virtual_service_multiplexing',
      'Whether connection multiplexing is on.',
      services((v) => bit(v.connection_multiplexing)),
    ),
    gauge(
      'virtual_service_open_connections',
      'Client connections now.',
      services((v) => v.open_conns),
    ),
    gauge(
      'virtual_service_open_requests',
      'Requests that wait for or get an answer now.',
      services((v) => v.open_requests),
    ),
    counter(
      'virtual_service_connections',
      'Client connections accepted.',
      services((v) => v.total_conns),
    ),
    counter(
      'virtual_service_requests',
      'Requests taken.',
      services((v) => v.total_requests),
    ),
    counter(
      'virtual_service_dropped_connections',
      'Client connections closed by the balancer before they got what they came for.',
      services((v) => v.connections_dropped),
    ),
    counter(
      'virtual_service_responses',
      'Responses by class of status.',
      split('class', (v) => v.responses),
    ),
    counter(
      'virtual_service_failures',
      'Failures by whose they were.',
      split('cause', (v) => v.failures),
    ),
    counter(
      'virtual_service_received_bytes',
      'Bytes from clients.',
      services((v) => v.bytes_from_clients),
    ),
    counter(
      'virtual_service_sent_bytes',
      'Bytes to clients.',
      services((v) => v.bytes_to_clients),
    ),
    gauge(
      'pool_servers',
      'Servers of a pool.',
      pools((p) => p.num_servers),
    ),
    gauge(
      'pool_up_servers',
      'Servers of a pool that are up.',
      pools((p) => p.num_servers_up),
    ),
    gauge(
      'pool_waiting_requests',
      'Requests in the queue now.',
      pools((p) => p.queue.waiting),
    ),
    counter(
      'pool_queue_timeouts',
      'Requests that waited too long for a connection.',
      pools((p) => p.queue.timed_out),
    ),
    counter(
      'pool_queue_refusals',
      'Requests that found the queue full.',
      pools((p) => p.queue.refused_full),
    ),
    gauge('server_up', 'Whether a server is OPER_UP.', servers(up)),
    gauge(
      'server_open_connections',
      'Connections to a server now.',
      servers((s) => s.open_conns),
    ),
    counter(
      'server_connections',
      'Connections to a server that were established.',
      servers((s) => s.new_established_conns),
    ),
    counter(
      'server_requests',
      'Requests sent to a server.',
      servers((s) => s.num_requested),
    ),
    counter(
      'server_reused_requests',
      'Requests sent over a connection that had carried one before.',
      servers((s) => s.num_reused),
    ),
    counter(
      'server_local_failures',
      'Connections for which nothing left this host: no port, no memory.',
      servers((s) => s.conn_dropped_before_syn_sent),
    ),
    counter(
      'server_collisions',
      'Handshakes reset after which another port worked at once.',
      servers((s) => s.collisions),
    ),
    counter(
      'snat_pool_early_reuses',
      'Ports taken before their cool-down was over.',
      state.snat_pools.map((p) => ({ labels: { snat_pool: p.name }, value: p.use.reduce((sum, u) => sum + u.early_reuses, 0) })),
    ),
    counter(
      'snat_pool_misses',
      'Connections for which a SNAT pool had no port.',
      state.snat_pools.map((p) => ({ labels: { snat_pool: p.name }, value: p.use.reduce((sum, u) => sum + u.misses, 0) })),
    ),
  ];
};

const agentFamilies = (view: AgentView, http: HttpCounts, use: ProcessUse): readonly Family[] => {
  const history = view.historyStatus();
  const deliveries = view.deliveries();
  const process = (name: string, type: Family['type'], help: string, value: number | null): Family => ({
    name: `process_${name}`,
    type,
    help,
    samples: one(value),
  });
  return [
    gauge('build_info', 'The version that runs; always 1.', [{ labels: { version: view.version }, value: 1 }]),
    gauge('ready', 'Whether the agent looks at this host as it should.', one(bit(view.health().ready))),
    gauge('balancer_up', 'Whether a balancer answers on this host.', one(bit(view.balancerState() !== null))),
    gauge('history_rows', 'Rows of history.', one(history.rows)),
    gauge('history_size_bytes', 'Size of the history on disk; 0 in memory.', one(history.bytes)),
    gauge('history_writable', 'Whether history is being kept.', one(bit(history.trouble === null))),
    counter('alert_deliveries', 'Alerts sent to the webhook, by what became of them.', [
      { labels: { result: 'delivered' }, value: deliveries.delivered },
      { labels: { result: 'failed' }, value: deliveries.failed },
      { labels: { result: 'dropped' }, value: deliveries.dropped },
    ]),
    gauge('alert_deliveries_waiting', 'Alerts that wait to be sent.', one(deliveries.queued)),
    counter(
      'http_responses',
      'Answers by class of status.',
      [...http.answers].map(([kind, value]) => ({ labels: { class: kind }, value })),
    ),
    counter(
      'http_refused',
      'What was turned away, by reason.',
      Object.entries(http.refused).map(([reason, value]) => ({ labels: { reason }, value })),
    ),
    gauge('event_readers', 'Readers of /api/v1/events now.', one(http.readers)),
    counter('event_readers_accepted', 'Readers of /api/v1/events since the start.', one(http.streams.accepted)),
    counter('event_readers_dropped', 'Readers cut off because they did not take what they were sent.', one(http.streams.dropped_slow)),
    counter('event_readers_resumed', 'Readers that went on from the id they had.', one(http.streams.resumed)),
    counter('event_readers_reset', 'Readers whose id was not known any more.', one(http.streams.reset)),
    process('cpu_seconds_total', 'counter', 'CPU time of the agent.', use.cpuSeconds),
    process('resident_memory_bytes', 'gauge', 'Memory of the agent.', use.residentBytes),
    process('start_time_seconds', 'gauge', 'When the agent started, since 1970.', view.startedAt / 1000),
    process('open_fds', 'gauge', 'File descriptors of the agent.', use.openDescriptors),
  ];
};

/** Every family of /metrics, empty ones among them: what there is to ask for. */
export const metricFamilies = (view: AgentView, http: HttpCounts, use: ProcessUse): readonly Family[] => {
  const look = view.latest();
  const state = view.balancerState();
  return [
    ...agentFamilies(view, http, use),
    ...(look === null ? [] : [...judgementFamilies(view, look), ...hostFamilies(look), ...portSpaceFamilies(look)]),
    ...(state === null ? [] : balancerFamilies(state)),
  ];
};

/** The text of /metrics. */
export const metricsText = (view: AgentView, http: HttpCounts, use: ProcessUse): string => exposition(metricFamilies(view, http, use));
