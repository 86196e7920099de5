/** Which file wins at boot, against the program that decides it: systemd-sysctl, in a namespace, over folders of ours. */
import { existsSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import fc from 'fast-check';
import { afterEach, describe, expect, test } from 'vitest';
import { readSysctl } from '../../../src/linux/apply/runtime.ts';
import { SysctlFiles } from '../../../src/linux/apply/sysctl-files.ts';
import { kernelTest, namespace } from '../../support/netns.ts';

const names = ['net.ipv4.tcp_fin_timeout', 'net.ipv4.tcp_keepalive_time', 'net.ipv4.tcp_keepalive_intvl'] as const;
const folders = ['etc/sysctl.d', 'run/sysctl.d', 'usr/local/lib/sysctl.d', 'usr/lib/sysctl.d'] as const;
const systemd = ['/lib/systemd/systemd-sysctl', '/usr/lib/systemd/systemd-sysctl'].find((path) => existsSync(path));

const made: string[] = [];
afterEach(() => {
  for (const path of made.splice(0)) rmSync(path, { recursive: true, force: true });
});

type Files = Readonly<Record<string, string>>;

/** A folder that stands for /; a text that begins with `->` is a link. */
const rootWith = (files: Files): string => {
  const root = mkdtempSync(join(tmpdir(), 'plimsoll-sysctl-'));
  made.push(root);
  for (const folder of folders) mkdirSync(join(root, folder), { recursive: true });
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    if (text.startsWith('->')) symlinkSync(text.slice(2), join(root, path));
    else writeFileSync(join(root, path), text);
  }
  return root;
};

const key = fc.constantFrom(...names);
const written = fc
  .tuple(key, fc.constantFrom('plain', 'slashes', 'minus', 'pattern'))
  .map(([name, style]) =>
    style === 'slashes' ? name.replaceAll('.', '/') : style === 'minus' ? `-${name}` : style === 'pattern' ? `${name.slice(0, -3)}*` : name,
  );
const line = fc.oneof(
  { weight: 6, arbitrary: fc.tuple(written, fc.integer({ min: 11, max: 199 })).map(([k, v]) => `${k} = ${v}`) },
  { weight: 1, arbitrary: fc.constantFrom('', '# net.ipv4.tcp_fin_timeout = 7', '; a comment', '   ') },
);
const file = fc.oneof(
  { weight: 8, arbitrary: fc.array(line, { maxLength: 4 }).map((lines) => `${lines.join('\n')}\n`) },
  { weight: 1, arbitrary: fc.constant('->/dev/null') },
);
const path = fc
  .tuple(fc.constantFrom(...folders), fc.constantFrom('10-a.conf', '50-b.conf', '99-c.conf', 'zz.conf', 'README'))
  .map((p) => p.join('/'));
const layout = fc.dictionary(path, file, { minKeys: 1, maxKeys: 7 });

describe('the file that wins at boot', () => {
  kernelTest(
    'is the one whose value systemd-sysctl leaves in the kernel, for random layouts of files',
    () => {
      if (systemd === undefined) throw new Error('systemd-sysctl is needed as the oracle (Debian: systemd)');
      const ns = namespace();
      let compared = 0;
      let set = 0;
      fc.assert(
        fc.property(layout, (files) => {
          const root = rootWith(files);
          for (const name of names) ns.sysctl(name, 77);
          const mounts = folders.map((folder) => `mkdir -p /${folder}; mount --bind ${root}/${folder} /${folder}`);
          // In a mount namespace of its own, which ends with the shell. /run is made anew there, so that its folder can be made.
          ns.exec(
            'sh',
            '-c',
            `mount -t tmpfs none /run; mount -t tmpfs none /usr/local/lib; ${mounts.join('; ')}; mount --bind /dev/null /etc/sysctl.conf; ${systemd}`,
          );
          const parsed = new SysctlFiles(root);
          for (const name of names) {
            const is = ns.run(() => readSysctl('/proc', name));
            expect(parsed.about(name).wins?.value ?? '77', `${name} with ${JSON.stringify(files)}`).toBe(is);
            compared++;
            if (is !== '77') set++;
          }
        }),
        { numRuns: 60 },
      );
      expect(compared).toBe(180);
      // The oracle did its work: most layouts set something.
      expect(set).toBeGreaterThan(40);
    },
    60_000,
  );

  test('hides files of the same name in lesser folders, and names those that contradict it with their lines', () => {
    const root = rootWith({
      'etc/sysctl.d/50-a.conf': '# mine\nnet.ipv4.tcp_tw_reuse = 1\n',
      'usr/lib/sysctl.d/50-a.conf': 'net.ipv4.tcp_tw_reuse = 2\n',
      'usr/lib/sysctl.d/10-first.conf': '\nnet/ipv4/tcp_tw_reuse=0\n',
      'etc/sysctl.d/99-last.conf': 'net.ipv4.ip_local_port_range = 1024\t65535\n',
    });
    const files = new SysctlFiles(root);
    expect(files.about('net.ipv4.tcp_tw_reuse')).toEqual({
      wins: { file: '/etc/sysctl.d/50-a.conf', line: 2, value: '1' },
      contradicted: [{ file: '/usr/lib/sysctl.d/10-first.conf', line: 2, value: '0' }],
      onlyProcps: null,
    });
    expect(files.about('net.ipv4.ip_local_port_range').wins?.value).toBe('1024 65535');
  });

  test('is /etc/sysctl.conf only where something reads it: a link, or procps', () => {
    const text = 'net.ipv4.tcp_tw_reuse = 1\n';
    const linked = new SysctlFiles(rootWith({ 'etc/sysctl.conf': text, 'etc/sysctl.d/99-sysctl.conf': '->../sysctl.conf' }));
    expect(linked.about('net.ipv4.tcp_tw_reuse').wins?.file).toBe('/etc/sysctl.d/99-sysctl.conf');
    const systemdOnly = new SysctlFiles(rootWith({ 'etc/sysctl.conf': text, 'usr/lib/systemd/systemd-sysctl': '' }));
    expect(systemdOnly.about('net.ipv4.tcp_tw_reuse')).toMatchObject({ wins: null, onlyProcps: { file: '/etc/sysctl.conf', line: 1 } });
    const procps = new SysctlFiles(rootWith({ 'etc/sysctl.conf': text, 'etc/sysctl.d/50-a.conf': 'net.ipv4.tcp_tw_reuse = 0\n' }));
    expect(procps.about('net.ipv4.tcp_tw_reuse').wins?.file).toBe('/etc/sysctl.conf');
  });

  test('never throws, whatever the files hold', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 200 }), fc.constantFrom(...names), (text, name) => {
        const about = new SysctlFiles(rootWith({ 'etc/sysctl.d/50-a.conf': text.replace(/^->/, '') })).about(name);
        expect(about.wins === null || typeof about.wins.value === 'string').toBe(true);
      }),
      { numRuns: 200 },
    );
    expect(
      new SysctlFiles(rootWith({ 'etc/sysctl.d/a.conf': 'net.ipv4.[tcp = 1\nnet.ipv4.tcp_[!x = 2\n*[] = 3\n' })).about(names[0]).wins,
    ).toBeNull();
  });
});
