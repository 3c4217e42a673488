// One Chromium for the stories of a suite; a fresh context each, which also notes what a page must never do.

import { accessSync, constants } from 'node:fs';
import { chromium } from 'playwright-core';

const PROGRAMS = ['/usr/bin/chromium-headless-shell', '/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'];
// Nobody sees the menu below the address, and loading it takes each context a second. Of several such lists the last
// one counts: before what is ours stands what Playwright (chromiumSwitches) switches off.
const OFF = [
  'AvoidUnnecessaryBeforeUnloadCheckSync',
  'BoundaryEventDispatchTracksNodeRemoval',
  'DestroyProfileOnBrowserClose',
  'DialMediaRouteProvider',
  'GlobalMediaControls',
  'HttpsUpgrades',
  'LensOverlay',
  'MediaRouter',
  'OptimizationHints',
  'PaintHolding',
  'RenderDocument',
  'ThirdPartyStoragePartitioning',
  'Translate',
  'WebUIOmniboxAimPopup',
  'WebUIOmniboxPopup',
];
const FLAGS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  `--disable-features=${OFF}`,
];

export const WIDE = { width: 1440, height: 900 };
export const MIDDLE = { width: 1024, height: 768 };
export const PHONE = { width: 390, height: 844 };

function program() {
  for (const path of [process.env.CHROMIUM, ...PROGRAMS].filter(Boolean)) {
    try {
      accessSync(path, constants.X_OK);
      return path;
    } catch {
      // Not here; the next place.
    }
  }
  throw new Error('no Chromium found; run `make setup`, or name it in CHROMIUM');
}

export function startBrowser() {
  return chromium.launch({ executablePath: program(), args: FLAGS });
}

/**
 * A context at one size and theme; a narrow one is a phone unless `touch` says that it is a narrow window. `faults()` lists script errors, blocked content, answers of 500
 * and above, and requests that left the server: a story ends by asserting that it is empty.
 */
export async function newContext(browser, server, options = {}) {
  const { size = WIDE, theme = 'light', script = true, touch = size.width < 768, storageState } = options;
  const context = await browser.newContext({
    baseURL: server.url,
    viewport: size,
    colorScheme: theme,
    reducedMotion: 'reduce',
    isMobile: touch,
    hasTouch: touch,
    javaScriptEnabled: script,
    locale: 'en-GB',
    timezoneId: 'Europe/Berlin',
    storageState,
  });
  context.setDefaultTimeout(20_000);
  const faults = [];
  context.on('page', (page) => {
    page.on('pageerror', (error) => faults.push(`script error on ${page.url()}: ${error.message}`));
    page.on('console', (message) => {
      // A page that is left ends what it was fetching.
      if (message.text().includes('Failed to fetch')) return;
      if (message.type() === 'error') faults.push(`console on ${page.url()}: ${message.text()}`);
    });
  });
  context.on('request', (request) => {
    const { origin, protocol } = new URL(request.url());
    if (protocol.startsWith('http') && origin !== new URL(server.url).origin) {
      faults.push(`request to another server: ${request.url()}`);
    }
  });
  context.on('response', (response) => {
    if (response.status() >= 500) faults.push(`${response.status()} from ${response.url()}`);
  });
  return Object.assign(context, { faults: () => faults });
}

/** Two windows of the same person. Two pages of one context are one window: what is behind is drawn once a second. */
export async function twoContexts(browser, server, options) {
  return [await newContext(browser, server, options), await newContext(browser, server, options)];
}

/** Prints what the pages that are still open show, with the faults of their contexts, and closes them. */
export async function tellOfOpen(browser) {
  for (const context of browser?.contexts() ?? []) {
    for (const fault of context.faults?.() ?? []) console.log(`fault: ${fault}`);
    for (const page of context.pages()) {
      const shown = await page.locator('body').ariaSnapshot({ timeout: 2000 }).catch((error) => error.message);
      console.log(`open: ${page.url()}\n${shown.slice(0, 6000)}`);
    }
    await context.close();
  }
}
