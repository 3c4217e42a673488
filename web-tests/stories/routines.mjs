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
    await main.getByLabel('Event').selectOption('stream.changed');
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

  test('a routine says in words how late it fires and what becomes of it when it is done', async () => {
    const { browser, server, signedIn, place } = given;
    const context = await newContext(browser, server, { storageState: signedIn });
    const page = await context.newPage();
    await page.goto(`${place}/routines/new`);
    const main = page.getByRole('main');
    await main.getByLabel('Name', { exact: true }).fill('Ring the bell');
    const away = main.getByLabel('Archive when done');
    await main.getByText('More', { exact: true }).click();
    assert.equal(await away.isVisible(), false, 'what repeats is never done');
    await main.getByLabel('Repeats').selectOption('once');
    await main.getByLabel('At', { exact: true }).fill('2126-12-24T18:00');
    await away.check();
    await main.getByLabel('Random delay').fill('600');
    await main.getByLabel('Random delay').blur();
    await main.getByText('within 10 min after').waitFor();
    await main.getByRole('combobox', { name: 'Conversation' }).selectOption('main');
    await assertAccessible(page, 'a new routine of one moment');
    await main.getByRole('button', { name: 'Create routine' }).click();
    await page.getByRole('heading', { level: 1, name: 'Ring the bell' }).waitFor();
    await page.getByText('Archived with its history').waitFor();
    await page.getByText('The agent’s main conversation').waitFor();
    await page.goto(`${place}/routines?kind=done`);
    await page.getByText('No routines match').waitFor();
    await assertAccessible(page, 'routines that are done');
    assert.deepEqual(context.faults(), []);
    await context.close();
  });
}
