/** `plimsoll watch` as a person meets it: in tmux, with keys, at several sizes, and with every way out of it. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect } from 'vitest';
import { churn } from '../../support/churn.ts';
import { kernelTest, type Namespace, namespace } from '../../support/netns.ts';
import { until } from '../../support/poll.ts';
import { listen, makeTimeWaits, open } from '../../support/sockets.ts';
import { command, folder, Pane, type PaneOptions } from './pane.ts';

const A = '10.66.0.1';
const B = '10.66.0.2';
/** 100 ports: 30 held towards A:80, 10 towards B:443, 5 of them TIME_WAITs; 96 held towards A:81. */
const held = (): Namespace => {
  const ns = namespace({ range: [40000, 40099], addresses: [A, B], sysctls: { 'net.ipv4.tcp_tw_reuse': 0 } });
  ns.run(() => {
    listen(A, 80);
    listen(A, 81);
    const b = listen(B, 443);
    for (let i = 0; i < 30; i++) open(A, 80);
    for (let i = 0; i < 96; i++) open(A, 81);
    for (let i = 0; i < 5; i++) open(B, 443);
    makeTimeWaits(B, 443, b, 5);
  });
  return ns;
};

/** A pane with the watch running in it, its first look drawn. */
const watching = async (options: PaneOptions & { readonly args?: string; readonly before?: string } = {}): Promise<Pane> => {
  const pane = await Pane.open(options);
  await pane.run(`${options.before ?? ''}${process.execPath} ${command} watch --interval 500ms ${options.args ?? ''}`);
  await pane.shows(/OK|WARNING|CRITICAL/);
  return pane;
};

/** The terminal is the shell's again (its screen, its cursor, its modes), and the command ended with `code`. What the screen shows. */
const givenBack = async (pane: Pane, code: number): Promise<string> => {
  expect(await pane.status()).toBe(code);
  expect(await pane.fact('cursor_flag')).toBe('1');
  expect(await pane.fact('wrap_flag')).toBe('1');
  await pane.run('stty -a');
  return pane.shows(/(?:^|\s)isig (?:.*\s)?icanon[\s\S]*(?:^|\s)echo /m);
};

/** Every line is as wide as the terminal at most, and the last one is not scrolled away. */
const fits = async (pane: Pane): Promise<void> => {
  expect((await pane.lines()).length).toBeLessThanOrEqual(Number(await pane.fact('pane_height')));
};

describe.concurrent('plimsoll watch in a terminal', { timeout: 120_000 }, () => {
  kernelTest('lists port spaces, opens one, filters, sorts, explains, and leaves the terminal as it was', async () => {
    const pane = await watching({ ns: held() });
    const list = await pane.shows(`▸ ${A} → ${A}:81`);
    expect(list).toContain('3 port spaces');
    expect(list).toMatch(/10\.66\.0\.1 → 10\.66\.0\.1:81 +█+╎█+[▏▎▍▌▋▊▉]?░* +96 %/);
    expect(list).toMatch(/10\.66\.0\.1 → 10\.66\.0\.1:80 .* 3\d %/);

    // Its place in the list may change with its forecast.
    await pane.type('/:80');
    await pane.shows(`▸ ${A} → ${A}:80`);
    await pane.press('Enter', 'Enter');
    const space = await pane.shows('Ports 40000–40099');
    expect(space).toContain(`${A} → ${A}:80`);
    expect(space).toMatch(/ 30 +█/);
    expect(space).toMatch(/ even +·*█/);
    // Looking for owners has a budget: on a busy machine they are found later.
    await pane.shows(/node\[\d+\]: 30 sockets/, 45_000);
    await pane.press('Escape');
    await pane.shows('filter “:80”');
    await pane.press('Escape');
    await pane.shows(`→ ${B}:443`);

    await pane.type('/443');
    await pane.shows('filter: 443');
    await pane.press('Enter');
    const filtered = await pane.shows('filter “443”');
    expect(filtered).not.toContain(`→ ${A}:80`);
    expect(filtered).toContain(`→ ${B}:443`);
    await pane.press('Escape');
    await pane.shows(`→ ${A}:80`);

    for (const order of ['full', 'time left', 'opens', 'used', 'name', 'urgent']) {
      await pane.type('s');
      await pane.shows(new RegExp(`by ${order} ·`));
    }
    await pane.type('r');
    await pane.shows('by urgent, reversed');
    await pane.type('?');
    expect(await pane.shows('── Keys')).toContain('connections that can still be opened');
    await pane.type('q');
    const after = await givenBack(pane, 0);
    expect(after).not.toContain('port spaces');
    pane.close();
  });

  kernelTest('shows a namespace filling: the numbers rise, the line is passed, the verdict turns', async () => {
    const ns = namespace({ range: [40000, 40399], addresses: [A], sysctls: { 'net.ipv4.tcp_tw_reuse': 0 } });
    const listener = ns.run(() => listen(A, 80));
    const pane = await watching({ ns });
    await pane.shows('OK');
    const load = churn(ns, A, 80, listener, { rate: 40 });
    try {
      await pane.shows(/(3|4)\d(\.\d)?\/s/);
      await pane.shows(/╎/, 60_000);
      await pane.shows(/CRITICAL[\s\S]*no port left/, 60_000);
    } finally {
      load.stop();
    }
    // What was drawn change by change is what is drawn at once.
    await pane.type('p');
    const drawn = await pane.shows('paused, ');
    await pane.press('C-l');
    const age = /paused, (.*) old/.exec(drawn)![1];
    const anew = await pane.shows(new RegExp(`paused, (?!${age} )`));
    // Its second or third line says how old it is, and gives way to that.
    const still = (text: string): string => text.replace(/^.*paused, .* old$/m, '');
    expect(still(anew)).toBe(still(drawn));
    pane.close();
  });

  kernelTest('stands still while paused, says how old it is, and goes on', async () => {
    const ns = namespace({ range: [40000, 40099], addresses: [A] });
    ns.run(() => listen(A, 80));
    const pane = await watching({ ns });
    await pane.shows('no source port is held');
    await pane.type('p');
    await pane.shows('paused');
    ns.run(() => open(A, 80));
    await pane.shows(/paused, (?:[2-9]|\d\d) s old/);
    expect(await pane.text()).not.toContain(`${A}:80`);
    await pane.type('p');
    await pane.shows(`${A} → ${A}:80`);
    pane.close();
  });

  kernelTest('fits every size, and follows a terminal that changes its own', async () => {
    const pane = await watching({ ns: held(), columns: 120, rows: 40 });
    const wide = await pane.shows('TREND');
    expect(wide).toMatch(/▸ .*█/);
    for (const [columns, rows, wanted] of [
      [200, 60, 'TREND'],
      [80, 24, 'OPENS'],
      [60, 20, 'FREE'],
      [40, 12, 'USED'],
      [24, 6, 'CRITICAL'],
      [12, 3, 'CRITICAL'],
      [3, 2, ''],
      [100, 30, 'enter open'],
    ] as const) {
      await pane.resize(columns, rows);
      await until(`${columns}x${rows}`, async () => (await pane.fact('pane_width')) === String(columns));
      await pane.shows(wanted);
      await fits(pane);
    }
    await pane.press('Enter');
    await pane.shows('Findings');
    await pane.resize(30, 8);
    await pane.shows('↓');
    await pane.press('End');
    await pane.shows(/^(?![\s\S]*↓ \d)/);
    await pane.type('q');
    expect(await pane.status()).toBe(0);
    pane.close();
  });

  kernelTest.each([
    ['Ctrl-C', 130, (pane: Pane): unknown => pane.press('C-c')],
    ['SIGINT', 130, async (pane: Pane): Promise<unknown> => process.kill(await pane.pid(), 'SIGINT')],
    ['SIGTERM', 143, async (pane: Pane): Promise<unknown> => process.kill(await pane.pid(), 'SIGTERM')],
    ['SIGHUP', 129, async (pane: Pane): Promise<unknown> => process.kill(await pane.pid(), 'SIGHUP')],
    ['SIGQUIT', 131, async (pane: Pane): Promise<unknown> => process.kill(await pane.pid(), 'SIGQUIT')],
  ] as const)('gives the terminal back on %s', async (_name, code, end) => {
    const pane = await watching();
    expect(await pane.fact('alternate_on')).toBe('1');
    expect(await pane.fact('cursor_flag')).toBe('0');
    await end(pane);
    await givenBack(pane, code);
    pane.close();
  });

  kernelTest('stops on Ctrl-Z and comes back drawn anew', async () => {
    const pane = await watching({ ns: held() });
    for (let round = 0; round < 2; round++) {
      await pane.shows(`▸ ${A}`);
      await pane.press('C-z');
      await givenBack(pane, 148);
      await pane.type('clear; fg');
      await pane.press('Enter');
      await pane.shows(`▸ ${A}`);
      expect(await pane.fact('alternate_on')).toBe('1');
    }
    // Stopped and continued from outside, without a chance to see it coming.
    const pid = await pane.pid();
    process.kill(pid, 'SIGSTOP');
    await pane.shows('Stopped');
    await pane.type('fg');
    await pane.press('Enter');
    await pane.shows(`▸ ${A}`);
    await pane.type('q');
    await givenBack(pane, 0);
    pane.close();
  });

  kernelTest('does not stop for good where no shell could continue it', async () => {
    const pane = await Pane.open({ ns: held() });
    await pane.run(`exec ${process.execPath} ${command} watch --interval 200ms`);
    await pane.shows(`▸ ${A}`);
    await pane.press('C-z');
    await pane.press('Enter');
    await pane.shows('Ports 40000–40099');
    pane.close();
  });

  kernelTest('gives the terminal back when it crashes, and the reason stays readable', async () => {
    const crash = join(folder, 'crash.cjs');
    writeFileSync(crash, `process.once('SIGUSR2', () => { throw new Error('made to crash'); });`);
    const pane = await watching({ before: `NODE_OPTIONS='--require ${crash}' ` });
    expect(await pane.fact('alternate_on')).toBe('1');
    process.kill(await pane.pid(), 'SIGUSR2');
    expect(await givenBack(pane, 1)).toContain('made to crash');
    pane.close();
  });

  kernelTest('ends in a catalogued error when the namespace it looks into is taken away', async () => {
    const there = namespace({ addresses: [A] });
    const pane = await watching({ args: `--netns name:${there.name}` });
    there.destroy();
    const text = await givenBack(pane, 77);
    expect(text).toContain('plimsoll:');
    pane.close();
  });

  kernelTest('names the namespace where there are several', async () => {
    const ns = held();
    const pane = await watching({ args: '--netns all', columns: 130, rows: 40 });
    await pane.type(`/${ns.name} :81`);
    const list = await pane.shows(new RegExp(`▸ \\S*${ns.name.slice(-8)} +${A} → ${A}:81`));
    expect(list).toContain('NAMESPACE');
    await pane.press('Enter', 'Enter');
    await pane.shows(`in ${ns.name}`);
    pane.close();
  });

  kernelTest('shows hostile process names harmlessly, and wide ones in their columns', async () => {
    const ns = namespace({ range: [40000, 40099], addresses: [A] });
    ns.run(() => listen(A, 80));
    const opener = `process.title = ''; require('node:fs').writeFileSync('/proc/self/comm', Buffer.from(process.argv[1], 'hex'));
      const net = require('node:net'); for (let i = 0; i < 5; i++) net.connect(80, '${A}'); setInterval(() => {}, 1000);`;
    const names = ['\u001b[2J\u001b[31mevil', '\u009b1;1H\r\n\u202eyy', '世界の端末'];
    for (const name of names) ns.spawn(process.execPath, ['-e', opener, Buffer.from(name).toString('hex')]);
    const pane = await watching({ ns });
    await pane.press('Enter');
    const text = await pane.shows(/15 of 100[\s\S]*世界の端/);
    expect(text).toContain('\\x1b[2J\\x1b[31mevil');
    expect(text).toMatch(/\\x9b1;1H\\x0d\\x0a/);
    // biome-ignore lint/suspicious/noControlCharactersInRegex: a colour that took effect
    expect(await pane.painted()).not.toMatch(/\u001b\[(?:\d+;)*31mevil/);
    expect(text).toContain(`${A} → ${A}:80`);
    await pane.type('/世界');
    await pane.shows('filter: 世界');
    await pane.shows(`${A}:80`);
    await pane.press('Enter', 'Enter');
    await pane.shows('世界の端');
    pane.close();
  });

  kernelTest('sends no colours under NO_COLOR, and ASCII where the locale has nothing else', async () => {
    const ns = held();
    const raw = join(folder, 'raw');
    const pane = await Pane.open({ ns, env: { NO_COLOR: '1' } });
    await pane.tmux('pipe-pane', '-o', `cat > ${raw}`);
    await pane.run(`${process.execPath} ${command} watch --interval 200ms`);
    await pane.shows(`▸ ${A}`);
    await pane.press('Enter');
    await pane.shows('Owners');
    await pane.type('q');
    expect(await pane.status()).toBe(0);
    const bytes = readFileSync(raw, 'utf8');
    const during = bytes.slice(bytes.indexOf('\u001b[?1049h'), bytes.indexOf('\u001b[?1049l'));
    expect(during.length).toBeGreaterThan(1000);
    // biome-ignore lint/suspicious/noControlCharactersInRegex: looking for colours
    expect(during.match(/\u001b\[[\d;]+m/g) ?? []).toEqual([]);
    pane.close();

    const plain = await watching({ ns, env: { LC_ALL: 'C' } });
    const text = await plain.shows(`> ${A} > ${A}:81`);
    // biome-ignore lint/suspicious/noControlCharactersInRegex: all of ASCII
    expect(text).toMatch(/^[\u0000-\u007f]*$/);
    expect(text).toMatch(/#+\|#+=? +96 %/);
    plain.close();
  });

  kernelTest('costs a process that cannot draw only lines', async () => {
    const ns = held();
    const pane = await Pane.open({ ns, env: { TERM: 'dumb' }, columns: 160 });
    await pane.run(`${process.execPath} ${command} watch --interval 200ms --for 4s`);
    expect(await pane.status()).toBe(0);
    const text = await pane.text();
    expect(
      text.match(/^20\S+Z CRITICAL connections_at_once\S*; 10\.66\.0\.1 → 10\.66\.0\.1:81 96 % 96\/100/gm)?.length,
    ).toBeGreaterThanOrEqual(2);
    expect(text).not.toContain('\u001b');
    pane.close();
  });

  kernelTest('survives a terminal that is closed under it', async () => {
    const pane = await watching({ ns: held() });
    const pid = await pane.pid();
    pane.close();
    await until('its end', () => {
      try {
        return /^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
      } catch {
        return true;
      }
    });
  });

  kernelTest('takes what a person does with both hands on the keyboard', async () => {
    const pane = await watching({ ns: held() });
    const keys = [
      'Up',
      'Down',
      'Enter',
      'Escape',
      'PageUp',
      'PageDown',
      'Home',
      'End',
      'Left',
      'Right',
      'Tab',
      'F5',
      'M-x',
      'BSpace',
      '?',
      's',
      'r',
      'p',
      '/',
      'a',
    ];
    let seed = 11;
    for (let i = 0; i < 40; i++) {
      const some = Array.from({ length: 10 }, () => {
        seed = (seed * 1103515245 + 12345) % 2 ** 31;
        return keys[(seed >> 8) % keys.length]!;
      });
      await pane.press(...some);
    }
    await pane.press('Escape');
    await pane.press('C-c');
    await givenBack(pane, 130);
    pane.close();
  });
});
