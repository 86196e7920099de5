/** `plimsoll tune` as a user runs it: what it recommends for which load, what it never recommends, and that it can be undone. */
import { execFile } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import type { TuneDocument } from '../../src/wire/tune.ts';
import { tuneSchema } from '../../src/wire/tune-schema.ts';
import { kernelTest, linked, type Namespace, namespace } from '../support/netns.ts';
import { until } from '../support/poll.ts';
import { plimsoll } from '../support/shell.ts';
import { acceptAll, close, finish, listen, makeTimeWaits, open } from '../support/sockets.ts';

const command = new URL('../../dist/plimsoll.cjs', import.meta.url).pathname;
const A = '10.66.0.1';
const DROP_IN = 'etc/sysctl.d/zz-plimsoll.conf';

const folders: string[] = [];
afterAll(() => {
  for (const path of folders) rmSync(path, { recursive: true, force: true });
});

interface Ran {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

/** A namespace and a folder that stands for / of the host it is. */
class Site {
  readonly ns: Namespace;
  readonly root: string;

  constructor(ns: Namespace) {
    this.ns = ns;
    this.root = mkdtempSync(join(tmpdir(), 'plimsoll-tune-'));
    folders.push(this.root);
    mkdirSync(join(this.root, 'etc/sysctl.d'), { recursive: true });
  }

  get state(): string {
    return join(this.root, 'state');
  }

  /** Runs the command inside, behind `before`. */
  tune(args: readonly string[], before: readonly string[] = []): Promise<Ran> {
    const line = [...before, process.execPath, command, 'tune', '--root', this.root, '--state', this.state, ...args];
    return new Promise((resolve) => {
      execFile('ip', ['netns', 'exec', this.ns.name, ...line], { env: { ...process.env, NO_COLOR: '1' } }, (error, out, err) =>
        resolve({ code: error === null ? 0 : typeof error.code === 'number' ? error.code : null, out, err }),
      );
    });
  }

  async audit(...args: string[]): Promise<TuneDocument> {
    return tuneSchema.parse(JSON.parse((await this.tune(['--json', ...args])).out));
  }

  sysctl(name: string): string {
    return this.ns.exec('sysctl', '-n', name).trim().replace(/\s+/g, ' ');
  }

  /** Everything --apply may touch. */
  picture(): unknown {
    const folder = join(this.root, 'etc/sysctl.d');
    return {
      values: ['ip_local_port_range', 'ip_local_reserved_ports', 'tcp_tw_reuse', 'tcp_timestamps', 'tcp_fin_timeout'].map((n) =>
        this.sysctl(`net.ipv4.${n}`),
      ),
      files: readdirSync(folder).map((name) => [name, readFileSync(join(folder, name), 'utf8')]),
      journals: existsSync(this.state) ? readdirSync(this.state).filter((name) => name.endsWith('.json')) : [],
    };
  }
}

const site = (sysctls: Readonly<Record<string, string | number>> = {}, range: readonly [number, number] = [40000, 40199]): Site =>
  new Site(namespace({ range, addresses: [A, '10.66.0.2'], sysctls: { 'net.ipv4.tcp_tw_reuse': 0, ...sysctls } }));

/** TIME_WAITs over the search wall. */
const churned = (sysctls: Readonly<Record<string, string | number>> = {}): Site => {
  const s = site(sysctls);
  s.ns.run(() => makeTimeWaits(A, 80, listen(A, 80), 150));
  return s;
};

/** Live connections over the search wall, and a listener where the wide range will be. */
const crowded = (): Site => {
  const s = site();
  s.ns.run(() => {
    listen(A, 80);
    listen(A, 8080);
    listen('0.0.0.0', 9000);
    for (let i = 0; i < 150; i++) open(A, 80);
  });
  return s;
};

const recommended = (d: TuneDocument): Readonly<Record<string, string | null>> =>
  Object.fromEntries(d.settings.filter((s) => s.recommended !== null).map((s) => [s.name.replace('net.ipv4.', ''), s.recommended]));
const of = (d: TuneDocument, name: string): TuneDocument['settings'][number] => d.settings.find((s) => s.name.endsWith(`.${name}`))!;

describe.concurrent('an audit', () => {
  kernelTest('recommends tcp_tw_reuse where TIME_WAITs hold the ports, and nothing else', async () => {
    const s = churned();
    const d = await s.audit();
    expect(recommended(d)).toEqual({ tcp_tw_reuse: '1' });
    expect(of(d, 'tcp_tw_reuse')).toMatchObject({ current: '0', risk: 'low', why: expect.stringContaining(`${A} → ${A}:80 (75 % used)`) });
    expect(of(d, 'ip_local_port_range').why).toContain('tcp_tw_reuse alone relieves');
    expect(d.promised).toEqual([{ space: `${s.ns.name}/connect/${A}/${A}:80`, capacity: 200, used_ratio: expect.any(Number) }]);
    expect((await s.tune([])).code).toBe(1);
  });

  kernelTest('recommends the wide range where live connections hold them, with today’s listeners reserved', async () => {
    const d = await crowded().audit();
    expect(recommended(d)).toEqual({ ip_local_port_range: '1024 65535', ip_local_reserved_ports: '8080,9000' });
    expect(of(d, 'tcp_tw_reuse').why).toMatch(/would change nothing there: 150 of its 150 ports are held by live connections/);
    expect(d.promised[0]).toMatchObject({ capacity: 64510 });
  });

  kernelTest('recommends nothing to a server, whose TIME_WAITs sit on its own port', async () => {
    const s = site();
    s.ns.run(() => {
      const listener = listen(A, 80);
      for (let i = 0; i < 150; i++) {
        const fd = open(A, 80, { bind: ['10.66.0.2', 1024 + i] });
        close(...acceptAll(listener));
        close(fd);
      }
    });
    const { code, out } = await s.tune(['--role', 'server']);
    expect([code, out]).toEqual([0, expect.stringContaining('Nothing to change')]);
    expect(out).toContain('the TIME_WAITs of inbound connections sit on the listener’s port');
  });

  kernelTest('says what would change nothing: tcp_tw_reuse without timestamps, on loopback, for bind(ip, 0)', async () => {
    const without = churned({ 'net.ipv4.tcp_timestamps': 0 });
    const loopback = site({ 'net.ipv4.tcp_tw_reuse': 2, 'net.ipv4.tcp_tw_reuse_delay': 60000 });
    loopback.ns.run(() => makeTimeWaits('127.0.0.1', 80, listen('127.0.0.1', 80), 150));
    const bound = site();
    bound.ns.run(() => {
      const listener = listen(A, 80);
      for (let i = 0; i < 150; i++) {
        close(open(A, 80, { bind: [A, 0] }));
        close(...acceptAll(listener));
      }
    });
    const [a, b, c] = await Promise.all([without.audit(), loopback.audit(), bound.audit()]);
    expect(recommended(a)).toEqual({ tcp_timestamps: '1', ip_local_port_range: '1024 65535', ip_local_reserved_ports: undefined });
    expect(of(a, 'tcp_tw_reuse').why).toContain('TCP timestamps are off');
    expect(of(b, 'tcp_tw_reuse')).toMatchObject({ recommended: null, why: expect.stringContaining('it is on towards loopback already') });
    // It takes a port a minute to come back there, only because somebody said so.
    expect(of(b, 'tcp_tw_reuse_delay').recommended).toBe('1000');
    expect(of(c, 'tcp_tw_reuse')).toMatchObject({
      recommended: null,
      why: expect.stringContaining('bind(ip, 0), which never takes a TIME_WAIT'),
    });
  });

  kernelTest('does not widen for a leak, and shortens tcp_fin_timeout only for FIN_WAIT_2', async () => {
    const leak = site();
    const half = site();
    // CLOSE_WAIT here: the peer closed, we do not.
    leak.ns.run(() => {
      const listener = listen(A, 80);
      for (let i = 0; i < 150; i++) {
        open(A, 80);
        finish(...acceptAll(listener));
      }
    });
    // FIN_WAIT_2 here: we closed, the peer does not.
    half.ns.run(() => {
      const listener = listen(A, 80);
      for (let i = 0; i < 150; i++) {
        close(open(A, 80));
        acceptAll(listener);
      }
    });
    const [l, h] = await Promise.all([leak.audit(), half.audit()]);
    expect(of(l, 'ip_local_port_range')).toMatchObject({
      recommended: null,
      why: expect.stringContaining('CLOSE_WAITs that a process never closes'),
    });
    expect(recommended(h)['tcp_fin_timeout']).toBe('10');
    expect(recommended(h)['tcp_tw_reuse']).toBeUndefined();
    expect(of(h, 'tcp_fin_timeout').cannot).toContain('not the life of a TIME_WAIT');
  });

  kernelTest('reserves the ports that a balancer chooses itself', async () => {
    const s = site({}, [32768, 60999]);
    const path = join(s.root, 'plimsoll.yaml');
    writeFileSync(
      path,
      'version: 1\nvirtual_services:\n  - { name: web, listen: 0.0.0.0:8080, application_profile: http, pool: web }\napplication_profiles:\n  - { name: http, type: http }\npools:\n  - { name: web, servers: [{ name: a, address: "10.0.1.11:80" }], snat_pool: egress }\nsnat_pools:\n  - { name: egress, addresses: [10.66.0.1], ports: [1024-2047, 60000-65535] }\n',
    );
    const d = await s.audit('--balancer', path);
    expect(recommended(d)).toEqual({ ip_local_reserved_ports: '60000-60999' });
    expect(of(d, 'ip_local_reserved_ports').why).toContain('chooses 1,000 ports of the range itself');
  });

  kernelTest('tells where each setting comes from, what overrules what, and what boot would change', async () => {
    const s = churned();
    writeFileSync(join(s.root, 'etc/sysctl.d/10-old.conf'), 'net.ipv4.tcp_tw_reuse = 2\n');
    writeFileSync(join(s.root, 'etc/sysctl.d/90-new.conf'), '# folklore\nnet.ipv4.tcp_tw_reuse=1\nnet.ipv4.tcp_fin_timeout = 15\n');
    const d = await s.audit();
    expect(of(d, 'tcp_tw_reuse')).toMatchObject({
      set_by: { file: '/etc/sysctl.d/90-new.conf', line: 2, value: '1' },
      contradicted_by: [{ file: '/etc/sysctl.d/10-old.conf', line: 1, value: '2' }],
    });
    const { out } = await s.tune([]);
    expect(out).toContain('Set by /etc/sysctl.d/90-new.conf:2, which is not what it is now: at boot it becomes 1.');
    expect(out).toContain('/etc/sysctl.d/10-old.conf:1 says 2 and is overruled.');
    expect(out.replace(/\s+/g, ' ')).toContain('It is not the life of a TIME_WAIT, which is always 60 s');
  });

  kernelTest('never repeats folklore', async () => {
    const sites = [
      site(),
      churned(),
      churned({ 'net.ipv4.tcp_timestamps': 0 }),
      crowded(),
      churned({ 'net.ipv4.tcp_max_tw_buckets': 150, 'net.ipv4.tcp_fin_timeout': 15 }),
    ];
    for (const d of await Promise.all(sites.map((s) => s.audit()))) {
      const changes = recommended(d);
      expect(Object.keys(changes).join()).not.toContain('recycle');
      expect(changes['tcp_fin_timeout']).toBeUndefined();
      expect(changes['tcp_timestamps'] ?? '1').toBe('1');
      expect(Number(changes['tcp_max_tw_buckets'] ?? 1e9)).toBeGreaterThan(150);
    }
  });

  kernelTest('works without privileges, and an apply without them changes nothing and says so', async () => {
    const s = churned();
    const nobody = ['setpriv', '--reuid', '65534', '--regid', '65534', '--clear-groups'];
    const was = s.picture();
    const audit = await s.tune(['--json'], nobody);
    expect(recommended(tuneSchema.parse(JSON.parse(audit.out)))).toEqual({ tcp_tw_reuse: '1' });
    const applied = await s.tune(['--apply'], nobody);
    expect([applied.code, applied.err]).toEqual([
      77,
      expect.stringMatching(/cannot keep a journal in .*: EACCES; nothing was changed\n {2}changing settings needs root/),
    ]);
    expect(s.picture()).toEqual(was);
  });

  kernelTest('prints the changes as a drop-in that sysctl takes, as Ansible tasks, and as a pod’s securityContext', async () => {
    const s = crowded();
    const [dropIn, ansible, pod] = await Promise.all(['sysctl', 'ansible', 'pod'].map((format) => s.tune(['--format', format])));
    expect([dropIn!.code, ansible!.code, pod!.code]).toEqual([1, 1, 1]);
    const path = join(s.root, 'x.conf');
    writeFileSync(path, dropIn!.out);
    s.ns.exec('sysctl', '-p', path);
    expect([s.sysctl('net.ipv4.ip_local_port_range'), s.sysctl('net.ipv4.ip_local_reserved_ports')]).toEqual(['1024 65535', '8080,9000']);
    expect(parse(ansible!.out)[1]).toMatchObject({
      'ansible.posix.sysctl': { name: 'net.ipv4.ip_local_port_range', value: '1024 65535', state: 'present' },
    });
    expect(parse(pod!.out).spec.securityContext.sysctls).toEqual([
      { name: 'net.ipv4.ip_local_reserved_ports', value: '8080,9000' },
      { name: 'net.ipv4.ip_local_port_range', value: '1024 65535' },
    ]);
    expect((await churned().tune(['--format', 'pod'])).out).toContain('--allowed-unsafe-sysctls=net.ipv4.tcp_tw_reuse');
  });

  kernelTest('prints the application’s own lines for products it knows, and applies none', async () => {
    const [client, server] = linked({ range: [40000, 40199] });
    const listener = server.run(() => listen('10.77.0.2', 80));
    const haproxy = join(tmpdir(), `plimsoll-tune-${process.pid}.cfg`);
    folders.push(haproxy);
    writeFileSync(
      haproxy,
      'defaults\n  mode tcp\n  timeout connect 1s\n  timeout client 60s\n  timeout server 60s\nlisten l\n  bind 127.0.0.1:8080\n  server a 10.77.0.2:80\n',
    );
    client.spawn('haproxy', ['-db', '-f', haproxy]);
    await until('HAProxy to listen', () => client.exec('ss', '-Hltn').includes('8080'));
    client.run(() => {
      for (let i = 0; i < 5; i++) open('127.0.0.1', 8080);
    });
    await until('HAProxy to connect', () => server.run(() => acceptAll(listener)).length > 0);
    const d = await new Site(client).audit();
    expect(d.snippets.find((x) => x.product === 'HAProxy')?.text).toContain('http-reuse always');
  });
});

describe.concurrent('--apply', () => {
  kernelTest('sets, persists, measures that the promise came, does nothing again, and is undone to the byte', async () => {
    const s = churned();
    const was = s.picture();
    expect((await s.tune(['--dry-run'])).out).toContain('+net.ipv4.tcp_tw_reuse = 1');
    expect(s.picture()).toEqual(was);

    const applied = await s.tune(['--apply']);
    expect({ code: applied.code, err: applied.err }).toEqual({ code: 0, err: '' });
    expect(applied.out).toContain('set net.ipv4.tcp_tw_reuse = 1 (was 0)');
    expect(applied.out).toMatch(/200 ports, 75 % used → 200 ports, 0 % used; promised 200 ports, .* in the long run: came/);
    expect(s.sysctl('net.ipv4.tcp_tw_reuse')).toBe('1');
    expect(readFileSync(join(s.root, DROP_IN), 'utf8')).toMatch(/# TIME_WAITs hold most ports of .*\nnet\.ipv4\.tcp_tw_reuse = 1\n/);

    const after = s.picture();
    const again = await s.tune(['--apply']);
    expect([again.code, again.out]).toEqual([0, 'nothing to change\n']);
    expect(s.picture()).toEqual(after);

    const back = await s.tune(['--rollback']);
    expect([back.code, back.out]).toEqual([0, 'restored net.ipv4.tcp_tw_reuse = 0\nremoved /etc/sysctl.d/zz-plimsoll.conf\n']);
    expect(s.picture()).toEqual(was);
    expect((await s.tune(['--rollback'])).code).toBe(66);
  });

  kernelTest('widens only after the listeners’ ports are reserved, and the new ports are there', async () => {
    const s = crowded();
    const { code, out } = await s.tune(['--apply']);
    expect(code).toBe(0);
    const lines = out.split('\n');
    expect(lines[0]).toBe('set net.ipv4.ip_local_reserved_ports = 8080,9000 (was none)');
    expect(lines[1]).toBe('set net.ipv4.ip_local_port_range = 1024 65535 (was 40000 40199)');
    expect(out).toMatch(/200 ports, 75 % used → 64,510 ports/);
    // A restart finds its port: nobody who lets the kernel choose gets 8080.
    s.ns.run(() => {
      for (let i = 0; i < 300; i++) open(A, 80);
    });
    expect((await s.tune(['--rollback'])).code).toBe(0);
    expect(s.sysctl('net.ipv4.ip_local_reserved_ports')).toBe('');
  });

  kernelTest('--only limits it, and widening brings the reserved ports along', async () => {
    const both = churned({ 'net.ipv4.tcp_timestamps': 0 });
    const { out } = await both.tune(['--apply', '--only', 'tcp_timestamps']);
    expect(out.split('\n')[0]).toBe('set net.ipv4.tcp_timestamps = 1 (was 0)');
    expect(both.sysctl('net.ipv4.ip_local_port_range')).toBe('40000 40199');
    const range = await crowded().tune(['--dry-run', '--only', 'net.ipv4.ip_local_port_range']);
    expect(range.out).toContain('ip_local_reserved_ports="8080,9000"');
  });

  kernelTest('--netns changes the running namespace from outside and says that nothing is persisted', async () => {
    const s = churned();
    const outside = (...args: string[]): Promise<Ran> =>
      new Promise((resolve) => {
        execFile(process.execPath, [command, 'tune', '--netns', s.ns.name, '--state', s.state, ...args], (error, out, err) =>
          resolve({ code: error === null ? 0 : Number(error.code), out, err }),
        );
      });
    const { code, out } = await outside('--apply');
    expect([code, out]).toEqual([0, expect.stringContaining('nothing was persisted')]);
    expect(s.sysctl('net.ipv4.tcp_tw_reuse')).toBe('1');
    expect(readdirSync(join(s.root, 'etc/sysctl.d'))).toEqual([]);
    expect((await outside('--rollback')).out).toBe('restored net.ipv4.tcp_tw_reuse = 0\n');
  });

  kernelTest('on a read-only /proc, or with a sysctl.d that cannot be written, touches nothing', async () => {
    const s = churned();
    const was = s.picture();
    const behind = (mount: string): readonly string[] => ['sh', '-c', `${mount} && exec "$@"`, 'sh'];
    const proc = await s.tune(['--apply'], behind('mount --bind /proc/sys /proc/sys && mount -o remount,ro,bind /proc/sys'));
    expect([proc.code, proc.err]).toEqual([77, expect.stringContaining('/proc is mounted read-only; nothing was changed')]);
    expect(s.picture()).toEqual(was);
    const etc = join(s.root, 'etc/sysctl.d');
    const files = await s.tune(['--apply'], behind(`mount --bind ${etc} ${etc} && mount -o remount,ro,bind ${etc}`));
    expect([files.code, files.err]).toEqual([77, expect.stringMatching(/cannot write .*sysctl\.d: EROFS/)]);
    expect(s.picture()).toEqual(was);
  });

  kernelTest('that is killed in the middle is undone by --rollback, and by the next --apply', async () => {
    const s = churned();
    const was = s.picture();
    const killed = [
      'strace',
      '-qq',
      '-o',
      '/dev/null',
      '-P',
      '/proc/sys/net/ipv4/tcp_tw_reuse',
      '-e',
      'trace=write',
      '-e',
      'inject=write:signal=SIGKILL:when=1',
    ];
    expect((await s.tune(['--apply'], killed)).code).not.toBe(0);
    // The drop-in is there and the value is not: half of it.
    expect(existsSync(join(s.root, DROP_IN))).toBe(true);
    const back = await s.tune(['--rollback']);
    expect([back.code, back.out]).toEqual([0, 'removed /etc/sysctl.d/zz-plimsoll.conf\n']);
    expect(s.picture()).toEqual(was);
    await s.tune(['--apply'], killed);
    const again = await s.tune(['--apply']);
    expect([again.code, again.err]).toEqual([0, expect.stringContaining('an earlier run was cut off in the middle')]);
    expect(s.sysctl('net.ipv4.tcp_tw_reuse')).toBe('1');
  });

  kernelTest('--rollback leaves what somebody changed since, says so, and exits 1', async () => {
    const s = churned();
    await s.tune(['--apply']);
    s.ns.sysctl('net.ipv4.tcp_tw_reuse', 2);
    const { code, out } = await s.tune(['--rollback']);
    expect(code).toBe(1);
    expect(out).toContain('left net.ipv4.tcp_tw_reuse alone: it is 2 now, not the 1 that plimsoll set; somebody changed it since');
    expect(s.sysctl('net.ipv4.tcp_tw_reuse')).toBe('2');
  });
});

describe('plimsoll tune', () => {
  test.each([
    ['--apply --rollback', 64, '--apply and --rollback exclude each other'],
    ['--only tcp_tw_recycle', 66, 'tune does not look at "tcp_tw_recycle"'],
    ['--only tcp_tw_reusse', 66, 'did you mean "tcp_tw_reuse"?'],
    ['--format yaml', 64, '--format: "yaml" is not sysctl, ansible or pod'],
    ['--role boss', 64, '--role: "boss" is not proxy, server, client, nat or idle'],
    ['--netns all', 64, '--netns: "all" is not one namespace'],
    ['--netns nowhere', 66, 'no network namespace "nowhere"'],
    ['--root /nowhere', 66, 'cannot read /nowhere'],
    ['--rollback --state /nowhere/else --root /nowhere', 66, 'cannot read /nowhere'],
    ['now', 64, 'tune does not take "now"'],
  ])('%s: %i, %s', async (line, code, says) => {
    const ran = await plimsoll(['tune', ...line.split(' ')]);
    expect({ code: ran.code, out: ran.out }).toEqual({ code, out: '' });
    expect(ran.err).toContain(says);
  });
});
