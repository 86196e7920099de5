/** `plimsoll explain`: why handshakes were reset, delayed or ignored, from packet captures. */
import { writeFileSync } from 'node:fs';
import { setImmediate as breathe } from 'node:timers/promises';
import { Analysis } from '../../capture/analysis.ts';
import { parseFilter } from '../../capture/filter.ts';
import { CaptureStream } from '../../capture/format/stream.ts';
import { mostFiles } from '../../capture/track/incarnations.ts';
import { ExitCode, PlimsollError } from '../../core/errors.ts';
import { formatNumber } from '../../core/quantity.ts';
import { CAPTURE_SCHEMA, type CaptureDocument } from '../../wire/capture.ts';
import { type CaptureInput, fileInput, pipeInput } from '../capture-input.ts';
import type { CommandSpec } from '../command.ts';
import { renderExplain } from '../render/explain.ts';
import { renderExplainHtml } from '../render/explain-html.ts';
import type { Shell } from '../shell.ts';
import { painter, safe } from '../terminal.ts';

/** SYN, FIN, RST and every segment that only acknowledges: all that an explanation needs, some hundred bytes per connection. */
export const captureFilter =
  'tcp[tcpflags] & (tcp-syn|tcp-fin|tcp-rst) != 0 or (tcp[tcpflags] = tcp-ack and ip[2:2] = ((ip[0] & 0xf) << 2) + ((tcp[12] & 0xf0) >> 2)) or (ip6 and tcp)';
export const captureLine = `tcpdump -i any -s 128 -w trace.pcap '${captureFilter}'`;

/** Cases of one kind and port space kept with their packets: without -v, and with it. */
const keepFew = 10;
const keepAll = 100_000;
/** Smaller files are read before a progress bar could be looked at. */
const progressFrom = 64 << 20;

export const explain: CommandSpec = {
  name: 'explain',
  summary: 'Say from packet captures why TCP handshakes were reset, delayed or ignored',
  synopsis: 'FILE|- [FILE…]',
  takes: [1, mostFiles],
  options: [
    { name: 'json', description: 'print the document plimsoll.capture/1' },
    { name: 'html', value: 'FILE', description: 'also write a self-contained report with diagrams and a plot of ports in use' },
    {
      name: 'filter',
      value: 'ENDPOINT',
      description: 'only connections with this address, port or both: 10.0.0.7, :443, 10.0.0.7:443, [2001:db8::7]:443',
    },
    { name: 'verbose', short: 'v', description: 'every case with its packets, not one of each kind' },
  ],
  examples: [
    ['plimsoll explain trace.pcap', 'explain a capture'],
    ['plimsoll explain inside.pcap outside.pcap', 'both sides of a NAT together'],
    [`tcpdump -i any -s 128 -U -w - 'tcp' | plimsoll explain -`, 'capture until Ctrl-C, then explain'],
    ['plimsoll explain trace.pcapng.gz --json | jq .findings[].code', 'for scripts'],
  ],
  notes: [
    `To capture what it needs and little more, on the host or on the box that translates addresses: ${captureLine}`,
    'Reads pcap (microseconds and nanoseconds) and pcapng, gzip or not; Ethernet with VLAN tags, Linux cooked, raw IP, BSD loopback. Several files are merged by time.',
    'Exit codes: 0 with or without findings, also for a file that breaks off (the report says where); 65 not a capture; 66 no such file.',
  ],
  run: async (given, shell) => {
    const filter = given.value('filter', 'an address, a port, or address:port', '10.0.0.7:443', parseFilter);
    const paths = given.positionals;
    if (paths.filter((p) => p === '-').length > 1) throw new PlimsollError('excess_argument', { command: 'explain', argument: '-' });
    if (paths.includes('-') && shell.stdin.isTTY === true) throw new PlimsollError('capture_terminal');
    const inputs: CaptureInput[] = [];
    try {
      for (const path of paths) {
        const stream = new CaptureStream(path === '-' ? 'standard input' : path);
        inputs.push(
          path === '-'
            ? pipeInput(stream, shell.stdin as AsyncIterable<Uint8Array>, shell.interrupted)
            : fileInput(stream, path, shell.interrupted),
        );
      }
      const size = inputs.every((i) => i.size !== null) ? inputs.reduce((sum, i) => sum + (i.size ?? 0), 0) : null;
      const analysis = new Analysis(
        inputs.map((i) => i.stream),
        { size, filter, keep: given.flag('verbose') ? keepAll : keepFew, seed: Math.floor(Math.random() * 2 ** 32) },
      );
      // A pipe is ended by Ctrl-C as a matter of course; a file that was not read to its end would be explained wrongly.
      if (!(await readAll(analysis, inputs, size, shell)) && !paths.includes('-')) return ExitCode.interrupted;
      const document: CaptureDocument = { schema: CAPTURE_SCHEMA, ...analysis.finish() };
      const html = given.text('html');
      if (html !== null) {
        try {
          writeFileSync(html, renderExplainHtml(document));
        } catch (error) {
          throw new PlimsollError(
            'unwritable',
            { path: html, reason: (error as NodeJS.ErrnoException).code ?? String(error) },
            { cause: error },
          );
        }
      }
      for (const { name, broken } of document.files) {
        if (broken === null) continue;
        shell.stderr.write(
          `plimsoll: ${safe(name)} breaks off at byte ${broken.offset}: ${safe(broken.reason)}. Everything before it is explained.\n`,
        );
      }
      shell.stdout.write(
        given.flag('json')
          ? `${JSON.stringify(document, null, shell.stdout.isTerminal ? 2 : 0)}\n`
          : renderExplain(document, {
              paint: painter(shell.stdout, shell.env),
              width: Math.min(shell.stdout.width, 140),
              all: given.flag('verbose'),
            }),
      );
      if (html !== null) shell.stderr.write(`plimsoll: wrote ${safe(html)}\n`);
      return ExitCode.ok;
    } finally {
      for (const input of inputs) input.close();
    }
  },
};

/** Reads every input to its end; false if it was interrupted. */
const readAll = async (analysis: Analysis, inputs: readonly CaptureInput[], total: number | null, shell: Shell): Promise<boolean> => {
  const shows = shell.stderr.isTerminal && (total === null || total >= progressFrom);
  let breathedAt = performance.now();
  const startedAt = breathedAt;
  let shown = false;
  for (;;) {
    const index = analysis.advance();
    if (index < 0) break;
    const waiting = inputs[index]!.fill();
    if (waiting !== undefined) await waiting;
    const now = performance.now();
    if (now - breathedAt < 100) continue;
    breathedAt = now;
    if (waiting === undefined) await breathe();
    if (shell.interrupted.aborted) break;
    if (!shows) continue;
    const read = inputs.reduce((sum, i) => sum + i.read, 0);
    const speed = `${formatNumber(analysis.packets)} packets, ${formatNumber(analysis.packets / (now - startedAt) / 1000, 1)} M/s`;
    shell.stderr.write(`\r\u001b[K${total === null ? '' : `${bar(read / total)} `}${speed}`);
    shown = true;
  }
  if (shown) shell.stderr.write('\r\u001b[K');
  return !shell.interrupted.aborted;
};

const bar = (ratio: number): string => {
  const filled = Math.round(Math.min(1, Math.max(0, ratio)) * 30);
  return `${'█'.repeat(filled)}${'░'.repeat(30 - filled)} ${String(Math.floor(Math.min(1, ratio) * 100)).padStart(3)} %`;
};
