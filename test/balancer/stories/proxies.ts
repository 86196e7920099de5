/** HAProxy, nginx and ours, started with the same task: two servers, a check every 300 ms, and few source ports. */
import { execFile } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { BalancerState } from '../../../src/balancer/engine.ts';
import { front, type Network, servers, sources } from './network.ts';
import { bundled, Program, scratch, startNode } from './program.ts';

export type Product = 'haproxy' | 'nginx' | 'plimsoll';

/** Who chooses the source ports: the proxy itself, from these, or the kernel, from its range. */
export type Ports = { readonly chooser: 'proxy'; readonly low: number; readonly high: number } | { readonly chooser: 'kernel' };

export interface Proxy {
  readonly product: Product;
  readonly program: Program;
  /** How often it took a server out of service. */
  downs(): number;
  /** Lines it has logged that are not about one request. */
  logLines(): number;
  end(): Promise<void>;
}

let counter = 0;
const file = (name: string, text: string): string => {
  const path = join(scratch, `${counter++}-${name}`);
  writeFileSync(path, text);
  return path;
};

const countLines = (program: Program, pattern: RegExp): number =>
  [...program.out, ...program.err].filter((line) => pattern.test(line)).length;

const startHaproxy = async (network: Network, ports: Ports): Promise<Proxy> => {
  const source = ports.chooser === 'proxy' ? ` source ${sources[0]}:${ports.low}-${ports.high}` : '';
  const path = file(
    'haproxy.cfg',
    `global
  log stdout format raw local0
  nbthread 1
  maxconn 8000
defaults
  mode http
  log global
  option httplog
  timeout connect 3s
  timeout client 60s
  timeout server 60s
frontend fe
  bind ${front}:8080
  default_backend be
backend be
  option tcp-check
${servers.map((s, i) => `  server ${'ab'[i]} ${s}:80 check inter 300ms${source}`).join('\n')}
`,
  );
  const program = new Program(network.balancer.spawn('haproxy', ['-db', '-f', path]));
  await reachable(network, program);
  return {
    product: 'haproxy',
    program,
    downs: () => countLines(program, /Server be\/\w+ is DOWN/),
    // Access lines quote the request.
    logLines: () => countLines(program, /./) - countLines(program, / "(GET|POST|<BADREQ>)/),
    end: () => program.end(),
  };
};

const startNginx = async (network: Network, ports: Ports): Promise<Proxy> => {
  // It has no ports of its own: the nearest is one source address and a kernel range of as many ports.
  if (ports.chooser === 'proxy') network.balancer.sysctl('net.ipv4.ip_local_port_range', `${ports.low} ${ports.high}`);
  const path = file(
    'nginx.conf',
    `daemon off;
master_process off;
worker_processes 1;
pid ${join(scratch, `${counter}-nginx.pid`)};
error_log stderr warn;
events { worker_connections 8192; }
http {
  access_log off;
  client_body_temp_path ${scratch}; proxy_temp_path ${scratch}; fastcgi_temp_path ${scratch}; uwsgi_temp_path ${scratch}; scgi_temp_path ${scratch};
  upstream be { ${servers.map((s) => `server ${s}:80;`).join(' ')} keepalive 32; }
  server {
    listen ${front}:8080;
    location / {
      proxy_pass http://be;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      ${ports.chooser === 'proxy' ? `proxy_bind ${sources[0]};` : ''}
    }
  }
}
`,
  );
  const program = new Program(network.balancer.spawn('nginx', ['-c', path, '-e', 'stderr']));
  await reachable(network, program);
  return {
    product: 'nginx',
    program,
    downs: () => countLines(program, /upstream server temporarily disabled/),
    logLines: () => countLines(program, /./),
    end: () => program.end(),
  };
};

export interface OurSettings {
  /** The text of the file; `{socket}` is not replaced: the socket is an argument. */
  readonly configuration: string;
  readonly args?: readonly string[];
  /** The control socket of a process that was there before. */
  readonly socket?: string;
}

/** Ours, with what its operators have: the control socket and the commands that use it. */
export class Plimsoll implements Proxy {
  readonly product = 'plimsoll' as const;
  readonly program: Program;
  readonly configurationPath: string;
  readonly socket: string;
  private readonly entry: string;
  private readonly network: Network;

  private constructor(network: Network, program: Program, configurationPath: string, socket: string, entry: string) {
    this.network = network;
    this.program = program;
    this.configurationPath = configurationPath;
    this.socket = socket;
    this.entry = entry;
  }

  static async start(network: Network, settings: OurSettings): Promise<Plimsoll> {
    const path = file('plimsoll.yaml', settings.configuration);
    const socket = settings.socket ?? join(scratch, `${counter++}.sock`);
    const entry = 'src/cli/entry.ts';
    const program = await startNode(network.balancer, entry, ['balance', '-c', path, '--socket', socket, ...(settings.args ?? [])]);
    await program.said(/^plimsoll balance: /);
    return new Plimsoll(network, program, path, socket, await bundled(entry));
  }

  /** Runs `plimsoll WORDS` as an operator would; its standard output. */
  async run(...words: readonly string[]): Promise<string> {
    const args = ['netns', 'exec', this.network.balancer.name, process.execPath, this.entry, ...words, '--socket', this.socket];
    const { stdout } = await promisify(execFile)('ip', args, { maxBuffer: 1 << 26 });
    return stdout;
  }

  async show<K extends 'virtual_services' | 'pools' | 'snat_pools' | 'health_monitors' | 'events'>(section: K): Promise<BalancerState[K]> {
    const words = {
      virtual_services: 'virtualservice',
      pools: 'pool',
      snat_pools: 'snatpool',
      health_monitors: 'healthmonitor',
      events: 'events',
    };
    return (JSON.parse(await this.run('show', words[section], '--json')) as { readonly items: BalancerState[K] }).items;
  }

  /** Writes a new file and has it applied. */
  async reload(configuration: string): Promise<void> {
    writeFileSync(this.configurationPath, configuration);
    await this.run('reload');
  }

  downs(): number {
    return countLines(this.program, / server_down /);
  }

  logLines(): number {
    return this.program.err.length;
  }

  end(signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
    return this.program.end(signal);
  }
}

/** What HAProxy and nginx are told above, in our words. */
export const ourConfiguration = (ports: Ports): string => `version: 1
virtual_services: [{ name: web, listen: "${front}:8080", application_profile: http, pool: web }]
application_profiles: [{ name: http, type: http }]
pools:
  - name: web
    servers: [${servers.map((s, i) => `{ name: ${'ab'[i]}, address: "${s}:80" }`).join(', ')}]
    health_monitors: [tcp]
${ports.chooser === 'proxy' ? '    snat_pool: egress\n' : ''}health_monitors: [{ name: tcp, type: tcp, send_interval: 300ms, receive_timeout: 300ms }]
${ports.chooser === 'proxy' ? `snat_pools: [{ name: egress, addresses: [${sources[0]}], ports: [${ports.low}-${ports.high}], monitor_ports: 1 }]\n` : ''}`;

export const startProxy = (product: Product, network: Network, ports: Ports, args: readonly string[] = []): Promise<Proxy> => {
  if (product === 'haproxy') return startHaproxy(network, ports);
  if (product === 'nginx') return startNginx(network, ports);
  return Plimsoll.start(network, { configuration: ourConfiguration(ports), args });
};

/** Waits until something listens on the front address. */
const reachable = async (network: Network, program: Program): Promise<void> => {
  const run = promisify(execFile);
  for (let attempt = 0; attempt < 200; attempt++) {
    if (program.child.exitCode !== null) throw new Error(`ended with ${program.child.exitCode}: ${program.err.slice(-5).join(' | ')}`);
    const { stdout } = await run('ip', ['netns', 'exec', network.balancer.name, 'ss', '-Hltn', 'sport', '=', ':8080']);
    if (stdout.trim() !== '') return;
    await new Promise((done) => setTimeout(done, 20));
  }
  throw new Error('nothing listens');
};
