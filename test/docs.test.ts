/** The docs say what the code does: tables have a row per code, examples parse, links lead somewhere, generated pages are current. */
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';
import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import { readArguments } from '../src/cli/command.ts';
import { loadCommands } from '../src/cli/commands/index.ts';
import { commandsReference } from '../src/cli/reference.ts';
import { ExitCode, errorCodes, errorEntry } from '../src/core/errors.ts';
import { captureFindingCodes, hostFindingCodes } from '../src/core/finding/codes.ts';
import { remedyCodes } from '../src/core/remedy/codes.ts';
import { reportSchema } from '../src/wire/report-schema.ts';

const commands = await loadCommands();

const root = fileURLToPath(new URL('..', import.meta.url));
const read = (path: string): string => readFileSync(join(root, path), 'utf8');

/** Files of the repository, those not yet committed included. */
const filesLike = (...patterns: readonly string[]): readonly string[] =>
  execFileSync('git', ['ls-files', '--cached', '--others', '--exclude-standard', '--', ...patterns], { cwd: root, encoding: 'utf8' })
    .split('\n')
    .filter((path) => path !== '' && existsSync(join(root, path)));

const pages = filesLike('*.md').filter((path) => !path.includes('fixtures/'));

/** Cells of every table row whose first cell is code: `| `code` | … |`. */
const rowsOf = (text: string): readonly (readonly string[])[] =>
  text
    .split('\n')
    .filter((line) => line.startsWith('| `'))
    .map((line) =>
      line
        .slice(1, -1)
        .split(/(?<!\\)\|/)
        .map((cell) => cell.trim().replaceAll('\\|', '|')),
    );
const codeOf = (cell: string): string => /^`([^`]+)`/.exec(cell)?.[1] ?? cell;

describe('docs/errors.md', () => {
  const rows = rowsOf(read('docs/errors.md'));

  test('has a row for every code of the catalogue, and no other', () => {
    expect(rows.map((row) => codeOf(row[0]!)).sort()).toEqual([...errorCodes].sort());
  });

  test.each(errorCodes)('%s: row and catalogue say the same, and how to solve it', (code) => {
    const row = rows.find((r) => codeOf(r[0]!) === code)!;
    const entry = errorEntry(code);
    expect(row).toHaveLength(5);
    expect({ exit: row[1], fault: row[2], message: row[3] }).toEqual({
      exit: String(entry.exit),
      fault: entry.fault,
      message: entry.message,
    });
    expect(row[4]!.length).toBeGreaterThan(20);
    expect(entry.hint).not.toBe('');
  });
});

describe('an error that is raised', () => {
  interface Raise {
    readonly where: string;
    readonly code: string;
    /** Names of its facts; null where they are put together elsewhere. */
    readonly facts: ReadonlySet<string> | null;
  }
  const raises: Raise[] = filesLike('src/**/*.ts').flatMap((path) => {
    const source = ts.createSourceFile(path, read(path), ts.ScriptTarget.ES2022, true);
    const found: Raise[] = [];
    const visit = (node: ts.Node): void => {
      if (ts.isNewExpression(node) && node.expression.getText() === 'PlimsollError') {
        const [code, facts] = node.arguments ?? [];
        const literal = facts === undefined || ts.isObjectLiteralExpression(facts) ? (facts?.properties ?? []) : null;
        const spread = literal?.some(ts.isSpreadAssignment) ?? true;
        const names = spread ? null : new Set(literal!.map((p) => p.name!.getText().replaceAll("'", '')));
        if (code !== undefined && ts.isStringLiteral(code)) {
          const { line } = source.getLineAndCharacterOfPosition(node.getStart());
          found.push({ where: `${path}:${line + 1}`, code: code.text, facts: names });
        }
      }
      ts.forEachChild(node, visit);
    };
    visit(source);
    return found;
  });

  test('gives every fact that its message and hint name: no {brace} is left in what users read', () => {
    expect(raises.length).toBeGreaterThan(30);
    const missing = raises.flatMap(({ where, code, facts }) => {
      const { message, hint } = errorEntry(code as (typeof errorCodes)[number]);
      const named = [...`${message} ${hint}`.matchAll(/\{(\w+)\}/g)].map((m) => m[1]!);
      return facts === null ? [] : named.filter((name) => !facts.has(name)).map((name) => `${where}: ${code} lacks {${name}}`);
    });
    expect(missing).toEqual([]);
  });

  test('is in the catalogue, and the catalogue has none that nothing raises', () => {
    const text = filesLike('src/**/*.ts')
      .filter((path) => path !== 'src/core/errors.ts')
      .map(read)
      .join('\n');
    expect(errorCodes.filter((code) => !text.includes(`'${code}'`))).toEqual([]);
  });
});

describe('catalogue pages', () => {
  const headings = (path: string): string[] => [...read(path).matchAll(/^### `(\w+)`/gm)].map((m) => m[1]!);

  test('docs/reference/findings.md tells of every finding, in a section each', () => {
    expect(headings('docs/reference/findings.md').sort()).toEqual([...hostFindingCodes, ...captureFindingCodes].sort());
  });

  test('docs/reference/remedies.md tells of every remedy', () => {
    expect(headings('docs/reference/remedies.md').sort()).toEqual([...remedyCodes].sort());
  });

  test('docs/reference/exit-codes.md has every exit code', () => {
    const codes = rowsOf(read('docs/reference/exit-codes.md')).map((row) => codeOf(row[0]!));
    for (const code of Object.values(ExitCode)) expect(codes).toContain(String(code));
    for (const verdict of ['0', '1', '2', '3']) expect(codes).toContain(verdict);
  });
});

describe('docs/reference/report.md', () => {
  interface Schema {
    readonly properties?: Readonly<Record<string, Schema>>;
    readonly items?: Schema | boolean;
    readonly anyOf?: readonly Schema[];
    readonly $ref?: string;
  }
  const schema = z.toJSONSchema(reportSchema, { reused: 'inline' }) as Schema;
  const fieldsOf = (s: Schema, path: string): string[] => [
    ...Object.entries(s.properties ?? {}).flatMap(([name, field]) => {
      const own = path === '' ? name : `${path}.${name}`;
      return [own, ...fieldsOf(field, own)];
    }),
    ...(typeof s.items === 'object' ? fieldsOf(s.items, `${path}[]`) : []),
    ...(s.anyOf ?? []).flatMap((alternative) => fieldsOf(alternative, path)),
  ];

  test('has a row for every field of the schema, and no other', () => {
    const documented = rowsOf(read('docs/reference/report.md')).map((row) => codeOf(row[0]!));
    // A remedy's forecast has the fields of a port space's: they are described once.
    const fields = fieldsOf(schema, '').filter((field) => !field.startsWith('remedies[].effect.forecast.'));
    expect(documented.filter((field) => !fields.includes(field))).toEqual([]);
    expect(fields.filter((field) => !documented.includes(field))).toEqual([]);
  });

  test('gives each a type and a meaning', () => {
    for (const row of rowsOf(read('docs/reference/report.md'))) {
      expect(row, row[0]).toHaveLength(4);
      expect(row[1], row[0]).not.toBe('');
      expect(row[3]!.length, row[0]).toBeGreaterThan(5);
    }
  });
});

test('docs/reference/commands.md is what --help prints (write it anew: node scripts/docs.mjs)', () => {
  expect(read('docs/reference/commands.md')).toBe(commandsReference(commands));
});

describe('links', () => {
  /** The anchor GitHub makes of a heading. */
  const anchorsOf = (text: string): ReadonlySet<string> =>
    new Set(
      [...text.matchAll(/^#+ (.*)$/gm)].map((m) =>
        m[1]!
          .toLowerCase()
          .replace(/[^\p{L}\p{N}\p{Pc}\- ]/gu, '')
          .replaceAll(' ', '-'),
      ),
    );
  const outsideCode = (text: string): string => text.replace(/```[\s\S]*?```/g, '').replace(/`[^`\n]*`/g, '``');

  test.each(pages)('of %s lead to a file and heading that exist', (page) => {
    const broken: string[] = [];
    for (const [, target] of outsideCode(read(page)).matchAll(/\]\(([^)\s]+)\)/g)) {
      if (/^(https?|mailto):/.test(target!)) continue;
      const [path, anchor] = target!.split('#') as [string, string?];
      const file = path === '' ? join(root, page) : join(root, dirname(page), path);
      if (!existsSync(file)) broken.push(`${target}: no such file`);
      else if (anchor !== undefined && !anchorsOf(readFileSync(file, 'utf8')).has(anchor)) broken.push(`${target}: no such heading`);
    }
    expect(broken).toEqual([]);
  });

  test('reach every page from README.md', () => {
    const seen = new Set<string>();
    const walk = (page: string): void => {
      if (seen.has(page) || !page.endsWith('.md') || !existsSync(join(root, page))) return;
      seen.add(page);
      for (const [, target] of outsideCode(read(page)).matchAll(/\]\(([^)\s#]+)[^)]*\)/g))
        if (!/^\w+:/.test(target!)) walk(relative(root, join(root, dirname(page), target!)));
    };
    walk('README.md');
    expect(pages.filter((page) => page.startsWith('docs/') && !seen.has(page))).toEqual([]);
  });
});

describe('command lines', () => {
  /** `plimsoll …` at the start of a line of a code block, or after a prompt or a pipe; up to the next pipe or redirection. */
  const linesOf = (text: string): string[] =>
    [...text.matchAll(/```(?:sh|bash|console|shell)\n([\s\S]*?)```/g)].flatMap(([, block]) =>
      [...block!.replaceAll('\\\n', ' ').matchAll(/(?:^|\| |&& )(?:[$#] )?(?:sudo )?(?:npx )?plimsoll( [^|>&;\n#]*)?/gm)].map((m) =>
        (m[1] ?? '').trim(),
      ),
    );
  const words = (line: string): string[] => [...line.matchAll(/'([^']*)'|"([^"]*)"|(\S+)/g)].map((m) => m[1] ?? m[2] ?? m[3]!);
  const found = pages.flatMap((page) => linesOf(read(page)).map((line) => [page, line] as const));

  test('are there to be checked', () => {
    expect(found.some(([page]) => page === 'README.md')).toBe(true);
    expect(found.length).toBeGreaterThan(5);
  });

  test.each(found)('%s: plimsoll %s', (_page, line) => {
    const [name, ...rest] = words(line);
    if (name === undefined || name.startsWith('-')) return;
    const spec = commands.find((c) => c.name === name);
    expect(spec, `there is no command "${name}"`).toBeDefined();
    if (!rest.includes('--help')) readArguments(spec!, rest);
  });
});
