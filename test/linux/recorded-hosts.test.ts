/** Hosts that were recorded once: what the doctor says of them stays what it was, word for word. */
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { renderDoctor } from '../../src/cli/render/doctor.ts';
import { diagnose, type Looks, measureSpaces } from '../../src/core/diagnosis.ts';
import { ownNamespace } from '../../src/linux/netns.ts';
import { Sampler } from '../../src/linux/sampler.ts';
import { reportDocument } from '../../src/wire/report.ts';
import { reportSchema } from '../../src/wire/report-schema.ts';
import { fakeShell } from '../support/shell.ts';

const folder = new URL('../fixtures/hosts/', import.meta.url).pathname;

for (const host of readdirSync(folder).filter((name) => existsSync(`${folder}${name}/proc`))) {
  test(`the recorded host ${host} gets the verdict it always got`, () => {
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
    const diagnosis = diagnose(looks, measureSpaces(looks, []), new Map(), still, 10);
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
