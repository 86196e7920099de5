// What `npm start` and `npm test` do first: install what is missing, build what is stale. Quiet and quick when there is nothing to do.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, realpathSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = fileURLToPath(new URL('..', import.meta.url));

/** Whether `url` (an import.meta.url) is the script that was started, whatever symbolic links led to it. */
export const isMain = (url) => process.argv[1] !== undefined && realpathSync(process.argv[1]) === fileURLToPath(url);

/** Ends with `message`: for what the user has to mend. */
const give = (message) => {
  console.error(`plimsoll: ${message}`);
  process.exit(69);
};

/** Folders count too: removing a file changes nothing else. */
const pathsUnder = (dir) => [
  dir,
  ...readdirSync(dir, { withFileTypes: true }).flatMap((e) => (e.isDirectory() ? pathsUnder(join(dir, e.name)) : [join(dir, e.name)])),
];

const newest = (paths) => Math.max(...paths.map((path) => statSync(path).mtimeMs));

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
  const { status, error } = spawnSync(
    'npm',
    ['install', '--no-save', '--include=dev', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'],
    { cwd: root, stdio: ['ignore', 2, 2] },
  );
  if (error) give(`npm cannot be started: ${error.message}`);
  if (status !== 0) give(`npm could not install the packages: its words are above. Nothing else was tried.`);
  writeFileSync(stamp, wanted);
};

/** Builds dist/ if a source is newer than it. */
export const buildIfStale = async () => {
  const target = join(root, 'dist', 'plimsoll.cjs');
  const sources = [...pathsUnder(join(root, 'src')), join(root, 'package.json'), join(root, 'scripts', 'build.mjs')];
  if (existsSync(target) && statSync(target).mtimeMs > newest(sources)) return;
  const { bundle } = await import('./build.mjs');
  await bundle();
};

/** Debian packages that the tests drive as peers and oracles: program → package. */
const peers = {
  ip: 'iproute2',
  sysctl: 'procps',
  setpriv: 'util-linux',
  nft: 'nftables',
  conntrack: 'conntrack',
  haproxy: 'haproxy',
  nginx: 'nginx-light',
  tcpdump: 'tcpdump',
  tshark: 'tshark',
  tmux: 'tmux',
  wrk: 'wrk',
  gcc: 'gcc',
  jq: 'jq',
  strace: 'strace',
  chromium: 'chromium',
  promtool: 'prometheus',
};

/** Packages of those that start a service of their own. */
const services = ['haproxy', 'nginx', 'prometheus'];

const onPath = (program) =>
  [...(process.env.PATH ?? '').split(':'), '/usr/sbin', '/sbin'].some((dir) => dir !== '' && existsSync(join(dir, program)));

/** Installs the missing peers when root on Debian; otherwise names them and what their absence skips. */
export const installPeers = () => {
  if (process.getuid() !== 0) console.error('plimsoll: not root: tests that make network namespaces are skipped.');
  const missing = Object.entries(peers).filter(([program]) => !onPath(program));
  if (missing.length === 0) return;
  const programs = missing.map(([program]) => program);
  const packages = [...new Set(missing.map(([, name]) => name))];
  if (process.getuid() !== 0 || !onPath('apt-get')) {
    console.error(
      `plimsoll: not installed: ${programs.join(', ')} (on Debian: apt-get install ${packages.join(' ')}). Tests that need them are skipped or fail.`,
    );
    return;
  }
  console.error(`plimsoll: installing Debian packages the tests need: ${packages.join(' ')} …`);
  // RUNLEVEL=1 keeps sysvinit from starting the services; systemd is told afterwards.
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive', RUNLEVEL: '1' };
  const apt = (args) =>
    spawnSync('apt-get', ['-qq', '-o', 'Dpkg::Use-Pty=0', ...args], { env, stdio: ['ignore', 'ignore', 2] }).status === 0;
  if (!(apt(['update']) && apt(['install', '-y', '--no-install-recommends', ...packages]))) {
    console.error('plimsoll: apt-get failed (its words are above); tests that need those packages are skipped or fail.');
  }
  const started = services.filter((name) => programs.includes(name));
  if (started.length > 0 && existsSync('/run/systemd/system')) {
    console.error(`plimsoll: stopping what their packages started: ${started.join(' ')}`);
    spawnSync('systemctl', ['disable', '--now', '--quiet', ...started], { stdio: ['ignore', 'ignore', 2] });
  }
};
