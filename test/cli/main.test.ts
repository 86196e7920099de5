/** The command line as a whole: what it says to every kind of mistake, and that nothing from outside can speak in its name. */
import { once } from 'node:events';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { CommandSpec } from '../../src/cli/command.ts';
import { readArguments } from '../../src/cli/command.ts';
import { loadCommands } from '../../src/cli/commands/index.ts';
import { main } from '../../src/cli/main.ts';
import { safe, width } from '../../src/cli/terminal.ts';
import { ExitCode, PlimsollError } from '../../src/core/errors.ts';
import { kernelTest, namespace } from '../support/netns.ts';
import { fakeShell, plimsoll } from '../support/shell.ts';

const commands = await loadCommands();

/** What would move the cursor, end the line or turn the writing around. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: finding them is the point
const dangerous = /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]/;

describe('help and version', () => {
  test.each([[[]], [['--help']], [['-h']], [['help']]])('plimsoll %j lists every command on stdout and exits 0', async (argv) => {
    const { code, out, err } = await plimsoll(argv);
    expect({ code, err }).toEqual({ code: 0, err: '' });
    for (const { name } of commands.filter((c) => c.hidden !== true)) expect(out).toMatch(new RegExp(`^ {2}${name} `, 'm'));
  });

  test.each(commands.map((c) => [c.name, c] as const))('plimsoll %s --help names every option and fits 100 columns', async (name, spec) => {
    const asked = await plimsoll([name, '--help']);
    expect(asked).toMatchObject({ code: 0, err: '' });
    expect((await plimsoll(['help', name])).out).toBe(asked.out);
    for (const option of spec.options) expect(asked.out).toContain(`--${option.name}`);
    // Examples are lines to copy: they are not broken.
    const printed = asked.out.split('\n').filter((line) => !spec.examples.some(([example]) => line.includes(example)));
    expect(printed.filter((line) => width(line) > 100)).toEqual([]);
  });

  test.each(['--version', '-V'])('plimsoll %s prints one line', async (flag) => {
    const { code, out, err } = await plimsoll([flag]);
    expect({ code, err }).toEqual({ code: 0, err: '' });
    expect(out).toMatch(/^\d+\.\d+\.\d+\S*\n$/);
  });

  test('--help after -- is an argument, not a question', async () => {
    expect(await plimsoll(['doctor', '--', '--help'])).toMatchObject({ code: ExitCode.usage, out: '' });
  });
});

describe('a mistake', () => {
  test.each([
    ['an unknown command', ['docter'], ExitCode.usage, ['no command "docter"', 'did you mean "doctor"?']],
    ['a command nothing resembles', ['xyzzy'], ExitCode.usage, ['no command "xyzzy"', 'there is: doctor']],
    ['an unknown option', ['doctor', '--intervall', '2s'], ExitCode.usage, ['no option "--intervall"', 'did you mean "--interval"?']],
    ['an unknown short option', ['doctor', '-z'], ExitCode.usage, ['no option "-z"']],
    ['a duration without its unit', ['doctor', '--interval', '2'], ExitCode.usage, ['--interval: "2" is not a duration', '--interval 2s']],
    ['an option without its value', ['doctor', '--interval'], ExitCode.usage, ['--interval needs DURATION', '--interval 2s']],
    ['an option without its value or an example', ['plan', '--rate'], ExitCode.usage, ['--rate needs RATE', 'plimsoll plan --help']],
    ['a wait longer than timers can', ['doctor', '--for', '25d'], ExitCode.usage, ['--for: "25d" is not a duration of at most 24 days']],
    [
      'a watch longer than timers can',
      ['watch', '--lines', '--for', '25d'],
      ExitCode.usage,
      ['--for: "25d" is not a duration of at most 24 days'],
    ],
    [
      'a load longer than timers can',
      ['load', 'http://127.0.0.1:1/', '--rate', '1/s', '--duration', '25d'],
      ExitCode.usage,
      ['"25d" is not'],
    ],
    ['--for with one look', ['doctor', '--for', '9s', '--interval', '0s'], ExitCode.usage, ['--for and --interval 0s exclude each other']],
    ['--netns without --live', ['plan', '--rate', '1/s', '--netns', 'x'], ExitCode.usage, ['--netns says nothing without --live']],
    [
      '--space without a host',
      ['plan', '--rate', '1/s', '--space', 'x'],
      ExitCode.usage,
      ['--space says nothing without --live or --from'],
    ],
    ['two forms at once', ['tune', '--format', 'pod', '--json'], ExitCode.usage, ['--format and --json exclude each other']],
    ['a switch with a value', ['doctor', '--json=yes'], ExitCode.usage, ['--json', 'it is a switch']],
    ['a number out of range', ['doctor', '--top', '0'], ExitCode.usage, ['--top', 'from 1 to 1000']],
    ['a destination without a port', ['doctor', '--interval', '0s', '--to', '10.0.0.1'], ExitCode.usage, ['--to', 'HOST:PORT']],
    ['an argument too many', ['doctor', 'now'], ExitCode.usage, ['doctor does not take "now"', 'plimsoll doctor --help']],
    ['an unknown namespace', ['doctor', '--netns', 'no-such-namespace'], ExitCode.notFound, ['no network namespace "no-such-namespace"']],
    ['a process that is not there', ['doctor', '--netns', 'pid:4194305'], ExitCode.notFound, ['no network namespace "pid:4194305"']],
    ['help for an unknown command', ['help', 'docter'], ExitCode.usage, ['no command "docter"']],
  ])('%s: says so on stderr, with what to do, and exits with its code', async (_what, argv, code, words) => {
    const ran = await plimsoll(argv);
    expect(ran).toMatchObject({ code, out: '' });
    expect(ran.err).toMatch(/^plimsoll: /);
    for (const word of words) expect(ran.err).toContain(word);
  });

  kernelTest('a namespace spelled wrong by one letter: names the nearest', async () => {
    const { name } = namespace();
    const { code, err } = await plimsoll(['doctor', '--netns', `${name}x`]);
    expect(code).toBe(ExitCode.notFound);
    expect(err).toContain(`did you mean "${name}"?`);
  });

  test('of our own is called ours, exits 70 and asks for a report', async () => {
    const shell = fakeShell();
    const broken = { ...shell, stdout: { ...shell.stdout, write: () => expect.fail('the disk is full') } };
    expect(await main(['--version'], broken)).toBe(ExitCode.bug);
    expect(shell.err()).toContain('something in plimsoll broke');
    expect(shell.err()).toContain('please report it');
  });
});

test('whatever is typed ends in a catalogued error or in arguments', () => {
  const words = fc.oneof(
    fc.string(),
    fc.constantFrom('--', '-', '--json', '--interval', '--interval=2s', '-x', '--to', '--no-json', '--=', '---', '--to='),
  );
  fc.assert(
    fc.property(fc.constantFrom<CommandSpec>(...commands), fc.array(words, { maxLength: 6 }), (spec, argv) => {
      try {
        readArguments(spec, argv);
      } catch (error) {
        expect(error).toBeInstanceOf(PlimsollError);
        expect((error as PlimsollError).exit).toBe(ExitCode.usage);
      }
    }),
    { numRuns: 2000 },
  );
});

describe('text from outside', () => {
  test('has nothing dangerous left, and everything harmless kept', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 40 }), (text) => {
        const shown = safe(text);
        expect(shown).not.toMatch(dangerous);
        expect(shown).not.toContain('\n');
        if (!dangerous.test(text) && !text.includes('\n')) expect(shown).toBe(text);
      }),
      { numRuns: 2000 },
    );
  });

  const evil = 'x\u001b[2J\u001b[H\nOK  all is well\r\u202egnp.\u009b31m';

  test.each([
    ['command', [evil]],
    ['option', ['doctor', `--${evil}`]],
    ['value', ['doctor', '--interval', evil]],
    ['argument', ['doctor', evil]],
    ['namespace', ['doctor', '--netns', evil]],
    ['host name', ['doctor', '--interval', '0s', '--to', `${evil}:80`]],
  ])('as a %s cannot forge a line or move the cursor', async (_what, argv) => {
    const { code, out, err } = await plimsoll(argv, { isTerminal: true, env: { NO_COLOR: '1' } });
    expect(code).toBeGreaterThanOrEqual(64);
    expect(out).toBe('');
    expect(err.replaceAll('\u001b[2K\r', '')).not.toMatch(dangerous);
    expect(err.split('\n').filter((line) => line.startsWith('OK'))).toEqual([]);
  });

  kernelTest('as a process name cannot either, and --json carries it as it is', async () => {
    const ns = namespace({ range: [40000, 40009], addresses: ['10.66.0.1'] });
    const name = '\u001b[2J\nOK  fine';
    const child = ns.spawn(process.execPath, [
      '-e',
      `const net = require('net');
       require('fs').writeFileSync('/proc/self/comm', ${JSON.stringify(name)});
       net.createServer().listen(8000, '10.66.0.1', async () => {
         for (let i = 0; i < 10; i++) await new Promise((done) => net.connect(8000, '10.66.0.1', done));
         console.log('ready');
       });`,
    ]);
    await once(child.stdout!, 'data');
    const page = await plimsoll(['doctor', '--netns', ns.name, '--interval', '0s']);
    expect(page.code).toBe(2);
    expect(page.out).toContain('\\x1b[2J\\x0aOK');
    expect(page.out).not.toMatch(dangerous);
    expect(page.out.split('\n').filter((line) => line.startsWith('OK'))).toEqual([]);
    const { out } = await plimsoll(['doctor', '--netns', ns.name, '--interval', '0s', '--json']);
    expect(out.trimEnd()).not.toContain('\n');
    expect(JSON.parse(out).port_spaces[0].owners[0].command).toBe(name);
  });
});

describe('what is asked of the terminal', () => {
  const coloured = async (options: Parameters<typeof plimsoll>[1]): Promise<boolean> =>
    (await plimsoll(['docter'], options)).err.includes('\u001b[');

  test.each([
    ['a terminal', { isTerminal: true, env: { TERM: 'xterm' } }, true],
    ['a pipe', { isTerminal: false, env: { TERM: 'xterm' } }, false],
    ['a terminal with NO_COLOR', { isTerminal: true, env: { NO_COLOR: '1' } }, false],
    ['a dumb terminal', { isTerminal: true, env: { TERM: 'dumb' } }, false],
    ['a pipe with FORCE_COLOR', { isTerminal: false, env: { FORCE_COLOR: '1' } }, true],
    ['both FORCE_COLOR and NO_COLOR', { isTerminal: true, env: { FORCE_COLOR: '1', NO_COLOR: '1' } }, false],
  ])('%s', async (_where, options, expected) => {
    expect(await coloured(options)).toBe(expected);
  });
});

test('doctor that is interrupted while it waits prints nothing and exits 130', async () => {
  const shell = fakeShell();
  const running = main(['doctor', '--interval', '1h'], shell);
  shell.interrupt();
  expect(await running).toBe(ExitCode.interrupted);
  expect(shell.out()).toBe('');
});
