// What `npm start` and `npm test` do first: install what is missing, build what is stale. Quiet and quick when there is nothing to do.
import { execFileSync, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

export const root = new URL('..', import.meta.url).pathname;

const filesUnder = (dir) =>
  readdirSync(dir, { withFileTypes: true }).flatMap((e) => (e.isDirectory() ? filesUnder(join(dir, e.name)) : [join(dir, e.name)]));

const newestUnder = (dirs) => Math.max(...dirs.flatMap((d) => filesUnder(join(root, d))).map((f) => statSync(f).mtimeMs));

/** Installs node_modules exactly as locked, if they are not what the lock says. */
export const installDependencies = () => {
  const wanted = createHash('sha256')
    .update(readFileSync(join(root, 'package-lock.json')))
    .digest('hex');
  const stamp = join(root, 'node_modules', '.plimsoll-lock');
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === wanted) return;
  console.error('plimsoll: installing npm packages as locked …');
  // No package of ours needs its install script: binaries come inside the packages. Not `npm ci`: it refuses a lock that lacks
  // optional packages for other platforms, which some registries do not carry. This installs what the lock says and leaves it as it is.
  execFileSync('npm', ['install', '--no-save', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'], { cwd: root, stdio: ['ignore', 2, 2] });
  writeFileSync(stamp, wanted);
};

/** Builds dist/ if a source is newer than it. */
export const buildIfStale = async () => {
  const target = join(root, 'dist', 'plimsoll.cjs');
  if (existsSync(target) && statSync(target).mtimeMs > Math.max(newestUnder(['src']), statSync(join(root, 'package.json')).mtimeMs)) return;
  const { bundle } = await import('./build.mjs');
  await bundle();
};

/** Debian packages that the tests drive as peers and oracles: program → package. */
const peers = {
  ss: 'iproute2',
  nft: 'nftables',
  conntrack: 'conntrack',
  haproxy: 'haproxy',
  nginx: 'nginx-light',
  tcpdump: 'tcpdump',
  tshark: 'tshark',
  tmux: 'tmux',
  wrk: 'wrk',
  gcc: 'gcc',
};

const onPath = (program) =>
  [...(process.env.PATH ?? '').split(':'), '/usr/sbin', '/sbin'].some((dir) => dir !== '' && existsSync(join(dir, program)));

/** Installs the missing peers when root on Debian; otherwise names them and what their absence skips. */
export const installPeers = () => {
  const missing = Object.entries(peers).filter(([program]) => !onPath(program));
  if (missing.length === 0) return;
  const packages = [...new Set(missing.map(([, name]) => name))];
  if (process.getuid() !== 0 || !onPath('apt-get')) {
    console.error(`plimsoll: not installed: ${packages.join(', ')}. Tests that need ${missing.map(([p]) => p).join(', ')} are skipped.`);
    return;
  }
  console.error(`plimsoll: installing Debian packages the tests need: ${packages.join(' ')} …`);
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  // A package that starts a service of its own would take ports from the tests: policy-rc.d would need a file on the host, RUNLEVEL does not.
  env.RUNLEVEL = '1';
  mkdirSync(join(root, 'build'), { recursive: true });
  const apt = (args) =>
    spawnSync('apt-get', ['-qq', '-o', 'Dpkg::Use-Pty=0', ...args], { env, stdio: ['ignore', 'ignore', 2] }).status === 0;
  if (!(apt(['update']) && apt(['install', '-y', '--no-install-recommends', ...packages]))) {
    console.error('plimsoll: apt-get failed (its words are above); the tests that need those packages are skipped.');
  }
};
