/** `plimsoll tune`: audits the settings that touch source ports; applies and undoes them as one transaction. */
import { existsSync, readFileSync } from 'node:fs';
import { loadConfiguration } from '../../balancer/configuration/index.ts';
import { ExitCode, PlimsollError } from '../../core/errors.ts';
import { nameOf } from '../../core/finding/of-space.ts';
import { didYouMean } from '../../core/nearest.ts';
import type { PortRange } from '../../core/port-range.ts';
import { type MeasuredSpace, measurePortSpaces } from '../../core/port-spaces.ts';
import { type Snippet, snippetsFor } from '../../core/snippets.ts';
import { auditedSettings, auditHost } from '../../core/tune/audit.ts';
import { compareWithPromise, type Outcome } from '../../core/tune/effects.ts';
import { type Advice, type Audit, inferRole, type Role, roles } from '../../core/tune/facts.ts';
import { ansibleText, diffText, dropInText, podText, type Wanted } from '../../core/tune/output.ts';
import { isPressed } from '../../core/tune/pressure.ts';
import { readSysctl } from '../../linux/apply/runtime.ts';
import { SysctlFiles } from '../../linux/apply/sysctl-files.ts';
import { type ApplyHost, applyChanges, DROP_IN, finish, rollBack, type Undone } from '../../linux/apply/transaction.ts';
import { ffi } from '../../linux/ffi.ts';
import { fileLimitOf } from '../../linux/file-limits.ts';
import { findNamespaces, inNamespace, type NetworkNamespace } from '../../linux/netns.ts';
import { liveRoot } from '../../linux/proc.ts';
import { Sampler } from '../../linux/sampler.ts';
import { type Done, type Origin, tuneDocument } from '../../wire/tune.ts';
import type { CommandSpec, Given } from '../command.ts';
import { renderAudit, renderOutcomes } from '../render/tune.ts';
import type { Shell } from '../shell.ts';
import { safe } from '../terminal.ts';

const INTERVAL = 2;
const PROBE_BUDGET = 400;
/** Port spaces whose owners are looked up. */
const TOP = 10;
const STATE = '/var/lib/plimsoll';
const BALANCER = '/etc/plimsoll/plimsoll.yaml';
const formats = ['sysctl', 'ansible', 'pod'] as const;
/** `a, b or c`. */
const either = (words: readonly string[]): string => `${words.slice(0, -1).join(', ')} or ${words.at(-1)}`;

interface Target {
  readonly namespace: NetworkNamespace;
  readonly host: ApplyHost;
  /** Whether a drop-in would be read at boot for it (or a root was named for one). */
  readonly persistent: boolean;
}

const findTarget = (given: Given): Target => {
  const wanted = given.text('netns');
  const found = findNamespaces(liveRoot, wanted);
  const [namespace] = found;
  if (namespace === undefined || found.length > 1)
    throw new PlimsollError('bad_value', {
      option: '--netns',
      value: wanted ?? '',
      expected: 'one namespace',
      example: 'for example --netns name:web',
    });
  const c = ffi();
  const root = given.text('root') ?? '';
  if (root !== '' && !existsSync(root)) throw new PlimsollError('file_not_found', { path: root, reason: 'ENOENT' });
  const isHost = namespace.name === 'host';
  const inside = <T>(work: () => T): T => inNamespace(c.status === 'ok' ? c.value : null, namespace, work);
  return {
    namespace,
    persistent: wanted === null && (isHost || root !== ''),
    host: { c, proc: liveRoot.proc, root, state: given.text('state') ?? STATE, namespace: isHost ? null : namespace.id, inside },
  };
};

const balancerPorts = async (given: Given, shell: Shell): Promise<readonly PortRange[]> => {
  const path = given.text('balancer') ?? (existsSync(BALANCER) ? BALANCER : null);
  if (path === null) return [];
  const { configuration } = await loadConfiguration(path).catch((error: unknown) => {
    if (error instanceof PlimsollError && error.code === 'bad_configuration')
      for (const line of String(error.facts['mistakes']).split('\n')) shell.stderr.write(`${safe(line)}\n`);
    throw error;
  });
  return configuration.snat_pools.flatMap((pool) => pool.ports.map((p) => ({ low: p.low, high: p.high })));
};

interface Examined {
  readonly audit: Audit;
  readonly measured: readonly MeasuredSpace[];
  readonly snippets: readonly Snippet[];
}

const measure = (sampler: Sampler): readonly MeasuredSpace[] =>
  sampler
    .look({ info: true, probeBudget: PROBE_BUDGET })
    .views.flatMap((view) => measurePortSpaces(null, view, { tickHz: sampler.facts.tickHz, failed: null, asked: [] }));

const wait = (seconds: number, interrupted: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    const timer = setTimeout(resolve, seconds * 1000);
    const stop = (): void => {
      clearTimeout(timer);
      resolve();
    };
    if (interrupted.aborted) stop();
    interrupted.addEventListener('abort', stop, { once: true });
  });

/** Two looks at the namespace, its settings, and what they should be. */
const examine = async (target: Target, sampler: Sampler, given: Given, shell: Shell): Promise<Examined> => {
  const role = given.value('role', either(roles), 'proxy', (t): Role | null => roles.find((r) => r === t) ?? null);
  const ports = await balancerPorts(given, shell);
  const [before] = sampler.look({ info: false, probeBudget: 0 }).views;
  await wait(INTERVAL, shell.interrupted);
  const [view] = sampler.look({ info: true, probeBudget: PROBE_BUDGET }).views;
  if (view === undefined) throw new PlimsollError('namespace_denied', { name: target.namespace.name, reason: 'it is gone' });
  const measured = measurePortSpaces(before ?? null, view, { tickHz: sampler.facts.tickHz, failed: null, asked: [] });
  const owners = [...sampler.owners(measured.slice(0, TOP)).bySpace].flatMap(([id, shares]) => shares.map((share) => ({ id, share })));
  const sockets = new Map<number, { command: string; sockets: number }>();
  for (const { share } of owners)
    sockets.set(share.pid, { command: share.command, sockets: (sockets.get(share.pid)?.sockets ?? 0) + share.sockets });
  const values = target.host.inside(() => Object.fromEntries(auditedSettings.map((name) => [name, readSysctl(liveRoot.proc, name)])));
  const audit = auditHost({
    role: role ?? inferRole(view),
    before: before ?? null,
    view,
    spaces: measured,
    values,
    balancerPorts: ports,
    fileLimits: [...sockets].map(([pid, held]) => ({ pid, ...held, soft: fileLimitOf(liveRoot, pid) })),
    isHost: target.namespace.name === 'host',
  });
  const pressed = new Set(measured.filter((m) => isPressed(m.space)).map((m) => m.space.id));
  const kinds = new Map(measured.map((m) => [m.space.id, m.space.kind]));
  const snippets = owners
    // Go programs are guessed by an unknown name: only where ports are short is the guess worth a line.
    .flatMap(({ id, share }) => [
      ...snippetsFor(share.command, 'multiplexing').filter((s) => s.product !== 'Go' || pressed.has(id)),
      ...(kinds.get(id) === 'bind' ? snippetsFor(share.command, 'bind_address_no_port') : []),
    ]);
  return { audit, measured, snippets: [...new Map(snippets.map((s) => [s.text, s])).values()] };
};

/** The settings named by `--only`; the short names count too: `tcp_tw_reuse`. Widening brings along the reserved ports it needs. */
const namedSettings = (only: readonly string[]): ReadonlySet<string> => {
  const chosen = new Set<string>();
  for (const text of only) {
    const name = auditedSettings.find((s) => s === text || s.endsWith(`.${text}`));
    if (name === undefined) {
      const known = auditedSettings.map((s) => s.split('.').at(-1)!);
      throw new PlimsollError('unknown_setting', { name: text, nearest: didYouMean(text, known) });
    }
    chosen.add(name);
    if (name === 'net.ipv4.ip_local_port_range') chosen.add('net.ipv4.ip_local_reserved_ports');
  }
  return chosen;
};

/** The audit of those settings only; of all where none is named. */
const restrict = (audit: Audit, chosen: ReadonlySet<string>): Audit => {
  if (chosen.size === 0) return audit;
  const keepsPromise = (kind: string): boolean =>
    chosen.has(kind === 'time_wait_life' ? 'net.ipv4.tcp_tw_reuse' : 'net.ipv4.ip_local_port_range');
  return {
    ...audit,
    advice: audit.advice.filter((a) => chosen.has(a.name)),
    promised: audit.promised.filter((p) => p.changes.every((c) => keepsPromise(c.kind))),
  };
};

const wantedOf = (advice: readonly Advice[]): readonly Wanted[] =>
  advice.flatMap((a) => (a.recommended === null || a.scope === 'process' ? [] : [{ name: a.name, value: a.recommended, why: a.why }]));

const existingDropIn = (host: ApplyHost): string | null => {
  try {
    return readFileSync(`${host.root}${DROP_IN}`, 'utf8');
  } catch {
    return null;
  }
};

const undoneText = (undone: readonly Undone[]): string => {
  const lines = undone.flatMap((u) => [
    ...u.restored.map((r) => `restored ${r.name} = ${r.value === '' ? '(none)' : r.value}`),
    ...u.left.map(
      (l) =>
        `left ${l.name} alone: it is ${l.found === '' ? '(none)' : l.found} now, not the ${l.ours} that plimsoll set; somebody changed it since`,
    ),
    ...(u.file === 'restored'
      ? [`restored ${DROP_IN}`]
      : u.file === 'removed'
        ? [`removed ${DROP_IN}`]
        : u.file === 'left'
          ? [`left ${DROP_IN} alone: it was edited since`]
          : []),
  ]);
  return lines.map((line) => `${safe(line)}\n`).join('');
};

const runRollback = (given: Given, shell: Shell): number => {
  const target = findTarget(given);
  const undone = finish(rollBack(target.host));
  const left = undone.flatMap((u) => u.left);
  if (given.flag('json')) {
    const restored = undone.flatMap((u) => u.restored);
    const files = undone.map((u) => u.file).filter((f) => f !== 'none');
    shell.stdout.write(`${JSON.stringify({ schema: 'plimsoll.rollback/1', namespace: target.namespace.name, restored, left, files })}\n`);
  } else shell.stdout.write(undoneText(undone));
  return left.length > 0 || undone.some((u) => u.file === 'left') ? ExitCode.no : ExitCode.ok;
};

const apply = async (
  target: Target,
  sampler: Sampler,
  examined: Examined,
  audit: Audit,
  wanted: readonly Wanted[],
  shell: Shell,
): Promise<{ readonly done: Done; readonly outcomes: readonly Outcome[] }> => {
  const text = target.persistent && wanted.length > 0 ? dropInText(existingDropIn(target.host), wanted) : null;
  const applied = finish(applyChanges(target.host, wanted, text, new Date().toISOString()));
  if (applied.recovered !== null)
    shell.stderr.write(`an earlier run was cut off in the middle; what it had done was undone first:\n${undoneText([applied.recovered])}`);
  let outcomes: readonly Outcome[] = [];
  if (applied.settings.length > 0 && audit.promised.length > 0) {
    // A TIME_WAIT must be as old as tcp_tw_reuse_delay before it may be taken; those of the last second are not.
    await wait(1, shell.interrupted);
    outcomes = compareWithPromise(
      audit.promised,
      examined.measured.map((m) => m.space),
      measure(sampler).map((m) => m.space),
    );
  }
  return {
    done: {
      settings: applied.settings.map((s) => ({ name: s.name, from: s.before, to: s.after })),
      file: applied.file?.path ?? null,
      left: [],
    },
    outcomes,
  };
};

const run = async (given: Given, shell: Shell): Promise<number> => {
  const modes = ['apply', 'rollback', 'dry-run'].filter((m) => given.flag(m));
  if (modes.length > 1) throw new PlimsollError('options_conflict', { first: `--${modes[0]}`, second: `--${modes[1]}` });
  for (const other of [...modes.map((m) => `--${m}`), ...(given.flag('json') ? ['--json'] : [])])
    if (given.text('format') !== null) throw new PlimsollError('options_conflict', { first: '--format', second: other });
  if (given.flag('rollback')) return runRollback(given, shell);
  const format = given.value('format', either(formats), 'ansible', (t) => formats.find((f) => f === t) ?? null);
  const only = namedSettings(given.texts('only'));
  const target = findTarget(given);
  const sampler = new Sampler([target.namespace]);
  const examined = await examine(target, sampler, given, shell);
  if (shell.interrupted.aborted) return ExitCode.interrupted;
  const audit = restrict(examined.audit, only);
  const wanted = wantedOf(audit.advice);
  const asksForChange = audit.advice.some((a) => a.recommended !== null);

  if (format !== null) {
    const text = {
      sysctl: () => (wanted.length > 0 ? dropInText(null, wanted) : ''),
      ansible: () => ansibleText(wanted, DROP_IN),
      pod: () => podText(wanted),
    }[format]();
    shell.stdout.write(text);
    if (wanted.length === 0) shell.stderr.write('nothing to change\n');
    return asksForChange ? ExitCode.no : ExitCode.ok;
  }
  const files = new SysctlFiles(target.host.root);
  // In another namespace the host's files decide nothing.
  const origins = new Map<string, Origin>(target.persistent ? auditedSettings.map((name) => [name, files.about(name)]) : []);
  const names = new Map(examined.measured.map(({ space }) => [space.id, nameOf(space)]));
  const named = (id: string): string => names.get(id) ?? id;
  const told = { namespace: target.namespace.name, persistent: target.persistent };
  if (given.flag('apply')) {
    const { done, outcomes } = await apply(target, sampler, examined, audit, wanted, shell);
    if (given.flag('json')) {
      shell.stdout.write(
        `${JSON.stringify(tuneDocument({ ...told, audit, origins, snippets: examined.snippets, applied: done, outcomes }))}\n`,
      );
    } else {
      const lines = done.settings.map((s) => `set ${s.name} = ${s.to} (was ${s.from === '' ? 'none' : s.from})\n`);
      if (done.file !== null) lines.push(`wrote ${safe(done.file)}\n`);
      else if (!target.persistent && lines.length > 0) lines.push('nothing was persisted: this is not the host’s own namespace\n');
      shell.stdout.write(lines.length === 0 ? 'nothing to change\n' : lines.join(''));
      if (outcomes.length > 0) shell.stdout.write(`measured afterwards:\n${renderOutcomes(outcomes, named, shell)}`);
      for (const name of wanted.map((w) => w.name)) {
        const { wins, onlyProcps } = new SysctlFiles(target.host.root).about(name);
        const other = wins !== null && wins.file !== DROP_IN ? wins : onlyProcps;
        if (target.persistent && other !== null)
          shell.stderr.write(`${safe(other.file)}:${other.line} sets ${name} too and is read later: at boot it wins. Remove that line.\n`);
      }
    }
    return outcomes.every((o) => o.came) ? ExitCode.ok : ExitCode.no;
  }
  if (given.flag('json')) {
    shell.stdout.write(
      `${JSON.stringify(tuneDocument({ ...told, audit, origins, snippets: examined.snippets, applied: null, outcomes: [] }))}\n`,
    );
  } else if (given.flag('dry-run')) {
    const runtime = wanted.map(
      (w) => `sysctl -w ${w.name}="${w.value}"   # now ${audit.advice.find((a) => a.name === w.name)?.current || 'none'}\n`,
    );
    const existing = existingDropIn(target.host);
    const diff = target.persistent && wanted.length > 0 ? diffText(DROP_IN, existing, dropInText(existing, wanted)) : '';
    shell.stdout.write(wanted.length === 0 ? 'nothing to change\n' : `${runtime.join('')}${diff}`);
  } else shell.stdout.write(renderAudit(audit, origins, examined.snippets, { ...told, named }, shell));
  return asksForChange ? ExitCode.no : ExitCode.ok;
};

export const tune: CommandSpec = {
  name: 'tune',
  summary: 'Audit the settings that touch source ports for this host’s load and role; apply them as one reversible step',
  synopsis: '',
  takes: [0, 0],
  options: [
    {
      name: 'apply',
      description: 'write the drop-in, set the values, read them back, measure the effect; undo everything if a step fails',
    },
    {
      name: 'rollback',
      description:
        'restore what was there before --apply, also after a crash in the middle; values changed by others since are left and named',
    },
    { name: 'dry-run', description: 'print what --apply would do, as a diff' },
    {
      name: 'only',
      value: 'NAME',
      repeatable: true,
      description: 'consider this setting only (tcp_tw_reuse or its full name); may be repeated',
    },
    { name: 'format', value: 'FORMAT', description: 'print the changes as sysctl (a drop-in), ansible (tasks) or pod (securityContext)' },
    {
      name: 'role',
      value: 'ROLE',
      description: 'what this host does: proxy, server, client, nat, idle; inferred from its sockets if not given',
    },
    {
      name: 'balancer',
      value: 'FILE',
      description: `the balancer’s configuration, whose SNAT ports must be reserved (${BALANCER} if it is there)`,
    },
    { name: 'netns', value: 'NAME', description: 'another network namespace, pid:N or name:NAME; there nothing can be persisted' },
    { name: 'root', value: 'DIR', description: 'read and write the drop-in files under this folder, as for an image' },
    { name: 'state', value: 'DIR', fallback: STATE, description: 'where the journal for --rollback is kept' },
    { name: 'json', description: 'print the document plimsoll.tune/1' },
  ],
  notes: [
    'Exit codes: 0 nothing to change (or applied, or rolled back), 1 something to change (or its promise did not come, or something was left on rollback), 66 nothing to roll back, 69 another tune is at work, or a step failed and everything was undone, 77 no permission.',
    'Only --apply and --rollback need root. It sets sysctls; it never touches applications, and it does not shorten TIME_WAIT, for Linux cannot.',
  ],
  examples: [
    ['plimsoll tune', 'what to change on this host, and what to leave and why'],
    ['plimsoll tune --dry-run', 'the drop-in and the commands, without touching anything'],
    ['sudo plimsoll tune --apply --only tcp_tw_reuse', 'one setting, reversibly'],
    ['sudo plimsoll tune --rollback', 'as if it had never been'],
    ['plimsoll tune --format ansible > port-range.yml', 'for whoever owns the host'],
  ],
  run,
};
