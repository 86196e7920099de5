/** The agent section of plimsoll.yaml: what it takes, what it says of mistakes. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, describe, expect, test } from 'vitest';
import { readAgentSettings, usualSettings } from '../../../src/agent/alerts/rules.ts';
import { readDocument } from '../../../src/balancer/configuration/document.ts';
import { loadAgentSettings } from '../../../src/cli/agent-configuration.ts';
import { PlimsollError } from '../../../src/core/errors.ts';

const folder = mkdtempSync(join(tmpdir(), 'plimsoll-rules-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const path = join(folder, 'plimsoll.yaml');

const mistakesOf = async (text: string): Promise<string[]> => {
  writeFileSync(path, text);
  try {
    await loadAgentSettings(path);
  } catch (error) {
    if (!(error instanceof PlimsollError) || error.code !== 'bad_configuration') throw error;
    return String(error.facts['mistakes']).replaceAll(path, 'plimsoll.yaml').split('\n');
  }
  return [];
};

describe('the agent section', () => {
  test('without a file alerts as the doctor judges', () => {
    expect(usualSettings.alerts.rules.map((r) => [r.name, r.on, 'raise' in r ? r.raise : null, r.severity])).toEqual([
      ['nearly_full', 'used_ratio', 0.95, 'critical'],
      ['filling', 'used_ratio', 0.8, 'warning'],
      ['runs_out_soon', 'forecast', 300, 'critical'],
      ['runs_out', 'forecast', 3600, 'warning'],
      ['condition', 'finding', null, null],
    ]);
    expect(usualSettings.alerts.webhook).toBeNull();
  });

  test('a file with the balancer’s sections, with an empty one, or with none of its own is as good as none', async () => {
    expect(await mistakesOf('version: 1\npools: []\nagent:\n')).toEqual([]);
    expect(await mistakesOf('agent: {}\n')).toEqual([]);
    expect(await mistakesOf('')).toEqual([]);
  });

  test('says every mistake at once, with line, column, what is allowed and the nearest name', async () => {
    const text = `version: 1
agent:
  alerts:
    stder: false
    webhook: { url: "ftp://example.org/x", timeout: 5 }
    rules:
      - { name: a, on: used_ratoi, raise: 80% }
      - { name: b, on: used_ratio, raise: 180% }
      - { name: c, on: finding, codes: [close_wait_leek] }
      - { name: d, on: forecast, raise: 1h, severity: fatal }
`;
    expect(await mistakesOf(text)).toEqual([
      'plimsoll.yaml:4:5: agent.alerts.stder: there is no "stder" here; did you mean "stderr"?',
      'plimsoll.yaml:5:21: agent.alerts.webhook.url: "ftp://example.org/x" is not an http:// or https:// address',
      'plimsoll.yaml:5:53: agent.alerts.webhook.timeout: "5" is not a duration with its unit from 100 ms to 60 s, such as 300ms, 5s or 1m30s',
      'plimsoll.yaml:7:24: agent.alerts.rules[0].on: "used_ratoi" is not one of used_ratio, forecast, finding; did you mean "used_ratio"?',
      'plimsoll.yaml:8:43: agent.alerts.rules[1].raise: "180%" is not a share from 0 to 1, such as 80% or 0.8',
      'plimsoll.yaml:9:41: agent.alerts.rules[2].codes[0]: "close_wait_leek" is not a finding’s code; did you mean "close_wait_leak"?',
      'plimsoll.yaml:10:55: agent.alerts.rules[3].severity: "fatal" is not one of warning, critical',
    ]);
  });

  test('refuses thresholds that would flap, and a name used twice', async () => {
    const text = `agent:
  alerts:
    rules:
      - { name: a, on: used_ratio, raise: 80%, clear: 90% }
      - { name: a, on: forecast, raise: 1h, clear: 5m }
`;
    expect(await mistakesOf(text)).toEqual([
      'plimsoll.yaml:4:55: agent.alerts.rules[0].clear: 0.9 is above raise (0.8): the alert would be raised and cleared at once',
      'plimsoll.yaml:5:17: agent.alerts.rules[1].name: the name "a" is taken by a rule before it',
      'plimsoll.yaml:5:52: agent.alerts.rules[1].clear: 300 s is sooner than raise (3600 s): the alert would be raised and cleared at once',
    ]);
  });

  test('a mistyped section of the file is told too', async () => {
    expect(await mistakesOf('agents: {}\n')).toEqual(['plimsoll.yaml:1:1: agents: there is no "agents" here; did you mean "agent"?']);
    expect((await mistakesOf('- 1\n'))[0]).toContain('is not a mapping');
    expect((await mistakesOf('a: [\n'))[0]).toContain('not YAML');
    await expect(loadAgentSettings(join(folder, 'none.yaml'))).rejects.toMatchObject({ code: 'file_not_found' });
  });

  test('whatever stands there: settings or mistakes with a place, never an exception', () => {
    const word = fc.constantFrom(
      'alerts',
      'rules',
      'name',
      'on',
      'raise',
      'used_ratio',
      'finding',
      'webhook',
      'url',
      '80%',
      '1h',
      '- x',
      '[]',
      '{}',
      ':',
      ' ',
      '\n',
      '  ',
      '&a',
      '*a',
      '"',
      '~',
      'true',
      '-1',
    );
    fc.assert(
      fc.property(fc.array(word, { maxLength: 30 }), (words) => {
        const { given } = readDocument(words.join(''));
        const { settings, mistakes } = readAgentSettings(given);
        expect(settings === null).toBe(mistakes.length > 0);
        for (const m of mistakes) expect(m.line).toBeGreaterThan(0);
      }),
      { numRuns: 300 },
    );
  });
});
