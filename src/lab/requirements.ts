/** What a scenario needs of this host: root's network capabilities, and programs that Debian has in packages. */
import { accessSync, constants, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { PlimsollError } from '../core/errors.ts';

/** Debian's package of each program. */
const packages = {
  ip: 'iproute2',
  ss: 'iproute2',
  setpriv: 'util-linux',
  nft: 'nftables',
  conntrack: 'conntrack',
  tcpdump: 'tcpdump',
  haproxy: 'haproxy',
  nginx: 'nginx',
} as const;
export type ProgramName = keyof typeof packages;

/** What every scenario needs. */
const always: readonly ProgramName[] = ['ip', 'ss', 'setpriv'];

/** Where administrators' programs live, beside PATH: an ordinary user's PATH lacks them. */
const folders = (path: string | undefined): readonly string[] => [
  ...(path ?? '').split(':').filter((f) => f !== ''),
  '/usr/local/sbin',
  '/usr/sbin',
  '/sbin',
  '/usr/bin',
  '/bin',
];

/** PATH with administrators' folders, for what is started. */
export const searchPath = (path: string | undefined): string => [...new Set(folders(path))].join(':');

const isThere = (program: string, path: string | undefined): boolean =>
  folders(path).some((folder) => {
    try {
      accessSync(join(folder, program), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });

/** Bits of the effective set, by linux/capability.h. */
const capabilities = { CAP_NET_ADMIN: 12, CAP_NET_RAW: 13, CAP_SYS_ADMIN: 21 } as const;

/** The capabilities that network namespaces need and this process lacks. */
export const missingCapabilities = (status: string = readFileSync('/proc/self/status', 'utf8')): readonly string[] => {
  const effective = BigInt(`0x${/^CapEff:\s*([0-9a-f]+)/m.exec(status)?.[1] ?? '0'}`);
  return Object.entries(capabilities).flatMap(([name, bit]) => ((effective >> BigInt(bit)) & 1n ? [] : [name]));
};

/** Throws lab_denied or lab_program_missing. `line` is the command line as it was typed, for sudo. */
export const requireAll = (what: string, programs: readonly ProgramName[], line: string, path: string | undefined): void => {
  const missing = missingCapabilities();
  if (missing.length > 0) throw new PlimsollError('lab_denied', { what, missing: missing.join(', '), line });
  const absent = [...always, ...programs].filter((p) => !isThere(p, path));
  if (absent.length > 0)
    throw new PlimsollError('lab_program_missing', {
      what,
      programs: absent.join(', '),
      packages: [...new Set(absent.map((p) => packages[p]))].join(' '),
    });
};
