/**
 * Captures with nothing in them to explain must be explained as clean: a tool that finds something in every capture is read once.
 *
 * A hundred thousand connections of the real kernel, with keep-alive, refused ports, a port scan, and 2 % of all packets lost in
 * each direction (nftables, as this kernel has no netem). Reordering and duplication are made afterwards, by exchanging and
 * repeating packets of the file: what a capture point behind several queues sees.
 */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { expect, test } from 'vitest';
import { ACK, connection, type Frame, frame, pcapFile, RST, SYN, type TcpPacket } from '../support/capture-file.ts';
import { kernelTest, linked, type Namespace } from '../support/netns.ts';
import { until } from '../support/poll.ts';
import { close, open } from '../support/sockets.ts';
import { capture, explainBytes } from '../support/tcpdump.ts';

const server = '10.77.0.1';
const ports = 20;
const perPort = 5000;

/** A child inside `ns` that runs a script to its end; resolves to what it printed. */
const script = (ns: Namespace, code: string): { readonly done: Promise<string>; readonly said: () => string } => {
  const child = ns.spawn(process.execPath, ['-e', code]);
  let text = '';
  child.stdout!.on('data', (chunk: Buffer) => {
    text += chunk.toString();
  });
  let errors = '';
  child.stderr!.on('data', (chunk: Buffer) => {
    errors += chunk.toString();
  });
  const done = new Promise<string>((resolve, reject) =>
    child.once('exit', (code) => (code === 0 ? resolve(text) : reject(new Error(`exit ${code}: ${errors}`)))),
  );
  done.catch(() => undefined);
  return { done, said: () => text };
};

/** Answers every request; the client closes first, so that its own kernel keeps it from reusing a port too soon. */
const serving = `
const net = require('node:net');
let open = 0;
for (let p = 0; p < ${ports}; p++) {
  const s = net.createServer((c) => {
    c.on('error', () => {});
    c.on('data', (d) => { c.write('answer'); });
  });
  s.listen({ port: 9000 + p, host: '${server}', backlog: 4096 }, () => { if (++open === ${ports}) console.log('ready'); });
}`;

/** Opens `perPort` connections to each port; one in a hundred carries many requests. */
const asking = `
const net = require('node:net');
let port = 0, started = 0, running = 0, finished = 0, failed = 0;
const total = ${ports * perPort};
const next = () => {
  while (running < 2000 && started < total) {
    const n = started++;
    running++;
    const c = net.connect({ host: '${server}', port: 9000 + Math.floor(n / ${perPort}) });
    const keep = n % 100 === 0;
    let rounds = keep ? 10 : 0;
    c.setNoDelay(true);
    c.on('connect', () => c.write(keep ? 'K' : 'Q'));
    c.on('data', () => { if (rounds-- > 0) c.write('K'); else c.end(); });
    c.on('error', () => { failed++; });
    c.on('close', () => { running--; if (++finished === total) { console.log(failed); process.exit(0); } next(); });
  }
};
next();`;

kernelTest(
  '100,000 ordinary connections with loss, keep-alive, refused and scanned ports have no finding',
  { timeout: 180_000 },
  async () => {
    const roomy = { 'net.ipv4.ip_local_port_range': '10240 65535' };
    const [a, b] = linked({ sysctls: roomy }, { sysctls: roomy });
    for (const ns of [a, b]) {
      ns.exec('nft', 'add', 'table', 'ip', 't');
      ns.exec('nft', 'add', 'chain', 'ip', 't', 'in', '{ type filter hook input priority 0; }');
      ns.exec('nft', 'add', 'rule', 'ip', 't', 'in', 'tcp', 'dport', '9000-65535', 'numgen', 'random', 'mod', '100', '<', '2', 'drop');
    }
    const serve = script(a, serving);
    await until('the server', () => serve.said().includes('ready'));
    // Seen from the client: what is lost on the way there and what is lost on the way back both leave their marks.
    const recording = await capture(b);
    // A scan of ports nobody listens on, and one service that is down and asked again and again.
    const targets = [...Array.from({ length: 3000 }, (_, i) => i + 1), ...new Array<number>(300).fill(8999)];
    const scanning = b.run(() => targets.map((port) => open(server, port, { nonBlocking: true })));
    const failed = Number(await script(b, asking).done);
    await until('every refusal', () => b.exec('ss', '-tnH', 'state', 'syn-sent').trim() === '', 60_000);
    close(...scanning);
    const path = await recording.stop();
    const file = readFileSync(path);
    const result = explainBytes([file]);
    expect(failed).toBe(0);
    expect(result.handshakes.tried).toBe(ports * perPort + targets.length);
    expect(result.handshakes.answered).toBe(ports * perPort);
    expect(result.handshakes.reset).toBe(targets.length);
    // tcpdump reads the same file and counts the same flags.
    const counted = (filter: string): number =>
      Number(
        /^(\d+) packet/.exec(
          execFileSync('tcpdump', ['-r', path, '--count', filter], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }),
        )![1],
      );
    expect(result.tcp).toMatchObject({
      syn: counted('tcp[tcpflags] & (tcp-syn|tcp-ack) = tcp-syn'),
      syn_ack: counted('tcp[tcpflags] & (tcp-syn|tcp-ack) = (tcp-syn|tcp-ack)'),
      fin: counted('tcp[tcpflags] & tcp-fin != 0'),
      rst: counted('tcp[tcpflags] & tcp-rst != 0'),
    });
    // The loss was real.
    expect(result.handshakes.retried).toBeGreaterThan(1000);
    expect(result.findings.map((f) => [f.code, f.subject, f.count])).toEqual([]);

    // The same again with 3 % of its packets exchanged with one of the next four, and 1 % doubled.
    let x = 12_345;
    const below = (n: number): number => {
      x = (Math.imul(x, 1_664_525) + 1_013_904_223) | 0;
      return (x >>> 8) % n;
    };
    const records: Buffer[] = [];
    for (let at = 24; at + 16 <= file.length; ) {
      const length = 16 + file.readUInt32LE(at + 8);
      records.push(file.subarray(at, at + length));
      at += length;
    }
    const shuffled: Buffer[] = [file.subarray(0, 24)];
    let doubled = 0;
    for (let i = 0; i < records.length; i++) {
      if (below(100) < 3) {
        const j = Math.min(records.length - 1, i + 1 + below(4));
        [records[i], records[j]] = [records[j]!, records[i]!];
      }
      shuffled.push(records[i]!);
      if (below(100) < 1) {
        shuffled.push(records[i]!);
        doubled++;
      }
    }
    const mixed = explainBytes([Buffer.concat(shuffled)]);
    expect(mixed.packets).toBe(records.length + doubled);
    expect(mixed.findings.map((f) => [f.code, f.subject, f.count])).toEqual([]);
    expect(mixed.handshakes.answered).toBe(result.handshakes.answered);
    expect(mixed.handshakes.tried).toBe(result.handshakes.tried);
  },
);

const client = ['10.0.0.1', 40000] as const;
const service = ['10.0.0.2', 80] as const;
const explain = (packets: readonly TcpPacket[]): ReturnType<typeof explainBytes> =>
  explainBytes([pcapFile(packets.toSorted((p, q) => p.time - q.time).map((p) => frame(p)))]);
const syn = (time: number, port: number, seq: number): TcpPacket => ({
  time,
  source: [client[0], port],
  destination: service,
  flags: SYN,
  seq,
});
const rst = (time: number, port: number, ack: number): TcpPacket => ({
  time,
  source: service,
  destination: [client[0], port],
  flags: RST | ACK,
  seq: 0,
  ack,
});

test('a service that was restarted refuses one run of handshakes: no finding', () => {
  const packets = Array.from({ length: 60 }, (_, i) => {
    const port = 41000 + i;
    const at = 1000 + i;
    return i >= 20 && i < 30 ? [syn(at, port, i), rst(at + 0.0001, port, i + 1)] : connection(at, [client[0], port], service);
  }).flat();
  expect(explain(packets).findings).toEqual([]);
});

test('refusals in between accepted handshakes, again and again, are a finding by inference', () => {
  const packets = Array.from({ length: 60 }, (_, i) => {
    const port = 41000 + i;
    const at = 1000 + i * 0.37 + (i % 7) * 0.05;
    return i % 9 === 4 ? [syn(at, port, i), rst(at + 0.0001, port, i + 1)] : connection(at, [client[0], port], service);
  }).flat();
  const { findings } = explain(packets);
  expect(findings).toMatchObject([{ code: 'syn_reset', count: 7, certain: false }]);
  expect(findings[0]!.text).toContain('outside the capture');
});

test('one SYN lost and sent again is put down to loss; a destination that never answers is named for what it is', () => {
  const ordinary = Array.from({ length: 200 }, (_, i) => connection(1000 + i * 0.1, [client[0], 42000 + i], service)).flat();
  const retried = explain([...ordinary, syn(1010.05, 43000, 5), ...connection(1011.05, [client[0], 43000], service, { isn: 5 })]);
  expect(retried.findings).toEqual([]);
  expect(retried.handshakes).toMatchObject({ retried: 1, put_down_to_loss: 1, answered: 201 });
  const dead = [0, 1, 3, 7].map((t): TcpPacket => ({ time: 1001 + t, source: client, destination: ['10.0.0.9', 80], flags: SYN, seq: 5 }));
  const { findings } = explain([...ordinary, ...dead]);
  expect(findings).toMatchObject([{ code: 'syn_ignored', severity: 'info', subject: '10.0.0.1 → 10.0.0.9:80' }]);
  expect(findings[0]!.text).toContain('not a shortage of ports');
});

test('one source near the last of its 64,512 ports towards one destination is a finding; as many over ten destinations are none', () => {
  const many = (destinations: number): Frame[] =>
    Array.from({ length: 63_000 }, (_, i) => {
      const source = [client[0], 1024 + i] as const;
      const to = ['10.0.1.1', 80 + (i % destinations)] as const;
      return connection(1000 + i * 0.0005, source, to, { closer: 'none', request: 0, isn: i * 4000, pace: 0.00005 }).map((p) => frame(p));
    }).flat();
  const { findings } = explainBytes([pcapFile(many(1))]);
  expect(findings).toMatchObject([{ code: 'source_near_limit', severity: 'critical', count: 63_000, subject: '10.0.0.1 → 10.0.1.1:80' }]);
  expect(findings[0]!.text).toContain('64,512');
  expect(explainBytes([pcapFile(many(10))]).findings).toEqual([]);
});

test('the ports a source used in the last 60 and 120 s are counted as a list of them would be', () => {
  const at = 1400;
  const uses = Array.from({ length: 300 }, (_, i) => ({ port: 41000 + ((i * 7) % 130), time: 1000.5 + i * 1.3 }));
  const packets = uses.flatMap(({ port, time }, i) => connection(time, [client[0], port], service, { isn: i * 9_000_000 }));
  const open = connection(1001, client, service, { closer: 'none' });
  const meeting = [syn(at, client[1], 5), { ...rst(at + 0.001, client[1], 6) }];
  const { findings } = explain([...packets, ...open, ...meeting]);
  const recent = (seconds: number): number =>
    new Set([client[1], ...uses.filter(({ time }) => time < at && time + 0.0014 > at - seconds).map(({ port }) => port)]).size;
  expect(findings[0]!.cases[0]).toMatchObject({ ports_60s: recent(60), ports_120s: recent(120) });
  expect(recent(60)).toBeGreaterThan(30);
});

test('memory follows the connections alive, not the length of the capture', () => {
  const peak = (connections: number): number => {
    const frames = Array.from({ length: connections }, (_, i) =>
      connection(1000 + i, ['10.0.0.1', 1024 + (i % 60_000)], ['10.0.0.2', 80 + (i % 5)], { isn: i * 7919 }).map((p) => frame(p)),
    ).flat();
    const result = explainBytes([pcapFile(frames)]);
    expect(result.handshakes.answered).toBe(connections);
    return result.peak_remembered;
  };
  // One connection a second, each remembered for two minutes: the same number after a thousand as after twenty thousand.
  expect(peak(1000)).toBeLessThan(140);
  expect(peak(20_000)).toBe(peak(1000));
});

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;
/** Bytes that are held, not those that merely have not been collected yet. */
const inUse = (): number => {
  // What backed a buffer goes with the collection after the buffer's own.
  for (let i = 0; i < 3; i++) collect();
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
};

test('a flood of SYNs from forged sources is counted, not remembered whole', () => {
  /** A file of its own function's making, so that nothing it was made of is held when memory is looked at. */
  const flood = (sources: number): Buffer => {
    const frames = Array.from({ length: sources }, (_, i) =>
      frame({
        time: 1000 + i * 0.002,
        source: [`${1 + (i >> 16)}.${(i >> 8) & 255}.${i & 255}.7`, 1024 + (i % 60_000)],
        destination: service,
        flags: SYN,
        seq: i,
      }),
    );
    return pcapFile([...connection(1000, client, service, { closer: 'none' }).map((p) => frame(p)), ...frames]);
  };
  const run = (file: Buffer): { readonly heap: number; readonly result: ReturnType<typeof explainBytes> } => {
    const before = inUse();
    let heap = 0;
    const result = explainBytes([file], {
      whenRead: () => {
        heap = inUse() - before;
      },
    });
    return { heap, result };
  };
  const { heap, result } = run(flood(400_000));
  expect(result.handshakes.tried).toBe(400_001);
  expect(result.sources_total).toBe(400_001);
  // Two minutes of 500 SYNs a second are under way at any time.
  expect(result.peak_remembered).toBeLessThan(75_000);
  console.log(`${(heap / 1e6).toFixed(0)} MB for ${result.peak_remembered} remembered`);
  expect(heap).toBeLessThan(100e6);
});
