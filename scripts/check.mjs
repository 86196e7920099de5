// The tools that hold the structure: formatter and linter, compiler, import rules. All at once, their words one after the other.
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { installDependencies, isMain, root } from './prepare.mjs';

const steps = [
  ['biome', ['check', '--error-on-warnings', '.']],
  ['tsc', ['-b', '--pretty']],
  // Its cache goes by content: a second run without changes reads no source.
  [
    'depcruise',
    ['--config', '.dependency-cruiser.cjs', '--cache', 'build/depcruise', '--cache-strategy', 'content', '--output-type', 'err', 'src'],
  ],
];

/** Runs `name`; its output and whether it failed. */
const run = ([name, args]) =>
  new Promise((resolve) => {
    const child = spawn(join(root, 'node_modules', '.bin', name), args, { cwd: root, stdio: ['ignore', 'pipe', 'pipe'] });
    const chunks = [];
    child.stdout.on('data', (chunk) => chunks.push(chunk));
    child.stderr.on('data', (chunk) => chunks.push(chunk));
    child.on('error', (error) => resolve({ words: `${name}: ${error.message}\n`, failed: true }));
    child.on('close', (code) => resolve({ words: Buffer.concat(chunks).toString(), failed: code !== 0 }));
  });

/** Runs them all; the number that failed. */
export const check = async () => {
  const results = await Promise.all(steps.map(run));
  for (const { words } of results) process.stderr.write(words);
  return results.filter((r) => r.failed).length;
};

if (isMain(import.meta.url)) {
  installDependencies();
  process.exitCode = (await check()) === 0 ? 0 : 1;
}
