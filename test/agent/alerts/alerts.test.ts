/** Alerts raise and clear when they should, and never flap. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type AlertChange, Alerts } from '../../../src/agent/alerts/alerts.ts';
import { alertLine } from '../../../src/agent/alerts/delivery.ts';
import { clear, isRaised, type Phase, step } from '../../../src/agent/alerts/hysteresis.ts';
import { type AlertRule, readAgentSettings, usualSettings } from '../../../src/agent/alerts/rules.ts';
import { readDocument } from '../../../src/balancer/configuration/document.ts';
import { finding, idOf, observation, type SpaceNumbers } from '../support/observation.ts';

const T = 1_800_000_000;

const rulesOf = (yaml: string): readonly AlertRule[] => {
  const { given } = readDocument(yaml);
  const { settings, mistakes } = readAgentSettings(given);
  expect(mistakes).toEqual([]);
  return settings!.alerts.rules;
};

const filling = rulesOf(`
alerts: { rules: [{ name: filling, on: used_ratio, raise: 80%, clear: 75%, raise_after: 10s, clear_after: 60s }] }
`);

/** Feeds one look a second; what was told, with its second. */
const run = (alerts: Alerts, from: number, to: number, spaces: (s: number) => readonly SpaceNumbers[]): [number, AlertChange][] => {
  const told: [number, AlertChange][] = [];
  for (let s = from; s <= to; s++) {
    const seen = observation(T + s, spaces(s));
    for (const change of alerts.take(seen, seen.takenAt)) told.push([s, change]);
  }
  return told;
};

const ratio = (value: number, port = 443): SpaceNumbers => ({ port, used: Math.round(value * 1000), capacity: 1000 });

describe('hysteresis', () => {
  const holds = { raiseAfter: 10, clearAfter: 60 };

  test('a value that never leaves the band never changes anything, raised or not', () => {
    fc.assert(
      fc.property(
        fc.boolean(),
        fc.array(fc.tuple(fc.double({ min: 0.01, max: 100, noNaN: true }), fc.constantFrom('between')), { maxLength: 300 }),
        (raised, noise) => {
          let phase: Phase = raised ? { phase: 'raised' } : clear;
          let now = 0;
          for (const [pause, where] of noise) {
            now += pause;
            phase = step(phase, where as 'between', now, holds);
            expect(isRaised(phase)).toBe(raised);
          }
        },
      ),
    );
  });

  test('whatever the noise, what is told alternates, and never sooner than the hold times allow', () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.double({ min: 0.05, max: 30, noNaN: true }), fc.constantFrom('beyond', 'between', 'clear')), {
          maxLength: 400,
        }),
        (looks) => {
          let phase: Phase = clear;
          let now = 0;
          let beyondSince: number | null = null;
          let clearSince: number | null = null;
          for (const [pause, where] of looks) {
            now += pause;
            beyondSince = where === 'beyond' ? (beyondSince ?? now) : null;
            clearSince = where === 'clear' ? (clearSince ?? now) : null;
            const was = isRaised(phase);
            phase = step(phase, where as 'beyond', now, holds);
            const is = isRaised(phase);
            // The oracle: an unbroken stretch of looks, as long as the hold.
            if (!was) expect(is).toBe(beyondSince !== null && now - beyondSince >= holds.raiseAfter);
            else expect(is).toBe(!(clearSince !== null && now - clearSince >= holds.clearAfter));
          }
        },
      ),
    );
  });
});

describe('an alert', () => {
  test('is raised after its hold, and cleared after the other below the other threshold', () => {
    const alerts = new Alerts(filling);
    const told = run(alerts, 0, 200, (s) => [ratio(s < 5 ? 0.7 : s < 100 ? 0.85 : s < 110 ? 0.77 : 0.6)]);
    expect(told.map(([s, c]) => [s, c.what])).toEqual([
      [15, 'raised'],
      [170, 'cleared'],
    ]);
    expect(told[0]![1].alert).toMatchObject({
      rule: 'filling',
      subject: idOf(443),
      severity: 'warning',
      value: 0.85,
      threshold: 0.8,
      cleared_at: null,
    });
    expect(told[1]![1].alert).toMatchObject({
      id: told[0]![1].alert.id,
      raised_at: new Date((T + 15) * 1000).toISOString(),
      cleared_at: new Date((T + 170) * 1000).toISOString(),
    });
  });

  test('never flaps under noise within the band between its thresholds', () => {
    fc.assert(
      fc.property(fc.array(fc.double({ min: 0.75, max: 1, noNaN: true }), { minLength: 50, maxLength: 400 }), (noise) => {
        const alerts = new Alerts(filling);
        run(alerts, 0, 20, () => [ratio(0.9)]);
        expect(alerts.active()).toHaveLength(1);
        expect(run(alerts, 21, 21 + noise.length - 1, (s) => [ratio(Math.max(0.751, noise[s - 21]!))])).toEqual([]);
      }),
      { numRuns: 50 },
    );
    fc.assert(
      fc.property(fc.array(fc.double({ min: 0, max: 0.799, noNaN: true }), { minLength: 50, maxLength: 400 }), (noise) => {
        const alerts = new Alerts(filling);
        expect(run(alerts, 0, noise.length - 1, (s) => [ratio(noise[s]!)])).toEqual([]);
      }),
      { numRuns: 50 },
    );
  });

  test('a space that is gone clears its alert', () => {
    const alerts = new Alerts(filling);
    const told = run(alerts, 0, 100, (s) => (s <= 20 ? [ratio(0.9)] : []));
    expect(told.map(([s, c]) => [s, c.what])).toEqual([
      [10, 'raised'],
      [81, 'cleared'],
    ]);
    expect(told[1]![1].alert.text).toContain('no longer seen');
  });

  test('of two on one subject the worse is told, and the milder only when it is all that is left', () => {
    const alerts = new Alerts(usualSettings.alerts.rules);
    const told = run(alerts, 0, 300, (s) => [ratio(s < 100 ? 0.97 : 0.85)]);
    expect(told.filter(([, c]) => !c.quiet).map(([s, c]) => [s, c.what, c.alert.rule])).toEqual([
      [10, 'raised', 'nearly_full'],
      [160, 'cleared', 'nearly_full'],
      [160, 'raised', 'filling'],
    ]);
    expect(alerts.active().map((a) => a.rule)).toEqual(['filling']);
  });

  test('the forecast raises within the hour as a warning, within five minutes as critical; little use raises nothing', () => {
    const soon = (seconds: number, used: number): SpaceNumbers => ({
      ...ratio(used),
      forecast: { kind: 'exhausts', seconds, secondsLow: seconds, secondsHigh: seconds, plateauUsed: null },
    });
    const raisedBy = (space: SpaceNumbers): string[] =>
      run(new Alerts(usualSettings.alerts.rules), 0, 30, () => [space])
        .filter(([, c]) => !c.quiet)
        .map(([, c]) => `${c.alert.rule} ${c.alert.severity}`);
    expect(raisedBy(soon(3000, 0.5))).toEqual(['runs_out warning']);
    expect(raisedBy(soon(200, 0.5))).toEqual(['runs_out_soon critical']);
    expect(raisedBy(soon(4000, 0.5))).toEqual([]);
    expect(raisedBy(soon(200, 0.05))).toEqual([]);
  });

  test('findings raise by code and severity, with the finding’s own words', () => {
    const alerts = new Alerts(rulesOf('alerts: { rules: [{ name: any, on: finding, codes: [any], least: warning, clear_after: 5s }] }'));
    const look = (s: number, found: Parameters<typeof observation>[2]) => alerts.take(observation(T + s, [], found), (T + s) * 1000);
    expect(look(0, [finding({ severity: 'info' })])).toEqual([]);
    const [raised] = look(1, [finding({ severity: 'critical' })]);
    expect(raised!.alert).toMatchObject({ severity: 'critical', title: finding().title, subject: idOf(443) });
    expect(look(2, [])).toEqual([]);
    expect(look(7, []).map((c) => c.what)).toEqual(['cleared']);
  });

  test('after a restart it is not told anew, and it is cleared when it is over', () => {
    const before = new Alerts(filling);
    run(before, 0, 20, () => [ratio(0.9)]);
    const known = JSON.parse(JSON.stringify(before.active()));
    const after = new Alerts(filling, known);
    expect(after.active().map((a) => a.id)).toEqual(known.map((a: { id: string }) => a.id));
    const told = run(after, 100, 200, (s) => [ratio(s < 120 ? 0.9 : 0.1)]);
    expect(told.map(([s, c]) => [s, c.what, c.alert.id])).toEqual([[180, 'cleared', known[0].id]]);
    // A rule that was taken out of the file takes its alerts along.
    expect(run(new Alerts([], known), 300, 301, () => [ratio(0.9)]).map(([, c]) => c.what)).toEqual(['cleared']);
  });

  test('says the numbers and what to do', () => {
    const alerts = new Alerts(filling);
    const [[, raised]] = run(alerts, 0, 10, () => [{ port: 443, used: 23000, capacity: 28232, timeWait: 20000, openRate: 383 }]) as [
      [number, AlertChange],
    ];
    expect(alertLine(raised)).toMatchInlineSnapshot(
      `"warning: 10.0.0.1 → 10.0.0.7:443 is 81 % full. 23,000 of 28,232 ports are used and 5,232 free: 20,000 in TIME_WAIT, 3,000 established, 383/s opened. plimsoll doctor says why, and what each remedy would buy. [filling]"`,
    );
    const told = run(alerts, 11, 80, () => [ratio(0.2)]);
    expect(alertLine(told[0]![1])).toMatchInlineSnapshot(
      `"cleared: host/connect/10.0.0.1/10.0.0.7:443. It is 20 % full now, after 61 s. [filling]"`,
    );
  });
});
