// Search and commands by touch on a phone.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { assertAccessible } from '../lib/axe.mjs';
import { newContext, PHONE } from '../lib/browser.mjs';
import { TASK } from '../lib/story.mjs';

export function tell(given) {
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
    await page.getByRole('option', { name: 'Everything with' }).click();
    await page.getByRole('heading', { level: 1, name: 'Search' }).waitFor();
    await page.getByRole('link', { name: TASK }).first().waitFor();
    await assertAccessible(page, 'the search page');
    assert.deepEqual(context.faults(), []);
    await context.close();
  });
}
