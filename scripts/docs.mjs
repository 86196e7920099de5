// Writes what follows from the code into docs/: docs/reference/commands.md whole, and in docs/errors.md the rows of the catalogue,
// whose last cell is written by hand and kept. test/docs.test.ts fails while they are out of date.
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { build } from 'esbuild';
import { isMain, root } from './prepare.mjs';

/** The parts of the product that pages are written from, bundled so that plain Node can import them. */
const load = async () => {
  const outfile = join(root, 'build', `docs.${process.pid}.mjs`);
  mkdirSync(join(root, 'build'), { recursive: true });
  try {
    await build({
      absWorkingDir: root,
      stdin: {
        contents: [
          "export { loadCommands } from './src/cli/commands/index.ts';",
          "export { commandsReference } from './src/cli/reference.ts';",
          "export { errorCodes, errorEntry } from './src/core/errors.ts';",
        ].join('\n'),
        resolveDir: root,
      },
      outfile,
      bundle: true,
      platform: 'node',
      format: 'esm',
      packages: 'external',
      logLevel: 'warning',
    });
    return await import(pathToFileURL(outfile).href);
  } finally {
    rmSync(outfile, { force: true });
  }
};

/** The table of errors anew: a new code gets a row whose last cell waits for its author. */
const withErrorRows = (page, codes, entryOf) => {
  const lines = page.split('\n');
  const rows = lines.filter((line) => line.startsWith('| `'));
  const solution = new Map(
    rows.map((row) => [
      /^\| `(\w+)`/.exec(row)?.[1],
      row
        .split(/(?<!\\)\|/)
        .at(-2)
        .trim(),
    ]),
  );
  const first = lines.findIndex((line) => line.startsWith('| `'));
  const written = codes.map((code) => {
    const { exit, fault, message } = entryOf(code);
    return `| \`${code}\` | ${exit} | ${fault} | ${message.replaceAll('|', '\\|')} | ${solution.get(code) ?? ''} |`;
  });
  return [...lines.slice(0, first), ...written, ...lines.slice(first + rows.length)].join('\n');
};

const writeDocs = async () => {
  const { loadCommands, commandsReference, errorCodes, errorEntry } = await load();
  writeFileSync(join(root, 'docs', 'reference', 'commands.md'), commandsReference(await loadCommands()));
  const errors = join(root, 'docs', 'errors.md');
  writeFileSync(errors, withErrorRows(readFileSync(errors, 'utf8'), errorCodes, errorEntry));
};

if (isMain(import.meta.url)) await writeDocs();
