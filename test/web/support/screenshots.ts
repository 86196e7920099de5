/** Pictures of every page as it is on a busy host, light and dark, wide and as a phone shows it: `npm run screenshots [NAME…]`. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Page } from 'playwright-core';
import { destroyNamespaces, namespace } from '../../support/namespace.ts';
import { until } from '../../support/poll.ts';
import { startAgent } from './agent.ts';
import { startBrowser } from './browser.ts';
import { root } from './root.ts';
import { makeWorld } from './world.ts';

const target = join(root, 'build', 'screenshots');
mkdirSync(target, { recursive: true });
const folder = mkdtempSync(join(tmpdir(), `plimsoll-stories-${process.pid}-shots-`));
const only = process.argv.slice(2);
/** Seconds the load runs before the first picture: long enough for a trend, short of the end of the ports. */
const WARM_UP = Number(process.env['WARM_UP'] ?? 36);

const world = makeWorld(folder);
const browser = await startBrowser();
const agent = await startAgent({ netns: world.client.name, folder, balancer: world.balancerSocket });
const quiet = namespace();
const quietFolder = mkdtempSync(join(folder, 'quiet-'));
const quietAgent = await startAgent({ netns: quiet.name, folder: quietFolder });

const shoot = async (name: string, url: string, prepare: (page: Page) => Promise<unknown> = async () => {}): Promise<void> => {
  if (only.length > 0 && !only.some((wanted) => name.startsWith(wanted))) return;
  for (const [suffix, colours, width, height] of [
    ['light', 'light', 1280, 900],
    ['dark', 'dark', 1280, 900],
    ['phone', 'light', 390, 844],
  ] as const) {
    const tab = await browser.open({ colours, width, height, motion: 'reduce' });
    await tab.page.goto(url);
    await tab.page.waitForSelector('main h1');
    await prepare(tab.page);
    await tab.page.waitForTimeout(1800);
    const file = join(target, `${name}-${suffix}.png`);
    await tab.page.screenshot({ path: file, fullPage: true });
    console.log(file);
    for (const error of tab.errors) console.error(`  console: ${error}`);
    await tab.page.close();
  }
};

const spaceId = async (port: number): Promise<string> => {
  const { items } = (await (await fetch(`${agent.origin}/api/v1/port-spaces?limit=500`)).json()) as {
    items: { id: string; destination_port: number }[];
  };
  return items.find((s) => s.destination_port === port)!.id;
};
const page = (path: string) => async (p: Page) => {
  await p.evaluate(`location.hash = ${JSON.stringify(path)}`);
  await p.waitForTimeout(1200);
};

try {
  await until('a look', async () => (await fetch(`${agent.origin}/api/v1/report`)).ok, 20_000);
  await new Promise((done) => setTimeout(done, WARM_UP * 1000));
  await shoot('overview', agent.url);
  const filling = await spaceId(80);
  await shoot('space', agent.url, page(`#/space/${encodeURIComponent(filling)}`));
  await shoot('what-if', agent.url, async (p) => {
    await page(`#/space/${encodeURIComponent(filling)}`)(p);
    await p.getByLabel('Source addresses').fill('3');
    await p.getByRole('switch', { name: /tcp_tw_reuse/ }).click({ force: true });
  });
  await shoot('balancer', agent.url, page('#/balancer'));
  await shoot('switched', agent.url, async (p) => {
    await page('#/balancer')(p);
    const toggle = p.getByRole('switch', { name: /Connection Multiplexing/ });
    if (!(await toggle.isChecked())) await toggle.click({ force: true });
    await p.waitForTimeout(5000);
  });
  await shoot('findings', agent.url, page('#/findings'));
  await shoot('leak', agent.url, page(`#/space/${encodeURIComponent(await spaceId(9200))}`));
  await shoot('empty', quietAgent.url);
  await shoot('no-balancer', quietAgent.url, page('#/balancer'));
  const guarded = join(folder, 'token');
  writeFileSync(guarded, '');
  rmSync(guarded);
  const closed = await startAgent({
    netns: quiet.name,
    folder: mkdtempSync(join(folder, 'guarded-')),
    tokenFile: guarded,
    listen: '0.0.0.0',
  });
  await shoot('token', `http://127.0.0.1:${closed.port}/`);
  await shoot('unreachable', quietAgent.url, async (p) => {
    await p.route('**/api/**', (route) => route.abort());
    await p.reload();
    await p.waitForTimeout(2500);
  });
  await closed.stop();
} finally {
  await browser.close();
  await agent.stop();
  await quietAgent.stop();
  world.stop();
  destroyNamespaces();
  rmSync(folder, { recursive: true, force: true });
}
process.exit(0);
