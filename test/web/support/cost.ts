/** What updates cost a page's main thread in processor time, by Chromium's own accounting. */
import type { CDPSession, Page } from 'playwright-core';

export interface Cost {
  /** Milliseconds of the main thread per update: script, style, layout and the rest of its tasks. */
  readonly task: number;
  readonly script: number;
  readonly layout: number;
}

const read = async (session: CDPSession): Promise<Readonly<Record<string, number>>> => {
  const { metrics } = await session.send('Performance.getMetrics');
  return Object.fromEntries(metrics.map(({ name, value }) => [name, value]));
};

/** Sends `look` `times` times, each time until the list was asked for anew and is drawn; the mean cost of one. */
export const costOf = async (page: Page, times: number, look: () => void): Promise<Cost> => {
  const session = await page.context().newCDPSession(page);
  // By processor time: what else runs on the machine must not count.
  await session.send('Performance.enable', { timeDomain: 'threadTicks' });
  const before = await read(session);
  for (let i = 0; i < times; i++) {
    const listed = page.waitForResponse((response) => /port-spaces[?/]/.test(response.url()));
    look();
    await (await listed).finished();
    await page.evaluate('new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))');
  }
  const after = await read(session);
  await session.detach();
  const per = (...names: readonly string[]): number =>
    names.reduce((sum, name) => sum + ((after[name]! - before[name]!) * 1000) / times, 0);
  return { task: per('TaskDuration'), script: per('ScriptDuration'), layout: per('LayoutDuration', 'RecalcStyleDuration') };
};
