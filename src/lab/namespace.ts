/** A network namespace of a run: made, wired, set and entered with iproute2, as an administrator would. */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { promisify } from 'node:util';

const run = promisify(execFile);
const ip = (...args: string[]): Promise<unknown> => run('ip', args);

export class LabNamespace {
  readonly name: string;
  /** `proxy`, `servers`: what the page calls it. */
  readonly role: string;

  private constructor(name: string, role: string) {
    this.name = name;
    this.role = role;
  }

  static async make(name: string, role: string): Promise<LabNamespace> {
    await ip('netns', 'add', name);
    const ns = new LabNamespace(name, role);
    await ip('-n', name, 'link', 'set', 'lo', 'up');
    await ns.set({ 'net.core.somaxconn': 65535, 'net.ipv4.tcp_max_syn_backlog': 65535 });
    return ns;
  }

  /** Joins two namespaces by a veth pair; `left` and `right` are the device's name and address (with prefix length) on each side. */
  static async wire(
    a: LabNamespace,
    left: readonly [device: string, ...addresses: string[]],
    b: LabNamespace,
    right: readonly [device: string, ...addresses: string[]],
  ): Promise<void> {
    await ip('-n', a.name, 'link', 'add', left[0], 'type', 'veth', 'peer', 'name', right[0], 'netns', b.name);
    for (const [ns, [device, ...addresses]] of [
      [a, left],
      [b, right],
    ] as const) {
      for (const address of addresses) await ip('-n', ns.name, 'address', 'add', address, 'dev', device);
      await ip('-n', ns.name, 'link', 'set', device, 'up');
    }
  }

  /** Sets sysctls by their dotted names. */
  async set(values: Readonly<Record<string, string | number>>): Promise<void> {
    // Under `ip netns exec` /proc/sys/net is the namespace's own.
    const script = 'while [ $# -gt 0 ]; do printf %s "$2" > "/proc/sys/$1" || exit 1; shift 2; done';
    await this.exec('sh', '-c', script, 'sh', ...Object.entries(values).flatMap(([k, v]) => [k.replaceAll('.', '/'), String(v)]));
  }

  /** The default route of this namespace. */
  async route(via: string): Promise<void> {
    await ip('-n', this.name, 'route', 'add', 'default', 'via', via);
  }

  /** Runs a program to its end; its standard output. Throws if it fails. */
  async exec(program: string, ...args: readonly string[]): Promise<string> {
    const { stdout } = await run('ip', ['netns', 'exec', this.name, program, ...args], { maxBuffer: 1 << 28 });
    return stdout;
  }

  /** Starts a program; the kernel ends it when this process dies, however that happens. */
  spawn(program: string, args: readonly string[], env: NodeJS.ProcessEnv): ChildProcess {
    return spawn('setpriv', ['--pdeathsig', 'KILL', 'ip', 'netns', 'exec', this.name, program, ...args], { stdio: 'pipe', env });
  }
}
