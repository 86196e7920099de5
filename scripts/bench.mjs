// `npm run bench [NAME…]`: bundles bench/NAME.bench.ts and runs it with plain Node (no test runner between it and the clock).
// Arguments after `--` go to the bench. Without a name: which there are.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { buildIfStale, installDependencies, root } from './prepare.mjs';

const all = readdirSync(join(root, 'bench'))
  .filter((f) => f.endsWith('.bench.ts'))
  .map((f) => f.slice(0, -'.bench.ts'.length));
const args = process.argv.slice(2);
const end = args.findIndex((a) => a.startsWith('-'));
const names = end < 0 ? args : args.slice(0, end);
const passed = end < 0 ? [] : args.slice(args[end] === '--' ? end + 1 : end);
const unknown = names.filter((n) => !all.includes(n));
if (names.length === 0 || unknown.length > 0) {
  if (unknown.length > 0) console.error(`no bench "${unknown.join('", "')}"`);
  console.error(`npm run bench NAME, where NAME is: ${all.join(', ')}`);
  process.exit(64);
}

installDependencies();
await buildIfStale();
const { build } = await import('esbuild');
const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
mkdirSync(join(root, 'build', 'bench'), { recursive: true });
let failed = 0;
for (const name of names) {
  const outfile = join(root, 'build', 'bench', `${name}.mjs`);
  await build({
    absWorkingDir: root,
    entryPoints: [`bench/${name}.bench.ts`],
    outfile,
    bundle: true,
    platform: 'node',
    format: 'esm',
    target: 'node20.19',
    external: [...Object.keys({ ...manifest.dependencies, ...manifest.devDependencies })],
    logLevel: 'warning',
  });
  if (!existsSync(outfile)) process.exit(70);
  const { status } = spawnSync(process.execPath, ['--expose-gc', outfile, ...passed], { cwd: root, stdio: 'inherit' });
  if (status !== 0) failed++;
}
process.exitCode = failed === 0 ? 0 : 1;
