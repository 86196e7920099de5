/** `plimsoll plan` as a user types it: answers, documents, wrong input, and a beginning on a live host. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, describe, expect, test } from 'vitest';
import type { PlanDocument } from '../../src/wire/plan.ts';
import { planSchema } from '../../src/wire/plan-schema.ts';
import { kernelTest, namespace } from '../support/netns.ts';
import { plimsoll } from '../support/shell.ts';
import { listen, makeTimeWaits, open } from '../support/sockets.ts';

const command = new URL('../../dist/plimsoll.cjs', import.meta.url).pathname;
const folder = mkdtempSync(join(tmpdir(), 'plimsoll-plan-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const plan = (line: string, options = {}) => plimsoll(['plan', ...line.split(' ').filter((word) => word !== '')], options);
const document = async (line: string): Promise<PlanDocument> => planSchema.parse(JSON.parse((await plan(`${line} --json`)).out));

describe('plimsoll plan', () => {
  test('says that any rate lasts where nothing is left behind', async () => {
    const { out } = await plimsoll(['plan', '--rate', '500/s', '--closer', 'server']);
    expect(out).toMatch(/sustainable rate {3}any: what is closed leaves no port behind\n/);
  });

  test('answers the folklore’s question with its number and with Linux’s', async () => {
    const { code, out } = await plan('--rate 233/s --range 32768-60767 --time-wait 120s');
    expect(code).toBe(0);
    expect(out).toContain('233/s without a failure');
    expect(out).toMatch(/120 s is conntrack’s\s+\(nf_conntrack_tcp_timeout_time_wait/);
    expect(out).toMatch(/28,000 ports last at 451\/s\s+per port space/);
  });

  test('says no to a load that does not last, when it ends, and what would hold it', async () => {
    const { code, out } = await plan('--rate 500/s');
    expect(code).toBe(1);
    expect(out).toMatch(/^Does not last\. At 500\/s the ports run out after 56 s; then about 463\/s get through\./);
    expect(out).toContain('Cheapest that holds: tcp_tw_reuse=1');
    for (const line of [
      '455/s without a failure; 463/s on average',
      '28,232 ports',
      'search wall',
      '2 source addresses instead of 1',
      'Assumed',
    ])
      expect(out.replace('28,232 (', '28,232 ports (')).toContain(line);
  });

  test('says so where the load lasts but the margin does not', async () => {
    const { code, out } = await plan('--rate 450/s');
    expect([code, out.split('.')[0]]).toEqual([0, 'Lasts, without the margin']);
  });

  test('draws the ports in use over time, up to the line', async () => {
    const { out } = await plan('--rate 500/s');
    const drawn = out.split('\n').filter((line) => /[│┤]/.test(line));
    expect(drawn).toHaveLength(8);
    expect(drawn[0]).toMatch(/^28,232 ┤┄+[▁▂▃▄▅▆▇█]+ capacity$/u);
    expect(drawn.find((line) => line.includes('search wall'))).toMatch(/^14,116 ┤/);
    // Filled columns never become fewer: the load only grows until it is full.
    const heights = [...drawn[7]!.slice(8)].map(
      (_, column) => drawn.filter((line) => /[▁▂▃▄▅▆▇█]/u.test([...line][column + 8] ?? ' ')).length,
    );
    expect(heights.slice(0, 70)).toEqual([...heights.slice(0, 70)].sort((a, b) => a - b));
  });

  test('prints every line within the terminal it is given, and no colour without one', async () => {
    for (const width of [80, 120]) {
      const { out } = await plan('--rate 500/s --sources 3 --destinations 2 --snat 1024-65535', {
        isTerminal: true,
        width,
        env: { NO_COLOR: '1' },
      });
      expect(Math.max(...out.split('\n').map((line) => [...line].length))).toBeLessThanOrEqual(width);
      expect(out).not.toContain('\u001b');
    }
    expect((await plan('--rate 5/s', { isTerminal: true, env: {} })).out).toContain('\u001b[');
  });

  test('--json is the document, valid by its schema, with the numbers that the page shows', async () => {
    const d = await document('--rate 500/s --sources 10.0.0.5-10.0.0.9 --range 1024-65535 --destinations 10.0.1.1-10.0.1.2:80,443');
    expect(d).toMatchObject({ schema: 'plimsoll.plan/1', per: 'space', kind: 'connect', spaces: 20, capacity: 64512, lasts: true });
    expect(d.total.capacity).toBe(20 * 64512);
    expect(d.workload).toMatchObject({ sources: 5, destinations: 4, rate: 500, margin: 0.2, time_wait: 60, tick: 2.048 });
    expect(d.cheapest).toEqual([]);
  });

  test('knows every input', async () => {
    expect(await document('--rate 100/s --closer server --duration 200ms')).toMatchObject({ plateau: { used: 20, time_wait: 0 } });
    expect(await document('--rate 100/s --closer reset --duration 1s')).toMatchObject({ plateau: { used: 100 } });
    expect(await document('--rate 1000/s --requests-per-connection 100')).toMatchObject({ plateau: { used: 610.24 }, lasts: true });
    expect(await document('--rate 1000/s --upstream-latency 20ms')).toMatchObject({ plateau: { used: 20, established: 20 }, lasts: true });
    expect(await document('--rate 100/s --tw-reuse 1')).toMatchObject({ plateau: { used: 100 } });
    expect(await document('--rate 100/s --tw-reuse 1 --tw-reuse-delay 5s')).toMatchObject({ plateau: { used: 500 } });
    expect((await document('--rate 100/s --tw-reuse 1 --timestamps off')).plateau.used).toBeCloseTo(6102.4, 1);
    expect(await document('--rate 100/s --destinations 127.0.0.1:80')).toMatchObject({
      plateau: { used: 100 },
      workload: { loopback: true },
    });
    expect(await document('--rate 100/s --bind-style bind --destinations 4')).toMatchObject({ spaces: 1, kind: 'bind' });
    expect(await document('--rate 100/s --bind-style explicit')).toMatchObject({ plateau: { used: 0 }, kind: 'ledger' });
    expect(await document('--rate 700/s --sources 9 --snat 1024-65535 --conntrack-time-wait 60s --snat-addresses 2')).toMatchObject({
      kind: 'snat',
      spaces: 2,
      lasts: true,
    });
    expect(await document('--rate 30k/m --reserved 40000-49999,8080')).toMatchObject({
      capacity: 18232,
      workload: { rate: 500, blocked: 10000 },
    });
    expect(await document('--rate 100/s --tick 4.096s')).toMatchObject({ sustainable_rate: 440.449 });
    expect(await document('--rate 5/s --range 80-1023 --allow-privileged')).toMatchObject({ capacity: 944 });
  });

  test('--without leaves a remedy out of the table and of the cheapest set', async () => {
    const d = await document('--rate 700/s --without tcp_tw_reuse --without widen_range');
    expect(d.what_if.map((i) => i.remedy)).toEqual(['multiplexing', 'peer_closes_first', 'add_source_addresses', 'add_destinations']);
    expect(d.cheapest).toEqual(['multiplexing']);
  });

  test('--solve answers one number', async () => {
    expect(await document('--rate 2000/s --solve addresses')).toMatchObject({
      solution: { question: 'addresses', value: 6, unit: 'source addresses' },
    });
    expect((await document('--solve rate --margin 0%')).solution?.value).toBeCloseTo(454.986, 2);
    expect(await document('--rate 2000/s --upstream-latency 20ms --margin 50% --solve connections')).toMatchObject({
      solution: { value: 60 },
    });
    expect(await document('--rate 2000/s --duration 60s --closer server --server-time 50ms --solve connections')).toMatchObject({
      solution: { value: 120 },
    });
    const none = await plan('--rate 5000k/s --upstream-latency 1s --solve connections');
    expect([none.code, none.out]).toEqual([1, expect.stringContaining('No number of connections kept open and shared holds this load')]);
    expect((await plan('--rate 2000/s --solve addresses')).out).toContain('6: source addresses, 20 % to spare.');
  });

  test.each([
    ['', 64, 'plan needs --rate'],
    ['--rate 500', 64, '--rate: "500" is not a rate with its unit'],
    ['--rate=-5/s', 64, '--rate: "-5/s" is not a rate'],
    ['--rate 0/s', 64, '--rate: "0/s" is not more than nothing'],
    ['--rate 5/s --range 60999-32768', 64, '--range: "60999-32768" is not a range of ports'],
    ['--rate 5/s --range 4000', 64, '--range: "4000" is not a range of ports'],
    ['--rate 5/s --range 0-100', 64, '--range: "0-100" is not a range of ports'],
    ['--rate 5/s --range 1024-65536', 64, '--range: "1024-65536" is not a range of ports'],
    ['--rate 5/s --range 500-65535', 64, '500-65535 reaches into the ports below 1024'],
    ['--rate 5/s --snat 1-65535', 64, '1-65535 reaches into the ports below 1024'],
    ['--rate 5/s --duration 20', 64, '--duration: "20" is not a duration'],
    ['--rate 5/s --closer peer', 64, '--closer: "peer" is not client, server or reset'],
    ['--rate 5/s --sources 0', 64, '--sources: "0" is not a number or addresses'],
    ['--rate 5/s --sources 10.0.0.9-10.0.0.5', 64, 'is not a number or addresses'],
    ['--rate 5/s --margin 900%', 64, '--margin: "900%" is not a share'],
    ['--rate 5/s --tw-reuse 3', 64, '--tw-reuse: "3" is not 0, 1 or 2'],
    ['--rate 5/s --upstream-latency 0s', 64, 'is not a duration above zero'],
    ['--rate 5/s --requests-per-connection 0', 64, 'is not a number of at least 1'],
    ['--rate 5/s --range 40000-40009 --reserved 40000-40009', 64, 'all ports are reserved (10)'],
    ['--live --from -', 64, '--from and --live exclude each other'],
    ['--from /nowhere/report.json', 66, 'cannot read /nowhere/report.json: ENOENT'],
    ['--rate 5/s --solve everything', 64, '--solve: "everything" is not addresses, rate or connections'],
    ['--rate 5/s --without multiplex', 66, 'did you mean "multiplexing"?'],
    ['--rate 5/s --nonsense', 64, 'plan has no option "--nonsense"'],
  ])('%s: %i, %s', async (line, code, says) => {
    const ran = await plan(line);
    expect({ code: ran.code, out: ran.out }).toEqual({ code, out: '' });
    expect(ran.err).toContain(says);
    expect(ran.err.split('\n')[1]).toMatch(/^ {2}\S/);
  });

  test('takes any text for any option without breaking: an answer, or an error of the catalogue', async () => {
    const options = [
      'rate',
      'duration',
      'sources',
      'destinations',
      'range',
      'reserved',
      'time-wait',
      'tick',
      'margin',
      'snat',
      'requests-per-connection',
    ];
    const value = fc.oneof(
      fc.string({ maxLength: 12 }),
      fc.constantFrom('1e9/s', '99999999999999/s', '0.0000001/s', '1-65535', '::1', '1024-1025', '[::1]:80', '9'.repeat(40), '0s', '500%'),
    );
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(...options), value, async (option, text) => {
        const { code, out } = await plimsoll(['plan', '--rate', '5/s', `--${option}=${text}`, '--json']);
        expect([0, 1, 64]).toContain(code);
        if (code !== 64) planSchema.parse(JSON.parse(out));
      }),
      { numRuns: 400 },
    );
  });

  test('refuses what is no report, with the place', async () => {
    for (const [text, says] of [
      ['not json', 'is no plimsoll.report/1'],
      ['{}', 'schema'],
      ['{"schema":"plimsoll.plan/1"}', 'schema'],
    ] as const) {
      const path = join(folder, 'broken.json');
      writeFileSync(path, text);
      const { code, err } = await plan(`--from ${path}`);
      expect(code).toBe(65);
      expect(err).toContain(says);
      expect((await plan('--from -', { stdin: text })).code).toBe(65);
    }
  });
});

describe.concurrent('plimsoll plan on a host', () => {
  const churned = () => {
    const ns = namespace({ range: [40000, 40199], addresses: ['10.66.0.1'], sysctls: { 'net.ipv4.tcp_tw_reuse': 0 } });
    ns.run(() => {
      const listener = listen('10.66.0.1', 80);
      for (let i = 0; i < 10; i++) open('10.66.0.1', 80);
      makeTimeWaits('10.66.0.1', 80, listener, 80);
    });
    return ns;
  };
  const run = (ns: { readonly name: string }, ...args: string[]) => {
    const { status, stdout, stderr } = spawnSync('ip', ['netns', 'exec', ns.name, process.execPath, command, ...args], {
      encoding: 'utf8',
    });
    return { code: status, out: stdout, err: stderr };
  };

  kernelTest('--live begins with what the port space holds, and asks for a rate where nothing moves', () => {
    const ns = churned();
    const d = planSchema.parse(JSON.parse(run(ns, 'plan', '--live', '--rate', '20/s', '--json').out));
    expect(d).toMatchObject({ capacity: 200, kind: 'connect', workload: { closer: 'client', range: { low: 40000, high: 40199 } } });
    expect(d.assumptions[0]).toMatch(
      new RegExp(`^Begun with ${ns.name}/connect/10.66.0.1/10.66.0.1:80 as it was: 90 ports in use, 80 of them in TIME_WAIT`),
    );
    // 110 ports are left at 20 a second, and none comes back for almost a minute.
    expect(d.exhausts_after).toBeCloseTo(110 / 20, 1);
    const none = run(ns, 'plan', '--live');
    expect([none.code, none.err]).toEqual([66, expect.stringContaining('there is no rate to plan with')]);
  });

  kernelTest('--from a report of the doctor plans the same space, and --rate asks what more would do', () => {
    const ns = churned();
    const report = run(ns, 'doctor', '--json', '--interval', '0s').out;
    const path = join(folder, 'report.json');
    writeFileSync(path, report);
    const space = JSON.parse(report).port_spaces[0];
    const from = (...args: string[]): PlanDocument => planSchema.parse(JSON.parse(run(ns, 'plan', '--from', path, '--json', ...args).out));
    const quick = from('--rate', '20/s');
    expect(quick.capacity).toBe(space.capacity);
    // 90 of 200 are used, ten more live at once is nothing against 20 a second.
    expect(quick.exhausts_after).not.toBeNull();
    expect(Math.abs(quick.exhausts_after! - 110 / 20)).toBeLessThan(2);
    expect(from('--space', space.id, '--rate', '1/s').lasts).toBe(true);
    const unknown = run(ns, 'plan', '--from', path, '--space', `${space.id}x`);
    expect([unknown.code, unknown.err]).toEqual([66, expect.stringContaining(`did you mean "${space.id}"?`)]);
  });

  kernelTest('without an outbound connection says that there is nothing to start from', () => {
    const { code, err } = run(namespace(), 'plan', '--live');
    expect([code, err]).toEqual([66, expect.stringContaining('there is no port space to start from')]);
  });
});
