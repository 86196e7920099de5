/**
 * The C library, for what Node cannot say: netlink sockets, setns, socket options, perf events. The only user of koffi.
 *
 * Loaded on first use, because the native part costs about 10 ms. Where it cannot be loaded (no binary for this libc or
 * architecture) everything that needs it reports `unsupported`, and procfs is read instead.
 */
import { createRequire } from 'node:module';
import { constants } from 'node:os';
import type { Reading } from '../core/host-sample.ts';

/** The calls we use, with the C library's own meanings; negative results leave the reason in `errno()`. */
export interface Ffi {
  socket(domain: number, type: number, protocol: number): number;
  bind(fd: number, address: Uint8Array, length: number): number;
  connect(fd: number, address: Uint8Array, length: number): number;
  getsockname(fd: number, address: Uint8Array, length: Uint8Array): number;
  setsockopt(fd: number, level: number, option: number, value: Uint8Array, length: number): number;
  getsockopt(fd: number, level: number, option: number, value: Uint8Array, length: Uint8Array): number;
  listen(fd: number, backlog: number): number;
  send(fd: number, bytes: Uint8Array, length: number, flags: number): number;
  close(fd: number): number;
  setns(fd: number, type: number): number;
  flock(fd: number, operation: number): number;
  /** clock_getres(2): fills `timespec` (two 64-bit words). */
  clockGetres(clock: number, timespec: Uint8Array): number;
  /** perf_event_open(2). */
  perfEventOpen(attributes: Uint8Array, pid: number, cpu: number, group: number, flags: number): number;
  ioctl(fd: number, request: number, argument: Uint8Array | null): number;
  /** A file system of `type` mounted nowhere: a descriptor to open paths under, gone when closed (fsopen(2), Linux 5.2). -1 if it fails. */
  mountDetached(type: string): number;
  /** mmap(2) of `length` bytes of `fd`, shared, readable and writable; null if it fails. The view lives until `munmap`. */
  mmap(fd: number, length: number): { readonly bytes: Uint8Array; unmap(): void } | null;
  errno(): number;
}

const names = new Map(Object.entries(constants.errno).map(([name, number]) => [number, name]));

/** `EACCES` for 13. */
export const errnoName = (errno: number): string => names.get(errno) ?? `errno ${errno}`;

const SYS_perf_event_open: Readonly<Record<string, number>> = { x64: 298, arm64: 241 };

const load = (): Ffi => {
  // Resolved at run time, beside the bundle: the native binary cannot be part of it.
  const koffi = createRequire(import.meta.url)('koffi') as typeof import('koffi');
  const libc = koffi.load(null);
  const perf = libc.func('long syscall(long, void *, int, int, int, unsigned long)');
  const mmap = libc.func('void *mmap(void *, size_t, int, int, int, long)');
  const munmap = libc.func('int munmap(void *, size_t)');
  const number = SYS_perf_event_open[process.arch] ?? -1;
  const fsopen = libc.func('long syscall(long, str, unsigned int)');
  const fsconfig = libc.func('long syscall(long, int, unsigned int, void *, void *, int)');
  const fsmount = libc.func('long syscall(long, int, unsigned int, unsigned int)');
  const close = libc.func('int close(int)');
  return {
    socket: libc.func('int socket(int, int, int)'),
    bind: libc.func('int bind(int, void *, uint32_t)'),
    connect: libc.func('int connect(int, void *, uint32_t)'),
    getsockname: libc.func('int getsockname(int, void *, void *)'),
    setsockopt: libc.func('int setsockopt(int, int, int, void *, uint32_t)'),
    getsockopt: libc.func('int getsockopt(int, int, int, void *, void *)'),
    listen: libc.func('int listen(int, int)'),
    send: libc.func('long send(int, void *, size_t, int)'),
    close,
    setns: libc.func('int setns(int, int)'),
    flock: libc.func('int flock(int, int)'),
    clockGetres: libc.func('int clock_getres(int, void *)'),
    perfEventOpen: (attributes, pid, cpu, group, flags) => perf(number, attributes, pid, cpu, group, flags) as number,
    ioctl: libc.func('int ioctl(int, unsigned long, void *)'),
    mountDetached: (type) => {
      const context = fsopen(430, type, 1 /* FSOPEN_CLOEXEC */) as number;
      if (context < 0) return -1;
      const created = fsconfig(431, context, 6 /* FSCONFIG_CMD_CREATE */, null, null, 0) as number;
      const mount = created < 0 ? -1 : (fsmount(432, context, 1 /* FSMOUNT_CLOEXEC */, 0) as number);
      close(context);
      return mount;
    },
    mmap: (fd, length) => {
      const pointer: unknown = mmap(null, length, 3 /* PROT_READ|PROT_WRITE */, 1 /* MAP_SHARED */, fd, 0);
      if (koffi.address(pointer) === 0xffffffffffffffffn) return null;
      return { bytes: new Uint8Array(koffi.view(pointer, length)), unmap: () => void munmap(pointer, length) };
    },
    errno: () => koffi.errno(),
  };
};

let loaded: Reading<Ffi> | null = null;

/** The C library, or why it is not there. `PLIMSOLL_FFI=off` does without it, for tests and for hosts where it misbehaves. */
export const ffi = (): Reading<Ffi> => {
  if (loaded === null) {
    try {
      if (process.env['PLIMSOLL_FFI'] === 'off') throw new Error('switched off by PLIMSOLL_FFI=off');
      if (process.platform !== 'linux') throw new Error(`this is ${process.platform}, not Linux`);
      loaded = { status: 'ok', value: load() };
    } catch (error) {
      loaded = {
        status: 'unsupported',
        hint: `no access to the C library (${(error as Error).message.split('\n')[0]}): sockets are read from /proc, more slowly`,
      };
    }
  }
  return loaded;
};
