/** What holds of every scenario, and what its own story must show. One after the other: they wait more than they compute. */
import { describe, expect } from 'vitest';
import { scenarios } from '../../src/lab/index.ts';
import type { LabDocument } from '../../src/wire/lab.ts';
import { labSchema } from '../../src/wire/lab-schema.ts';
import { kernelTest } from '../support/netns.ts';
import { leftBy, start } from './lab.ts';

/** How far a measurement may lie from its prediction. */
const BOUND = 0.05;

/** A row of the before/after table. */
export type Row = (what: string) => readonly (number | string | null)[];

export const story = (name: string, shows: string, check: (row: Row, document: LabDocument) => void): void => {
  describe(name, () => {
    kernelTest(
      `${shows}; every prediction within 5 %, and nothing is left`,
      async () => {
        const scenario = scenarios.find((s) => s.name === name)!;
        const run = await start(['lab', 'run', name, '--fast', '--json']);
        const { code, out, err } = await run.ended;
        expect(err).toContain('Predicted');
        expect(code, err).toBe(0);
        const document = labSchema.parse(JSON.parse(out));
        console.log(
          `${name}: ${document.seconds.taken.toFixed(1)} s; ${document.predictions.map((p) => `${p.key} ${p.predicted} → ${p.runs.join(', ')}`).join('; ')}`,
        );
        expect(document.predictions.length).toBe(scenario.forecasts('fast').length);
        for (const p of document.predictions) {
          expect(p.difference, `${p.subject}: predicted ${p.predicted}, measured ${p.measured}`).toBeLessThan(BOUND);
          expect(p.from).toMatch(/^plimsoll plan /);
        }
        const { settings, rows } = document.comparison;
        for (const row of rows) expect(row.values, row.what).toHaveLength(settings.length);
        check((what) => {
          const row = rows.find((r) => r.what === what);
          expect(row, what).toBeDefined();
          return row!.values;
        }, document);
        expect(leftBy(run.child.pid!)).toEqual([]);
      },
      180_000,
    );
  });
};

/** The codes that a command of the product told. */
export const toldBy = (document: LabDocument, command: string): readonly string[] =>
  document.told.filter((t) => t.command.startsWith(command)).flatMap((t) => t.findings.map((f) => f.code));
