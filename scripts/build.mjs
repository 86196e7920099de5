// Builds dist/: the command line bundled into one file, which starts about three times as fast as the modules it is made of, and
// V8's code cache for it. CommonJS, because a bundled ES module costs a second parse for its loader. npm packages stay outside.
import { spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { build } from 'esbuild';
import { isMain, root } from './prepare.mjs';
import { buildWeb, webIsFresh } from './web.mjs';

const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));

const options = {
  absWorkingDir: root,
  bundle: true,
  platform: 'node',
  format: 'cjs',
  target: 'node20.19',
  legalComments: 'none',
  logLevel: 'warning',
};

/** What a run compiles goes into the cache: these cover what is started most, and by the most impatient. */
const rehearsals = [
  ['doctor', '--interval', '0s', '--json'],
  ['explain', join(root, 'examples', 'explain', 'collision.pcap'), '--json'],
];

export const bundle = async () => {
  // First: whoever finds a new plimsoll.cjs finds the dashboard new too.
  if (!webIsFresh()) await buildWeb();
  const dist = join(root, 'dist');
  // Built beside and moved into place: somebody may be running the old one.
  const fresh = join(root, 'build', `dist.${process.pid}`);
  for (const folder of [dist, fresh]) mkdirSync(folder, { recursive: true });
  await build({
    ...options,
    entryPoints: ['src/cli/launch.ts'],
    outfile: join(fresh, 'plimsoll.cjs'),
    banner: { js: '#!/usr/bin/env node' },
  });
  await build({
    ...options,
    entryPoints: ['src/cli/entry.ts'],
    outfile: join(fresh, 'program.cjs'),
    // import() becomes require(): code taken from a cache has no loader of its own.
    supported: { 'dynamic-import': false },
    external: Object.keys({ ...manifest.dependencies, ...manifest.optionalDependencies }),
    // CommonJS has no import.meta; modules that load native packages or themselves ask where they are.
    banner: { js: 'const __bundleUrl = require("node:url").pathToFileURL(__filename).href;' },
    define: { 'import.meta.url': '__bundleUrl', PLIMSOLL_VERSION: JSON.stringify(manifest.version) },
  });
  chmodSync(join(fresh, 'plimsoll.cjs'), 0o755);
  const cache = join(fresh, 'program.cache');
  for (const args of rehearsals) {
    spawnSync(process.execPath, [join(fresh, 'plimsoll.cjs'), ...args], {
      stdio: 'ignore',
      env: { ...process.env, PLIMSOLL_CODE_CACHE: cache },
    });
  }
  // V8 knows a cache of another program by the length of the program alone: nobody may find the old one with the new one.
  rmSync(join(dist, 'program.cache'), { force: true });
  for (const file of ['program.cjs', 'program.cache', 'plimsoll.cjs']) renameSync(join(fresh, file), join(dist, file));
  rmSync(fresh, { recursive: true });
};

if (isMain(import.meta.url)) await bundle();
