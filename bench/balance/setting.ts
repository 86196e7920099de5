/**
 * One namespace for a comparison: wrk and the backend (nginx, one worker) on core 0, the proxies on core 1, each on a port of its own.
 * They run side by side and are loaded in turn, so that what the machine does meanwhile meets them all.
 */
import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { type Namespace, namespace } from '../../test/support/namespace.ts';
import { until } from '../../test/support/poll.ts';

const run = promisify(execFile);
export const folder = mkdtempSync(join(tmpdir(), 'plimsoll-bench-'));
process.on('exit', () => rmSync(folder, { recursive: true, force: true }));

export const backendAddress = '10.66.0.1';
export const bodyBytes = 1024;

export type Name = 'HAProxy' | 'nginx' | 'plimsoll';
export interface Contender {
  readonly name: Name;
  readonly pid: number;
  readonly url: string;
}

const file = (name: string, text: string): string => {
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
};

const nginxPaths = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((p) => `${p}_temp_path ${folder};`).join(' ');
const nginxHead = (name: string): string => `daemon off; master_process off; worker_processes 1; worker_rlimit_nofile 20000;
pid ${join(folder, `${name}.pid`)}; error_log stderr crit; events { worker_connections 18000; }\n`;

export class Setting {
  readonly ns: Namespace;
  constructor() {
    this.ns = namespace({ addresses: [backendAddress, '10.66.0.5'] });
    // Many clients from one address to one port: none of them may wait for the other's TIME_WAIT.
    this.ns.sysctl('net.ipv4.ip_local_port_range', '33000 65000');
    this.ns.sysctl('net.ipv4.tcp_tw_reuse', '1');
    this.ns.sysctl('net.ipv4.tcp_max_tw_buckets', '2000');
  }

  private start(core: number, program: string, args: readonly string[]): number {
    const child = this.ns.spawn('taskset', ['-c', String(core), program, ...args]);
    const said: string[] = [];
    for (const stream of [child.stdout, child.stderr]) stream?.on('data', (b: Buffer) => said.push(b.toString()));
    child.once('exit', (code) => {
      if (code !== null && code !== 0) process.stderr.write(`${program} ended with ${code}: ${said.join('').slice(-500)}\n`);
    });
    return child.pid!;
  }

  async backend(): Promise<void> {
    truncateSync(file('big', ''), 1 << 30);
    const path = file(
      'backend.conf',
      `${nginxHead('backend')}http { access_log off; ${nginxPaths} keepalive_requests 100000000; keepalive_timeout 600s; sendfile on;
  server { listen ${backendAddress}:80 backlog=8192; root ${folder}; location = /big { } location / { default_type text/plain; return 200 "${'x'.repeat(bodyBytes)}"; } } }\n`,
    );
    this.start(0, 'nginx', ['-c', path, '-e', 'stderr']);
    await this.listening(backendAddress, 80);
  }

  async haproxy(port: number, mode: 'http' | 'tcp' = 'http'): Promise<Contender> {
    const path = file(
      `haproxy-${port}.cfg`,
      `global
  nbthread 1
  maxconn 9500
defaults
  mode ${mode}
  ${mode === 'http' ? 'http-reuse always' : ''}
  timeout connect 3s
  timeout client 600s
  timeout server 600s
frontend fe
  bind ${backendAddress}:${port} backlog 8192
  default_backend be
backend be
  server a ${backendAddress}:80
`,
    );
    const pid = this.start(1, 'haproxy', ['-db', '-f', path]);
    return this.contender('HAProxy', pid, port);
  }

  async nginx(port: number): Promise<Contender> {
    const path = file(
      `nginx-${port}.conf`,
      `${nginxHead('proxy')}http { access_log off; ${nginxPaths} keepalive_requests 100000000; keepalive_timeout 600s;
  upstream be { server ${backendAddress}:80; keepalive 128; keepalive_requests 100000000; }
  server { listen ${backendAddress}:${port} backlog=8192; location / { proxy_pass http://be; proxy_http_version 1.1; proxy_set_header Connection ""; } } }\n`,
    );
    const pid = this.start(1, 'nginx', ['-c', path, '-e', 'stderr']);
    return this.contender('nginx', pid, port);
  }

  async plimsoll(port: number, type: 'http' | 'tcp' = 'http'): Promise<Contender> {
    const path = file(
      `plimsoll-${port}.yaml`,
      `version: 1
virtual_services: [{ name: web, listen: "${backendAddress}:${port}", application_profile: it, pool: web }]
application_profiles: [{ name: it, type: ${type}, client_idle_timeout: 10m }]
pools: [{ name: web, servers: [{ name: a, address: "${backendAddress}:80" }], snat_pool: egress }]
snat_pools: [{ name: egress, addresses: [10.66.0.5], ports: [10000-32767] }]
`,
    );
    const args = [join(process.cwd(), 'dist/plimsoll.cjs'), 'balance', '-c', path, '--socket', join(folder, `${port}.sock`)];
    const pid = this.start(1, process.execPath, args);
    return this.contender('plimsoll', pid, port);
  }

  private async contender(name: Name, pid: number, port: number): Promise<Contender> {
    await this.listening(backendAddress, port);
    return { name, pid, url: `http://${backendAddress}:${port}/` };
  }

  private async listening(address: string, port: number): Promise<void> {
    await until(`somebody to listen on ${address}:${port}`, () => this.ns.exec('ss', '-Hltn', 'src', `${address}:${port}`).trim() !== '');
  }

  /** Server connections that are open now, of everybody. */
  serverConnections(): number {
    return this.ns.exec('ss', '-Htn', 'state', 'established', 'dst', `${backendAddress}:80`).split('\n').length - 1;
  }

  /** Runs a program on core 0 in the namespace; its standard output. */
  async aside(program: string, ...args: readonly string[]): Promise<string> {
    const { stdout } = await run('ip', ['netns', 'exec', this.ns.name, 'taskset', '-c', '0', program, ...args], { maxBuffer: 1 << 26 });
    return stdout;
  }
}

/** CPU seconds a process has used, all its threads, user and system. */
export const cpuSeconds = (pid: number): number => {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]!.split(' ');
  return (Number(fields[11]) + Number(fields[12])) / 100;
};

/** Resident bytes of a process that are its own. */
export const ownMemory = (pid: number): number => {
  const text = readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8');
  const field = (name: string): number => Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(text)?.[1] ?? 0) * 1024;
  return field('Private_Clean') + field('Private_Dirty');
};
