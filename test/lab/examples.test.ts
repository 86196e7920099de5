/** What examples/lab shows is run as shown. */
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { expect } from 'vitest';
import { bundled } from '../balancer/stories/program.ts';
import { kernelTest } from '../support/netns.ts';
import { lab } from './lab.ts';

kernelTest(
  'stories.sh prints what was predicted and measured, and the questions of the README have answers',
  async () => {
    const program = `${process.execPath} ${await bundled('src/cli/entry.ts')}`;
    const { status, stdout } = spawnSync('sh', ['examples/lab/stories.sh', 'shared-bind'], {
      env: { ...process.env, PLIMSOLL: program },
      encoding: 'utf8',
    });
    const readme = readFileSync('examples/lab/README.md', 'utf8');
    const shown = readme.split('\n').filter((line) => line.startsWith('shared-bind\t'));
    expect({ status, lines: stdout.trim().split('\n') }).toEqual({ status: 0, lines: shown });

    const document = (await lab(['run', 'shared-bind', '--fast', '--json'])).out;
    const questions = [...readme.matchAll(/^\| [^|]+ \| `(.*)` \|$/gm)].map((m) => m[1]!.replaceAll('\\|', '|'));
    expect(questions).toHaveLength(3);
    for (const question of questions) {
      const { status: found, stdout: answer, stderr } = spawnSync('jq', ['-r', question], { input: document, encoding: 'utf8' });
      expect(found, `${question}: ${stderr}`).toBe(0);
      expect(answer.trim().length, question).toBeGreaterThan(5);
    }
  },
  180_000,
);
