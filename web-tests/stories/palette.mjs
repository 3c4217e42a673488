// Search and commands by keyboard alone, and by touch on a phone.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { assertAccessible } from '../lib/axe.mjs';
import { newContext, PHONE } from '../lib/browser.mjs';
import { TASK } from '../lib/story.mjs';

export function tell(given) {
  test('the palette finds, goes and acts without a mouse', async () => {
    const { browser, server, signedIn, place } = given;
    const context = await newContext(browser, server, { storageState: signedIn });
    const page = await context.newPage();
    await page.goto(`${place}/tasks`);
    const field = page.getByRole('combobox', { name: 'Search everything' });
    const chosen = page.locator('#palette-list [aria-selected=true]');

    await page.keyboard.press('Control+k');
    await field.waitFor();
    await page.getByRole('option', { name: 'New task' }).first().waitFor();
    await assertAccessible(page, 'the palette');
    // A beginning, with a typo in another word.
    await field.fill('cargo rivals');
    await page.getByRole('option', { name: TASK }).first().waitFor();
    await assert.doesNotReject(chosen.filter({ hasText: 'Compare leasing' }).waitFor());
    await page.keyboard.press('Enter');
    await page.getByRole('heading', { level: 1, name: TASK }).waitFor();

    // The record that is open offers what can be done with it.
    await page.keyboard.press('Control+k');
    await field.fill('>change status');
    await page.getByRole('option', { name: 'Change status' }).waitFor();
    await page.keyboard.press('Enter');
    await page.locator('#m-status').waitFor();
    await page.keyboard.press('Escape');

    // What was opened is offered again; Escape closes, and the focus is where it was.
    await page.goto(`${place}/agents`);
    await page.keyboard.press('Control+k');
    await page.getByRole('option', { name: TASK }).waitFor();
    await page.keyboard.press('Escape');
    await field.waitFor({ state: 'hidden' });

    await page.keyboard.press('?');
    await page.getByRole('heading', { name: 'On this page' }).waitFor();
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
    await page.getByRole('option', { name: 'Everything with' }).click();
    await page.getByRole('heading', { level: 1, name: 'Search' }).waitFor();
    await page.getByRole('link', { name: TASK }).first().waitFor();
    await assertAccessible(page, 'the search page');
    assert.deepEqual(context.faults(), []);
    await context.close();
  });
}
