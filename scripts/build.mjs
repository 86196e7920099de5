// Bundles the command line into dist/plimsoll.cjs: one file starts about three times as fast as the modules it is made of.
// CommonJS, because a bundled ES module costs a second parse for its loader. npm packages with native code, and those a
// command needs only sometimes, stay outside.
import { chmodSync, mkdirSync, readFileSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { build } from 'esbuild';
import { isMain, root } from './prepare.mjs';

const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));

export const bundle = async () => {
  const target = join(root, 'dist', 'plimsoll.cjs');
  // Written beside and moved into place: somebody may be running the old one.
  const fresh = join(root, 'build', `plimsoll.${process.pid}.cjs`);
  for (const folder of ['dist', 'build']) mkdirSync(join(root, folder), { recursive: true });
  await build({
    absWorkingDir: root,
    entryPoints: ['src/cli/entry.ts'],
    outfile: fresh,
    bundle: true,
    platform: 'node',
    format: 'cjs',
    target: 'node20.19',
    legalComments: 'none',
    external: Object.keys({ ...manifest.dependencies, ...manifest.optionalDependencies }),
    // CommonJS has no import.meta; modules that load native packages or themselves ask where they are.
    banner: { js: 'const __bundleUrl = require("node:url").pathToFileURL(__filename).href;' },
    define: { 'import.meta.url': '__bundleUrl', PLIMSOLL_VERSION: JSON.stringify(manifest.version) },
    logLevel: 'warning',
  });
  chmodSync(fresh, 0o755);
  renameSync(fresh, target);
};

if (isMain(import.meta.url)) await bundle();
