/** A real Chromium for a test file: one for all its tests, with a profile of its own that is gone afterwards. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type BrowserContext, chromium, type Page } from 'playwright-core';

export interface Browser {
  /** A new tab, with what went wrong in it so far. */
  open(options?: {
    readonly width?: number;
    readonly height?: number;
    readonly colours?: 'light' | 'dark';
    readonly motion?: 'reduce';
  }): Promise<Tab>;
  close(): Promise<void>;
}

export interface Tab {
  readonly page: Page;
  /** Errors of the console and of scripts. */
  readonly errors: readonly string[];
  /** Every address asked. */
  readonly requests: readonly string[];
  /** Forgets the errors so far: those a test has caused on purpose. */
  forgive(): void;
}

const executablePath = '/usr/bin/chromium';

export const startBrowser = async (): Promise<Browser> => {
  const profile = mkdtempSync(join(tmpdir(), `plimsoll-stories-${process.pid}-chromium-`));
  const forget = (): void => rmSync(profile, { recursive: true, force: true, maxRetries: 5, retryDelay: 50 });
  process.once('exit', forget);
  const context: BrowserContext = await chromium.launchPersistentContext(profile, {
    executablePath,
    headless: true,
    args: [
      '--headless',
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
      '--disable-extensions',
    ],
  });
  return {
    open: async ({ width = 1280, height = 900, colours = 'light', motion } = {}) => {
      const page = await context.newPage();
      await page.setViewportSize({ width, height });
      await page.emulateMedia({ colorScheme: colours, reducedMotion: motion ?? 'no-preference' });
      const errors: string[] = [];
      const requests: string[] = [];
      page.on('console', (message) => {
        if (message.type() === 'error' || message.type() === 'warning') errors.push(`${message.text()} (${message.location().url})`);
      });
      page.on('pageerror', (error) => errors.push(String(error)));
      page.on('request', (request) => requests.push(request.url()));
      return { page, errors, requests, forgive: () => errors.splice(0) };
    },
    close: async () => {
      await context.close();
      process.off('exit', forget);
      forget();
    },
  };
};
