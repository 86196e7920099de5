/** The dashboard's files, read once: a path is looked up in a table, so no path leads anywhere else. */
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { gzipSync } from 'node:zlib';

export interface Asset {
  readonly type: string;
  readonly etag: string;
  readonly bytes: Buffer;
  /** Null where that would not be smaller. */
  readonly zipped: Buffer | null;
  /** Its name carries a hash of its content: it never changes. */
  readonly immutable: boolean;
}

const types: Readonly<Record<string, string>> = {
  html: 'text/html; charset=utf-8',
  js: 'text/javascript; charset=utf-8',
  css: 'text/css; charset=utf-8',
  svg: 'image/svg+xml',
  png: 'image/png',
  ico: 'image/x-icon',
  webmanifest: 'application/manifest+json',
  woff2: 'font/woff2',
};

/** Every file under `folder` by its path in a URL (`/`, `/assets/x.js`); empty if the folder is not there. */
export const readAssets = (folder: string): ReadonlyMap<string, Asset> => {
  const assets = new Map<string, Asset>();
  let names: readonly string[];
  try {
    names = readdirSync(folder, { recursive: true, withFileTypes: true })
      .filter((e) => e.isFile())
      .map((e) => relative(folder, join(e.parentPath, e.name)));
  } catch {
    return assets;
  }
  for (const name of names) {
    const type = types[name.slice(name.lastIndexOf('.') + 1)];
    if (type === undefined) continue;
    const bytes = readFileSync(join(folder, name));
    const zipped = gzipSync(bytes, { level: 9 });
    const etag = `"${createHash('sha256').update(bytes).digest('base64url').slice(0, 22)}"`;
    const immutable = name.startsWith('assets/');
    assets.set(name === 'index.html' ? '/' : `/${name}`, {
      type,
      etag,
      bytes,
      zipped: zipped.length < bytes.length ? zipped : null,
      immutable,
    });
  }
  return assets;
};
