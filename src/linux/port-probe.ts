/**
 * Which held ports are closed to the kernel's choice because somebody bound them explicitly. sock_diag does not tell.
 *
 * The kernel is asked: a connect() confined to one port by IP_LOCAL_PORT_RANGE (Linux 6.3) fails with EADDRNOTAVAIL exactly when
 * an automatic connect() would pass the port over. TCP_FASTOPEN_CONNECT with TCP_FASTOPEN_NO_COOKIE defers the SYN to the first
 * write, which never comes: the port is searched and taken, no packet is sent, no counter moves, and connecting to AF_UNSPEC
 * gives it back. Where fast open is off, the SYN goes to a closed loopback port and is refused: the answer is the same.
 */
import type { PortProbe, Reading } from '../core/host-sample.ts';
import { PortSet } from '../core/port-range.ts';
import { errnoName, type Ffi } from './ffi.ts';

const AF_INET = 2;
const SOCK_STREAM_CLOEXEC = 1 | 0o2000000;
const IPPROTO_IP = 0;
const IPPROTO_TCP = 6;
const IP_LOCAL_PORT_RANGE = 51;
const TCP_FASTOPEN_CONNECT = 30;
const TCP_FASTOPEN_NO_COOKIE = 34;
const EADDRNOTAVAIL = 99;
const ECONNREFUSED = 111;

/** 127.0.0.9:1: in the namespace itself, and nobody listens on tcpmux there. */
const closedLoopbackPort = Uint8Array.from([AF_INET, 0, 0, 1, 127, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 0]);
const unspecified = new Uint8Array(16);

const one = Uint8Array.from([1, 0, 0, 0]);

/**
 * Asks about `ports` in the current network namespace until `deadline` (milliseconds of `now`). Those not asked about are
 * `unknown`. About 4 µs a port. Needs no privilege.
 */
export const probePorts = (
  ffi: Reading<Ffi>,
  ports: readonly number[],
  now: () => number,
  deadline: number,
): { readonly probe: PortProbe; readonly reading: Reading<null> } => {
  const blocked = new PortSet();
  const unknown = new PortSet();
  const give = (hint: string): { probe: PortProbe; reading: Reading<null> } => {
    for (const port of ports) unknown.add(port);
    return { probe: { blocked, unknown }, reading: { status: 'unsupported', hint } };
  };
  if (ports.length === 0) return { probe: { blocked, unknown }, reading: { status: 'ok', value: null } };
  if (ffi.status !== 'ok') return give('explicitly bound ports cannot be told from automatic ones: free_low counts them as taken');
  const c = ffi.value;
  let fd = -1;
  let deferred = false;
  const open = (): boolean => {
    fd = c.socket(AF_INET, SOCK_STREAM_CLOEXEC, 0);
    if (fd < 0) return false;
    deferred =
      c.setsockopt(fd, IPPROTO_TCP, TCP_FASTOPEN_CONNECT, one, 4) === 0 &&
      c.setsockopt(fd, IPPROTO_TCP, TCP_FASTOPEN_NO_COOKIE, one, 4) === 0;
    return true;
  };
  if (!open()) return give(`no socket to ask with: ${errnoName(c.errno())}`);
  const range = new Uint8Array(4);
  const view = new DataView(range.buffer);
  try {
    for (const [i, port] of ports.entries()) {
      // Some are asked however late it is: an observer gets through all of them in the end.
      if (i > 0 && (i & 63) === 0 && now() > deadline) {
        for (const rest of ports.slice(i)) unknown.add(rest);
        break;
      }
      // High end in the upper half, low end in the lower.
      view.setUint16(0, port, true);
      view.setUint16(2, port, true);
      if (c.setsockopt(fd, IPPROTO_IP, IP_LOCAL_PORT_RANGE, range, 4) < 0) {
        return give(
          'IP_LOCAL_PORT_RANGE is missing (Linux before 6.3): explicitly bound ports cannot be told from automatic ones, so free_low counts them as taken',
        );
      }
      if (c.connect(fd, closedLoopbackPort, closedLoopbackPort.length) < 0) {
        const errno = c.errno();
        if (errno === EADDRNOTAVAIL) blocked.add(port);
        // Refused: the port was found. Anything else (loopback down, say) is no answer.
        else if (errno !== ECONNREFUSED) unknown.add(port);
      } else if (deferred) c.connect(fd, unspecified, unspecified.length);
      else {
        // Somebody listens there after all: give the port back by starting afresh.
        c.close(fd);
        if (!open()) return give(`no socket to ask with: ${errnoName(c.errno())}`);
      }
    }
    const left = unknown.count({ low: 0, high: 65535 });
    if (left === 0) return { probe: { blocked, unknown }, reading: { status: 'ok', value: null } };
    const hint = `${left} of ${ports.length} held ports were not asked about in the time there was: free_low counts them as taken; a longer --interval asks them all`;
    return { probe: { blocked, unknown }, reading: { status: 'absent', hint } };
  } finally {
    c.close(fd);
  }
};
