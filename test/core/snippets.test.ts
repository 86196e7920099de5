/** The products themselves read the lines that are printed for them. */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { remedyCodes } from '../../src/core/remedy/codes.ts';
import { snippetsFor } from '../../src/core/snippets.ts';

const folder = mkdtempSync(join(tmpdir(), 'plimsoll-snippets-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const has = (program: string): boolean => ['/usr/sbin', '/usr/bin', '/usr/local/sbin'].some((dir) => existsSync(join(dir, program)));
const textsOf = (command: string): readonly (readonly [string, string])[] =>
  remedyCodes.flatMap((code) => snippetsFor(command, code).map((s) => [code, s.text] as const));

/** Runs a checker over a file; what it said if it did not like it. */
const check = (program: string, name: string, text: string, ...args: string[]): string => {
  const path = join(folder, name);
  writeFileSync(path, text);
  try {
    execFileSync(program, [...args, path], { stdio: ['ignore', 'pipe', 'pipe'] });
    return '';
  } catch (error) {
    return String((error as { stderr: Buffer }).stderr);
  }
};

describe('printed lines', () => {
  test.skipIf(!has('haproxy')).each(textsOf('haproxy'))('HAProxy takes those for %s', (code, text) => {
    const timeouts = 'defaults\n    mode http\n    timeout connect 1s\n    timeout client 60s\n    timeout server 60s\n';
    const front = 'frontend f\n    bind 127.0.0.1:8098\n    default_backend web\n';
    // Lines of a section that the text opens itself come after the rest of that section.
    const whole = text.startsWith('defaults') ? text.replace('defaults\n', timeouts) : `${timeouts}${text}`;
    expect(check('haproxy', `${code}.cfg`, `${whole}\n${front}`, '-c', '-f')).toBe('');
  });

  test.skipIf(!has('nginx')).each(textsOf('nginx'))('nginx takes those for %s', (code, text) => {
    // What belongs into a server stands there; what belongs beside it stays.
    const location = /location[\s\S]*\n\}/.exec(text)?.[0] ?? '';
    const http = text.replace(location, '').replaceAll(/^proxy_read_timeout.*$/gm, '');
    const upstream = http.includes('upstream web') ? '' : 'upstream web { server 10.0.1.11:80; }\n';
    const config = `pid ${folder}/nginx.pid;\nerror_log stderr;\nevents {}\nhttp {\naccess_log off;\n${http}\n${upstream}server {\nlisten 127.0.0.1:8099;\n${location}\n}\n}\n`;
    const said = check('nginx', `${code}.conf`, config, '-t', '-c');
    expect(said).toBe('');
  });

  test.each(textsOf('envoy'))('Envoy’s for %s are YAML', (_code, text) => {
    expect(typeof parse(text)).toBe('object');
  });

  test('Envoy’s IP_LOCAL_PORT_RANGE is the default range as the kernel wants it', () => {
    const value = parse(snippetsFor('envoy', 'local_port_range_option')[0]!.text).upstream_bind_config.socket_options[0]
      .int_value as number;
    expect([(value >>> 16) & 65535, value & 65535]).toEqual([60999, 32768]);
  });

  test('a Node.js module of those for multiplexing parses', () => {
    expect(check(process.execPath, 'm.mjs', snippetsFor('node', 'multiplexing')[0]!.text, '--check')).toBe('');
  });

  test('go to the product that runs, and to nobody who is known to be none', () => {
    const product = (command: string): string | undefined => snippetsFor(command, 'multiplexing')[0]?.product;
    expect(['haproxy', 'nginx', 'envoy', 'node', 'MainThread', 'java'].map(product)).toEqual([
      'HAProxy',
      'nginx',
      'Envoy',
      'Node.js',
      'Node.js',
      'Java',
    ]);
    expect([product('checkout-svc'), product('python3'), product('curl')]).toEqual(['Go', undefined, undefined]);
  });
});
