/**
 * Every case of a SYN that meets an earlier connection, made on the real kernel and captured by tcpdump on the server's side.
 * The kernel is the oracle: what it answers is what the explanation has to account for.
 */
import { execFileSync } from 'node:child_process';
import { expect } from 'vitest';
import type { CaptureFinding, CaptureResult } from '../../src/capture/explain/result.ts';
import { SYN } from '../support/capture-file.ts';
import { kernelTest, linked, type Namespace, namespace } from '../support/netns.ts';
import { until } from '../support/poll.ts';
import { sendRaw } from '../support/raw.ts';
import { acceptAll, close, finish, listen, open, send } from '../support/sockets.ts';
import { type Capture, capture, explainFiles } from '../support/tcpdump.ts';

const server = '10.77.0.1';
const client = '10.77.0.2';
const port = 8080;

interface Scene {
  readonly a: Namespace;
  readonly b: Namespace;
  readonly listener: number;
  readonly capture: Capture;
}

const scene = async (sysctls: Readonly<Record<string, string | number>> = {}): Promise<Scene> => {
  const [a, b] = linked({ sysctls }, { sysctls });
  const listener = a.run(() => listen(server, port));
  return { a, b, listener, capture: await capture(a) };
};

const nft = (ns: Namespace, hook: 'input' | 'output', rule: string): void => {
  ns.exec('nft', 'add', 'table', 'ip', 't');
  ns.exec('nft', 'add', 'chain', 'ip', 't', hook, `{ type filter hook ${hook} priority 0; }`);
  ns.exec('nft', 'add', 'rule', 'ip', 't', hook, ...rule.split(' '));
};
/** No RST leaves `ns` while `work` runs. In a table of its own, so that other rules stay. */
const mute = (ns: Namespace, work: () => void): void => {
  ns.exec('nft', 'add', 'table', 'ip', 'mute');
  ns.exec('nft', 'add', 'chain', 'ip', 'mute', 'out', '{ type filter hook output priority 0; }');
  ns.exec('nft', 'add', 'rule', 'ip', 'mute', 'out', 'tcp', 'flags', 'rst', 'drop');
  work();
  ns.exec('nft', 'delete', 'table', 'ip', 'mute');
};

/** Opens a connection from `from`; the client's and the server's descriptor. */
const connect = (s: Scene, from: number): readonly [number, number] => {
  const fd = s.b.run(() => open(server, port, { bind: [client, from], reuseAddress: true }));
  return [fd, acceptAll(s.listener)[0]!];
};

/** The client forgets its socket without a word on the wire, as after a crash. */
const forget = (s: Scene, from: number): void => {
  mute(s.b, () => s.b.exec('ss', '-K', 'src', client, 'sport', '=', String(from)));
};

const only = (result: CaptureResult): CaptureFinding => {
  expect(result.findings.map((f) => f.code)).toHaveLength(1);
  return result.findings[0]!;
};
const flags = (finding: CaptureFinding): string[] => finding.cases[0]!.packets.map((p) => p.flags);

/** The old packets' numbers: the diagram must name packets that the file has. */
const numbersExist = (finding: CaptureFinding, result: CaptureResult): void => {
  for (const one of finding.cases)
    for (const p of one.packets) {
      expect(p.number).toBeGreaterThan(0);
      expect(p.number).toBeLessThanOrEqual(result.files[p.file]!.packets);
    }
};

kernelTest('a SYN on an established connection is challenged, reset and accepted, and explained by RFC 5961', async () => {
  const s = await scene();
  const [, served] = connect(s, 40001);
  forget(s, 40001);
  const [fd] = connect(s, 40001);
  const result = explainFiles(await s.capture.stop());
  close(fd, served);
  const f = only(result);
  expect(f).toMatchObject({ code: 'syn_on_established', answer: 'challenge', certain: true, count: 1, severity: 'warning' });
  expect(f.rule.source).toBe('RFC 5961 4.2');
  expect(flags(f)).toEqual(['SYN', 'ACK', 'RST', 'SYN', 'SYN ACK']);
  expect(f.cases[0]).toMatchObject({ client, client_port: 40001, server, server_port: port, outcome: 'answered', ports_60s: 1 });
  expect(f.cases[0]!.earlier).toMatchObject({ state: 'established', opened: { number: 1 }, closing: null });
  // Linux tries again two jiffies after the RST (HZ=250: 8 to 12 ms); a busy machine adds to it.
  expect(f.cases[0]!.delay).toBeGreaterThan(0.004);
  expect(f.cases[0]!.delay).toBeLessThan(0.5);
  numbersExist(f, result);
});

kernelTest('a SYN on CLOSE-WAIT is explained as half closed by the source', async () => {
  const s = await scene();
  const [old, served] = connect(s, 40002);
  s.b.run(() => finish(old));
  forget(s, 40002);
  const [fd] = connect(s, 40002);
  const f = only(explainFiles(await s.capture.stop()));
  close(fd, served, old);
  expect(f).toMatchObject({ code: 'syn_on_half_closed', answer: 'challenge', certain: true });
  expect(f.cases[0]!.earlier).toMatchObject({ state: 'close_wait', closed_first_by: 'client' });
});

kernelTest('a SYN on LAST-ACK is explained as waiting for the last acknowledgement', async () => {
  const s = await scene();
  const [old, served] = connect(s, 40003);
  s.b.run(() => finish(old));
  // The server's FIN never arrives, so it is never acknowledged.
  nft(s.b, 'input', 'tcp flags fin drop');
  close(served);
  forget(s, 40003);
  const [fd] = connect(s, 40003);
  const f = only(explainFiles(await s.capture.stop()));
  close(fd, old);
  expect(f).toMatchObject({ code: 'syn_on_half_closed', answer: 'challenge' });
  expect(f.cases[0]!.earlier).toMatchObject({ state: 'last_ack', closed_first_by: 'client' });
});

kernelTest('a SYN on FIN-WAIT-1 is explained as half closed by the destination', async () => {
  const s = await scene();
  const [old, served] = connect(s, 40004);
  nft(s.b, 'input', 'tcp flags fin drop');
  finish(served);
  forget(s, 40004);
  const [fd] = connect(s, 40004);
  const f = only(explainFiles(await s.capture.stop()));
  close(fd, served, old);
  expect(f).toMatchObject({ code: 'syn_on_half_closed', answer: 'challenge' });
  expect(f.cases[0]!.earlier).toMatchObject({ state: 'fin_wait', closed_first_by: 'server' });
});

kernelTest('a SYN on the orphan of FIN-WAIT-2 draws an ACK that no counter shows, and is explained', async () => {
  const s = await scene();
  const [old, served] = connect(s, 40005);
  close(served);
  await until('the client to hear the FIN', () => s.b.exec('ss', '-tanH', 'sport', '=', '40005').includes('CLOSE-WAIT'));
  forget(s, 40005);
  const [fd] = connect(s, 40005);
  const f = only(explainFiles(await s.capture.stop()));
  close(fd, old);
  expect(f).toMatchObject({ code: 'syn_on_half_closed' });
  expect(f.cases[0]!.earlier).toMatchObject({ state: 'fin_wait', closed_first_by: 'server' });
});

kernelTest('a SYN within the window of FIN-WAIT-2 draws RST, and is explained', async () => {
  const s = await scene();
  const [old, served] = connect(s, 40006);
  close(served);
  await until('the client to hear the FIN', () => s.b.exec('ss', '-tanH', 'sport', '=', '40006').includes('CLOSE-WAIT'));
  forget(s, 40006);
  const [syn] = await segments(s, 40006);
  s.b.run(() =>
    sendRaw({ source: [client, 40006], destination: [server, port], flags: SYN, seq: syn!.seq + 2, stamp: [syn!.stamp + 5000, 0] }),
  );
  const f = only(explainFiles(await s.capture.stop()));
  close(old);
  expect(f).toMatchObject({ code: 'syn_on_half_closed', answer: 'reset', severity: 'critical' });
  expect(flags(f)).toEqual(['SYN', 'RST ACK']);
});

kernelTest('a SYN into TIME-WAIT with a newer timestamp is accepted at once by RFC 6191, and that is only information', async () => {
  const s = await scene();
  const [old, served] = connect(s, 40007);
  close(served);
  await until('the client to hear the FIN', () => s.b.exec('ss', '-tanH', 'sport', '=', '40007').includes('CLOSE-WAIT'));
  close(old);
  await until('TIME-WAIT', () => s.a.exec('ss', '-tanH', 'state', 'time-wait').includes('40007'));
  // Timestamps count milliseconds.
  await until('the clock to go on', () => new Promise((done) => setTimeout(() => done(true), 5)));
  const [fd] = connect(s, 40007);
  const result = explainFiles(await s.capture.stop());
  close(fd);
  const f = only(result);
  expect(f).toMatchObject({ code: 'time_wait_accepted', severity: 'info', answer: 'accepted', count: 1 });
  expect(f.rule.source).toBe('RFC 6191');
  expect(result.sources[0]!.shortest_reuse).toBeLessThan(5);
});

kernelTest('without timestamps a higher sequence number is accepted into TIME-WAIT, a lower one draws the old ACK', async () => {
  const s = await scene({ 'net.ipv4.tcp_timestamps': 0 });
  for (const from of [40008, 40009]) {
    const [old, served] = connect(s, from);
    close(served);
    await until('the client to hear the FIN', () => s.b.exec('ss', '-tanH', 'sport', '=', String(from)).includes('CLOSE-WAIT'));
    close(old);
    await until('TIME-WAIT', () => s.a.exec('ss', '-tanH', 'state', 'time-wait').includes(String(from)));
  }
  const [higher] = await segments(s, 40008);
  const [lower] = await segments(s, 40009);
  const raw = (from: number, seq: number): void =>
    s.b.run(() => sendRaw({ source: [client, from], destination: [server, port], flags: SYN, seq: seq >>> 0, stamp: null }));
  raw(40008, higher!.seq + 100_000);
  // The client's kernel holds no socket and answers the old ACK with RST by itself, as a client that has forgotten does.
  raw(40009, lower!.seq - 100_000);
  await until('the old TIME-WAIT to be gone', () => !s.a.exec('ss', '-tanH', 'state', 'time-wait').includes('40009'));
  raw(40009, lower!.seq - 100_000);
  const result = explainFiles(await s.capture.stop());
  const accepted = result.findings.find((f) => f.code === 'time_wait_accepted')!;
  expect(accepted.rule.source).toBe('RFC 9293 3.10.7.4');
  const refused = result.findings.find((f) => f.code === 'syn_on_time_wait')!;
  expect(refused).toMatchObject({ answer: 'challenge', count: 1 });
  expect(refused.rule.text).toContain('lower');
  expect(flags(refused)).toEqual(['SYN', 'ACK', 'RST', 'SYN', 'SYN ACK']);
  expect(refused.cases[0]!.earlier).toMatchObject({ state: 'time_wait', closed_first_by: 'server' });
  expect(result.findings.map((f) => f.code).sort()).toEqual(['port_reused_early', 'syn_on_time_wait', 'time_wait_accepted']);
});

kernelTest('a SYN into TIME-WAIT with an older timestamp is explained as a PAWS rejection', async () => {
  const s = await scene();
  const [old, served] = connect(s, 40010);
  close(served);
  await until('the client to hear the FIN', () => s.b.exec('ss', '-tanH', 'sport', '=', '40010').includes('CLOSE-WAIT'));
  close(old);
  await until('TIME-WAIT', () => s.a.exec('ss', '-tanH', 'state', 'time-wait').includes('40010'));
  const [syn] = await segments(s, 40010);
  const raw = (): void =>
    s.b.run(() =>
      sendRaw({
        source: [client, 40010],
        destination: [server, port],
        flags: SYN,
        seq: (syn!.seq + 100_000) >>> 0,
        stamp: [(syn!.stamp - 60_000) >>> 0, 0],
      }),
    );
  raw();
  await until('the old TIME-WAIT to be gone', () => !s.a.exec('ss', '-tanH', 'state', 'time-wait').includes('40010'));
  raw();
  const result = explainFiles(await s.capture.stop());
  const f = result.findings.find((x) => x.code === 'paws_rejected')!;
  expect(f).toMatchObject({ answer: 'challenge', count: 1, severity: 'warning' });
  expect(f.rule.source).toContain('RFC 7323');
  expect(s.a.exec('nstat', '-asz', 'TcpExtPAWSTimewait', 'TcpExtPAWSEstab')).toMatch(/PAWS(Timewait|Estab)\s+[1-9]/);
});

kernelTest('a client whose RST is lost on the path never recovers, and the explanation says so', async () => {
  const s = await scene({ 'net.ipv4.tcp_syn_retries': 2 });
  const [, served] = connect(s, 40011);
  forget(s, 40011);
  nft(s.b, 'output', 'tcp flags rst drop');
  const fd = s.b.run(() => open(server, port, { bind: [client, 40011], reuseAddress: true, nonBlocking: true }));
  await until('the client to give up', () => !s.b.exec('ss', '-tanH', 'state', 'syn-sent').includes('40011'), 20_000);
  const f = only(explainFiles(await s.capture.stop()));
  close(fd, served);
  expect(f).toMatchObject({ code: 'syn_on_established', answer: 'challenge', severity: 'critical' });
  expect(flags(f).filter((x) => x === 'SYN').length).toBeGreaterThanOrEqual(3);
  expect(flags(f).filter((x) => x === 'ACK').length).toBeGreaterThanOrEqual(2);
  expect(f.text).toContain('never got through');
});

const box = 'ct state established tcp flags & (syn|ack) == syn reject with tcp reset';

kernelTest('a box that answers a SYN on a tuple it still holds with RST is told from a closed port', async () => {
  const s = await scene();
  nft(s.a, 'input', box);
  const [, served] = connect(s, 40012);
  forget(s, 40012);
  expect(() => connect(s, 40012)).toThrow('ECONNREFUSED');
  const result = explainFiles(await s.capture.stop());
  close(served);
  const f = only(result);
  expect(f).toMatchObject({ code: 'syn_on_established', answer: 'reset', severity: 'critical', certain: true });
  expect(flags(f)).toEqual(['SYN', 'RST ACK']);
  expect(f.rule.text).toContain('exactly like a closed port');
  expect(f.remedies).toContain('cool_down_ports');
  expect(result.handshakes).toMatchObject({ tried: 2, answered: 1, reset: 1 });
});

kernelTest('a box that drops a SYN on a tuple it still holds is explained by the silence and the second retry', async () => {
  const s = await scene();
  nft(s.a, 'input', 'ct state established tcp flags & (syn|ack) == syn drop');
  const [, served] = connect(s, 40013);
  forget(s, 40013);
  const fd = s.b.run(() => open(server, port, { bind: [client, 40013], reuseAddress: true, nonBlocking: true }));
  await until('two retries', () => Number(/TcpExtTCPSynRetrans\s+(\d+)/.exec(s.b.exec('nstat', '-asz', 'TcpExtTCPSynRetrans'))?.[1]) >= 2);
  const f = only(explainFiles(await s.capture.stop()));
  close(fd, served);
  expect(f).toMatchObject({ code: 'syn_on_established', answer: 'ignored' });
  expect(f.cases[0]!.packets[1]!.note).toContain('sent again after 1 s');
});

kernelTest('an earlier connection outside the capture is said to be outside, not guessed', async () => {
  const [a, b] = linked();
  const listener = a.run(() => listen(server, port));
  const before: Scene = { a, b, listener, capture: { path: '', stop: () => Promise.reject(new Error('none')) } };
  const [, served] = connect(before, 40014);
  forget(before, 40014);
  const s = { ...before, capture: await capture(a) };
  const [fd] = connect(s, 40014);
  const f = only(explainFiles(await s.capture.stop()));
  close(fd, served);
  expect(f).toMatchObject({ code: 'challenge_ack', certain: false });
  expect(f.cases[0]!.earlier).toBeNull();
  expect(f.text).toContain('outside the capture');
  expect(f.text).toContain('consistent with');
});

kernelTest('health checks refused by such a box while traffic works are named as what they are', async () => {
  const s = await scene();
  s.b.addAddress('10.77.0.3/24', 'eth0');
  nft(s.a, 'input', box);
  const monitor = '10.77.0.3';
  // Ports that the monitor's source used before and whose connections the server never saw closed.
  for (const from of [41001, 41003, 41005]) {
    s.b.run(() => open(server, port, { bind: [monitor, from], reuseAddress: true }));
  }
  const served = acceptAll(s.listener);
  mute(s.b, () => s.b.exec('ss', '-K', 'src', monitor));
  let next = 41000;
  let refused = 0;
  let beat = Date.now();
  for (let check = 0; check < 7; check++) {
    const from = next++;
    try {
      close(s.b.run(() => open(server, port, { bind: [monitor, from], reuseAddress: true })));
    } catch {
      refused++;
    }
    // Traffic in between: connections with a request.
    const fd = s.b.run(() => open(server, port));
    send(fd, 'GET / HTTP/1.0\r\n\r\n');
    close(fd);
    close(...acceptAll(s.listener));
    beat += 500;
    await until('the next beat', () => Date.now() >= beat);
  }
  const result = explainFiles(await s.capture.stop());
  close(...served);
  console.log(
    JSON.stringify(result.findings.map((f) => [f.code, f.subject, f.count, f.text])),
    JSON.stringify(result.sources),
    JSON.stringify(result.handshakes),
  );
  (await import('node:fs')).copyFileSync(s.capture.path, '/tmp/mon.pcap');
  expect(refused).toBe(3);
  const f = result.findings.find((x) => x.code === 'monitor_reset')!;
  expect(f.subject).toBe(`${monitor} → ${server}:${port}`);
  expect(f.evidence.find((e) => e.name === 'resets')!.value).toBe(3);
  expect(f.text).toMatch(/every (4|5|6)\d\d ms/);
  expect(result.findings.find((x) => x.code === 'syn_on_established')).toMatchObject({ count: 3, answer: 'reset' });
});

kernelTest('SYNs lost inside a translator that runs out of ports are told from both sides of it', async () => {
  const ip = (...args: string[]): string => execFileSync('ip', args, { encoding: 'utf8' });
  const [inside, nat, outside] = [namespace({ sysctls: { 'net.ipv4.tcp_syn_retries': 2 } }), namespace(), namespace()] as const;
  const link = (one: Namespace, device: string, address: string, other: Namespace, otherDevice: string, otherAddress: string): void => {
    ip('-n', one.name, 'link', 'add', device, 'type', 'veth', 'peer', 'name', otherDevice, 'netns', other.name);
    one.addAddress(address, device);
    other.addAddress(otherAddress, otherDevice);
    ip('-n', one.name, 'link', 'set', device, 'up');
    ip('-n', other.name, 'link', 'set', otherDevice, 'up');
  };
  link(inside, 'eth0', '10.78.1.2/24', nat, 'in', '10.78.1.1/24');
  link(nat, 'out', '10.78.2.1/24', outside, 'eth0', '10.78.2.2/24');
  ip('-n', inside.name, 'route', 'add', 'default', 'via', '10.78.1.1');
  nat.sysctl('net.ipv4.ip_forward', 1);
  nat.exec('nft', 'add', 'table', 'ip', 't');
  nat.exec('nft', 'add', 'chain', 'ip', 't', 'post', '{ type nat hook postrouting priority 100; }');
  nat.exec('nft', 'add', 'rule', 'ip', 't', 'post', 'oifname', 'out', 'ip', 'protocol', 'tcp', 'snat', 'to', '10.78.2.1:40000-40039');
  const listener = outside.run(() => listen('10.78.2.2', port));
  const [within, without] = [await capture(nat, 'in'), await capture(nat, 'out')];
  const fds: number[] = [];
  for (let i = 0; i < 60; i++) fds.push(inside.run(() => open('10.78.2.2', port, { nonBlocking: true })));
  await until('forty to get through and a retry of the rest', () => {
    const retries = Number(/TcpExtTCPSynRetrans\s+(\d+)/.exec(inside.exec('nstat', '-asz', 'TcpExtTCPSynRetrans'))?.[1] ?? 0);
    return retries >= 40;
  });
  const paths = [await within.stop(), await without.stop()];
  const result = explainFiles(...paths);
  close(...fds, ...acceptAll(listener));
  expect(result.handshakes.translated).toBe(40);
  const f = only(result);
  expect(f).toMatchObject({ code: 'snat_syn_loss', severity: 'critical', count: 20, certain: true });
  expect(f.subject).toBe(`10.78.1.2 → 10.78.2.2:${port}`);
  expect(f.text).toContain('held up to 40 ports');
  // The same from the inside alone: the silence is seen, its place is not.
  const alone = only(explainFiles(paths[0]!));
  expect(alone).toMatchObject({ code: 'syn_ignored', certain: false });
  expect(alone.text).toContain('outside the capture');
});

/** The SYNs captured so far from `from`: their sequence numbers and timestamps, read by tcpdump. */
const segments = async (s: Scene, from: number): Promise<readonly { readonly seq: number; readonly stamp: number }[]> =>
  until('the SYN to be captured', () => {
    const text = execFileSync('tcpdump', ['-Snnr', s.capture.path, `src port ${from} and tcp[tcpflags] = tcp-syn`], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    const found = [...text.matchAll(/seq (\d+)(?:.*?TS val (\d+))?/g)].map((m) => ({ seq: Number(m[1]), stamp: Number(m[2] ?? 0) }));
    return found.length > 0 ? found : null;
  });
