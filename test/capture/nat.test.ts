/** Two clients behind one translator, on the real kernel: their clocks and sequence numbers meet on the same four numbers. */
import { execFileSync } from 'node:child_process';
import { expect } from 'vitest';
import { kernelTest, type Namespace, namespace } from '../support/netns.ts';
import { acceptAll, close, listen, open } from '../support/sockets.ts';
import { capture, explainFiles } from '../support/tcpdump.ts';

const ip = (...args: string[]): string => execFileSync('ip', args, { encoding: 'utf8' });
const link = (one: Namespace, device: string, address: string, other: Namespace, otherDevice: string, otherAddress: string): void => {
  ip('-n', one.name, 'link', 'add', device, 'type', 'veth', 'peer', 'name', otherDevice, 'netns', other.name);
  one.addAddress(address, device);
  other.addAddress(otherAddress, otherDevice);
  ip('-n', one.name, 'link', 'set', device, 'up');
  ip('-n', other.name, 'link', 'set', otherDevice, 'up');
};

kernelTest('clients behind a translator whose ports come back within the server’s TIME-WAIT are delayed by PAWS, and told so', async () => {
  const [first, second, nat, outside] = [namespace(), namespace(), namespace(), namespace()] as const;
  link(first, 'eth0', '10.78.1.2/24', nat, 'one', '10.78.1.1/24');
  link(second, 'eth0', '10.78.3.2/24', nat, 'two', '10.78.3.1/24');
  link(nat, 'out', '10.78.2.1/24', outside, 'eth0', '10.78.2.2/24');
  ip('-n', first.name, 'route', 'add', 'default', 'via', '10.78.1.1');
  ip('-n', second.name, 'route', 'add', 'default', 'via', '10.78.3.1');
  nat.sysctl('net.ipv4.ip_forward', 1);
  nat.exec('nft', 'add', 'table', 'ip', 't');
  nat.exec('nft', 'add', 'chain', 'ip', 't', 'post', '{ type nat hook postrouting priority 100; }');
  nat.exec('nft', 'add', 'rule', 'ip', 't', 'post', 'oifname', 'out', 'ip', 'protocol', 'tcp', 'snat', 'to', '10.78.2.1:40000-40015');
  // The translator forgets a closed connection sooner than the server does: any shorter time than 60 s makes the same collision.
  nat.sysctl('net.netfilter.nf_conntrack_tcp_timeout_time_wait', 1);
  nat.sysctl('net.netfilter.nf_conntrack_tcp_timeout_close', 1);
  const listener = outside.run(() => listen('10.78.2.2', 80));
  const recording = await capture(nat, 'out');
  let slow = 0;
  for (let i = 0; i < 60; i++) {
    const from = i % 2 === 0 ? first : second;
    const start = performance.now();
    const fd = from.run(() => open('10.78.2.2', 80));
    if (performance.now() - start > 5) slow++;
    // The server closes first.
    close(...acceptAll(listener));
    close(fd);
  }
  const result = explainFiles(await recording.stop());
  expect(slow).toBeGreaterThan(5);
  expect(result.handshakes.answered).toBe(60);
  const f = result.findings.find((x) => x.code === 'paws_rejected')!;
  expect(f.subject).toBe('10.78.2.1 → 10.78.2.2:80');
  expect(f.chosen_by).toContain('more than one clock');
  // Every slow connect met at least one refusal, and all got through: on the same port, or on another that the translator chose.
  expect(f.count).toBeGreaterThanOrEqual(slow);
  expect(result.handshakes).toMatchObject({ ignored: 0 });
  expect(result.handshakes.moved).toBe(result.handshakes.tried - 60);
  expect(result.findings.map((x) => x.code).sort()).toEqual(['paws_rejected', 'port_reused_early', 'time_wait_accepted']);
});
