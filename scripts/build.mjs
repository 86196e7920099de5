// Bundles the command line into dist/plimsoll.cjs: one file starts about three times as fast as the modules it is made of.
// CommonJS, because a bundled ES module costs a second parse for its loader. npm packages with native code, and those a
// command needs only sometimes, stay outside.
import { chmodSync, mkdirSync, readFileSync } from 'node:fs';
import { build } from 'esbuild';

const root = new URL('..', import.meta.url).pathname;
const manifest = JSON.parse(readFileSync(`${root}package.json`, 'utf8'));

export const bundle = async () => {
  mkdirSync(`${root}dist`, { recursive: true });
  await build({
    absWorkingDir: root,
    entryPoints: ['src/cli/entry.ts'],
    outfile: 'dist/plimsoll.cjs',
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
  chmodSync(`${root}dist/plimsoll.cjs`, 0o755);
};

if (process.argv[1] === new URL(import.meta.url).pathname) await bundle();
