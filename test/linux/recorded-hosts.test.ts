/** Hosts that were recorded once: what the doctor says of them stays what it was, word for word. */
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { renderDoctor } from '../../src/cli/render/doctor.ts';
import { type Diagnosis, diagnose, type Looks, measureSpaces } from '../../src/core/diagnosis.ts';
import { ownNamespace } from '../../src/linux/netns.ts';
import { Sampler } from '../../src/linux/sampler.ts';
import { reportDocument } from '../../src/wire/report.ts';
import { reportSchema } from '../../src/wire/report-schema.ts';
import { fakeShell } from '../support/shell.ts';

const folder = new URL('../fixtures/hosts/', import.meta.url).pathname;

const hosts = readdirSync(folder).filter((name) => existsSync(`${folder}${name}/proc`));

const diagnosisOf = (host: string): Diagnosis => {
  const root = { proc: `${folder}${host}/proc`, run: `${folder}${host}/run` };
  const sampler = new Sampler([ownNamespace(root)], root);
  const { views, sensors } = sampler.look({ info: true, probeBudget: 0 });
  // The recording's own interrupt rate, not that of the machine the test runs on.
  const looks: Looks = {
    host: { ...sampler.facts, tickHz: 250 },
    takenAt: '2026-11-20T12:00:00Z',
    before: [],
    after: views,
    watched: { seconds: 0, failedSearches: null, openings: [] },
  };
  const still = sensors.map((s) => ({ ...s, duration: 0 }));
  return diagnose(looks, measureSpaces(looks, []), new Map(), still, 10);
};

for (const host of hosts) {
  test(`the recorded host ${host} gets the verdict it always got`, () => {
    const diagnosis = diagnosisOf(host);
    const document = reportDocument(diagnosis);
    reportSchema.parse(document);
    const shell = fakeShell();
    for (const [file, text] of [
      ['golden.json', `${JSON.stringify(document, null, 2)}\n`],
      ['golden.txt', renderDoctor(diagnosis, shell)],
    ] as const) {
      const path = `${folder}${host}/${file}`;
      if (process.env['UPDATE_GOLDEN']) writeFileSync(path, text);
      expect(text).toBe(readFileSync(path, 'utf8'));
    }
  });
}

test('a page with free ports in doubt says why, one without does not', () => {
  const diagnosis = diagnosisOf(hosts.find((h) => diagnosisOf(h).spaces.length > 0)!);
  const sensors = [{ name: 'explicit binds', status: 'absent', duration: 0, hint: '9 of 99 held ports are not asked about yet' }] as const;
  const page = (doubt: number): string =>
    renderDoctor({ ...diagnosis, sensors, spaces: diagnosis.spaces.map((s) => ({ ...s, freeHigh: s.freeLow + doubt })) }, fakeShell());
  expect(page(1)).toMatch(/Not seen\n {2}explicit binds: 9 of 99 held ports/);
  expect(page(0)).not.toContain('Not seen');
});

test('a port space that a finding is about says who holds it, however full it is', () => {
  const diagnosis = diagnosisOf(hosts.find((h) => diagnosisOf(h).spaces.length > 0)!);
  const [space] = diagnosis.spaces;
  const calm = { ...space!, usedRatio: 0.5, failedSearches: null, forecast: { kind: 'stable', seconds: null } as never };
  const owners = [{ pid: 4711, command: 'checkout', container: null, sockets: 3, opens: null }];
  const finding = { ...diagnosis.findings[0]!, subject: calm.id };
  const page = (findings: Diagnosis['findings']): string =>
    renderDoctor({ ...diagnosis, spaces: [{ ...calm, owners }], findings, remedies: [] }, fakeShell());
  expect(page([finding])).toContain('held by checkout[4711]');
  expect(page([])).not.toContain('checkout');
});

test('with several namespaces the page says where each port space and each finding is', () => {
  const diagnosis = diagnosisOf('churning-proxy');
  const [home] = diagnosis.namespaces;
  const other = { ...home!, sample: { ...home!.sample, id: '2', name: 'shop' } };
  const spaces = diagnosis.spaces.map((s) => ({ ...s, namespace: 'shop' }));
  const page = renderDoctor({ ...diagnosis, namespaces: [home!, other], spaces }, fakeShell());
  expect(page.split('\n')[0]).toMatch(/^(CRITICAL|WARNING) {2}shop: /);
  expect(page).toContain(':443 (shop)');
  expect(renderDoctor({ ...diagnosis, spaces }, fakeShell())).not.toContain('shop');
});
