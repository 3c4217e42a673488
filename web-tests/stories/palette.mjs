// Search and commands by touch on a phone.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { assertAccessible } from '../lib/axe.mjs';
import { newContext, PHONE } from '../lib/browser.mjs';
import { TASK } from '../lib/story.mjs';

export function tell(given) {
  test('a menu whose lines are fetched says that it is open and gives the focus back', async () => {
    const { browser, server, signedIn, place } = given;
    const context = await newContext(browser, server, { storageState: signedIn });
    const page = await context.newPage();
    await page.goto(`${place}/tasks`);
    const bell = page.locator('#bell button');
    // The browser reports an opened or closed menu a moment later, by an event of its own.
    const expanded = (is) => page.locator(`#bell button[aria-expanded=${is}]`).waitFor();
    await expanded(false);
    await bell.focus();
    await page.keyboard.press('Enter');
    await page.locator('#bell-list').getByRole('link', { name: 'All notifications' }).waitFor();
    await page.waitForFunction(() => !document.querySelector('#bell-latest[hx-trigger]:only-child > a:only-child'));
    await expanded(true);
    await page.keyboard.press('Escape');
    await page.locator('#bell-list').waitFor({ state: 'hidden' });
    await page.waitForFunction(() => document.activeElement?.closest('#bell'));
    await expanded(false);
    const bare = page.locator('[aria-haspopup]:not([aria-expanded])');
    assert.equal(await bare.count(), 0);
    assert.deepEqual(context.faults(), []);
    await context.close();
  });

  test('the palette fits a phone, and the search page has all of it', async () => {
    const { browser, server, signedIn, place } = given;
    const context = await newContext(browser, server, { size: PHONE, storageState: signedIn });
    const page = await context.newPage();
    await page.goto(`${place}/`);
    await page.getByRole('button', { name: 'More' }).click();
    await page.locator('.side [data-palette]').click();
    const field = page.getByRole('combobox', { name: 'Search everything' });
    await field.fill('leasing');
    await page.getByRole('option', { name: TASK }).first().waitFor();
    await assertAccessible(page, 'the palette on a phone');
    await page.getByRole('option', { name: 'All results for' }).click();
    await page.getByRole('heading', { level: 1, name: 'Search' }).waitFor();
    await page.getByRole('link', { name: TASK }).first().waitFor();
    await assertAccessible(page, 'the search page');
    assert.deepEqual(context.faults(), []);
    await context.close();
  });

  test('each key asks at once, and one question at most is under way', async () => {
    const { browser, server, signedIn, place } = given;
    const context = await newContext(browser, server, { storageState: signedIn });
    await context.addInitScript(() => {
      const { fetch } = window;
      window.asked = { open: 0, most: 0, waits: [], last: 0 };
      addEventListener('input', () => (window.asked.last = performance.now()), true);
      window.fetch = async (url, options) => {
        if (!String(url).includes('/palette?')) return fetch(url, options);
        const { asked } = window;
        asked.waits.push(performance.now() - asked.last);
        asked.most = Math.max(asked.most, (asked.open += 1));
        let over = false;
        const end = () => !over && ((over = true), (asked.open -= 1));
        options?.signal?.addEventListener('abort', end);
        try {
          return await fetch(url, options);
        } finally {
          end();
        }
      };
    });
    const page = await context.newPage();
    await page.goto(`${place}/tasks`);
    await page.keyboard.press('Control+k');
    const field = page.getByRole('combobox', { name: 'Search everything' });
    await page.getByRole('option').first().waitFor();
    // An answer that takes longer than the next key.
    await page.route('**/palette?**', async (route) => {
      await new Promise((resolve) => setTimeout(resolve, 120));
      await route.continue().catch(() => {});
    });
    await page.evaluate(() => (window.asked.waits = []));
    await field.pressSequentially('leasing', { delay: 30 });
    await page.getByRole('option', { name: TASK }).first().waitFor();
    const asked = await page.evaluate(() => window.asked);
    assert.equal(asked.waits.length, 'leasing'.length, 'each key asks');
    assert.ok(Math.max(...asked.waits) < 50, `at once: ${asked.waits}`);
    assert.equal(asked.most, 1, 'what is asked anew calls off what was asked before');
    // Enter means what was typed, and not the line that stood first before the answer came.
    await field.fill('');
    await page.getByRole('option', { name: TASK }).first().waitFor({ state: 'hidden' });
    await field.pressSequentially('>new agent', { delay: 5 });
    await page.keyboard.press('Enter');
    await page.waitForURL('**/agents/new');
    assert.deepEqual(context.faults(), []);
    await context.close();
  });
}
