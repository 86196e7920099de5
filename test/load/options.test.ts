/** What people type: every mistake gets its error and exit code before anything is sent. And the pure parts behind the options. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { findLimit } from '../../src/load/find-limit.ts';
import { Histogram } from '../../src/load/histogram.ts';
import { makeRequest, parseField, parseMethod, parseTarget } from '../../src/load/target.ts';
import { judge, parseThreshold } from '../../src/load/threshold.ts';
import { kernelTest, namespace } from '../support/netns.ts';
import { plimsoll } from '../support/shell.ts';
import { program, serveHttp } from './support.ts';

const load = (line: string) => plimsoll(['load', ...line.split(' ').filter((word) => word !== '')]);

describe('plimsoll load says what is wrong', () => {
  test('with what was typed', async () => {
    for (const [line, code, says] of [
      ['', 64, 'load needs URL'],
      ['ftp://x/ --rate 5/s', 64, 'is not http://HOST'],
      ['tcp://127.0.0.1 --rate 5/s', 64, 'is not http://HOST'],
      ['http://127.0.0.1:1/', 64, 'load needs --rate, --connections or --idle'],
      ['http://127.0.0.1:1/ --rate 0/s', 64, '--rate: "0/s" is not a rate above zero'],
      ['http://127.0.0.1:1/ --rate 500', 64, '--rate: "500" is not a rate'],
      ['http://127.0.0.1:1/ --rate 5/s --duration 0s', 64, '--duration: "0s" is not a duration above zero'],
      ['http://127.0.0.1:1/ --rate 5/s --ports 0-10', 64, '--ports: "0-10" is not a list of ports'],
      ['http://127.0.0.1:1/ --rate 5/s --ports 10-5', 64, 'is not a list of ports'],
      ['http://127.0.0.1:1/ --rate 5/s --source 127.0.0', 64, '--source: "127.0.0" is not a list of addresses'],
      ['http://127.0.0.1:1/ --rate 5/s --ports 2000 --auto-ports', 64, '--ports and --auto-ports exclude each other'],
      ['http://127.0.0.1:1/ --idle 5 --connections 5', 64, '--idle and --connections exclude each other'],
      ['http://127.0.0.1:1/ --rate 5/s --closer nobody', 64, 'is not client or server'],
      ['http://127.0.0.1:1/ --rate 5/s --header Content-Length:5', 64, '--header'],
      ['http://127.0.0.1:1/ --rate 5/s --threshold p98<1s', 64, 'is not NAME<VALUE, where NAME is one of p50'],
      ['http://127.0.0.1:1/ --rate 5/s --body @/no/such/file', 66, 'cannot read /no/such/file: ENOENT'],
      ['http://127.0.0.1:1/ --raet 5/s', 64, 'did you mean "--rate"?'],
      ['http://no-such-name.invalid/ --rate 5/s', 66, 'cannot resolve "no-such-name.invalid"'],
      ['http://127.0.0.1:1/ --rate 5/s', 69, 'cannot connect to 127.0.0.1:1: it answers with RST'],
      ['http://127.0.0.1:1/ --rate 5/s --source 192.0.2.77', 69, 'the source address 192.0.2.77 is not on this host (EADDRNOTAVAIL)'],
    ] as const) {
      const ran = await load(line);
      expect([line, ran.code, ran.out]).toEqual([line, code, '']);
      expect(ran.err).toContain(says);
    }
  });

  kernelTest('with what this user may not do', async () => {
    const ns = namespace({ addresses: ['10.66.0.1'] });
    serveHttp(ns, '10.66.0.1', 80, (_q, a) => a.end('hello'));
    const plain = [
      'setpriv',
      '--reuid',
      '65534',
      '--regid',
      '65534',
      '--clear-groups',
      process.execPath,
      program,
      'load',
      'http://10.66.0.1/',
    ];
    const child = ns.spawn(plain[0]!, [...plain.slice(1), '--rate', '5/s', '--ports', '900-910']);
    const err: string[] = [];
    child.stderr!.on('data', (b: Buffer) => err.push(b.toString()));
    expect(await new Promise((resolve) => child.once('close', resolve))).toBe(77);
    expect(err.join('')).toMatch(/may not connect to 10\.66\.0\.1:80: EACCES from bind\n.*below 1024 need root/);
    const ran = ns.spawn(plain[0]!, [
      ...plain.slice(1),
      '--rate',
      '20/s',
      '--duration',
      '500ms',
      '--workers',
      '2',
      '--threshold',
      'errors<1',
    ]);
    expect(await new Promise((resolve) => ran.once('close', resolve))).toBe(0);
  });

  test('with help that names every option', async () => {
    const { code, out } = await load('--help');
    expect(code).toBe(0);
    for (const option of ['--rate', '--find-limit', '--threshold', '--source', '--ports', '--auto-ports', '--idle', '--closer'])
      expect(out).toContain(option);
  });
});

describe('targets', () => {
  test('are read as URLs are, with their defaults', () => {
    expect(parseTarget('http://10.0.0.7')).toEqual({ protocol: 'http', host: '10.0.0.7', port: 80, path: '/' });
    expect(parseTarget('https://example.org:8443/a/b?c=%20d')).toEqual({
      protocol: 'https',
      host: 'example.org',
      port: 8443,
      path: '/a/b?c=%20d',
    });
    expect(parseTarget('http://[2001:DB8::0:7]/')).toMatchObject({ host: '2001:db8::7' });
    expect(parseTarget('http://x?q')).toMatchObject({ path: '/?q' });
    expect(parseTarget('tcp://[::1]:5432')).toMatchObject({ protocol: 'tcp', host: '::1', port: 5432 });
  });

  test('that are none are refused, and whatever is accepted makes one request of one line', () => {
    for (const text of [
      '',
      'http://',
      'http://:80/',
      'http://a b/',
      'http://a:0/',
      'http://a:65536/',
      'http://u@a/',
      'http://a/#f',
      'tcp://a:1/x',
      'HTTP://a/',
    ])
      expect([text, parseTarget(text)]).toEqual([text, null]);
    const piece = fc.oneof(
      fc.constantFrom('http://', 'tcp://', '[::1]', ':80', '/', '?', '#', '@', '\r\n', ' ', '%0d'),
      fc.string({ unit: 'binary', maxLength: 8 }),
    );
    fc.assert(
      fc.property(
        fc.array(piece, { maxLength: 6 }),
        fc.string({ unit: 'binary', maxLength: 30 }),
        fc.string({ maxLength: 10 }),
        (pieces, header, body) => {
          const address = parseTarget(pieces.join(''));
          const field = parseField(header);
          if (address === null) return;
          const { text, closing } = makeRequest(address, 'GET', field === null ? [] : [field], body);
          const [head, ...rest] = text.split('\r\n\r\n');
          expect(rest.join('\r\n\r\n')).toBe(body);
          expect(head!.split('\r\n')[0]).toBe(`GET ${address.path} HTTP/1.1`);
          expect(head!.split(/\r|\n/).filter((l) => l !== '' && !/^(GET \S+ HTTP\/1\.1|[^\s:]+:.*)$/.test(l))).toEqual([]);
          expect(closing.split('\r\n')).toContain('Connection: close');
        },
      ),
      { numRuns: 600 },
    );
  });

  test('methods and fields that would break a request out of its lines are refused', () => {
    expect([parseMethod('PUT'), parseMethod('M-SEARCH'), parseMethod('G E'), parseMethod('CONNECT'), parseMethod('')]).toEqual([
      'PUT',
      'M-SEARCH',
      null,
      null,
      null,
    ]);
    expect(parseField('Accept:  text/html ')).toEqual(['Accept', 'text/html']);
    for (const text of [
      'x',
      ': v',
      'A B: c',
      'A: b\r\nC: d',
      'A: \u0000',
      'transfer-encoding: chunked',
      'Connection: close',
      'Ä: b',
      'A: €',
    ])
      expect([text, parseField(text)]).toEqual([text, null]);
  });
});

describe('thresholds', () => {
  const latency = new Histogram();
  for (let ms = 1; ms <= 1000; ms++) latency.record(ms / 1000);
  const measured = { scheduled: 1000, failed: 1, missed: 0, rate: 250, latency, lateness: new Histogram() };

  test('hold or do not, by what was measured', () => {
    for (const [text, ok] of [
      ['p50<501ms', true],
      ['p50<500ms', false],
      ['p99 <= 991ms', true],
      ['max<1s', false],
      ['errors<0.2%', true],
      ['errors<0.1%', false],
      ['errors<=0.001', true],
      ['errors<1', false],
      ['errors<2', true],
      ['missed<1', true],
      ['rate>=250/s', true],
      ['rate>15k/m', false],
      ['lateness<1s', false],
    ] as const) {
      const threshold = parseThreshold(text);
      expect([text, threshold === null ? null : judge(threshold, measured).ok]).toEqual([text, ok]);
    }
    for (const text of ['', 'p99', 'p99<', 'p99<20', 'p97<1s', 'p99=1s', 'errors<x%', 'rate>5', '<1s', 'p99<1s;'])
      expect([text, parseThreshold(text)]).toEqual([text, null]);
  });

  test('of any text are one or none', () => {
    fc.assert(
      fc.property(fc.stringMatching(/^[a-z0-9]{0,7} ?[<>=]{0,2} ?[0-9.%a-z/]{0,8}$/), (text) => {
        const threshold = parseThreshold(text);
        if (threshold !== null) expect(Number.isFinite(threshold.bound)).toBe(true);
      }),
      { numRuns: 500 },
    );
  });
});

describe('the search for a limit', () => {
  test('ends beside it, wherever it is and whatever was expected', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.double({ min: 1, max: 1e5, noNaN: true }),
        fc.option(fc.double({ min: 0.2, max: 5, noNaN: true })),
        async (limit, guess) => {
          let asked = 0;
          const search = { guess: guess === null ? null : limit * guess, first: 100, highest: 1e6, precision: 0.05 };
          const found = await findLimit(search, async (rate) => {
            asked++;
            return rate <= limit ? null : 'local_port';
          });
          expect(found.rate!).toBeLessThanOrEqual(limit);
          expect(found.failsAt!).toBeGreaterThan(limit);
          expect(found.failsAt! / found.rate!).toBeLessThanOrEqual(1.05);
          expect(found.cause).toBe('local_port');
          expect(asked).toBeLessThanOrEqual(24);
        },
      ),
      { numRuns: 200 },
    );
  });

  test('stops at the highest rate allowed, at the lowest worth asking, and when interrupted', async () => {
    const search = { guess: null, first: 100, highest: 300, precision: 0.05 };
    expect(await findLimit(search, async () => null)).toMatchObject({ rate: 300, failsAt: null, cause: null });
    const nothing = await findLimit(search, async () => 'refused');
    expect([nothing.rate, nothing.cause, nothing.failsAt! < 0.2]).toEqual([null, 'refused', true]);
    expect(await findLimit(search, async () => undefined)).toEqual({ rate: null, failsAt: null, cause: null, probes: [] });
  });
});
