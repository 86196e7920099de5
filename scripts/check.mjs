// The tools that hold the structure: formatter and linter, compiler, import rules.
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { installDependencies, isMain, root } from './prepare.mjs';

const bin = (name) => join(root, 'node_modules', '.bin', name);
const steps = [
  ['biome', ['check', '--error-on-warnings', '.']],
  ['tsc', ['-b']],
  ['depcruise', ['--config', '.dependency-cruiser.cjs', '--output-type', 'err', 'src']],
];

/** Runs them all; the number that failed. */
export const check = () => {
  let failed = 0;
  for (const [name, args] of steps) {
    const { status } = spawnSync(bin(name), args, { cwd: root, stdio: ['ignore', 2, 2] });
    if (status !== 0) failed++;
  }
  return failed;
};

if (isMain(import.meta.url)) {
  installDependencies();
  process.exitCode = check() === 0 ? 0 : 1;
}
