// Builds the dashboard, src/web → dist/web. The agent serves it under a strict Content-Security-Policy, so nothing may end up
// inline: no module preload polyfill, no small files turned into data: addresses.
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const target = join(root, 'dist', 'web');

const newestUnder = (path) => {
  const stat = statSync(path);
  return stat.isDirectory() ? Math.max(stat.mtimeMs, ...readdirSync(path).map((name) => newestUnder(join(path, name)))) : stat.mtimeMs;
};

/** Whether dist/web is newer than everything it is made of. */
export const webIsFresh = () => {
  const built = join(target, 'index.html');
  if (!existsSync(built)) return false;
  const sources = ['src/web', 'src/core', 'src/wire', 'scripts/web.mjs', 'package.json'].map((path) => newestUnder(join(root, path)));
  return statSync(built).mtimeMs > Math.max(...sources);
};

/** Builds into a folder beside and moves it into place: an agent may be serving the old one. */
export const buildWeb = async () => {
  const { build } = await import('vite');
  const fresh = join(root, 'build', `web.${process.pid}`);
  const old = join(root, 'build', `web-old.${process.pid}`);
  mkdirSync(join(root, 'build'), { recursive: true });
  await build({
    configFile: false,
    root: join(root, 'src', 'web'),
    base: './',
    logLevel: 'warn',
    oxc: { jsx: { runtime: 'automatic', importSource: 'preact' } },
    build: {
      outDir: fresh,
      emptyOutDir: true,
      target: 'es2022',
      modulePreload: { polyfill: false },
      assetsInlineLimit: 0,
      reportCompressedSize: false,
    },
  });
  mkdirSync(join(root, 'dist'), { recursive: true });
  if (existsSync(target)) renameSync(target, old);
  renameSync(fresh, target);
  rmSync(old, { recursive: true, force: true });
};
