/** The dashboard in a real Chromium, served by a real `plimsoll serve`, over port spaces of the real kernel. One story after the other. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Locator } from 'playwright-core';
import { afterAll, afterEach, beforeAll, describe, expect } from 'vitest';
import { asItIs, changesOf, outlook, stageOf, triedStage } from '../../src/core/plan/tried.ts';
import { formatNumber, formatPercent } from '../../src/core/quantity.ts';
import { measuredStart, type SpaceDetail } from '../../src/wire/api.ts';
import { type Churn, churn } from '../support/churn.ts';
import { kernelTest, linked, type Namespace, privileged } from '../support/netns.ts';
import { until } from '../support/poll.ts';
import { acceptAll, listen, open } from '../support/sockets.ts';
import { socketsOf, usedPorts } from '../support/traffic.ts';
import { program, type ServedAgent, startAgent } from './support/agent.ts';
import { seriousProblems } from './support/axe.ts';
import { type Browser, startBrowser, type Tab } from './support/browser.ts';

const RANGE = [40_000, 40_399] as const;
const PATIENCE = 30_000;
/** A process whose name is markup: the kernel takes any 15 bytes. */
const EVIL = '<b id=evil>x';

const folder = mkdtempSync(join(tmpdir(), `plimsoll-stories-${process.pid}-web-`));
const removeFolder = (): void => rmSync(folder, { recursive: true, force: true });
process.on('exit', removeFolder);

const configuration = `
version: 1
virtual_services:
  - { name: shop, listen: 127.0.0.1:8080, application_profile: http, pool: shop }
application_profiles:
  - { name: http, type: http, connection_multiplexing: false }
pools:
  - name: shop
    servers: [{ name: a, address: 10.77.0.2:8081 }, { name: b, address: 10.77.0.2:8082 }]
    health_monitors: [tcp]
    snat_pool: egress
snat_pools:
  - { name: egress, addresses: [10.77.0.1], ports: [20000-20255] }
health_monitors:
  - { name: tcp, type: tcp, send_interval: 1s, receive_timeout: 500ms, successful_checks: 1, failed_checks: 1 }
`;
const httpServers = `
  const http = require('node:http');
  for (const port of [8081, 8082]) http.createServer((_, answer) => setTimeout(() => answer.end('ok'), 20)).listen(port, '10.77.0.2');
`;
const httpClients = `
  const http = require('node:http');
  for (let i = 0; i < 40; i++) {
    const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
    const again = () => setTimeout(ask, 2000);
    const ask = () => http.get({ agent, host: '127.0.0.1', port: 8080 }, (a) => { a.resume(); a.on('end', again); }).on('error', again);
    setTimeout(ask, i * 50);
  }
`;
const evilClient = `
  process.title = ${JSON.stringify(EVIL)};
  const net = require('node:net');
  for (let i = 0; i < 12; i++) net.connect({ host: '10.77.0.2', port: 9300 });
`;

let client: Namespace;
let server: Namespace;
let browser: Browser;
let agent: ServedAgent;
let token: string;
let tab: Tab;
let load: Churn | null = null;
const tokenFile = join(folder, 'token');
const balancerSocket = join(folder, 'balance.sock');

const start = (port?: number): Promise<ServedAgent> =>
  startAgent({ netns: client.name, folder, balancer: balancerSocket, tokenFile, ...(port === undefined ? {} : { port }) });
const ask = async <T>(path: string): Promise<T> => {
  const answer = await fetch(`${agent.origin}/api/v1/${path}`, { headers: { Authorization: `Bearer ${token}` } });
  if (!answer.ok) throw new Error(`${path}: ${answer.status} ${await answer.text()}`);
  return (await answer.json()) as T;
};
const spaceId = (port: number): string => `${client.name}/connect/10.77.0.1/10.77.0.2:${port}`;
const go = async (path: string): Promise<void> => {
  await tab.page.evaluate(`location.hash = ${JSON.stringify(path)}`);
};
const openSpace = async (port: number): Promise<void> => {
  await go(`#/space/${encodeURIComponent(spaceId(port))}`);
  await tab.page.getByRole('heading', { level: 1, name: `10.77.0.1 → 10.77.0.2:${port}` }).waitFor({ timeout: PATIENCE });
};
const words = async (of: Locator): Promise<string> => (await of.textContent()) ?? '';
const h1 = (): Promise<string> => words(tab.page.locator('main h1'));

beforeAll(async () => {
  if (!privileged) return;
  [client, server] = linked({ range: RANGE, addresses: ['10.77.9.9'] });
  client.addAddress('10.77.0.3/24', 'eth0');
  browser = await startBrowser();
  agent = await start();
  token = readFileSync(tokenFile, 'utf8').trim();
  tab = await browser.open();
}, 60_000);
afterEach(() => {
  // After every story: nothing broke in the page, and it asked nobody but its agent.
  if (tab === undefined) return;
  expect(tab.errors).toEqual([]);
  expect(tab.requests.filter((url) => !url.startsWith(`${agent.origin}/`) && !url.startsWith('data:'))).toEqual([]);
});
afterAll(async () => {
  load?.stop();
  await browser?.close();
  await agent?.stop();
  removeFolder();
});

describe('what a person does first', () => {
  kernelTest(
    'opening the printed address says that one is safe, though nothing is open yet, and takes the token out of sight',
    async () => {
      await tab.page.goto(`${agent.origin}/#token=${token}`);
      await tab.page.getByRole('heading', { level: 1, name: 'Safe' }).waitFor({ timeout: PATIENCE });
      expect(await words(tab.page.locator('.lead'))).toContain('no source port is held');
      expect(tab.page.url()).not.toContain(token);
      expect(await tab.page.locator('.space-card').count()).toBe(0);
      await tab.page.getByText('Live', { exact: false }).first().waitFor();
    },
  );

  kernelTest('connections appear by themselves, counted as the kernel counts them', async () => {
    const listener = server.run(() => listen('10.77.0.2', 5432));
    client.run(() => {
      for (let i = 0; i < 30; i++) open('10.77.0.2', 5432);
    });
    server.run(() => acceptAll(listener));
    const card = tab.page.locator('.space-card', { hasText: '10.77.0.2:5432' });
    await card.waitFor({ timeout: PATIENCE });
    await until('30 of 400 on the card', async () => (await words(card)).includes('30 of 400'), PATIENCE);
    // The picture says the same to whoever cannot see it.
    expect(await card.getByRole('img').getAttribute('aria-label')).toMatch(
      /^10\.77\.0\.1 → 10\.77\.0\.2:5432: 8 % full, 30 of 400 ports\./,
    );
    expect(await h1()).toBe('Safe');
  });

  kernelTest('a process whose name is markup is shown as text and nothing else', async () => {
    server.run(() => listen('10.77.0.2', 9300));
    client.spawn(process.execPath, ['-e', evilClient]);
    await until('its space', async () => (await ask<{ total: number }>('port-spaces?q=9300')).total === 1, PATIENCE);
    await openSpace(9300);
    await until('its name', async () => (await tab.page.getByRole('rowheader').allTextContents()).includes(EVIL), PATIENCE);
    expect(await tab.page.locator('#evil').count()).toBe(0);
  });
});

describe('a port space that fills', () => {
  kernelTest('is told on the first screen while it happens, with the time left, and its figure is the kernel’s', async () => {
    await go('#/');
    const listener = server.run(() => listen('10.77.0.2', 80));
    load = churn(client, '10.77.0.2', 80, listener, { rate: 7 });
    const card = tab.page.locator('.space-card', { hasText: '10.77.0.2:80' });
    await card.waitFor({ timeout: PATIENCE });
    // 7/s × 60 s is more than 400: it runs out, and that is told as soon as a tenth is used.
    await tab.page.getByRole('heading', { level: 1, name: 'Running out' }).waitFor({ timeout: PATIENCE });
    expect(await words(card)).toContain('until no port is left');
    const before = usedPorts(socketsOf(client), { ports: new Set([80]), sources: new Set(), range: RANGE }, null);
    const shown = await until(
      'a look that is newer',
      async () => {
        const used = Number(/([\d,]+) of 400/.exec(await words(card))?.[1]);
        return used > before ? used : null;
      },
      PATIENCE,
    );
    const after = usedPorts(socketsOf(client), { ports: new Set([80]), sources: new Set(), range: RANGE }, null);
    expect(shown).toBeLessThanOrEqual(after);
  });

  kernelTest('has a page with its history, its forecast, why, and what helps', async () => {
    await tab.page.locator('.space-card', { hasText: '10.77.0.2:80' }).getByRole('link').click();
    await tab.page.getByRole('heading', { level: 1, name: '10.77.0.1 → 10.77.0.2:80' }).waitFor();
    expect(await tab.page.locator('.chart canvas').count()).toBe(1);
    await tab.page.getByRole('heading', { name: 'Why' }).waitFor({ timeout: PATIENCE });
    expect(await words(tab.page.locator('.finding').first())).toContain('TIME_WAIT');
    expect(await tab.page.locator('.remedy').count()).toBeGreaterThan(3);
    await tab.page.getByText('The picture as a table').click();
    const rows = tab.page.getByRole('region', { name: 'Ports in use over time' }).getByRole('row');
    await until('rows of the past', async () => (await rows.filter({ hasNotText: 'forecast' }).count()) > 3, PATIENCE);
    expect(await rows.filter({ hasText: '(forecast)' }).count()).toBeGreaterThan(5);
    await tab.page.getByText('The picture as a table').click();
  });

  kernelTest('answers what-if with the core’s own numbers, and goes back to how it is', async () => {
    const detail = await ask<SpaceDetail>(`port-spaces/${encodeURIComponent(spaceId(80))}`);
    const begun = measuredStart(detail.start);
    await tab.page.getByLabel('Source addresses').fill('4');
    const table = tab.page.locator('.what-if .comparison');
    const row = async (name: string): Promise<string> => words(table.getByRole('row').filter({ hasText: name }).locator('td').last());
    expect(await row('Ports')).toBe(formatNumber(detail.space.capacity * 4));
    // Its long run moves with each look; shared connections do not.
    await tab.page.getByRole('switch', { name: /Connection multiplexing/ }).check({ force: true });
    await tab.page.getByLabel('Shared connections').fill('20');
    const tried = { ...asItIs(begun), addresses: 4, shared: 20 };
    const promised = outlook(triedStage(stageOf(begun, detail.space.capacity, null), changesOf(begun, tried)));
    expect(await row('In the long run')).toBe(formatPercent(promised.usedRatio));
    expect(promised.usedRatio).toBeCloseTo(20 / (detail.space.capacity * 4));
    await tab.page.getByRole('button', { name: 'As it is' }).click();
    expect(await row('Ports')).toBe('move a slider');
  });

  kernelTest('has a map of its ports that is told port by port from the keyboard, as the kernel has them', async () => {
    const map = tab.page.getByRole('slider', { name: /Port map/ });
    await map.waitFor({ timeout: PATIENCE });
    await map.focus();
    await tab.page.keyboard.press('Home');
    expect(await map.getAttribute('aria-valuenow')).toBe('40000');
    await tab.page.keyboard.press('ArrowRight');
    expect(await map.getAttribute('aria-valuenow')).toBe('40001');
    await tab.page.keyboard.press('ArrowDown');
    expect(await map.getAttribute('aria-valuenow')).toBe('40257');
    await tab.page.keyboard.press('ArrowUp');
    const table = socketsOf(client);
    let held = 0;
    for (let i = 0; i < table.count; i++) if (table.remotePort[i] === 80 && table.state[i] === 6) held = table.localPort[i]!;
    await tab.page.getByLabel('Go to port').fill(String(held));
    await until('its state', async () => /TIME_WAIT, \d+ s left/.test((await map.getAttribute('aria-valuetext')) ?? ''), PATIENCE);
    await tab.page.getByLabel('Go to port').fill('39999');
    expect(await map.getAttribute('aria-valuetext')).toBe('port 39999: outside the range');
  });

  kernelTest(
    'leaves no serious problem for axe: every page, light, dark and phone',
    async () => {
      const look = await browser.open({ motion: 'reduce' });
      const pages = ['#/', `#/space/${encodeURIComponent(spaceId(80))}`, '#/findings', '#/balancer'];
      await look.page.goto(`${agent.origin}/#token=${token}`);
      await look.page.locator('main h1').waitFor({ timeout: PATIENCE });
      for (const { colours, width } of [
        { colours: 'light', width: 1280 },
        { colours: 'dark', width: 1280 },
        { colours: 'light', width: 360 },
      ] as const) {
        await look.page.setViewportSize({ width, height: 800 });
        await look.page.emulateMedia({ colorScheme: colours, reducedMotion: 'reduce' });
        for (const path of pages) {
          await look.page.evaluate(`location.hash = ${JSON.stringify(path)}`);
          await until(`${path} to be drawn`, async () => (await words(look.page.locator('main h1'))) !== 'Reading …', PATIENCE);
          expect(await seriousProblems(look.page), `${path} ${colours} ${width}`).toEqual([]);
          // Nothing is wider than the screen.
          expect(await look.page.evaluate('document.documentElement.scrollWidth - innerWidth'), `${path} at ${width}`).toBeLessThanOrEqual(
            0,
          );
        }
      }
      expect(look.errors).toEqual([]);
      await look.page.close();
    },
    120_000,
  );
});

describe('by keyboard', () => {
  kernelTest('one gets from the top to a port space and back without a pointer', async () => {
    await go('#/');
    await tab.page.locator('.list-view').waitFor({ timeout: PATIENCE });
    await tab.page.locator('main').focus();
    const focused = (): Promise<string> =>
      tab.page.evaluate(
        "document.activeElement.textContent.trim() + ' ' + (document.activeElement.dataset.index ?? '')",
      ) as Promise<string>;
    const seen: string[] = [];
    // To the list: every stop on the way has a visible focus.
    await until(
      'the list',
      async () => {
        await tab.page.keyboard.press('Tab');
        const now = await focused();
        seen.push(now);
        const outline = (await tab.page.evaluate(
          "(() => { const e = document.activeElement; return [getComputedStyle(e).outlineStyle, getComputedStyle(e, '::after').outlineStyle].join(' '); })()",
        )) as string;
        expect(outline, now).toMatch(/solid|auto/);
        return / 0$/.test(now);
      },
      PATIENCE,
    );
    await tab.page.keyboard.press('End');
    await until('the last row', async () => / [1-9]\d*$/.test(await focused()), PATIENCE);
    await tab.page.keyboard.press('Home');
    await until('the first row', async () => / 0$/.test(await focused()), PATIENCE);
    await tab.page.keyboard.press('Enter');
    await tab.page.getByText('What if').first().waitFor({ timeout: PATIENCE });
    // The new page begins at its top.
    expect(await tab.page.evaluate('document.activeElement.tagName')).toBe('MAIN');
    await tab.page.keyboard.press('Tab');
    await tab.page.keyboard.press('Enter');
    await tab.page.locator('#verdict').waitFor();
  });

  kernelTest('light and dark can be switched, and stay so', async () => {
    const button = tab.page.getByRole('button', { name: /Colours/ });
    const background = (): Promise<unknown> => tab.page.evaluate('getComputedStyle(document.body).backgroundColor');
    const light = await background();
    await button.click();
    await button.click();
    expect(await button.getAttribute('aria-label')).toContain('dark');
    expect(await background()).not.toBe(light);
    await tab.page.reload();
    await tab.page.locator('main h1').waitFor({ timeout: PATIENCE });
    expect(await background()).not.toBe(light);
    await button.click();
    expect(await background()).toBe(light);
  });
});

describe('the load balancer', () => {
  kernelTest(
    'is switched to multiplexing: the predicted effect stands beside, then the measured one',
    async () => {
      load?.stop();
      server.spawn(process.execPath, ['-e', httpServers]);
      const file = join(folder, 'plimsoll.yaml');
      writeFileSync(file, configuration);
      const balancer = client.spawn(process.execPath, [program, 'balance', '-c', file], {
        ...process.env,
        PLIMSOLL_SOCKET: balancerSocket,
      });
      for (const stream of [balancer.stdout!, balancer.stderr!]) stream.resume();
      client.spawn(process.execPath, ['-e', httpClients]);
      await go('#/balancer');
      const service = tab.page.locator('.service', { hasText: 'shop' });
      await service.waitFor({ timeout: PATIENCE });
      const cells = async (name: string): Promise<string[]> =>
        service.getByRole('row').filter({ hasText: name }).locator('td').allTextContents();
      // Off: each client has its own server connection.
      await until('40 server connections', async () => (await cells('Server connections'))[0] === '40', PATIENCE);
      await service.getByRole('switch', { name: /Connection Multiplexing/ }).click({ force: true });
      await service.getByText('Measured now').waitFor({ timeout: PATIENCE });
      const { items } = await ask<{ items: { state: { virtual_services: { connection_multiplexing: boolean }[] } }[] }>('balancers');
      expect(items[0]!.state.virtual_services[0]!.connection_multiplexing).toBe(true);
      await until(
        'fewer than the clients, as the balancer itself counts them',
        async () => {
          const [before, , measured] = await cells('Server connections');
          return before === '40' && Number(measured) < 40 && Number(measured) > 0;
        },
        PATIENCE,
      );
    },
    120_000,
  );

  kernelTest('drains a server and takes it back', async () => {
    const row = tab.page.getByRole('row').filter({ hasText: '10.77.0.2:8081' }).filter({ hasText: 'busy' });
    await row.getByRole('button', { name: 'Drain a' }).click();
    await row.getByText('OPER_DRAINING').waitFor({ timeout: PATIENCE });
    await row.getByRole('button', { name: 'Enable a' }).click();
    await row.getByText('OPER_UP').waitFor({ timeout: PATIENCE });
  });

  kernelTest('gets one more SNAT address; one that is not of this host is refused in words', async () => {
    const snat = tab.page.locator('li', { hasText: 'egress' }).filter({ has: tab.page.getByLabel('Add an address') });
    await snat.getByLabel('Add an address').fill('nonsense');
    await snat.getByRole('button', { name: 'Add' }).click();
    await snat.locator('.refusal').waitFor({ timeout: PATIENCE });
    expect(await words(snat.locator('.refusal'))).not.toBe('');
    await snat.getByLabel('Add an address').fill('10.77.0.3');
    await snat.getByRole('button', { name: 'Add' }).click();
    await snat.locator('.tag', { hasText: '10.77.0.3' }).waitFor({ timeout: PATIENCE });
    // The refusal was an answer of 4xx: the browser writes such into its console by itself.
    tab.forgive();
  });
});

describe('when the agent goes away', () => {
  kernelTest(
    'it is said, what is shown is dated, and it goes on by itself when the agent is back',
    async () => {
      await go('#/');
      await tab.page.locator('#verdict').waitFor();
      await agent.stop();
      await tab.page.getByText('The agent does not answer').waitFor({ timeout: PATIENCE });
      expect(await words(tab.page.locator('.reconnecting'))).toMatch(/What you see is of \d\d:\d\d:\d\d/);
      // What was known stays to be read.
      expect(await tab.page.locator('.space-card').count()).toBeGreaterThan(0);
      const time = (): Promise<string | null> => tab.page.locator('.masthead time').getAttribute('datetime');
      agent = await start(agent.port);
      await tab.page
        .getByRole('button', { name: 'Try now' })
        .click({ timeout: 1000 })
        .catch(() => {});
      await tab.page.locator('.masthead time').waitFor({ timeout: PATIENCE });
      const first = await time();
      await until('a newer look', async () => (await time()) !== first, PATIENCE);
      expect(await tab.page.locator('.reconnecting').count()).toBe(0);
      tab.forgive();
    },
    90_000,
  );

  kernelTest('without the token it reads, names nobody, and changes nothing', async () => {
    const stranger = await browser.open();
    await stranger.page.goto(`${agent.origin}/#/balancer`);
    const toggle = stranger.page.getByRole('switch', { name: /Connection Multiplexing/ });
    await toggle.waitFor({ timeout: PATIENCE });
    expect(await toggle.isDisabled()).toBe(true);
    await stranger.page.goto(`${agent.origin}/#/space/${encodeURIComponent(spaceId(9300))}`);
    await stranger.page.getByText('Process names are shown with the token only.').waitFor({ timeout: PATIENCE });
    expect(stranger.errors).toEqual([]);
    await stranger.page.close();
  });

  kernelTest('a wrong token is asked for anew, and the right one opens the page', async () => {
    const stranger = await browser.open();
    await stranger.page.goto(`${agent.origin}/#token=wrong`);
    await stranger.page.getByRole('heading', { name: 'That token is not the agent’s' }).waitFor({ timeout: PATIENCE });
    expect(await seriousProblems(stranger.page)).toEqual([]);
    // On this host one may read without; the page says so by offering it.
    await stranger.page.getByRole('button', { name: 'Go on without a token' }).click();
    await stranger.page.locator('#verdict').waitFor({ timeout: PATIENCE });
    // The address of an agent, put into the same tab.
    await stranger.page.evaluate("location.hash = '#token=wrong-again'");
    await stranger.page.getByRole('heading', { name: 'That token is not the agent’s' }).waitFor({ timeout: PATIENCE });
    await stranger.page.getByRole('textbox', { name: 'Token' }).fill(token);
    await stranger.page.getByRole('button', { name: 'Open' }).click();
    await stranger.page.locator('#verdict').waitFor({ timeout: PATIENCE });
    await stranger.page.close();
  });
});
