// `npm run screenshots [NAME…]`: pictures of the dashboard on a busy host of its own making, into build/screenshots. Needs root,
// for it makes network namespaces, and Debian's chromium.
import { spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { buildIfStale, installDependencies, root } from './prepare.mjs';

installDependencies();
await buildIfStale();
const { build } = await import('esbuild');
const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
mkdirSync(join(root, 'build'), { recursive: true });
const outfile = join(root, 'build', 'screenshots.mjs');
await build({
  absWorkingDir: root,
  entryPoints: ['test/web/support/screenshots.ts'],
  outfile,
  bundle: true,
  platform: 'node',
  format: 'esm',
  target: 'node20.19',
  external: Object.keys({ ...manifest.dependencies, ...manifest.optionalDependencies, ...manifest.devDependencies }),
  logLevel: 'warning',
});
const { status } = spawnSync(process.execPath, [outfile, ...process.argv.slice(2)], { cwd: root, stdio: 'inherit' });
process.exitCode = status ?? 1;
