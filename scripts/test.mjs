// `npm test [vitest arguments]`: installs what the tests need, checks, tests, and says in one line how it went.
// With CI=true a skipped test is a failure: there is nothing here that the CI machine may leave out.
import { spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync } from 'node:fs';
import { join, relative } from 'node:path';
import { check } from './check.mjs';
import { buildIfStale, installDependencies, installPeers, root } from './prepare.mjs';

installDependencies();
installPeers();
await buildIfStale();

const args = process.argv.slice(2);
const failedChecks = args.length > 0 ? 0 : await check();
// Of this run alone: tests of this script run it again.
const report = join(root, 'build', `test-report.${process.pid}.json`);
mkdirSync(join(root, 'build'), { recursive: true });
const run = spawnSync(
  process.execPath,
  [join(root, 'node_modules/vitest/vitest.mjs'), 'run', '--reporter=default', '--reporter=json', `--outputFile.json=${report}`, ...args],
  { cwd: root, stdio: ['ignore', 'inherit', 'inherit'] },
);
let counts = { numPassedTests: 0, numFailedTests: 1, numPendingTests: 0, numFailedTestSuites: 1, testResults: [] };
try {
  counts = JSON.parse(readFileSync(report, 'utf8'));
} catch {
  console.error('plimsoll: the test runner left no report: it ended before its tests did');
}
rmSync(report, { force: true });
// A file that fails to load has no failed test of its own.
const brokenFiles = counts.testResults.filter((f) => f.status === 'failed' && f.assertionResults.length === 0).length;
const failed = counts.numFailedTests + brokenFiles + failedChecks;
const skipped = counts.numPendingTests + (counts.numTodoTests ?? 0);
const ci = process.env.CI === 'true';
if (failedChecks > 0)
  console.error(`plimsoll: ${failedChecks} of the checks (format and lint, types, import rules) failed: their words are at the top`);
const states = new Set(['pending', 'skipped', 'todo']);
if (skipped > 0) {
  console.error(ci ? 'plimsoll: skipped tests count as failures in CI:' : 'plimsoll: skipped:');
  for (const file of counts.testResults) {
    const names = file.assertionResults.filter((t) => states.has(t.status)).map((t) => t.fullName);
    if (ci) for (const name of names) console.error(`  ${relative(root, file.name)}: ${name}`);
    else if (names.length > 0) console.error(`  ${relative(root, file.name)}: ${names.length}`);
  }
}
console.log(`${counts.numPassedTests} passed, ${failed} failed, ${skipped} skipped`);
process.exitCode = run.status !== 0 || failed > 0 || (ci && skipped > 0) ? 1 : 0;
