// A routine that waits for a change of a record: the form shows the fields of the event that is chosen, and
// what was typed stays.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { assertAccessible } from '../lib/axe.mjs';
import { newContext } from '../lib/browser.mjs';

export function tell(given) {
  test('the conditions of a new routine have the fields of its event', async () => {
    const { browser, server, signedIn, place } = given;
    const context = await newContext(browser, server, { storageState: signedIn });
    const page = await context.newPage();
    await page.goto(`${place}/routines/new?when=event`);
    const main = page.getByRole('main');
    await main.getByLabel('Name', { exact: true }).fill('Tell of new names');
    await main.getByLabel('After what').selectOption('stream.changed');
    const field = main.getByRole('combobox', { name: 'Condition 1: field' });
    await field.locator('option[value="old_title"]').waitFor({ state: 'attached' });
    await field.selectOption('old_title');
    await main.getByRole('textbox', { name: 'Condition 1: value' }).fill('Nothing is called so');
    assert.equal(await main.getByLabel('Name', { exact: true }).inputValue(), 'Tell of new names');
    await assertAccessible(page, 'a new routine after an event');
    await main.getByRole('button', { name: 'Create routine' }).click();
    await page.getByRole('heading', { level: 1, name: 'Tell of new names' }).waitFor();
    await page.getByText('if the former name is Nothing is called so').first().waitFor();
    assert.deepEqual(context.faults(), []);
    await context.close();
  });
}
