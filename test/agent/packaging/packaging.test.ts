/** What is shipped beside the program works: the unit, the alert rules, the dashboard of Grafana; each checked by its own tool. */
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { loadAgentSettings } from '../../../src/cli/agent-configuration.ts';
import { kernelTest, namespace, privileged } from '../../support/netns.ts';
import { until } from '../../support/poll.ts';
import { listen, openUntilFailure } from '../../support/sockets.ts';
import { ask, program, start } from '../support/serve.ts';
import { type Whole, wholeAgent } from '../support/whole.ts';

const packaging = new URL('../../../packaging/', import.meta.url).pathname;
const folder = mkdtempSync(join(tmpdir(), 'plimsoll-packaging-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const has = (command: string): boolean => spawnSync('sh', ['-c', `command -v ${command}`]).status === 0;

/** The unit's settings; a later assignment adds to an earlier one, an empty one resets it. */
const settings = (...files: readonly string[]): Map<string, string[]> => {
  const found = new Map<string, string[]>();
  for (const file of files)
    for (const line of readFileSync(join(packaging, 'systemd', file), 'utf8').split('\n')) {
      const [, key, value] = /^([A-Za-z]+)=(.*)$/.exec(line) ?? [];
      if (key === undefined || value === undefined) continue;
      found.set(key, value === '' ? [] : [...(found.get(key) ?? []), value]);
    }
  return found;
};
const unit = settings('plimsoll-agent.service');
const capabilities = unit.get('AmbientCapabilities')![0]!.split(' ');

describe('the systemd unit', () => {
  /** As installed, with a program that exists here. */
  const install = (...dropIns: readonly string[]): string => {
    const installed = join(folder, `u${Math.random().toString(36).slice(2)}`);
    const path = join(installed, 'plimsoll-agent.service');
    mkdirSync(join(installed, 'plimsoll-agent.service.d'), { recursive: true });
    const here = (text: string): string => text.replaceAll('/usr/bin/plimsoll', program);
    writeFileSync(path, here(readFileSync(join(packaging, 'systemd/plimsoll-agent.service'), 'utf8')));
    for (const name of dropIns)
      writeFileSync(join(installed, 'plimsoll-agent.service.d', name), here(readFileSync(join(packaging, 'systemd', name), 'utf8')));
    return path;
  };

  test.skipIf(!has('systemd-analyze'))('is without a mistake for systemd-analyze verify, with its drop-in too', () => {
    for (const path of [install(), install('other-namespaces.conf')]) {
      const { status, stderr } = spawnSync('systemd-analyze', ['verify', '--man=no', path], { encoding: 'utf8' });
      expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    }
  });

  test.skipIf(!has('systemd-analyze'))('is no less confined than this: exposure 2.6 of 10 at most', () => {
    const { status, stdout } = spawnSync('systemd-analyze', ['security', '--offline=yes', '--threshold=26', '--no-pager', install()], {
      encoding: 'utf8',
    });
    expect([status, /Overall exposure level .*/.exec(stdout)?.[0]]).toEqual([0, expect.any(String)]);
  });

  test('starts the program with options that it has, and asks for no more capabilities than it explains', () => {
    const help = execFileSync(process.execPath, [program, 'serve', '--help'], { encoding: 'utf8' });
    for (const files of [['plimsoll-agent.service'], ['plimsoll-agent.service', 'other-namespaces.conf']]) {
      const [command] = settings(...files)
        .get('ExecStart')!
        .slice(-1);
      for (const option of command!.match(/--[a-z-]+/g)!) expect([option, help.includes(`  ${option}`)]).toEqual([option, true]);
    }
    expect(unit.get('CapabilityBoundingSet')).toEqual(unit.get('AmbientCapabilities'));
    const text = readFileSync(join(packaging, 'systemd/plimsoll-agent.service'), 'utf8');
    for (const name of capabilities) expect(text).toMatch(new RegExp(`^#   ${name} +\\S`, 'm'));
  });

  /** What the agent's sensors say with these capabilities, as the unit would run it: no more rights than these, tracefs as systemd mounts it. */
  const sensorsWith = (granted: readonly string[], ns: string, args: readonly string[] = []): Map<string, string> => {
    const list = granted.map((name) => `+${name.toLowerCase().replace('cap_', '')}`).join(',');
    const rights =
      granted.length === 0 ? '--bounding-set=-all' : `--inh-caps=-all,${list} --ambient-caps=${list} --bounding-set=-all,${list}`;
    const out = execFileSync(
      'ip',
      [
        ...['netns', 'exec', ns, 'unshare', '--mount', 'sh', '-c'],
        `mount -t tracefs tracefs /sys/kernel/tracing && exec setpriv --reuid 65534 --regid 65534 --clear-groups --no-new-privs ${rights} ${process.execPath} ${program} doctor --interval 300ms --json ${args.join(' ')} || true`,
      ],
      { encoding: 'utf8' },
    );
    const sensors: { name: string; status: string }[] = JSON.parse(out).sensors;
    return new Map(sensors.map((s) => [s.name, s.status]));
  };

  kernelTest(
    'every capability of the unit is needed by a sensor, and with all of them no sensor is denied',
    () => {
      const ns = namespace();
      // Something to name: sockets of root's. Something to track: a translated flow.
      const listener = ns.run(() => listen('127.0.0.1', 9000));
      ns.exec('nft', 'add table ip nat');
      ns.exec('nft', 'add chain ip nat out { type nat hook postrouting priority 100 ; }');
      ns.exec('nft', 'add rule ip nat out ip daddr 127.0.0.1 tcp dport 9001 masquerade');
      ns.run(() => openUntilFailure('127.0.0.1', 9000, {}, 5));
      expect(listener).toBeGreaterThan(0);
      const denied = (granted: readonly string[]): readonly string[] =>
        [...sensorsWith(granted, ns.name)]
          .filter(([, status]) => status === 'denied')
          .map(([name]) => name)
          .sort();
      expect(denied(capabilities)).toEqual([]);
      const without = (name: string): readonly string[] => denied(capabilities.filter((c) => c !== name));
      expect(without('CAP_PERFMON')).toEqual(['port searches']);
      expect(without('CAP_SYS_PTRACE')).toEqual(['owners']);
      expect(without('CAP_NET_ADMIN')).toEqual(['conntrack']);
      expect(without('CAP_DAC_READ_SEARCH')).toEqual(['owners', 'port searches']);
    },
    60_000,
  );

  kernelTest(
    'serve starts with these rights alone, under another user, and is ready',
    async () => {
      const home = mkdtempSync(join(folder, 'home-'));
      execFileSync('chown', ['65534:65534', home]);
      execFileSync('chmod', ['711', folder]);
      const list = capabilities.map((name) => `+${name.toLowerCase().replace('cap_', '')}`).join(',');
      const command = unit
        .get('ExecStart')![0]!
        .split(' ')
        .slice(1)
        .map((word) => word.replace(/^\/(run|var\/lib)\/plimsoll/, home).replace('127.0.0.1:7575', '127.0.0.1:0'));
      const started = start('setpriv', [
        ...[
          '--reuid',
          '65534',
          '--regid',
          '65534',
          '--clear-groups',
          '--no-new-privs',
          `--inh-caps=-all,${list}`,
          `--ambient-caps=${list}`,
          `--bounding-set=-all,${list}`,
        ],
        ...['sh', '-c', 'umask 0077; exec "$@"', 'sh', process.execPath, program, ...command],
      ]);
      const url = await until('its address', () => /http:\S+\d+/.exec(started.said.err)?.[0], 30_000).catch((error) => {
        throw new Error(`${error}\n${started.said.err}`);
      });
      await until('ready', async () => (await fetch(`${url}/readyz`)).status === 200, 30_000);
      expect(execFileSync('stat', ['-c', '%a', join(home, 'token'), join(home, 'agent.sock')], { encoding: 'utf8' }).split('\n')).toEqual([
        '600',
        '660',
        '',
      ]);
      started.child.kill('SIGTERM');
      expect(await started.exited).toBe(0);
    },
    60_000,
  );
});

describe('the rules for Prometheus', () => {
  const rules = join(packaging, 'prometheus/plimsoll.rules.yml');

  test('pass promtool check and their own story in promtool test', () => {
    for (const [what, file] of [
      ['check', 'plimsoll.rules.yml'],
      ['test', 'plimsoll.rules.test.yml'],
    ] as const) {
      const { status, stdout, stderr } = spawnSync('promtool', [what, 'rules', file], {
        cwd: join(packaging, 'prometheus'),
        encoding: 'utf8',
      });
      expect({ what, status, stderr, out: stdout.includes('SUCCESS') }).toEqual({ what, status: 0, stderr: '', out: true });
    }
  });

  test('every rule is in the story', () => {
    const names = [...readFileSync(rules, 'utf8').matchAll(/- alert: (\w+)/g)].map((m) => m[1]!);
    const story = readFileSync(join(packaging, 'prometheus/plimsoll.rules.test.yml'), 'utf8');
    expect(names.length).toBeGreaterThan(10);
    for (const name of names.filter((n) => n !== 'PlimsollPortSpaceRunsOut'))
      expect([name, story.includes(`alertname: ${name}`)]).toEqual([name, true]);
  });
});

/** Every family of a real /metrics with its labels. */
const exposed = async (): Promise<ReadonlyMap<string, ReadonlySet<string>>> => {
  const { text } = await ask(whole.agent, '/metrics');
  const labels = new Map<string, Set<string>>();
  for (const [, name, list] of text.matchAll(/^(\w+)(?:\{(.*)\})? \S+$/gm)) {
    const known = labels.get(name!) ?? new Set();
    for (const [, label] of (list ?? '').matchAll(/(\w+)="(?:[^"\\]|\\.)*"/g)) known.add(label!);
    labels.set(name!, known);
  }
  return labels;
};

let whole: Whole;
beforeAll(async () => {
  if (privileged) whole = await wholeAgent();
}, 120_000);
afterAll(() => whole?.stop());

kernelTest('every query of the dashboard and every rule names a metric that /metrics has, and labels that it has', async () => {
  const families = await exposed();
  const given = new Set(['instance', 'job']);
  const dashboard = JSON.parse(readFileSync(join(packaging, 'grafana/plimsoll.json'), 'utf8'));
  const queries: string[] = dashboard.panels.flatMap((p: { targets: { expr: string }[] }) => p.targets.map((t) => t.expr));
  const rules = [...readFileSync(join(packaging, 'prometheus/plimsoll.rules.yml'), 'utf8').matchAll(/expr: (.*)$/gm)].map((m) => m[1]!);
  expect(queries.length).toBeGreaterThan(15);
  for (const query of [...queries, ...rules]) {
    const names = query.match(/\b(?:plimsoll|process)_\w+/g)!;
    expect([query, names.filter((name) => !families.has(name))]).toEqual([query, []]);
    for (const [, name, matchers] of query.matchAll(/\b((?:plimsoll|process)_\w+)\{([^}]*)\}/g))
      for (const [, label] of matchers!.matchAll(/(\w+)\s*=~?/g))
        expect([query, given.has(label!) || families.get(name!)!.has(label!)]).toEqual([query, true]);
    for (const [, list] of query.matchAll(/\b(?:by|on) \(([^)]*)\)/g))
      for (const label of list!.split(/,\s*/))
        expect([query, label, given.has(label) || names.some((name) => families.get(name)!.has(label))]).toEqual([query, label, true]);
  }
});

kernelTest('every legend and every summary names labels that its metrics have', async () => {
  const families = await exposed();
  const dashboard = JSON.parse(readFileSync(join(packaging, 'grafana/plimsoll.json'), 'utf8'));
  for (const target of dashboard.panels.flatMap((p: { targets: object[] }) => p.targets) as { expr: string; legendFormat: string }[]) {
    const known = (target.expr.match(/\b(?:plimsoll|process)_\w+/g) ?? []).flatMap((name) => [...families.get(name)!]);
    for (const [, label] of target.legendFormat.matchAll(/\{\{(\w+)\}\}/g))
      expect([target.expr, label, known.includes(label!)]).toEqual([target.expr, label, true]);
  }
  const blocks = readFileSync(join(packaging, 'prometheus/plimsoll.rules.yml'), 'utf8').split('- alert:').slice(1);
  for (const block of blocks) {
    const known = [...(block.match(/\bplimsoll_\w+/g) ?? []).flatMap((name) => [...(families.get(name) ?? [])]), 'instance'];
    for (const [, label] of block.matchAll(/\$labels\.(\w+)/g))
      expect([block.split('\n')[0], label, known.includes(label!)]).toEqual([block.split('\n')[0], label, true]);
  }
});

test('the examples are good: the alert rules load, the scrape configuration finds the shipped rules', async () => {
  const examples = new URL('../../../examples/serve/', import.meta.url).pathname;
  expect((await loadAgentSettings(join(examples, 'plimsoll.yaml'))).alerts.rules.map((r) => r.name)).toContain('database_filling');
  const { status, stdout } = spawnSync('promtool', ['check', 'config', join(examples, 'prometheus.yml')], { encoding: 'utf8' });
  expect([status, stdout]).toEqual([0, expect.stringContaining('rules found')]);
});

test('the dashboard’s panels do not overlap, and have ids of their own', () => {
  const { panels } = JSON.parse(readFileSync(join(packaging, 'grafana/plimsoll.json'), 'utf8'));
  const cells = new Map<string, string>();
  for (const { title, gridPos: g } of panels)
    for (let x = g.x; x < g.x + g.w; x++)
      for (let y = g.y; y < g.y + g.h; y++) {
        expect([title, x < 24, cells.get(`${x},${y}`)]).toEqual([title, true, undefined]);
        cells.set(`${x},${y}`, title);
      }
  expect(new Set(panels.map((p: { id: number }) => p.id)).size).toBe(panels.length);
  expect(existsSync(join(packaging, 'grafana/plimsoll.json'))).toBe(true);
});
