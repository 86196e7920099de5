/** The command as a user meets it: files, pipes, gzip, filters, bad input, hostile text, HTML. */
import { spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { PassThrough } from 'node:stream';
import { gzipSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { captureFilter } from '../../src/cli/commands/explain.ts';
import { main } from '../../src/cli/main.ts';
import type { CaptureDocument } from '../../src/wire/capture.ts';
import { captureSchema } from '../../src/wire/capture-schema.ts';
import { ACK, connection, frame, pcapFile, pcapngSection, RST, SYN, type TcpPacket } from '../support/capture-file.ts';
import { fakeShell, plimsoll } from '../support/shell.ts';
import { scratch } from '../support/tcpdump.ts';

const client = ['10.0.0.1', 40000] as const;
const server = ['10.0.0.2', 80] as const;

/** A SYN on a connection that is still open, answered with RST. */
const collision = (at = 1000): TcpPacket[] => [
  ...connection(at, client, server, { closer: 'none' }),
  { time: at + 5, source: client, destination: server, flags: SYN, seq: 777_000 },
  { time: at + 5.0001, source: server, destination: client, flags: RST | ACK, seq: 0, ack: 777_001 },
];
const write = (name: string, bytes: Uint8Array): string => {
  const path = scratch(name);
  writeFileSync(path, bytes);
  return path;
};
const file = pcapFile(collision().map((p) => frame(p)));
const path = write('collision.pcap', file);
const json = async (...argv: string[]): Promise<CaptureDocument> => {
  const r = await plimsoll(['explain', ...argv, '--json']);
  expect(r.code).toBe(0);
  return captureSchema.parse(JSON.parse(r.out));
};

describe('plimsoll explain', () => {
  test('prints a summary, the finding, its rule, whose port it was, a diagram by packet numbers, and what helps', async () => {
    const r = await plimsoll(['explain', path], { width: 120 });
    expect(r.code).toBe(0);
    expect(r.err).toBe('');
    for (const words of [
      '2 tried',
      '1 answered',
      '1 reset',
      'syn_on_established',
      'Rule:',
      'Port chosen by: 10.0.0.1',
      '#6',
      '#7',
      'cool_down_ports',
    ]) {
      expect(r.out).toContain(words);
    }
    expect(r.out).toMatch(/#6 +5\.000000 │─── SYN seq 777000 ─+▶│ the same four numbers again/);
    expect(r.out).toMatch(/#7 +5\.000100 │◀─+ RST ACK ack 777001 ───│ refused/);
  });

  test('prints a document that its schema accepts', async () => {
    const d = await json(path);
    expect(d.findings).toMatchObject([{ code: 'syn_on_established', answer: 'reset', count: 1 }]);
    expect(d.started_at).toBe('1970-01-01T00:16:40.000000Z');
  });

  test('reads the same from gzip, from a pipe and from a gzip pipe', async () => {
    const plain = await json(path);
    const gz = await json(write('collision.pcap.gz', gzipSync(file)));
    for (const stdin of [file, gzipSync(file)]) {
      const r = await plimsoll(['explain', '-', '--json'], { stdin });
      const d = JSON.parse(r.out) as CaptureDocument;
      expect(d.findings).toEqual(plain.findings);
      expect(d.files[0]!.name).toBe('standard input');
    }
    expect(gz.findings).toEqual(plain.findings);
    expect(gz.packets).toBe(plain.packets);
  });

  test('merges several files by time and names packets by file', async () => {
    const packets = collision();
    const even = write('even.pcap', pcapFile(packets.filter((_, i) => i % 2 === 0).map((p) => frame(p))));
    const odd = write(
      'odd.pcapng',
      pcapngSection(
        [{ link: 1 }],
        packets.filter((_, i) => i % 2 === 1).map((p) => frame(p)),
      ),
    );
    const d = await json(odd, even);
    expect(d.findings).toMatchObject([{ code: 'syn_on_established', count: 1 }]);
    expect(d.findings[0]!.cases[0]!.packets.map((p) => [p.file, p.number])).toEqual([
      [0, 3],
      [1, 4],
    ]);
    const text = await plimsoll(['explain', odd, even]);
    expect(text.out).toContain('#1:3');
    expect(text.out).toContain('#2:4');
  });

  test.each([
    ['10.0.0.1', 1],
    ['10.0.0.2:80', 1],
    [':80', 1],
    ['40000', 1],
    ['10.0.0.9', 0],
    [':81', 0],
    ['10.0.0.1:80', 0],
  ])('--filter %s keeps %i of the findings', async (filter, findings) => {
    expect((await json(path, '--filter', filter)).findings).toHaveLength(findings);
  });

  test.each(['nonsense', '10.0.0.1:0', ':70000', ''])('--filter "%s" is a usage error', async (filter) => {
    const r = await plimsoll(['explain', path, '--filter', filter]);
    expect(r.code).toBe(64);
    expect(r.err).toContain('for example --filter 10.0.0.7:443');
  });

  test('-v shows every case, otherwise one of each kind', async () => {
    const many = [0, 1, 2, 3].flatMap((i) => {
      const shift = ([address, port]: readonly [string, number]): readonly [string, number] => [address, port === 80 ? 80 : port + i];
      return collision(1000 + i * 10).map((p) => ({ ...p, source: shift(p.source), destination: shift(p.destination) }));
    });
    const p = write('many.pcap', pcapFile(many.map((x) => frame(x))));
    const few = (await plimsoll(['explain', p], { width: 120 })).out;
    const all = (await plimsoll(['explain', p, '-v'], { width: 120 })).out;
    expect(few.match(/refused$/gm)).toHaveLength(1);
    expect(all.match(/refused$/gm)).toHaveLength(4);
    expect(few).toContain('-v shows all');
  });

  test('a file that breaks off is explained up to there, and says where', async () => {
    const r = await plimsoll(['explain', write('cut.pcap', file.subarray(0, file.length - 7))]);
    expect(r.code).toBe(0);
    expect(r.err).toMatch(/cut\.pcap breaks off at byte \d+: the file ends inside a packet\. Everything before it is explained\./);
    const gz = gzipSync(file);
    const half = await plimsoll(['explain', write('half.pcap.gz', gz.subarray(0, gz.length - 20))]);
    expect(half.code).toBe(0);
    expect(half.err).toContain('breaks off');
  });

  test.each([
    ['empty', Buffer.alloc(0), 65, 'holds no capture'],
    ['text', Buffer.from('this is a log file, not a capture\n'), 65, 'is not a packet capture: at byte 0 it begins with 74 68 69'],
    ['zstd', Buffer.from([0x28, 0xb5, 0x2f, 0xfd, ...new Array<number>(40).fill(0)]), 65, 'zstd -dc FILE | plimsoll explain -'],
    ['short', pcapFile([]).subarray(0, 10), 65, 'after 10 bytes'],
  ])('a file that is %s is refused with what to do', async (name, bytes, code, words) => {
    const r = await plimsoll(['explain', write(name, bytes)]);
    expect(r.code).toBe(code);
    expect(r.out).toBe('');
    expect(r.err).toContain(words);
  });

  test('a missing file, a directory and no file are told apart', async () => {
    mkdirSync(scratch('folder'), { recursive: true });
    expect(await plimsoll(['explain', scratch('nowhere.pcap')])).toMatchObject({ code: 66 });
    const folder = await plimsoll(['explain', scratch('folder')]);
    expect(folder.code).toBe(66);
    expect(folder.err).toContain('it is a directory');
    expect(await plimsoll(['explain'])).toMatchObject({ code: 64 });
    expect(await plimsoll(['explain', '-', '-'])).toMatchObject({ code: 64 });
  });

  test('a capture without any handshake is not called clean', async () => {
    const r = await plimsoll(['explain', write('none.pcap', pcapFile([]))]);
    expect(r.code).toBe(0);
    expect(r.out).toContain('No handshake in this capture');
    const syns = [1, 2, 3].map((i) => frame({ time: i * 100, source: ['10.0.0.1', 40000 + i], destination: server, flags: SYN, seq: i }));
    const only = await plimsoll(['explain', write('syns.pcap', pcapFile(syns))]);
    expect(only.out).toContain('The capture holds SYNs and no answers');
  });

  test('text from a capture forges neither terminal output nor markup', async () => {
    const evil = '\u001b[2J\u202e<script>alert(1)</script>"\'`&\r\nplimsoll: all is well';
    const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
    const hostile = pcapngSection(
      [{ link: 1, options: [{ code: 2, value: bytes(evil) }] }],
      collision().map((p) => frame(p)),
      {
        section: [{ code: 4, value: bytes(evil) }],
      },
    );
    const name = scratch('<img src=x onerror=alert(1)>\u001b[31m.pcapng');
    writeFileSync(name, hostile);
    const html = scratch('hostile.html');
    const r = await plimsoll(['explain', name, '--html', html]);
    expect(r.code).toBe(0);
    // biome-ignore lint/suspicious/noControlCharactersInRegex: their absence is the point
    expect(r.out + r.err).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u202e]/);
    expect(r.out.split('\n').some((line) => line.startsWith('plimsoll: all is well'))).toBe(false);
    const page = readFileSync(html, 'utf8');
    expect(page).not.toMatch(/<script|<img|onerror=alert\(1\)>|javascript:/i);
    expect(page).toContain("default-src 'none'");
  });

  test('the HTML report has the diagram and a plot of ports over time', async () => {
    const many = Array.from({ length: 60 }, (_, i) => connection(1000 + i, ['10.0.0.1', 41000 + i], server)).flat();
    const p = write('plot.pcap', pcapFile([...many, ...collision(1100)].map((x) => frame(x))));
    const html = scratch('plot.html');
    expect((await plimsoll(['explain', p, '--html', html])).code).toBe(0);
    const page = readFileSync(html, 'utf8');
    expect(page.match(/<svg/g)).toHaveLength(2);
    // Self-contained: nothing is fetched from anywhere.
    expect(page).not.toMatch(/\b(src|href)\s*=|url\(|@import|<script/i);
    expect(page).toContain('Ports held over time');
    expect(page).toContain('SYN seq 777000');
    const unwritable = await plimsoll(['explain', p, '--html', '/proc/nowhere/x.html']);
    expect(unwritable.code).toBe(77);
  });

  test('its help prints a tcpdump line that tcpdump accepts and that keeps what an explanation needs', async () => {
    const r = await plimsoll(['explain', '--help']);
    expect(r.out.replace(/\s+/g, ' ')).toContain(captureFilter.replace(/\s+/g, ' '));
    const filtered = scratch('filtered.pcap');
    const done = spawnSync('tcpdump', ['-r', path, '-w', filtered, captureFilter], { encoding: 'utf8' });
    expect(done.status).toBe(0);
    const [whole, less] = [await json(path), await json(filtered)];
    expect(less.packets).toBeLessThan(whole.packets);
    expect(less.findings.map((f) => f.code)).toEqual(whole.findings.map((f) => f.code));
  });

  test('Ctrl-C ends a pipe and explains what came, but not a file', async () => {
    const pipe = new PassThrough();
    const shell = { ...fakeShell(), stdin: pipe };
    const running = main(['explain', '-'], shell);
    pipe.write(file);
    await new Promise((done) => setImmediate(done));
    shell.interrupt();
    expect(await running).toBe(0);
    expect(shell.out()).toContain('syn_on_established');
    const other = fakeShell();
    other.interrupt();
    expect(await main(['explain', path], other)).toBe(130);
    expect(other.out()).toBe('');
  });
});
