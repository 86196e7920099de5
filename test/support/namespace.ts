/**
 * Network namespaces for one story each. Whatever a test makes in one (processes, sockets, addresses) goes with it.
 *
 * Names are `plimsoll-t<pid of the maker>-<n>`, so that a later run can tell which of them nobody owns any more.
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { enter } from './sockets.ts';

const prefix = 'plimsoll-t';
let counter = 0;
const live = new Set<Namespace>();

const ip = (...args: string[]): string => execFileSync('ip', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });

/** Whether namespaces can be made here. */
export const privileged = process.getuid?.() === 0;

export interface NamespaceOptions {
  /** net.ipv4.ip_local_port_range. */
  readonly range?: readonly [low: number, high: number];
  /** Further sysctls by their dotted name. */
  readonly sysctls?: Readonly<Record<string, string | number>>;
  /** Addresses on the loopback device beside 127.0.0.1 and ::1. */
  readonly addresses?: readonly string[];
}

export class Namespace {
  readonly name: string;
  private readonly children = new Set<ChildProcess>();

  constructor(options: NamespaceOptions = {}) {
    this.name = `${prefix}${process.pid}-${counter++}`;
    ip('netns', 'add', this.name);
    live.add(this);
    ip('-n', this.name, 'link', 'set', 'lo', 'up');
    for (const address of options.addresses ?? []) this.addAddress(address);
    this.sysctl('net.core.somaxconn', 65535);
    this.sysctl('net.ipv4.tcp_max_syn_backlog', 65535);
    if (options.range) this.sysctl('net.ipv4.ip_local_port_range', options.range.join(' '));
    for (const [name, value] of Object.entries(options.sysctls ?? {})) this.sysctl(name, value);
  }

  /** Adds an address (with or without its prefix length) to `device`. */
  addAddress(address: string, device = 'lo'): void {
    const cidr = address.includes('/') ? address : `${address}/${address.includes(':') ? 128 : 32}`;
    if (!address.includes(':')) {
      ip('-n', this.name, 'address', 'add', cidr, 'dev', device);
      return;
    }
    ip('-n', this.name, 'address', 'add', cidr, 'dev', device, 'nodad');
    // The kernel makes the route to an IPv6 address afterwards, from a work queue (addrconf_dad_work).
    const routed = (): string => ip('-n', this.name, '-6', 'route', 'show', 'table', 'local', 'dev', device);
    for (let tries = 0; tries < 500 && !routed().includes(cidr.split('/')[0]!); tries++);
  }

  sysctl(name: string, value: string | number): void {
    this.exec('sysctl', '-qw', `${name}=${value}`);
  }

  /** Runs a program inside, to its end; its stdout. Throws if it fails. */
  exec(program: string, ...args: string[]): string {
    return execFileSync('ip', ['netns', 'exec', this.name, program, ...args], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'pipe'],
      maxBuffer: 1 << 28,
    });
  }

  /** Starts a program inside; it ends with the namespace, with `kill`, or when this process dies. */
  spawn(program: string, args: readonly string[] = [], env: NodeJS.ProcessEnv = process.env): ChildProcess {
    const child = spawn('setpriv', ['--pdeathsig', 'KILL', 'ip', 'netns', 'exec', this.name, program, ...args], { stdio: 'pipe', env });
    this.children.add(child);
    child.once('exit', () => this.children.delete(child));
    return child;
  }

  /** Runs `work` with this thread inside the namespace. Only synchronous work stays inside. */
  run<T>(work: () => T): T {
    return enter(`/run/netns/${this.name}`, work);
  }

  /** Ends what runs inside and removes the namespace. */
  destroy(): void {
    if (!live.delete(this)) return;
    for (const child of this.children) child.kill('SIGKILL');
    try {
      ip('netns', 'delete', this.name);
    } catch {
      // Removed already.
    }
  }
}

/** Two namespaces joined by a veth pair: `10.77.0.1/24` on the left, `10.77.0.2/24` on the right. */
export const linked = (left: NamespaceOptions = {}, right: NamespaceOptions = {}): readonly [Namespace, Namespace] => {
  const a = namespace(left);
  const b = namespace(right);
  ip('-n', a.name, 'link', 'add', 'eth0', 'type', 'veth', 'peer', 'name', 'eth0', 'netns', b.name);
  for (const [ns, address] of [
    [a, '10.77.0.1/24'],
    [b, '10.77.0.2/24'],
  ] as const) {
    ns.addAddress(address, 'eth0');
    ip('-n', ns.name, 'link', 'set', 'eth0', 'up');
  }
  return [a, b];
};

/** Joins `ns` (`eth0`, `address`) to `box` (`name`, `gateway`) by a veth pair. */
export const wire = (ns: Namespace, box: Namespace, name: string, address: string, gateway: string): void => {
  box.exec('ip', 'link', 'add', name, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', ns.name);
  ns.addAddress(`${address}/24`, 'eth0');
  ns.exec('ip', 'link', 'set', 'eth0', 'up');
  box.addAddress(`${gateway}/24`, name);
  box.exec('ip', 'link', 'set', name, 'up');
};

/** A namespace that is gone when the process (or the test file) ends, however it ends. */
export const namespace = (options: NamespaceOptions = {}): Namespace => new Namespace(options);

/** Removes every namespace of this process. */
export const destroyNamespaces = (): void => {
  for (const ns of [...live]) ns.destroy();
};
process.on('exit', destroyNamespaces);

/** Removes the namespaces of runs that are no more. */
export const sweepNamespaces = (): void => {
  if (!privileged || !existsSync('/run/netns')) return;
  for (const name of readdirSync('/run/netns')) {
    const maker = new RegExp(`^${prefix}(\\d+)-`).exec(name)?.[1];
    if (maker === undefined || (maker !== String(process.pid) && existsSync(`/proc/${maker}`))) continue;
    try {
      ip('netns', 'delete', name);
    } catch {
      // Somebody else was quicker.
    }
  }
};
