/**
 * The import rules hold because tools say so; this proves that the tools still bite. A copy of the tree gets one violation at a
 * time, and each tool must fail on it, and name it. (With a TypeScript that dependency-cruiser cannot load it cruises no file
 * and exits 0.)
 */
import { spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';

const root = fileURLToPath(new URL('..', import.meta.url));
const tree = mkdtempSync(join(tmpdir(), 'plimsoll-architecture-'));
const removeTree = (): void => rmSync(tree, { recursive: true, force: true });
afterAll(removeTree);
process.on('exit', removeTree);

const run = (program: string, ...args: string[]): { readonly status: number | null; readonly text: string } => {
  const { status, stdout, stderr } = spawnSync(join(tree, 'node_modules/.bin', program), args, { cwd: tree, encoding: 'utf8' });
  return { status, text: stdout + stderr };
};

interface Cruise {
  readonly modules: number;
  /** Rules broken, by the file that breaks them. */
  readonly broken: ReadonlyMap<string, readonly string[]>;
}

const cruise = (): Cruise => {
  const { text } = run('depcruise', '--config', '.dependency-cruiser.cjs', '--output-type', 'json', 'src');
  const { summary } = JSON.parse(text) as {
    readonly summary: {
      readonly totalCruised: number;
      readonly violations: readonly { readonly rule: { readonly name: string }; readonly from: string }[];
    };
  };
  const broken = new Map<string, string[]>();
  for (const { from, rule } of summary.violations) broken.set(from, [...(broken.get(from) ?? []), rule.name]);
  return { modules: summary.totalCruised, broken };
};

let planted: string[] = [];
/** Writes a file into the copy, for one test. */
const plant = (path: string, text: string): string => {
  writeFileSync(join(tree, path), text);
  planted.push(path);
  return path;
};

beforeAll(() => {
  for (const path of ['src', 'scripts/lint', 'tsconfig.base.json', '.dependency-cruiser.cjs', 'biome.json', 'package.json'])
    cpSync(join(root, path), join(tree, path), { recursive: true });
  symlinkSync(join(root, 'node_modules'), join(tree, 'node_modules'));
  // Biome reads which files to leave out from git's own list.
  cpSync(join(root, '.gitignore'), join(tree, '.gitignore'));
  spawnSync('git', ['init', '-q'], { cwd: tree });
});
afterEach(() => {
  for (const path of planted) rmSync(join(tree, path));
  planted = [];
});

/** Parts with files in them today, and what each may import. The same table as in ARCHITECTURE.md. */
const allowed: Readonly<Record<string, readonly string[]>> = {
  core: [],
  wire: ['core'],
  linux: ['core'],
  capture: ['core'],
  balancer: ['core'],
};

/** A module of each part that exports something, to be imported against the rules. */
const door: Readonly<Record<string, string>> = {
  core: "import { parseDuration as x } from '../core/quantity.ts';\n",
  wire: "import { REPORT_SCHEMA as x } from '../wire/report.ts';\n",
  linux: "import { liveRoot as x } from '../linux/proc.ts';\n",
  balancer: "import { parseConfiguration as x } from '../balancer/configuration/index.ts';\n",
};

describe('dependency-cruiser', () => {
  const violations: readonly (readonly [rule: string, path: string, text: string])[] = [
    ...Object.entries(allowed).flatMap(([from, to]) =>
      Object.entries(door)
        .filter(([part]) => part !== from && !to.includes(part))
        .map(
          ([part, line]) =>
            [
              `${from}-imports-only-${to.join('-') || 'itself'}`,
              `src/${from}/violation-${part}.ts`,
              `${line}export const y = x;\n`,
            ] as const,
        ),
    ),
    ['core-is-pure', 'src/core/violation-io.ts', "import { readFileSync } from 'node:fs';\nexport const y = readFileSync;\n"],
    ['core-is-pure', 'src/core/violation-npm.ts', "import { z } from 'zod';\nexport const y = z;\n"],
    ['core-is-pure', 'src/core/violation-type.ts', "import type { Socket } from 'node:net';\nexport type Y = Socket;\n"],
    ['ffi-only-in-linux', 'src/balancer/violation-ffi.ts', "import koffi from 'koffi';\nexport const y = koffi;\n"],
    ['ffi-only-in-linux', 'src/linux/violation-ffi.ts', "import koffi from 'koffi';\nexport const y = koffi;\n"],
    ['no-unresolvable', 'src/cli/violation.ts', "export * from './nothing-of-this-name.ts';\n"],
    ['no-cycles', 'src/core/violation-a.ts', "import { b } from './violation-b.ts';\nexport const a = (): unknown => b;\n"],
  ];
  const partner = 'src/core/violation-b.ts';
  let before: Cruise;
  let after: Cruise;
  let verdict: { readonly status: number | null; readonly text: string };
  beforeAll(() => {
    before = cruise();
    for (const [, path, text] of violations) writeFileSync(join(tree, path), text);
    writeFileSync(join(tree, partner), "import { a } from './violation-a.ts';\nexport const b = (): unknown => a;\n");
    after = cruise();
    verdict = run('depcruise', '--config', '.dependency-cruiser.cjs', '--output-type', 'err', 'src');
    rmSync(join(tree, partner));
    for (const [, path] of violations) rmSync(join(tree, path));
  });

  test('cruises every module of the tree', () => {
    const files = spawnSync('find', ['src', '-name', '*.ts', '-not', '-name', '*.d.ts'], { cwd: tree, encoding: 'utf8' });
    const modules = files.stdout.trim().split('\n').length;
    expect(modules).toBeGreaterThan(50);
    expect(before.modules).toBeGreaterThanOrEqual(modules);
  });

  test.each(violations)('%s: sees %s', (rule, path) => {
    expect(after.broken.get(path)).toContain(rule);
  });

  test('exits with a failure, as `npm run check` calls it', () => {
    expect(verdict.status).not.toBe(0);
    for (const [rule, path] of violations) {
      expect(verdict.text).toContain(rule);
      expect(verdict.text).toContain(path);
    }
  });
});

describe('the compiler', () => {
  const compile = (part: string) => run('tsc', '-b', `src/${part}`);

  test.each([
    ['core', door['linux']!, 'TS6307'],
    ['linux', door['balancer']!, 'TS6307'],
    ['core', "import { readFileSync as x } from 'node:fs';\n", 'node:fs'],
  ])('refuses %s: %s', (part, line, words) => {
    plant(`src/${part}/violation.ts`, `${line}export const y = x;\n`);
    const { status, text } = compile(part);
    expect(status).not.toBe(0);
    expect(text).toContain('violation.ts');
    expect(text).toContain(words);
  });

  test('refuses any clock or process global of Node in core', () => {
    plant('src/core/violation.ts', 'export const y = process.pid;\n');
    expect(compile('core').text).toMatch(/violation\.ts.*Cannot find name 'process'/);
  });
});

describe('Biome', () => {
  test.each(['Date.now()', 'new Date()', 'Math.random()', 'performance.now()', "process.env['HOME']"])(
    'refuses %s in core',
    (expression) => {
      const path = plant('src/core/violation.ts', `export const y = ${expression};\n`);
      const { status, text } = run('biome', 'lint', path);
      expect(status).not.toBe(0);
      expect(text).toContain('src/core is pure');
    },
  );

  test('lets the same pass where it belongs', () => {
    const path = plant('src/linux/violation.ts', 'export const y = Date.now();\n');
    expect(run('biome', 'lint', path)).toMatchObject({ status: 0 });
  });

  test('refuses `any`', () => {
    const path = plant('src/linux/violation.ts', 'export const y = (x: any): unknown => x;\n');
    expect(run('biome', 'lint', path).text).toContain('noExplicitAny');
  });
});

test('the configuration of dependency-cruiser and the references of the compiler allow the same', () => {
  for (const [part, to] of Object.entries(allowed)) {
    const { references } = JSON.parse(readFileSync(join(root, 'src', part, 'tsconfig.json'), 'utf8')) as {
      references?: readonly { readonly path: string }[];
    };
    expect((references ?? []).map((r) => r.path.replace('../', '')).filter((name) => !to.includes(name))).toEqual([]);
  }
});
