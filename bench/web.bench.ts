/**
 * `npm run bench web`: what one look costs the dashboard's main thread in Chromium, in processor time by its own accounting (Performance.getMetrics),
 * with 20 and with 5,000 port spaces, each other with every look. The peer is the same figures as a plain table of as many rows,
 * written anew each time, on an empty page of the same browser. The bound: 100 ms with 5,000.
 */
import type { Page } from 'playwright-core';
import { type Browser, startBrowser } from '../test/web/support/browser.ts';
import { type Cost, costOf } from '../test/web/support/cost.ts';
import { type ManySpaces, serveManySpaces } from '../test/web/support/many-spaces.ts';
import { machine, spread, table } from './machine.ts';

const ROUNDS = 3;
const UPDATES = 10;
const BOUND = 100;

/** A page that asks for all rows with each look and writes them into a <table>. */
const plainTable = `
  const reader = new TextDecoderStream();
  void fetch('api/v1/events').then(async (response) => {
    const stream = response.body.pipeThrough(reader).getReader();
    for (;;) {
      const { done, value } = await stream.read();
      if (done) return;
      if (!value.includes('event: sample')) continue;
      const { items } = await (await fetch('api/v1/port-spaces?limit=10000&offset=0')).json();
      document.body.innerHTML = '<table>' + items.map((s) => '<tr><td>' + s.id + '</td><td>' + Math.round(s.used_ratio * 100) + ' %</td><td>' + s.used + ' / ' + s.capacity + '</td><td>' + s.forecast.kind + '</td><td>' + s.open_rate.toFixed(1) + '/s</td></tr>').join('') + '</table>';
    }
  });
`;

interface Row {
  readonly name: string;
  readonly spaces: number;
  readonly top: number;
  readonly open: (page: Page, agent: ManySpaces) => Promise<void>;
}

const dashboard = async (page: Page, agent: ManySpaces): Promise<void> => {
  await page.goto(agent.url);
  await page.locator('.list-row').nth(5).waitFor();
};
const rows: readonly Row[] = [
  { name: 'overview, 20 port spaces', spaces: 20, top: 20, open: dashboard },
  { name: 'overview, 5,000 port spaces', spaces: 5000, top: 20, open: dashboard },
  { name: 'overview, 5,000, 1,000 of them in each event', spaces: 5000, top: 1000, open: dashboard },
  {
    name: 'one port space: chart, port map, what-if',
    spaces: 5000,
    top: 20,
    open: async (page, agent) => {
      await dashboard(page, agent);
      await page.locator('.list-view a').first().click();
      await page.locator('.port-map canvas').waitFor();
    },
  },
  {
    name: 'peer: plain table of 5,000 rows',
    spaces: 5000,
    top: 20,
    open: async (page, agent) => {
      // A page of the same origin without the dashboard, and without its policy.
      await page.goto(`${agent.url}mark.svg`);
      await page.goto('about:blank');
      await page.route(`${agent.url}plain`, (route) => route.fulfill({ contentType: 'text/html', body: '<!doctype html><body></body>' }));
      await page.goto(`${agent.url}plain`);
      await page.evaluate(plainTable);
      await page.waitForSelector('tr');
    },
  },
];

const measure = async (browser: Browser, row: Row): Promise<Cost> => {
  const agent = await serveManySpaces({ spaces: row.spaces, top: row.top });
  const { page } = await browser.open();
  try {
    await row.open(page, agent);
    await costOf(page, 3, () => agent.look());
    return await costOf(page, UPDATES, () => agent.look());
  } finally {
    await page.close();
    agent.close();
  }
};

const browser = await startBrowser();
const costs = new Map<Row, Cost[]>(rows.map((row) => [row, []]));
try {
  for (let round = 0; round < ROUNDS; round++) for (const row of rows) costs.get(row)!.push(await measure(browser, row));
} finally {
  await browser.close();
}
console.log(machine([['/usr/bin/chromium', '--version']]));
console.log(
  `Milliseconds of processor time on the main thread per look, median of ${ROUNDS} rounds of ${UPDATES} looks (least to most); rendering in software.\n`,
);
const figure = (values: readonly number[]): string => {
  const { median, low, high } = spread(values);
  return `${median.toFixed(1)} (${low.toFixed(1)}-${high.toFixed(1)})`;
};
console.log(
  table([
    ['page', 'all of it', 'script', 'style and layout'],
    ...rows.map((row) => {
      const all = costs.get(row)!;
      return [row.name, figure(all.map((c) => c.task)), figure(all.map((c) => c.script)), figure(all.map((c) => c.layout))];
    }),
  ]),
);
const worst = Math.max(...rows.slice(1, 4).map((row) => spread(costs.get(row)!.map((c) => c.task)).median));
console.log(`bound ${BOUND} ms: ${worst <= BOUND ? 'held' : 'NOT held'} (${worst.toFixed(1)} ms at most)`);
process.exitCode = worst <= BOUND ? 0 : 1;
