// The browser of an agent: a person switches it on, sees how it stands, and forgets what it keeps.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { assertAccessible } from '../lib/axe.mjs';
import { newContext, PHONE, WIDE } from '../lib/browser.mjs';

export function tell(given) {
  test('a browser is switched on and off on the page of its agent', async () => {
    const { browser, server, place, signedIn } = given;
    const context = await newContext(browser, server, { size: WIDE, storageState: signedIn });
    const page = await context.newPage();
    await page.goto(`${place}/agents/ada`);
    await page.getByRole('main').getByRole('link', { name: 'Browser', exact: true }).click();
    await page.getByText('Ada has no browser.').waitFor();
    await page.getByRole('button', { name: 'Switch on' }).click();
    await page.getByText('Ada may use a browser').waitFor();
    await page.getByText('It does not run.').waitFor();
    await assertAccessible(page, 'the browser of an agent');

    await page.getByRole('button', { name: 'Forget everything' }).click();
    await page.getByRole('dialog').getByRole('button', { name: 'Forget everything' }).click();
    await page.getByText('Ada may use a browser').waitFor();
    await page.getByRole('button', { name: 'Switch off' }).click();
    await page.getByText('Ada has no browser.').waitFor();
    assert.deepEqual(context.faults(), []);
    await context.close();
  });

  test('the switch of a browser works on a phone without script', async () => {
    const { browser, server, place, signedIn } = given;
    const context = await newContext(browser, server, { size: PHONE, theme: 'dark', storageState: signedIn, script: false });
    const page = await context.newPage();
    await page.goto(`${place}/agents/ada/browser`);
    await page.getByRole('button', { name: 'Switch on' }).press('Enter');
    await page.getByText('Ada may use a browser').waitFor();
    const width = await page.evaluate(() => document.documentElement.scrollWidth);
    assert.ok(width <= PHONE.width, `nothing is wider than the screen: ${width}`);
    await page.getByRole('button', { name: 'Switch off' }).press('Enter');
    await page.getByText('Ada has no browser.').waitFor();
    await context.close();
  });
}
