/** Five thousand port spaces: as quick as twenty, for only what is on the screen is asked for and drawn. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { until } from '../support/poll.ts';
import { type Browser, startBrowser, type Tab } from './support/browser.ts';
import { costOf } from './support/cost.ts';
import { serveManySpaces } from './support/many-spaces.ts';

const PATIENCE = 30_000;
const UPDATES = 8;
let browser: Browser;
beforeAll(async () => {
  browser = await startBrowser();
}, 60_000);
afterAll(() => browser?.close());

const measure = async (spaces: number, use: (tab: Tab) => Promise<void> = async () => {}): Promise<number> => {
  const agent = await serveManySpaces({ spaces, top: 20 });
  const tab = await browser.open();
  try {
    await tab.page.goto(agent.url);
    await tab.page.locator('.list-row').nth(5).waitFor({ timeout: PATIENCE });
    // The first updates compile the code.
    await costOf(tab.page, 3, () => agent.look());
    const { task } = await costOf(tab.page, UPDATES, () => agent.look());
    await use(tab);
    expect(tab.errors).toEqual([]);
    return task;
  } finally {
    await tab.page.close();
    agent.close();
  }
};

test('an update with 5,000 port spaces costs the page no more than thrice one with 20, and any row is in reach', async () => {
  const few = await measure(20);
  const many = await measure(5000, async ({ page }) => {
    expect(await page.locator('.list-view .list-row').count()).toBeLessThan(100);
    expect(await page.getByRole('table', { name: 'Port spaces' }).getAttribute('aria-rowcount')).toBe('5001');
    await page.locator('.list-view a').first().focus();
    await page.keyboard.press('End');
    await until('the last row', async () => (await page.evaluate('document.activeElement.dataset.index')) === '4999', PATIENCE);
    await page.getByPlaceholder(/^Filter/).fill('10.200.3.7:');
    await until('one row', async () => (await page.locator('.list-view .list-row').count()) === 1, PATIENCE);
  });
  console.log(`main thread per update: ${few.toFixed(1)} ms with 20 port spaces, ${many.toFixed(1)} ms with 5,000`);
  expect(many).toBeLessThan(3 * Math.max(few, 5));
}, 120_000);
